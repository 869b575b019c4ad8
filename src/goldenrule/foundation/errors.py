"""The errors a user can meet.

    GoldenRuleError                 a user can mend it: the command line prints it and ends with exit code 2
    ├── InputError                  the images or files that were given
    │   ├── SourceError             a folder that is missing, unreadable, empty or laid out in no known way
    │   ├── TooFewImages            too few images or classes to learn from
    │   └── UnreadableImage         one file that is no picture; runs list it and go on
    ├── OptionError                 a value that an option does not take
    ├── BackboneError               a pretrained network
    │   ├── UnknownBackbone         a name that neither goldenrule nor timm knows
    │   └── WeightsUnavailable      known, but its weights can't be had here
    ├── StorageError                a disk that is full, a folder that can't be written
    ├── RunError                    the folder of a run
    │   ├── RunInUse                another process writes to it
    │   └── RunMismatch             it holds the story of other images or other options
    ├── FormatError                 a file of ours that is damaged or was written by a newer version
    └── MissingExtra                an optional dependency that is not installed

Each message says what was found, what was wanted and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class GoldenRuleError(Exception):
    """Base of everything a user can mend."""


class InputError(GoldenRuleError):
    """The images or files that were given can't be used as they are."""


class SourceError(InputError):
    """A folder is missing, unreadable, empty, or laid out in no way that is known."""


class TooFewImages(InputError):
    """There are too few images or classes to learn from."""


class UnreadableImage(InputError):
    """One file can't be turned into pixels; the message is the reason."""


class OptionError(GoldenRuleError):
    """An option has a value that it does not take."""


class BackboneError(GoldenRuleError):
    """A pretrained network can't be used."""


class UnknownBackbone(BackboneError):
    """The name is neither an embedded backbone nor one of timm's."""


class WeightsUnavailable(BackboneError):
    """The backbone is known, but its weights can't be had here."""


class StorageError(GoldenRuleError):
    """The disk is full or a folder can't be written; nothing finished was lost."""


class RunError(GoldenRuleError):
    """The folder of a run can't be used."""


class RunInUse(RunError):
    """Another process is writing to this run."""


class RunMismatch(RunError):
    """The folder holds the story of other images or other options."""


class FormatError(GoldenRuleError):
    """A file of goldenrule's is damaged, or a newer version wrote it."""


class MissingExtra(GoldenRuleError):
    """An optional dependency is not installed; the message names the extra."""


def nearest(name: str, known: Iterable[str], *, most: int = 5) -> list[str]:
    """Give the known names that look most like `name`, best first.

    >>> nearest("efficientnet_light0", ["efficientnet_lite0", "resnet18"])
    ['efficientnet_lite0']
    """
    return difflib.get_close_matches(name, list(known), n=most, cutoff=0.5)


def first_line(error: Exception) -> str:
    r"""Give an error of somebody else's in one short line.

    >>> first_line(ValueError("no such layer\nTraceback ...")), first_line(AssertionError())
    ('ValueError: no such layer', 'AssertionError: ')
    """
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:160]}"
