"""Text of files and people, made safe to show: nothing in a name steers a terminal or hides itself."""

from __future__ import annotations

import re

_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # C0 with ESC, BEL and line breaks; DEL; C1
    "\u00ad\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff"  # no width, direction
    "\ud800-\udfff\ufff9-\ufffb\U000e0000-\U000e007f]"  # bytes that are no text, annotations, tags
)


def visible(text: object, *, keep: str = "") -> str:
    r"""Return a text with what can't be seen spelled out as Python does; the characters `keep` stay.

    >>> print(visible("cat\x1b[31m\n.jpg"), visible("\u202egpj.exe"), visible("two\nlines", keep="\n"), sep="|")
    cat\x1b[31m\n.jpg|\u202egpj.exe|two
    lines
    """
    return _HIDDEN.sub(lambda found: found[0] if found[0] in keep else _spelled(found[0]), str(text))


def encodable(text: str) -> str:
    r"""Return a text with the bytes of a name that are no UTF-8 spelled out: no file could hold them.

    >>> print(encodable("caf\udce9.jpg"))
    caf\udce9.jpg
    """
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _spelled(character: str) -> str:
    return ascii(character)[1:-1]
