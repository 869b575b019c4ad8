"""From bytes to upright RGB pixels: what is odd is made right, what is no picture says why."""

import io
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms, ImageOps

from goldenrule.core.errors import OptionError, UnreadableImage
from goldenrule.data.pictures import decode as read
from goldenrule.data.pictures.decode import decode
from goldenrule.data.pictures.header import header

DRAWS = np.random.default_rng(0)


def noise(*shape):
    return DRAWS.integers(0, 256, size=shape).astype(np.uint8)


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def smooth(height=60, width=80):
    """Return a picture without symmetries that JPEG keeps well."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // width, y * 255 // height, (x + 2 * y) % 256], axis=2).astype(np.uint8)


def turned(orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_turned_as_pillow_turns_it(orientation, kind):
    content = encoded(Image.fromarray(smooth()), kind, exif=turned(orientation))
    with Image.open(io.BytesIO(content)) as image:
        wanted = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    assert wanted.shape == ((60, 80, 3) if orientation < 5 else (80, 60, 3))
    np.testing.assert_array_equal(decode(content), wanted)


def test_gray_and_cmyk_jpegs_are_turned_too():
    for mode in ("L", "CMYK"):
        content = encoded(Image.fromarray(smooth()).convert(mode), "JPEG", exif=turned(6))
        with Image.open(io.BytesIO(content)) as image:
            wanted = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
        np.testing.assert_array_equal(decode(content), wanted)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"nothing", turned(0), turned(9), turned(60000)])
def test_damaged_exif_does_not_cost_the_picture(kind, exif):
    pixels = decode(encoded(Image.fromarray(smooth()), kind, exif=exif))
    np.testing.assert_array_equal(pixels, decode(encoded(Image.fromarray(smooth()), kind)))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_gray_is_scaled_and_never_clipped(kind):
    values = np.linspace(0, 65535, 40 * 50).astype(np.uint16).reshape(40, 50)
    pixels = decode(encoded(Image.fromarray(values), kind))
    assert pixels.shape == (40, 50, 3)
    np.testing.assert_allclose(pixels[:, :, 0], values / 257, atol=0.5001)
    assert pixels.max() == 255
    assert len(np.unique(pixels)) == 256


def test_16_bit_gray_that_uses_few_of_its_bits_stays_dark():
    """A 12-bit camera in a 16-bit file: the same values give the same pixels whatever else is in the file."""
    values = np.array([[0, 2056, 4095]], np.uint16)
    assert decode(encoded(Image.fromarray(values), "PNG"))[0, :, 0].tolist() == [0, 8, 16]


def test_32_bit_and_floating_point_pixels_are_refused_with_the_reason():
    with pytest.raises(UnreadableImage, match="gray values from 0 to 70,000"):
        decode(encoded(Image.fromarray(np.array([[0, 70000]], np.int32)), "TIFF"))
    with pytest.raises(UnreadableImage, match="floating-point"):
        decode(encoded(Image.fromarray(np.zeros((4, 4), np.float32)), "TIFF"))


def test_alpha_is_laid_over_white():
    rgba = np.dstack([noise(10, 12, 3), np.tile(np.linspace(0, 255, 12).astype(np.uint8), (10, 1))])
    rgba[0, 0] = (0, 0, 0, 0)
    share = rgba[:, :, 3:] / 255
    wanted = rgba[:, :, :3] * share + 255 * (1 - share)
    pixels = decode(encoded(Image.fromarray(rgba), "PNG"))
    np.testing.assert_allclose(pixels, wanted, atol=1.01)
    assert pixels[0, 0].tolist() == [255, 255, 255]
    gray = decode(encoded(Image.fromarray(rgba).convert("LA"), "PNG"))
    assert gray[0, 0].tolist() == [255, 255, 255]


def test_palettes_become_colours_and_their_transparency_white():
    indices = np.array([[0, 1], [2, 1]], np.uint8)
    image = Image.fromarray(indices).convert("P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255] + [0] * 759)
    colours = [[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [0, 255, 0]]]
    assert decode(encoded(image, "PNG")).tolist() == colours
    assert decode(encoded(image, "GIF")).tolist() == colours
    colours[0][1] = colours[1][1] = [255, 255, 255]
    assert decode(encoded(image, "PNG", transparency=1)).tolist() == colours


@pytest.mark.parametrize("mode", ["1", "L"])
def test_gray_has_three_equal_channels(mode):
    image = Image.fromarray(smooth()).convert(mode)
    for kind in ("PNG", "JPEG") if mode == "L" else ("PNG",):
        pixels = decode(encoded(image, kind, **({"quality": 100} if kind == "JPEG" else {})))
        assert (pixels == pixels[:, :, :1]).all()
        np.testing.assert_allclose(pixels[:, :, 0], np.asarray(image.convert("L")), atol=2)


def test_cmyk_has_the_colours_that_pillow_gives_it():
    image = Image.fromarray(smooth()).convert("CMYK")
    for kind in ("JPEG", "TIFF"):
        content = encoded(image, kind)
        with Image.open(io.BytesIO(content)) as opened:
            np.testing.assert_array_equal(decode(content), np.asarray(opened.convert("RGB")))
    np.testing.assert_allclose(decode(encoded(image, "TIFF")), smooth(), atol=2)


def test_of_an_animation_the_first_frame_is_taken():
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "green", "blue")]
    for kind in ("GIF", "PNG", "WEBP"):
        lossless = {"lossless": True} if kind == "WEBP" else {}
        content = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **lossless)
        assert (decode(content) == [255, 0, 0]).all()


@pytest.mark.parametrize("name", ["cat_dog_horse", "flowers_128", "GTSRB", "surface_crack", "clothing_small"])
def test_the_fast_path_is_bit_equal_to_pillow_on_real_photos(photos, name, monkeypatch):
    files = sorted(path for path in photos(name).rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    fast = []
    original = read._fast_jpeg
    monkeypatch.setattr(read, "_fast_jpeg", lambda *given: (fast.append(1), original(*given))[1])
    jpegs = 0
    for path in files[:: max(1, len(files) // 15)]:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            jpegs += image.format == "JPEG" and image.mode in ("RGB", "L")
            wanted = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
        np.testing.assert_array_equal(decode(content), wanted, err_msg=str(path))
    assert len(fast) == jpegs


@pytest.mark.parametrize("options", [{"subsampling": 0}, {"subsampling": 2}, {"progressive": True}, {"quality": 5}])
def test_the_fast_path_is_bit_equal_to_pillow_for_every_kind_of_jpeg(options):
    for height, width in ((61, 83), (1, 1), (7, 300)):
        content = encoded(Image.fromarray(noise(height, width, 3)), "JPEG", **options)
        with Image.open(io.BytesIO(content)) as image:
            np.testing.assert_array_equal(decode(content), np.asarray(image))


def png_that_declares(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


JPEG = encoded(Image.fromarray(noise(100, 100, 3)), "JPEG")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"this is a text file, named photo.jpg", "not a picture in any known format"),
        (b"\xff\xd8\xff\xe0", "."),
        (JPEG[: len(JPEG) // 2], "truncated"),
        (JPEG[:200], "."),
        (encoded(Image.fromarray(noise(50, 50, 3)), "PNG")[:2000], "."),
        (png_that_declares(100_000, 100_000), "too many"),
        (png_that_declares(15_000, 15_000), "too many"),
        (png_that_declares(5_000, 5_000), "."),
        (b"GIF89a" + bytes(20), "."),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG; wanted AVIF"),
        (bytes(1000), "not a picture"),
    ],
)
def test_what_is_no_picture_is_unreadable_with_the_reason(content, reason):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UnreadableImage, match=reason):
            decode(content)


def test_no_damage_to_a_file_raises_anything_else():
    whole = [JPEG, encoded(Image.fromarray(noise(30, 30, 3)), "PNG"), encoded(Image.fromarray(smooth()), "TIFF")]
    whole += [encoded(Image.fromarray(noise(30, 30, 3)).convert("P"), "GIF")]
    draws = np.random.default_rng(1)
    for content in whole:
        for _ in range(60):
            damaged = np.frombuffer(content, np.uint8).copy()
            damaged[draws.integers(len(damaged), size=5)] = draws.integers(256, size=5)
            try:
                pixels = decode(damaged.tobytes())
            except UnreadableImage:
                continue
            assert pixels.dtype == np.uint8
            assert pixels.ndim == 3


def test_decoding_in_threads_leaves_the_warnings_of_the_process_alone(monkeypatch):
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(decode, [JPEG] * 500))
    finally:
        sys.setswitchinterval(before)
    with pytest.raises(UserWarning, match="still seen"):
        warnings.warn("still seen", stacklevel=1)


def test_pillows_remarks_are_no_reason_to_refuse_a_picture():
    image = Image.fromarray(np.zeros((4, 4), np.uint8)).convert("P")
    with_bytes = encoded(image, "PNG", transparency=bytes([0, 128]))
    assert decode(with_bytes).shape == (4, 4, 3)
    declared = png_that_declares(10_000, 9_500)  # Pillow warns of a bomb from 89 million pixels on
    with pytest.raises(UnreadableImage) as caught:
        decode(declared)
    assert "bomb" not in str(caught.value)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_the_colours_of_a_profile_become_those_of_srgb(kind):
    pixels = smooth()
    wide = matrix_profile()
    content = encoded(Image.fromarray(pixels), kind, icc_profile=wide, **({"quality": 100} if kind == "JPEG" else {}))
    with Image.open(io.BytesIO(content)) as image:
        bare = image.convert("RGB")
        source, target = ImageCms.ImageCmsProfile(io.BytesIO(wide)), ImageCms.createProfile("sRGB")
        wanted = np.asarray(ImageCms.profileToProfile(bare, source, target, outputMode="RGB"))
    np.testing.assert_allclose(decode(content).astype(int), wanted, atol=1)
    assert np.abs(decode(content).astype(int) - np.asarray(bare)).max() > 20


def test_srgbs_own_profile_and_a_damaged_one_change_nothing():
    plain = decode(encoded(Image.fromarray(smooth()), "JPEG"))
    for profile in (ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), b"no profile at all"):
        content = encoded(Image.fromarray(smooth()), "JPEG", icc_profile=profile)
        assert header(content).is_plain_jpeg, "the fast path is kept"
        np.testing.assert_array_equal(decode(content), plain)


def matrix_profile():
    """Return an RGB profile with the channels of sRGB in another order: nobody can miss what it does."""
    content = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    places = range(132, 132 + 12 * int.from_bytes(content[128:132], "big"), 12)
    tags = {bytes(content[at : at + 4]): at for at in places}
    red, blue = tags[b"rXYZ"], tags[b"bXYZ"]
    content[red : red + 4], content[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(content)


def test_too_many_pixels_are_refused_by_a_limit_that_can_be_set(monkeypatch):
    content = encoded(Image.fromarray(noise(40, 50)), "PNG")
    monkeypatch.setenv("GOLDENRULE_MAX_PIXELS", "1999")
    with pytest.raises(
        UnreadableImage,
        match=r"50 x 40 pixels are too many; wanted [0-9,]+ pixels at most \(GOLDENRULE_MAX_PIXELS sets",
    ):
        decode(content)
    monkeypatch.setenv("GOLDENRULE_MAX_PIXELS", "2000")
    assert decode(content).shape == (40, 50, 3)
    monkeypatch.setenv("GOLDENRULE_MAX_PIXELS", "many")
    with pytest.raises(OptionError, match="wanted the largest number of pixels"):
        decode(content)


@pytest.mark.parametrize("mode", ["RGBA", "CMYK", "P", "I;16"])
def test_a_tall_picture_is_read_in_bands_that_nobody_sees(mode, monkeypatch):
    image = Image.fromarray(smooth(300, 20))
    picture = (
        Image.fromarray(np.arange(6000, dtype=np.uint16).reshape(300, 20)) if mode == "I;16" else image.convert(mode)
    )
    content = encoded(picture, "TIFF" if mode == "CMYK" else "PNG")
    whole = decode(content)
    monkeypatch.setattr(read, "BAND_ROWS", 7)
    np.testing.assert_array_equal(decode(content), whole)


def test_the_largest_pictures_take_less_than_a_gigabyte():
    """A PNG of the limit's size with alpha, decoded in a process of its own."""
    script = """
import io
from PIL import Image
from goldenrule.data.pictures.decode import decode
from goldenrule.data.pictures.header import LARGEST_PIXELS
side = int(LARGEST_PIXELS ** 0.5)
file = io.BytesIO()
Image.MAX_IMAGE_PIXELS = None
Image.new("LA", (side, side)).save(file, "PNG", compress_level=1)
assert decode(file.getvalue()).shape == (side, side, 3)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak of a process's memory is read from /proc")
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(found.stdout) * 1024 < 1.1e9


HEIC = Path(__file__).parents[2] / "files" / "gradient.heic"


def test_heic_is_read_where_its_extra_is_installed():
    pytest.importorskip("pi_heif", reason="goldenrule[heic] is not installed")
    y, x = np.mgrid[0:48, 0:64]
    wanted = np.stack([x * 4, y * 5, np.full_like(x, 90)], axis=2)
    np.testing.assert_allclose(decode(HEIC.read_bytes()).astype(int), wanted, atol=16)
    assert header(HEIC.read_bytes()).format == "HEIF"


def test_heic_without_its_extra_names_it():
    script = f"""
import sys
sys.modules["pi_heif"] = None
from goldenrule.data.pictures.decode import decode
try:
    decode(open({str(HEIC)!r}, "rb").read())
except Exception as error:
    print(error)
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout == "a HEIC picture; wanted its reader: pip install 'goldenrule[heic]'\n"


@settings(max_examples=40, deadline=None)
@given(st.integers(8, 400), st.integers(8, 400), st.integers(8, 200), st.sampled_from([1, 6]))
def test_a_jpeg_is_shrunk_by_the_largest_power_of_two_that_leaves_enough(height, width, least, orientation):
    rgb = np.add.outer(np.linspace(0, 200, height), np.linspace(0, 50, width)).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.fromarray(rgb).convert("RGB").save(file, "JPEG", exif=exif)
    full, small = decode(file.getvalue()), decode(file.getvalue(), least_side=least)
    divisor = max(d for d in (1, 2, 4, 8) if d == 1 or min(height, width) >= d * least)
    assert small.shape == (*(-(-side // divisor) for side in full.shape[:2]), 3)
    assert min(small.shape[:2]) >= min(least, height, width)
    if divisor == 1:
        np.testing.assert_array_equal(small, full)


def test_only_jpegs_are_shrunk_and_a_shrunk_photo_looks_the_same():
    rgb = np.random.default_rng(0).integers(0, 256, (12, 16, 3)).astype(np.uint8).repeat(32, 0).repeat(32, 1)
    png, jpeg = io.BytesIO(), io.BytesIO()
    Image.fromarray(rgb).save(png, "PNG")
    Image.fromarray(rgb).save(jpeg, "JPEG", quality=95)
    np.testing.assert_array_equal(decode(png.getvalue(), least_side=32), rgb)
    small = decode(jpeg.getvalue(), least_side=64)
    assert small.shape == (96, 128, 3)
    np.testing.assert_allclose(small[2::8, 2::8].astype(float), rgb[16::32, 16::32], atol=24)
