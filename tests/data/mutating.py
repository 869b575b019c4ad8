"""Damage files at random and decode them: each has pixels or a reason.

    python mutating.py FIRST COUNT NOTE FILES...    seeds from FIRST on; NOTE holds the one at work

Prints how many were read, the longest time in seconds, and the peak of memory in bytes.
"""

from __future__ import annotations

import json
import random
import re
import sys
import time
from pathlib import Path

from goldenrule.core.errors import UnreadableImage
from goldenrule.data.pictures.decode import decode
from goldenrule.data.scan import look


def mutated(files: list[bytes], seed: int) -> bytes:
    """Return one of the files with some damage."""
    draws = random.Random(seed)
    content = bytearray(files[seed % len(files)])
    for _ in range(draws.choice([1, 1, 2, 5, 40])):
        early = draws.random() < 0.6
        at = draws.randrange(min(len(content), 400) if early else len(content))
        match draws.randrange(7):
            case 0:
                content[at] ^= 1 << draws.randrange(8)
            case 1:
                content[at] = draws.choice([0, 1, 127, 128, 255])
            case 2:
                del content[at + 1 :]
            case 3:
                content[at:at] = content[at : at + draws.choice([1, 4, 300])] * draws.choice([1, 1000])
            case 4:
                del content[at : at + draws.choice([1, 2, 64])]
            case 5:
                content[at : at + 4] = draws.choice([2**32 - 1, 2**31 - 1, 2**16, 0]).to_bytes(4, "big")
            case 6:
                other = files[draws.randrange(len(files))]
                content[at:] = other[draws.randrange(len(other)) :]
        if not content:
            break
    return bytes(content)


def is_read(content: bytes, levels: tuple[float, float] | None) -> bool:
    """Return whether a file has pixels; if not it has a reason."""
    found = look(content)
    assert found.problem or found.header
    try:
        pixels = decode(content, levels=levels)
    except UnreadableImage as error:
        if not str(error):
            raise
        return False
    assert (pixels.ndim, pixels.shape[2], pixels.dtype) == (3, 3, "uint8")
    return pixels.size > 0


def main(first: int, count: int, note: Path, names: list[str]) -> None:
    """Go through the seeds."""
    files, read, worst = [Path(name).read_bytes() for name in names], 0, 0.0
    for seed in range(first, first + count):
        note.write_text(str(seed))
        content, began = mutated(files, seed), time.perf_counter()
        read += is_read(content, (0, 4095) if seed % 2 else None)
        worst = max(worst, time.perf_counter() - began)
    peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert peak
    print(json.dumps([read, worst, int(peak[1]) * 1024]))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])
