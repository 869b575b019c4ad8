"""Pictures as people have them, damaged ones, hostile ones: the right pixels or a reason, never a program or a hang."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import struct
import subprocess
import threading
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

import goldenrule as gr
from goldenrule.foundation.budget import Budget
from goldenrule.foundation.errors import OptionError, UnreadableImage
from goldenrule.images.read import decode, header

Draw = Callable[[Path, npt.NDArray[Any]], None]
SOURCE = Path(gr.__file__).parent


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(values: npt.NDArray[Any], *, bits: int = 16, extra: bytes = b"", interlaced: bool = False) -> bytes:
    """Return a PNG of values (height, width, bands): Pillow writes none of 16-bit colours."""
    height, width, bands = values.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[bands]
    rows = b"".join(b"\0" + row.astype(">u2" if bits == 16 else "u1").tobytes() for row in values)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, interlaced))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff(data: bytes, tags: dict[int, tuple[int, tuple[int, ...]]], *, order: str = "<", strips: int = 1) -> bytes:
    """Return a TIFF of uncompressed strips of equal length; `tags` are tag -> (type: 3 short, 4 long; values)."""
    each = len(data) // strips
    places = tuple(range(8, 8 + len(data), each))
    tags = dict(sorted({273: (4, places), 279: (4, (each,) * strips), **tags}.items()))
    start = 8 + len(data) + len(data) % 2
    after = start + 2 + 12 * len(tags) + 4
    entries, beside = b"", b""
    for tag, (kind, values) in tags.items():
        packed = struct.pack(f"{order}{len(values)}{'H' if kind == 3 else 'L'}", *values)
        if len(packed) > 4:
            place = struct.pack(f"{order}L", after + len(beside))
            beside += packed
        else:
            place = packed.ljust(4, b"\0")
        entries += struct.pack(f"{order}HHL", tag, kind, len(values)) + place
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}L", start)
    return head + data.ljust(start - 8, b"\0") + struct.pack(f"{order}H", len(tags)) + entries + bytes(4) + beside


def bands(
    values: npt.NDArray[Any], *, photometric: int, extra: tuple[int, ...] | None, order: str = "<", planar: bool = False
) -> bytes:
    """Return a TIFF of values (height, width, bands) of 8, 16 or 32 bits."""
    height, width, count = values.shape
    bits = 8 * values.dtype.itemsize
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    tags: dict[int, tuple[int, tuple[int, ...]]] = {
        256: (4, (width,)),
        257: (4, (height,)),
        258: (3, (bits,) * count),
        259: (3, (1,)),
        262: (3, (photometric,)),
        277: (3, (count,)),
        278: (4, (height,)),
        339: (3, (kind,) * count),
    }
    if extra is not None:
        tags[338] = (3, extra)
    if planar:
        tags[284] = (3, (2,))
    stored = values.transpose(2, 0, 1) if planar else values
    data = stored.astype(values.dtype.newbyteorder(order)).tobytes()
    return tiff(data, tags, order=order, strips=count if planar else 1)


def twelve_bits(striped: bool, draws: np.random.Generator) -> npt.NDArray[np.uint16]:
    """Return what a 12-bit camera may see, plain or striped: one level of 256, if white is 65,535."""
    values = draws.integers(1030, 1055, (48, 64)).astype(np.uint16)
    if striped:
        values[:, ::8] += 95
        values[:, 1::8] += 95
    values[0, 0] = 3000
    return values


def as_tiff(path: Path, values: npt.NDArray[Any]) -> None:
    Image.fromarray(values).save(path.with_suffix(".tif"))


def as_colour_png(path: Path, values: npt.NDArray[Any]) -> None:
    path.with_suffix(".png").write_bytes(png(np.repeat(values[:, :, None], 3, axis=2)))


def as_colour_tiff(path: Path, values: npt.NDArray[Any]) -> None:
    content = bands(np.repeat(values[:, :, None], 3, axis=2), photometric=2, extra=None)
    path.with_suffix(".tif").write_bytes(content)


def planted(root: Path, draw: Draw, *, each: int = 12) -> Path:
    draws = np.random.default_rng(0)
    for part in ("train", "test"):
        for label in ("plain", "striped"):
            folder = root / part / label
            folder.mkdir(parents=True)
            for number in range(each):
                draw(folder / f"{number:02d}", twelve_bits(label == "striped", draws))
    return root


@pytest.mark.parametrize("draw", [as_tiff, as_colour_png, as_colour_tiff])
def test_what_differs_in_the_low_12_of_16_bits_alone_is_learned_and_predicted_to_the_last_bit(
    cache: Path, tmp_path: Path, draw: Draw
) -> None:
    root = planted(tmp_path / "set", draw)
    found = gr.answer(root, out=tmp_path / "run")
    assert found.headline.name == "accuracy"
    assert found.headline.value == 1, "of 16 bits they are all one gray"
    classifier = gr.Classifier.load(tmp_path / "run")
    assert classifier.preprocessing.levels == (0, 4095)
    (told,) = [one for one in found.findings if one.code == "levels"]
    assert told.severity == "warning"
    assert "use the values 1,030 to 3,000 only" in told.sentence
    assert "--levels 0..4095" in told.advice
    table, activations = gr.activations_of(gr.from_folder(root), classifier.backbone)
    kept = classifier.logits(activations.rows([digest or b"" for digest in table.digests]))
    np.testing.assert_array_equal(classifier.predict_table(table).logits[:, 0], kept)


def test_a_photo_brighter_than_all_that_were_learned_from_is_cut_off_and_said(
    command: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    root = planted(tmp_path / "set", as_tiff, each=6)
    assert command("fit", root, "--quick", "--out", "run").returncode == 0
    (tmp_path / "new").mkdir()
    bright = np.full((48, 64), 60_000, np.uint16)
    Image.fromarray(bright).save(tmp_path / "new" / "bright.tif")
    Image.fromarray(np.full((48, 64), 4095, np.uint16)).save(tmp_path / "new" / "white.tif")
    done = command("predict", "run", "new", "-o", "said.csv")
    assert done.returncode == 0, done.stderr
    assert "1 image has values outside of 0..4095" in " ".join((done.stdout + done.stderr).split())
    again = command("fit", root, "--quick", "--out", "run", "--levels", "1..0")
    assert again.returncode == 2
    assert "wanted the value of black and that of white" in again.stderr
    other = command("fit", root, "--quick", "--out", "run", "--levels", "full")
    assert other.returncode == 2, "another story"
    assert "levels was None, now 'full'" in " ".join(other.stderr.split())


@pytest.mark.parametrize(
    ("code", "advice", "values"),
    [
        ("levels-wanted", "--levels 30000..31000", [np.linspace(30_000, 31_000, 99).astype(np.uint16)] * 6),
        ("levels-wanted", "--levels 0..4095", [np.array([*range(0, 4000, 2), 65535], np.uint16)] * 6),  # a hot pixel
        (
            "levels-mixed",
            "one scale first",
            [np.arange(0, 65535, 99, np.uint16)] * 4 + [np.arange(999, dtype="u2")] * 2,
        ),
        ("levels-wanted", "--levels -1024..3071", [np.linspace(-1024, 3071, 99).astype(np.int16)] * 6),
        ("levels-wanted", "--levels 0..255", [np.linspace(0, 255, 99).astype(np.float32)] * 6),
        ("levels-wanted", "--levels 0..900000", [np.linspace(0, 900_000, 99).astype(np.int32)] * 6),
        ("levels", "--levels 0..1023", [np.arange(0, 1023, 7, np.uint16)] * 6),
        ("levels", "(--levels 0..1);", [np.linspace(0, 1, 99).astype(np.float32)] * 6),
        (None, "", [np.arange(0, 65520, 16, np.uint16)] * 6),  # 12 bits, aligned to the left
        (None, "", [np.linspace(0, 255, 99).astype(np.uint8)] * 6),
        (
            "levels-wanted",
            "--levels 0..4095",
            [np.arange(3000, dtype=np.uint16)] * 2,
        ),  # two dark pictures prove no sensor
    ],
)
def test_the_range_that_pictures_of_more_than_8_bits_use_is_named_with_the_option_that_mends_it(
    tmp_path: Path, code: str | None, advice: str, values: list[npt.NDArray[Any]]
) -> None:
    for number, own in enumerate(values):
        folder = tmp_path / ("a", "b")[number % 2]
        folder.mkdir(exist_ok=True)
        content = bands(np.tile(own, (40, 1))[:, :, None], photometric=1, extra=None)
        (folder / f"{number}.tif").write_bytes(content)
    findings = [one for one in gr.audit_images(tmp_path).findings if one.code.startswith("levels")]
    assert [one.code for one in findings] == ([code] if code else [])
    assert advice in "".join(one.advice for one in findings)


def test_given_levels_read_signed_and_floating_point_values_and_nan_is_no_number(tmp_path: Path) -> None:
    for values in (np.array([[-1000, 0, 1000]], np.int16), np.array([[0, 0.5, 1]], np.float32) * 2000 - 1000):
        content = bands(values[:, :, None], photometric=1, extra=None)
        with pytest.raises(UnreadableImage, match=r"from -1,000 to 1,000; wanted .* --levels LOW..HIGH"):
            decode(content)
        assert decode(content, levels=(-1000, 1000))[0, :, 0].tolist() == [0, 128, 255]
    for bad in (np.nan, np.inf):
        content = bands(np.array([[0, bad, 1]], np.float32)[:, :, None], photometric=1, extra=None)
        for levels in (None, (0, 1)):
            with pytest.raises(UnreadableImage, match="it holds NaN or infinity"):
                decode(content, levels=levels)


def test_8_bits_are_untouched_by_levels_and_an_old_classifier_has_none() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (30, 40, 3)).astype(np.uint8)
    for kind in ("PNG", "JPEG", "TIFF", "WEBP", "BMP"):
        for image in (Image.fromarray(photo), Image.fromarray(photo).convert("L").convert("RGB")):
            content = encoded(image, kind)
            np.testing.assert_array_equal(decode(content, levels=(0, 9)), decode(content))
    plain = gr.Preprocessing(size=64)
    assert "levels" not in plain.to_json(), "the key of rows that are there"
    assert gr.Preprocessing.from_json(plain.to_json()) == plain
    own = gr.Preprocessing(size=64, levels=(0, 4095))
    assert gr.Preprocessing.from_json(json.loads(json.dumps(own.to_json()))) == own
    assert own.to_json() != plain.to_json()
    with pytest.raises(OptionError, match="wanted the value of black"):
        gr.Preprocessing(size=64, levels=(5, 5))


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", ["png", "tiff <", "tiff >", "planar", "ppm", "deflate"])
def test_all_bits_of_16_bit_values_are_read_whatever_the_bands_and_the_file(kind: str, count: int) -> None:
    draws = np.random.default_rng(1)
    values = draws.integers(0, 4096, (5, 7, count)).astype(np.uint16)
    if count in (2, 4):
        values[:, :, -1] = 65535  # opaque
    if kind == "png":
        content = png(values)
    elif kind == "ppm":
        if count not in (1, 3):
            pytest.skip("a PPM has one band or three")
        content = f"P{5 if count == 1 else 6} 7 5 65535\n".encode() + values.astype(">u2").tobytes()
    elif kind == "deflate":
        if count != 1:
            pytest.skip("Pillow writes 16 bits of gray alone")
        content = encoded(Image.fromarray(values[:, :, 0]), "TIFF", compression="tiff_adobe_deflate")
    else:
        if count == 2:
            pytest.skip("a layout that Pillow does not know")
        content = bands(
            values,
            photometric=1 if count == 1 else 2,
            extra=(2,) if count == 4 else None,
            order="<" if kind == "planar" else kind[-1],
            planar=kind == "planar",
        )
    light = values[:, :, :3] if count > 2 else values[:, :, :1].repeat(3, axis=2)
    np.testing.assert_array_equal(decode(content, levels=(0, 4095)), (light * (255 / 4095) + 0.5).astype(np.uint8))
    assert header(content).bits == 16


def test_12_bit_tiffs_say_their_white_and_white_may_be_zero() -> None:
    packed = bytes([0x00, 0x08, 0x00, 0xFF, 0xFF, 0xFF])  # 0, 2048; 4095, 4095 in 12 bits each
    packed = bytes([0x00, 0x08, 0x00]) + bytes([0xFF, 0xFF, 0xFF])
    usual = {
        256: (4, (2,)),
        257: (4, (2,)),
        258: (3, (12,)),
        259: (3, (1,)),
        262: (3, (1,)),
        277: (3, (1,)),
        278: (4, (2,)),
    }
    assert decode(tiff(packed, usual))[1, :, 0].tolist() == [255, 255]
    values = np.array([[0, 65535]], np.uint16)[:, :, None]
    assert decode(bands(values, photometric=0, extra=None))[0, :, 0].tolist() == [255, 0]


RGB = np.random.default_rng(2).integers(0, 256, (6, 8, 3)).astype(np.uint8)
DARK = np.zeros((6, 8, 1), np.uint8)


@pytest.mark.parametrize(
    ("content", "left_out"),
    [
        (bands(np.dstack([RGB, DARK]), photometric=2, extra=None), 1),  # near-infrared of a drone, say
        (bands(np.dstack([RGB, DARK]), photometric=2, extra=(0,)), 1),
        (bands(np.dstack([RGB, DARK]), photometric=2, extra=None, order=">"), 1),
        (bands(np.dstack([RGB, DARK, DARK]), photometric=2, extra=(0, 0)), 2),
        (bands(np.dstack([RGB, DARK, DARK, DARK]), photometric=2, extra=(0, 0, 0)), 3),
        (bands(np.dstack([RGB, DARK]).astype(np.uint16) * 257, photometric=2, extra=None), 1),
        (bands(np.dstack([RGB, DARK]).astype(np.uint16) * 257, photometric=2, extra=(0,)), 1),
    ],
)
def test_a_band_that_no_file_calls_alpha_is_left_out_and_named(tmp_path: Path, content: bytes, left_out: int) -> None:
    np.testing.assert_array_equal(decode(content), RGB)
    found = header(content)
    assert (found.left_out, found.alpha) == (left_out, False)
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "field.tif").write_bytes(content)
    codes = {one.code: one for one in gr.audit_images(tmp_path).findings}
    assert "alpha" not in codes
    assert f"RGB and {left_out} band" in codes["bands"].evidence[0]


def test_what_is_called_alpha_is_laid_over_white_and_other_bands_have_a_reason() -> None:
    clear = bands(np.dstack([RGB, DARK]), photometric=2, extra=(2,))
    assert (decode(clear) == 255).all()
    assert header(clear).alpha
    gray = RGB[:, :, :1]
    assert (decode(bands(np.dstack([gray, DARK]), photometric=1, extra=(2,))) == 255).all()
    np.testing.assert_array_equal(decode(bands(np.dstack([gray, DARK]), photometric=1, extra=(0,)))[:, :, :1], gray)
    for values, photometric, extra, reason in (
        (np.dstack([RGB, DARK]), 1, (0, 0, 0), r"4 bands of 8 bits, integers, gray"),
        (np.dstack([RGB] * 3), 1, (0,) * 8, r"9 bands of 8 bits, integers, gray"),
        (RGB.astype(np.float32), 2, None, r"3 bands of 32 bits, floating-point, RGB"),
        (RGB.astype(np.float64)[:, :, :1], 1, None, r"1 band of 64 bits, floating-point, gray"),
    ):
        with pytest.raises(UnreadableImage, match=f"a TIFF in a layout that can't be read .{reason}"):
            decode(bands(values, photometric=photometric, extra=extra))
    with pytest.raises(UnreadableImage, match="4 bands of 8 bits, integers, RGB, in planes"):
        decode(bands(np.dstack([RGB, DARK]), photometric=2, extra=(0,), planar=True))
    tags = {256: (4, (8,)), 257: (4, (600,)), 258: (3, (8,)), 262: (3, (1,)), 278: (4, (6,)), 277: (3, (1,))}
    with pytest.raises(UnreadableImage, match="strips are missing"):
        decode(tiff(bytes(48), tags))  # type: ignore[arg-type]
    tga = bytearray(encoded(Image.fromarray(np.dstack([RGB, DARK])), "TGA"))
    assert (decode(bytes(tga)) == 255).all()
    tga[17] &= 0xF0  # no bits of alpha, says its descriptor
    np.testing.assert_array_equal(decode(bytes(tga)), RGB)
    lab = ImageCms.applyTransform(
        Image.fromarray(RGB),
        ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"),
    )
    assert lab is not None
    found = decode(encoded(lab, "TIFF")).astype(int)
    assert np.abs(found - RGB).mean() < 4


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n%%EndComments\n0 0 20 20 rectfill\nshowpage\n%%EOF\n"


def test_no_program_is_started_by_what_is_named_a_picture(
    command: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("gs", "gswin32c", "gswin64c"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\nexit 1\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    for label, colour in (("a", "red"), ("b", "blue")):
        (tmp_path / "set" / label).mkdir(parents=True)
        (tmp_path / "set" / label / "x.jpg").write_bytes(POSTSCRIPT)
        (tmp_path / "set" / label / "no extension").write_bytes(POSTSCRIPT)
        for number in range(6):
            Image.new("RGB", (40, 30 + number), colour).save(tmp_path / "set" / label / f"{number}.png")
    for arguments in (("fit", "set", "--quick", "--out", "run"), ("audit", "set"), ("predict", "run", "set/a")):
        done = command(*arguments)
        assert done.returncode == 0, done.stderr
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (POSTSCRIPT, "PostScript"),
        (b"\xc5\xd0\xd3\xc6" + bytes(99), "PostScript"),
        (b"%PDF-1.7\n", "a PDF"),
        (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'><image href='/etc/passwd'/></svg>", "SVG"),
        (b"8BPS" + bytes(99), "a Photoshop file"),
        (bytes(128) + b"DICM" + bytes(99), "DICOM"),
        (b"SIMPLE  =                    T" + bytes(99), "FITS"),
        (encoded(Image.new("RGB", (16, 16)), "ICO"), "an icon"),
        (b"<!DOCTYPE html><html>not found</html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
        (encoded(Image.new("L", (9, 9)), "PCX"), "not a picture in any known format"),
        (encoded(Image.new("RGB", (9, 9)), "SGI"), "not a picture in any known format"),
    ],
)
def test_what_is_in_no_format_of_the_list_is_named_with_those_that_are(content: bytes, found: str) -> None:
    with pytest.raises(UnreadableImage, match=f"^{found}.*; formats that can be read: AVIF, BMP, GIF, HEIC, JPEG"):
        decode(content)


def test_pictures_are_opened_in_one_place_with_the_list_of_formats() -> None:
    opened = []
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                name = f"{getattr(node.func.value, 'id', '')}.{node.func.attr}"
                if name in ("Image.open", "plt.imread", "image.imread", "iio.imread", "cv2.imread", "io.read_image"):
                    opened.append((file.name, [word.arg for word in node.keywords]))
    assert opened
    assert all(own == ("formats.py", ["formats"]) for own in opened), opened


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 12),
    st.lists(st.tuples(st.integers(0, 20), st.booleans(), st.booleans()), min_size=1, max_size=24),
    st.integers(1, 6),
)
def test_threads_that_share_a_budget_never_exceed_it_and_never_wait_for_ever(
    size: int, wanted: list[tuple[int, bool, bool]], threads: int
) -> None:
    budget, lock, held, alone = Budget(lambda: size), threading.Lock(), [0], []

    def take(amount: int, again: bool, fails: bool) -> None:
        with contextlib.suppress(ZeroDivisionError), budget.taken(amount):
            with lock:
                held[0] += amount
                alone.append(held[0] <= size or held[0] == amount)
            if again:
                with budget.taken(size):  # what a thread has it need not wait for
                    pass
            with lock:
                held[0] -= amount
            if fails:
                raise ZeroDivisionError

    with ThreadPoolExecutor(threads) as pool:
        for future in [pool.submit(take, *own) for own in wanted]:
            future.result(timeout=20)
    assert all(alone)
    assert len(alone) == len(wanted)


MEASURED = """
import os, sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from goldenrule.images.batches import Job, batches
from goldenrule.images.look import looked
from goldenrule.images.preprocess import Preprocessing
from goldenrule.images.augment import PLAIN
from goldenrule.images.sources import from_folder

def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) // 1024

table, before = from_folder("set"), peak()
jobs = [Job(row=row, read=lambda uri=uri: table.read(uri), views=(0,)) for row, uri in enumerate(table.uris)]
found = list(batches(jobs, (PLAIN,), Preprocessing(size=64), batch_size=4, threads=4))
assert not found[0].failures and found[0].slots == [(row, 0) for row in range(4)]
assert not any(own.problem for own in looked(table, threads=4))
print(peak() - before)
"""


def test_all_threads_together_decode_in_one_budget(start: Callable[..., Any], tmp_path: Path) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak of a process's memory is read from /proc")
    for label in ("a", "b"):
        (tmp_path / "set" / label).mkdir(parents=True)
        for number in range(2):
            Image.new("1", (5000, 5000 + number)).save(tmp_path / "set" / label / f"{number}.png")
    process = start("-c", MEASURED, env={"GOLDENRULE_DECODING_MB": "100"})
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert int(said) < 330, "25 megapixels take 110 MB, four at once 440; what was freed is not given back at once"


def test_a_budget_that_is_no_number_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOLDENRULE_DECODING_MB", "much")
    with pytest.raises(OptionError, match="wanted the megabytes that pictures may be decoded in"):
        decode(encoded(Image.new("RGB", (4, 4)), "PNG"))
