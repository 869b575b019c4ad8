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
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

import goldenrule as gr
from goldenrule.core.budget import Budget
from goldenrule.core.errors import BackboneError, OptionError, UnreadableImage
from goldenrule.core.progress import Silent
from goldenrule.core.schema import as_json, from_json
from goldenrule.data.pictures.decode import decode
from goldenrule.data.pictures.header import header
from goldenrule.data.scan import glance
from goldenrule.models.graphs.compiled import engine_kind
from goldenrule.models.heads import head_from_tensors

Draw = Callable[[Path, npt.NDArray[Any]], None]
SOURCE = Path(gr.__file__).parent
MUTATING = Path(__file__).parents[1] / "data" / "mutating.py"


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
    for split in ("train", "test"):
        for label in ("plain", "striped"):
            folder = root / split / label
            folder.mkdir(parents=True)
            for number in range(each):
                draw(folder / f"{number:02d}", twelve_bits(label == "striped", draws))
    return root


@pytest.mark.parametrize("draw", [as_tiff, as_colour_png, as_colour_tiff])
def test_what_differs_in_the_low_12_of_16_bits_alone_is_learned_and_predicted_to_the_last_bit(
    cache: Path, tmp_path: Path, draw: Draw
) -> None:
    root = planted(tmp_path / "set", draw)
    found = gr.fit(root, quick=True, out=tmp_path / "run")
    assert found.headline.name == "accuracy"
    assert found.headline.value == 1, "of 16 bits they are all one gray"
    classifier = gr.Classifier.load(tmp_path / "run")
    assert classifier.preprocessing.levels == (0, 4095)
    (told,) = [one for one in found.findings if one.code == "levels"]
    assert told.severity == "warning"
    assert "use the values 1,030 to 3,000 only" in told.sentence
    assert "--levels 0..4095" in told.advice
    table, features = gr.features_of(gr.from_folder(root), classifier.backbone)
    kept = classifier.logits(features.rows([digest or b"" for digest in table.digests]))
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
    bits = command("fit", root, "--quick", "--out", "full", "--levels", "full")
    assert bits.returncode == 0, bits.stderr
    dark = command("predict", "full", "new/white.tif")
    assert "1 image of more than 8 bits uses less than a quarter" in " ".join((dark.stdout + dark.stderr).split())
    other = command("fit", root, "--quick", "--out", "run", "--levels", "full")
    assert other.returncode == 2, "another run"
    assert "no --levels instead of --levels full" in " ".join(other.stderr.split())


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
        (
            "levels, levels-wanted",
            "--levels 7300..7600",
            [np.linspace(7300, 7600, 99).astype(np.uint16)] * 6,
        ),  # 14 bits
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
    for number, value in enumerate(values):
        folder = tmp_path / ("a", "b")[number % 2]
        folder.mkdir(exist_ok=True)
        content = bands(np.tile(value, (40, 1))[:, :, None], photometric=1, extra=None)
        (folder / f"{number}.tif").write_bytes(content)
    findings = [one for one in gr.audit_images(tmp_path).findings if one.code.startswith("levels")]
    assert ", ".join(one.code for one in findings) == (code or "")
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
    plain = gr.data.Preprocessing(size=64)
    assert "levels" not in as_json(plain), "the key of rows that are there"
    assert from_json(as_json(plain), gr.data.Preprocessing) == plain
    preprocessing = gr.data.Preprocessing(size=64, levels=(0, 4095))
    assert from_json(json.loads(json.dumps(as_json(preprocessing))), gr.data.Preprocessing) == preprocessing
    assert as_json(preprocessing) != as_json(plain)
    with pytest.raises(OptionError, match="wanted the value of black"):
        gr.data.Preprocessing(size=64, levels=(5, 5))


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        *(("png", count) for count in (1, 2, 3, 4)),
        *((kind, count) for kind in ("tiff <", "tiff >", "planar") for count in (1, 3, 4)),
        ("ppm", 1),
        ("ppm", 3),
        ("deflate", 1),
    ],
)
def test_all_bits_of_16_bit_values_are_read_whatever_the_bands_and_the_file(kind: str, count: int) -> None:
    draws = np.random.default_rng(1)
    values = draws.integers(0, 4096, (5, 7, count)).astype(np.uint16)
    if count in (2, 4):
        values[:, :, -1] = 65535  # opaque
    if kind == "png":
        content = png(values)
    elif kind == "ppm":
        content = f"P{5 if count == 1 else 6} 7 5 65535\n".encode() + values.astype(">u2").tobytes()
    elif kind == "deflate":
        content = encoded(Image.fromarray(values[:, :, 0]), "TIFF", compression="tiff_adobe_deflate")
    else:
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
    if kind == "png" and count in (1, 3):
        seen_through = png(values, extra=chunk(b"tRNS", bytes(2 * count)))
        np.testing.assert_array_equal(decode(seen_through, levels=(0, 4095)), decode(content, levels=(0, 4095)))


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
    with pytest.raises(UnreadableImage, match=f"^{found}.*; wanted AVIF, BMP, GIF, HEIC, JPEG"):
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
    assert all(value == ("formats.py", ["formats"]) for value in opened), opened


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
        for future in [pool.submit(take, *value) for value in wanted]:
            future.result(timeout=20)
    assert all(alone)
    assert len(alone) == len(wanted)


MEASURED = """
import os, sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from goldenrule.data.loader import DecodeJob, batches
from goldenrule.data.scan import looked
from goldenrule.data.pictures.preprocess import Preprocessing
from goldenrule.data.augmentation.augment import PLAIN
from goldenrule.data.sources.folders import from_folder

def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) // 1024

table, before = from_folder("set"), peak()
jobs = [DecodeJob(row=row, read=lambda uri=uri: table.read(uri), views=(0,)) for row, uri in enumerate(table.uris)]
found = list(batches(jobs, (PLAIN,), Preprocessing(size=64), batch_size=4, threads=4))
assert not found[0].failures and found[0].slots == [(row, 0) for row in range(4)]
assert not any(own.problem for own in looked(table, threads=4))
print(peak() - before)
"""


@pytest.mark.exhaustive
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


def small_jpeg(before: bytes = b"", after: bytes = b"") -> bytes:
    content = encoded(Image.fromarray(RGB), "JPEG")
    return content[:2] + before + content[2:-2] + after + content[-2:]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            small_jpeg(after=b"\xff\xda\x00\x08\x01\x01\x00\x01\x05\x02\x00" * 5000),
            r"a JPEG of 5,001 scans; wanted 100",
        ),
        (small_jpeg(b"\xff\xe1\xff\xffExif\0\0" + bytes(65527)) + bytes(99), None),
        (small_jpeg((b"\xff\xe1\xff\xffExif\0\0" + bytes(65527)) * 600), r"39,3.* bytes before its pixels; wanted 33,"),
        (png(RGB, bits=8, extra=chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(9 << 20)))), "too large"),
        (png(RGB, bits=8, extra=chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(bytes(9 << 20)))), "too large"),
        (png(RGB, bits=8, extra=chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(9 << 20)))), "too large"),
        (tiff(bytes(48), {256: (4, (8,)), 257: (4, (6,)), 273: (4, (8,) * 1_000_001)}), "1,000,001 strips or tiles"),
        (encoded(Image.fromarray(RGB), "TIFF", icc_profile=bytes(17 << 20)), "a colour profile of 17,8"),
        (b"P6 " + b"#" * 99_999 + b"\n8 6 255\n" + RGB.tobytes(), "header does not end within 65,536 bytes"),
        (b"P3 9999 9999 255\n" + b"1 " * 99, "in plain text of 99,980,001 pixels"),
    ],
)
def test_a_file_never_asks_for_more_than_its_pixels_need(content: bytes, reason: str | None) -> None:
    if reason is None:
        assert decode(content).shape == RGB.shape
    else:
        with pytest.raises(UnreadableImage, match=reason):
            decode(content)


def test_a_ppm_of_any_white_is_read_as_pillow_reads_it() -> None:
    draws = np.random.default_rng(3)
    for white in (1, 100, 254, 256, 4095, 65534):
        for count in (1, 3):
            values = draws.integers(0, white + 1, (5, 7, count)).astype(">u2" if white > 255 else "u1")
            content = f"P{5 if count == 1 else 6} 7 5 {white}\n".encode() + values.tobytes()
            with Image.open(io.BytesIO(content)) as image:
                wanted = np.asarray(image)
            if wanted.dtype != np.uint8:
                wanted = (wanted / 257 + 0.5).astype(np.uint8)
            found = decode(content)
            wanted = wanted[:, :, None].repeat(3, axis=2) if wanted.ndim == 2 else wanted
            assert np.abs(found.astype(int) - wanted).max() <= (white > 255 and count == 3), white
            assert found.max() <= 255
            with pytest.raises(UnreadableImage, match="truncated"):
                decode(content[:-3])


class Dividing(torch.nn.Module):
    """A backbone whose features are NaN for whatever is not black."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        shares = pixels.mean(dim=(2, 3))
        return (shares - shares) / (shares - shares)


def test_nan_of_a_network_is_no_fault_of_a_photo(cache: Path, tmp_path: Path) -> None:
    for label, colour in (("a", "red"), ("b", "blue")):
        (tmp_path / "set" / label).mkdir(parents=True)
        Image.new("RGB", (40, 30), colour).save(tmp_path / "set" / label / "0.png")
    backbone = gr.models.custom_backbone(
        Dividing, preprocessing=gr.data.Preprocessing(size=32), name="dividing", key="1"
    )
    table = gr.from_folder(tmp_path / "set")
    with pytest.raises(
        BackboneError, match="dividing gives features that are NaN or infinite for a picture that was read"
    ):
        gr.features_of(table, backbone)
    head = head_from_tensors("linear", {"weight": np.ones((2, 3), np.float32), "bias": np.zeros(2, np.float32)})
    classifier = gr.Classifier(("a", "b"), backbone, head, engine_kind(backbone))
    with pytest.raises(BackboneError, match="dividing gives features that are NaN"):
        classifier.predict(tmp_path / "set")


SEVERAL = {"save_all": True}


def every_kind(folder: Path) -> None:
    """Write a picture in every format and layout that is read."""
    y, x = np.mgrid[0:48, 0:64]
    colour = np.stack([x * 4, y * 5, (x * y) % 256], axis=2).astype(np.uint8)
    image, deep = Image.fromarray(colour), (colour.astype(np.uint16) * 16)
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("PNG", SEVERAL),
        ("WEBP", {}),
        ("WEBP", SEVERAL),
        ("GIF", SEVERAL),
        ("BMP", {}),
        ("TGA", {"compression": "tga_rle"}),
        ("PPM", {}),
        ("AVIF", {}),
        ("JPEG2000", {}),
        ("MPO", SEVERAL),
        ("TIFF", SEVERAL),
        *(("TIFF", {"compression": one}) for one in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")),
    ]
    contents = []
    for kind, options in kinds:
        more = {"append_images": [image.rotate(90)]} if options is SEVERAL else {}
        contents.append(encoded(image.copy(), kind, **options, **more))
    contents += [encoded(image.convert(mode), "TIFF") for mode in ("1", "P", "LA", "RGBA", "CMYK")]
    contents += [encoded(image.convert("1"), "TIFF", compression=one) for one in ("group3", "group4")]
    contents += [png(deep), png(deep[:, :, :1]), png(np.dstack([deep, deep[:, :, :1]])), png(deep[:, :, :2])]
    contents += [bands(deep, photometric=2, extra=None, planar=planar) for planar in (False, True)]
    contents += [bands(deep[:, :, :1].astype(kind), photometric=1, extra=None) for kind in ("u2", "i2", "i4", "f4")]
    contents += [b"P6 64 48 4095\n" + deep.astype(">u2").tobytes(), b"P2 64 48 255\n" + b"7 " * 64 * 48]
    contents += [(Path(__file__).parents[1] / "files" / "gradient.heic").read_bytes()]
    folder.mkdir()
    for number, content in enumerate(contents):
        (folder / f"{number:02d}").write_bytes(content)


@pytest.mark.parametrize(("first", "count"), [(0, 160), pytest.param(160, 8000, marks=pytest.mark.exhaustive)])
def test_of_damaged_pictures_of_every_kind_each_has_pixels_or_a_reason(
    start: Callable[..., Any], tmp_path: Path, first: int, count: int
) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak of a process's memory is read from /proc")
    every_kind(tmp_path / "files")
    files = sorted((tmp_path / "files").iterdir())
    process = start("-W", "error", MUTATING, first, count, tmp_path / "seed", *files)
    said, errors = process.communicate(timeout=60 + count)
    assert process.returncode == 0, f"seed {(tmp_path / 'seed').read_text()}: {process.returncode} {errors[-2000:]}"
    read, worst, peak = json.loads(said)
    assert 0.05 * count < read < 0.95 * count, "mutants must be neither all harmless nor all hopeless"
    assert worst < 20, "a hang"
    assert peak < 1.2e9


def test_who_works_by_hand_is_told_of_12_bits_too(cache: Path, tmp_path: Path) -> None:
    table = gr.from_folder(planted(tmp_path / "set", as_tiff, each=4)).where(np.arange(16) % 2 == 0)
    said: list[str] = []

    class Heard(Silent):
        def say(self, message: str) -> None:
            said.append(message)

    learn = gr.Learner(table, replay=False, progress=Heard())
    assert learn.state.backbone.spec.preprocessing.levels == (0, 4095)
    assert any("use the values 1,030 to 3,000 only" in one for one in said)
    said.clear()
    gr.features_of(table, gr.backbone(), progress=Heard())
    assert any("gr.backbone(..., levels=(0.0, 4095.0))" in one for one in said)
    said.clear()
    gr.features_of(table, gr.backbone(levels=(0, 4095)), progress=Heard())
    assert said == []


def test_levels_are_those_of_what_is_learned_from_whatever_lies_in_test(tmp_path: Path) -> None:
    root = planted(tmp_path / "set", as_tiff, each=3)
    Image.fromarray(np.full((48, 64), 60_000, np.uint16)).save(root / "test" / "plain" / "bright.tif")
    found = {one.code: one for one in gr.audit_images(root).findings}
    assert "use the values 1,030 to 3,000 only" in found["levels"].sentence
    assert found["levels-beyond"].evidence == ("test/plain/bright.tif: 60,000 to 60,000",)


@pytest.mark.parametrize("levels", [(), ("--levels", "0..1")])
def test_augmented_views_are_shown_with_the_levels_of_the_set(
    command: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, levels: tuple[str, ...]
) -> None:
    for label, light in (("a", 0.3), ("b", 0.8)):
        (tmp_path / "set" / label).mkdir(parents=True)
        for number in range(3):
            values = np.full((40, 40, 1), light, np.float32)
            values[0, 0] = 0.1 * number
            (tmp_path / "set" / label / f"{number}.tif").write_bytes(bands(values, photometric=1, extra=None))
    done = command("show-augment", "set", "--num-images", 2, "--views", 1, "--size", 32, *levels, "-o", "sheet.png")
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "sheet.png") as sheet:
        shades = np.asarray(sheet.convert("L"))
    assert all(np.count_nonzero(np.abs(shades.astype(int) - round(255 * light)) < 3) > 2000 for light in (0.3, 0.8))


def test_labels_may_be_arrays(tmp_path: Path) -> None:
    images = [np.full((8, 8), 40 * number, np.uint8) for number in range(3)]
    table = gr.from_arrays(images, [np.array(["a", "b"]), np.array(["b"]), np.array(["a"])], folder=tmp_path / "new")
    assert table.rows["labels"].to_pylist() == [[0, 1], [1], [0]]


def test_a_damaged_heic_is_called_so() -> None:
    pytest.importorskip("pi_heif")
    with pytest.raises(UnreadableImage, match=r"^a HEIC picture that is damaged$"):
        header(b"\0\0\0\x18ftypheic" + bytes(90))


def test_a_deep_colour_picture_is_looked_at_with_the_range_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    from goldenrule.data import scan as look
    from goldenrule.data.pictures import decode as read

    asked = []
    real = read.used_range
    for place in (look, read):
        monkeypatch.setattr(place, "used_range", lambda content: asked.append(1) or real(content))
    values = np.random.default_rng(0).integers(0, 4000, (40, 40, 3)).astype(np.uint16)
    assert look.look(png(values)).likeness is not None
    assert len(asked) == 1


# Layouts of TIFF that differ from what is usual


def compressed(values: npt.NDArray[Any], *, photometric: int, order: str, planar: bool = False) -> bytes:
    """Return a TIFF of values (height, width, bands), compressed by deflate: a strip for each plane."""
    height, width, count = values.shape
    planes = [values[:, :, band] for band in range(count)] if planar else [values]
    strips = [zlib.compress(plane.astype(values.dtype.newbyteorder(order)).tobytes()) for plane in planes]
    places = tuple(8 + sum(map(len, strips[:place])) for place in range(len(strips)))
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    tags: dict[int, tuple[int, tuple[int, ...]]] = {
        256: (4, (width,)),
        257: (4, (height,)),
        258: (3, (8 * values.dtype.itemsize,) * count),
        259: (3, (8,)),
        262: (3, (photometric,)),
        273: (4, places),
        277: (3, (count,)),
        278: (4, (height,)),
        279: (4, tuple(map(len, strips))),
        284: (3, (2 if planar else 1,)),
        339: (3, (kind,) * count),
    }
    if count > 3:
        tags[338] = (3, (0,))  # a band that is no alpha
    return tiff(b"".join(strips), dict(sorted(tags.items())), order=order)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["int16", "int32", "float32"])
def test_compressed_values_have_the_right_order_of_bytes_whatever_the_files_is(order: str, dtype: str) -> None:
    values = np.arange(-600, 936).reshape(32, 48, 1).astype(dtype)
    content = compressed(values, photometric=1, order=order)
    wanted = np.clip((values.astype(float) + 600) * 255 / 1600, 0, 255)
    np.testing.assert_allclose(decode(content, levels=(-600, 1000))[:, :, :1], wanted, atol=0.51)


@pytest.mark.parametrize("count", [3, 4])
@pytest.mark.parametrize("order", ["<", ">"])
def test_12_bits_in_compressed_planes_are_read_to_the_last_one(order: str, count: int) -> None:
    values = np.random.default_rng(0).integers(0, 4096, (32, 48, count)).astype(np.uint16)
    content = compressed(values, photometric=2, order=order, planar=True)
    assert glance(content).used is not None
    wanted = np.floor(values[:, :, :3] * (255 / 4095) + 0.5)
    np.testing.assert_array_equal(decode(content, levels=(0, 4095)), wanted)


def test_signed_bytes_are_never_taken_for_light() -> None:
    values = np.arange(-128, 128).reshape(16, 16, 1).astype(np.int8)
    with pytest.raises(UnreadableImage, match=r"\(1 band of 8 bits, signed integers, gray\); wanted a PNG, or a TIFF"):
        decode(bands(values, photometric=1, extra=None))


def test_low_bits_of_colours_that_are_multiplied_by_alpha_are_refused_not_lost() -> None:
    values = np.random.default_rng(0).integers(0, 4096, (32, 48, 4)).astype(np.uint16)
    values[:, :, 3] = 65_535
    with pytest.raises(UnreadableImage, match="multiplied by alpha, and use the lower bits only; wanted"):
        decode(bands(values, photometric=2, extra=(1,)))


@pytest.mark.parametrize(
    ("content", "layout"),
    [
        (
            bands(np.zeros((8, 8, 4), np.uint16), photometric=2, extra=(0,), planar=True),
            "16 bits, integers, RGB, in pl",
        ),
        (bands(np.zeros((8, 8, 2), np.uint16), photometric=1, extra=(0,)), "2 bands of 16 bits, integers, gray"),
        (
            bands(np.zeros((8, 8, 2), np.uint16), photometric=1, extra=(0,), planar=True),
            "16 bits, integers, gray, in pl",
        ),
        (
            tiff(bytes(64), {256: (4, (8,)), 257: (4, (8,)), 258: (3, (8,)), 259: (3, (34712,)), 262: (3, (1,))}),
            "JPEG 2",
        ),
        (tiff(bytes(64), {256: (4, (8,)), 257: (4, (8,)), 258: (3, (8,)), 259: (3, (50000,)), 262: (3, (1,))}), "ZSTD"),
    ],
)
def test_a_tiff_that_can_not_be_read_says_its_layout_and_what_is_wanted(content: bytes, layout: str) -> None:
    with pytest.raises(UnreadableImage, match=rf"a TIFF .*can't be read \(.*{layout}.*\); wanted a PNG, or a TIFF of"):
        decode(content)


def test_what_is_wanted_of_all_files_stands_once_in_the_advice(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for number in range(3):
            Image.fromarray(np.full((16, 16, 3), 40 * number, np.uint8)).save(tmp_path / label / f"{number}.png")
            (tmp_path / label / f"x{number}.jpg").write_bytes(b"%PDF-1.7" + bytes(99))
    (found,) = (finding for finding in gr.audit_images(tmp_path).findings if finding.code == "unreadable")
    assert found.evidence[0] == "a/x0.jpg: a PDF"
    assert str(found).count("JPEG 2000") == 1
    assert found.advice.startswith("Wanted: AVIF, BMP,")


FLOATS = np.linspace(0, 300, 256, dtype=np.float32).reshape(16, 16, 1)


@pytest.mark.parametrize(
    ("content", "levels"), [(bands(FLOATS, photometric=1, extra=None), True), (b"%PDF-1.7" + bytes(99), False)]
)
def test_levels_are_advised_where_they_are_the_cause_and_by_a_command_that_has_them(
    command: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, content: bytes, levels: bool
) -> None:
    for label in ("a", "b"):
        (tmp_path / "set" / label).mkdir(parents=True)
        for number in range(4):
            (tmp_path / "set" / label / f"{number}.tif").write_bytes(content + bytes([number]) + label.encode())
    done = command("fit", "set", "--quick")
    said = " ".join(done.stderr.split())
    assert done.returncode == 2
    assert said.count("--levels") == levels, said
    assert ("fit that is told what is black and white: --levels LOW..HIGH" in said) is levels


OPENING = [
    ("tune", "set", "--trials", 1),
    ("compare-models", "set", "-m", "efficientnet", "-t", "transfer_learning", "--augment", "none"),
    ("lr-find", "set", "--steps", 3),
]


@pytest.mark.parametrize("words", OPENING, ids=lambda words: words[0])
def test_every_command_that_opens_pictures_for_a_fit_takes_levels(
    command: Callable[..., subprocess.CompletedProcess[str]], cache: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    del cache
    draws = np.random.default_rng(0)
    for place, label in enumerate(("a", "b")):
        (tmp_path / "set" / label).mkdir(parents=True)
        for number in range(8):
            values = draws.uniform(0, 100, (40, 40, 1)).astype(np.float32) + 150 * place
            (tmp_path / "set" / label / f"{number}.tif").write_bytes(bands(values, photometric=1, extra=None))
    wrong = command(*words, "--levels", "dark")
    assert (wrong.returncode, "--levels dark: wanted" in wrong.stderr) == (2, True)
    done = command(*words, "--levels", "0..300")
    assert done.returncode == 0, done.stderr
    page = tmp_path / "runs" / "set-compare" / "comparison.html"
    if words[0] != "lr-find":  # what is to be done next is to be done with them too
        assert "--levels 0..300" in (page.read_text() if words[0] == "compare-models" else done.stdout)


def test_options_that_say_which_images_and_how_are_had_by_all_commands_that_need_them() -> None:
    import typer

    from goldenrule.cli.main import app

    every = {
        name: {option for parameter in one.params for option in parameter.opts}
        for name, one in commands_of(app, typer).items()
    }
    walk = {name for name, options in every.items() if "--exclude" in options}
    assert walk >= {
        "fit",
        "train",
        "tune",
        "compare-models",
        "lr-find",
        "audit",
        "split",
        "evaluate",
        "predict",
        "explain",
    }
    assert {name for name, options in every.items() if "--group-by" in options} <= walk
    learns = {"fit", "train", "tune", "compare-models", "lr-find", "show-augment", "precompute"}
    assert {name for name, options in every.items() if "--levels" in options} == learns
    assert {name for name, options in every.items() if "--augment" in options} <= learns


def commands_of(app: Any, typer: Any) -> dict[str, Any]:
    return dict(typer.main.get_command(app).commands)
