"""Damaged files by the thousand: never a crash, never a hang, never a gigabyte; only pictures and reasons."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

MUTATING = """
import io, random, sys, time
from pathlib import Path
from PIL import Image
from goldenrule.foundation.errors import UnreadableImage
from goldenrule.images.read import decode

first, count, note = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
files = [Path(name).read_bytes() for name in sys.argv[4:]]
with Image.open(sys.argv[4]) as opened:
    image = opened.convert("RGB").resize((160, 120))
for kind, options in (
    ("PNG", {}), ("GIF", {"save_all": True, "append_images": [image.rotate(90)]}), ("BMP", {}), ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}), ("WEBP", {}), ("AVIF", {}), ("PPM", {}), ("JPEG", {"progressive": True}),
    ("JPEG2000", {}), ("TGA", {}),
):
    file = io.BytesIO()
    image.save(file, kind, **options)
    files.append(file.getvalue())


def mutated(seed):
    draws = random.Random(seed)
    content = bytearray(files[seed % len(files)])
    for _ in range(draws.choice([1, 1, 2, 5, 40])):
        at = draws.randrange(len(content)) if draws.random() < 0.4 else draws.randrange(min(len(content), 400))
        match draws.randrange(7):
            case 0:
                content[at] ^= 1 << draws.randrange(8)
            case 1:
                content[at] = draws.choice([0, 1, 127, 128, 255])
            case 2:
                del content[at + 1 :]
            case 3:
                content[at:at] = draws.randbytes(draws.choice([1, 4, 300]))
            case 4:
                del content[at : at + draws.choice([1, 2, 64])]
            case 5:
                content[at : at + 4] = draws.choice([2**32 - 1, 2**31 - 1, 2**16, 0]).to_bytes(4, "big")
            case 6:
                other = files[draws.randrange(len(files))]
                content[at:] = other[draws.randrange(len(other)) :]
        if not content:
            return bytes(content)
    return bytes(content)


read, worst = 0, 0.0
for seed in range(first, first + count):
    note.write_text(str(seed))
    content, began = mutated(seed), time.perf_counter()
    try:
        pixels = decode(content)
        assert pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.dtype == "uint8" and pixels.size
        read += 1
    except UnreadableImage as error:
        assert str(error)
    worst = max(worst, time.perf_counter() - began)
    assert time.perf_counter() - began < 5, "a hang"
peak = next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(read, worst, peak)
"""


@pytest.mark.parametrize(("first", "count"), [(0, 400), pytest.param(400, 6000, marks=pytest.mark.exhaustive)])
def test_of_thousands_of_damaged_files_each_is_a_picture_or_has_a_reason(
    photos: Callable[[str], Path], tmp_path: Path, first: int, count: int
) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak of a process's memory is read from /proc")
    names = ("dogscats", "flowers_128", "GTSRB", "surface_crack", "hymenoptera_data", "clothing_small")
    files = [sorted(path for path in photos(name).rglob("*.*") if path.suffix != ".csv")[0] for name in names]
    script, note = tmp_path / "mutating.py", tmp_path / "seed"
    script.write_text(MUTATING)
    done = subprocess.run(
        [sys.executable, "-W", "error", script, str(first), str(count), note, *files],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"seed {note.read_text()}: {done.returncode} {done.stderr[-2000:]}"
    read, worst, peak = done.stdout.split()
    assert 0.05 * count < int(read) < 0.9 * count, "mutants must be neither all harmless nor all hopeless"
    assert float(worst) < 5
    assert int(peak) < 1e9
