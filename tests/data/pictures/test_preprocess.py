"""Law 1, same pixels everywhere: numpy, the ONNX graph and PyTorch give the same network input."""

import json
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from goldenrule.core.errors import FormatError, OptionError
from goldenrule.core.schema import as_json, from_json
from goldenrule.data.pictures import preprocess_onnx
from goldenrule.data.pictures.preprocess import Preprocessing, centre
from goldenrule.engines import openvino

TOLERANCE = 2e-5
few = settings(deadline=None, max_examples=12)
sides = st.integers(1, 400)
kinds = st.builds(
    Preprocessing,
    size=st.sampled_from([32, 64, 97, 224]),
    crop_fraction=st.sampled_from([0.5, 0.875, 0.882, 1.0]),
    interpolation=st.sampled_from(["bicubic", "bilinear"]),
    resize=st.sampled_from(["shorter", "squish"]),
    mean=st.sampled_from([(0.5, 0.5, 0.5), (0.485, 0.456, 0.406)]),
    std=st.sampled_from([(0.5, 0.5, 0.5), (0.229, 0.224, 0.225)]),
)


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, size=(height, width, 3)).astype(np.uint8)


@cache
def graph(preprocessing):
    """Return the ONNX graph as OpenVINO runs it in f32."""
    core = openvino.imported().Core()
    model = core.read_model(preprocess_onnx.onnx_model(preprocessing).SerializeToString(), b"")
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return SimpleNamespace(run=lambda rgb: compiled({"image": rgb})["pixels"])


def by_torch(preprocessing, rgb):
    """Return the oracle: PyTorch's antialiased resize of the whole picture, then crop and normalise."""
    height, width = preprocessing.resized(*rgb.shape[:2])
    planes = torch.from_numpy(rgb.transpose(2, 0, 1).copy()).float()[None]
    mode = preprocessing.interpolation
    resized = torch.nn.functional.interpolate(planes.double(), (height, width), mode=mode, antialias=True)[0].numpy()
    top, left = centre(height, preprocessing.size), centre(width, preprocessing.size)
    crop = resized[:, top : top + preprocessing.size, left : left + preprocessing.size]
    mean, std = (np.array(value).reshape(3, 1, 1) for value in (preprocessing.mean, preprocessing.std))
    return (crop / 255 - mean) / std


@few
@given(kinds, sides, sides, st.integers(0, 5))
@example(Preprocessing(size=224), 375, 500, 0)
@example(Preprocessing(size=224), 1, 1, 0)
@example(Preprocessing(size=97, crop_fraction=0.882), 3, 389, 0)
def test_numpy_and_the_onnx_graph_give_the_same_pixels(preprocessing, height, width, seed):
    rgb = picture(height, width, seed)
    np.testing.assert_allclose(preprocessing.pixels(rgb), graph(preprocessing).run(rgb)[0], atol=TOLERANCE, rtol=0)


@settings(deadline=None, max_examples=40)
@given(kinds, sides, sides, st.integers(0, 5))
@example(Preprocessing(size=224), 375, 500, 0)
@example(Preprocessing(size=32), 2000, 31, 0)
def test_numpy_gives_the_pixels_of_pytorchs_antialiased_resize(preprocessing, height, width, seed):
    rgb = picture(height, width, seed)
    np.testing.assert_allclose(preprocessing.pixels(rgb), by_torch(preprocessing, rgb), atol=TOLERANCE, rtol=0)


@settings(deadline=None, max_examples=30)
@given(kinds, st.integers(1, 200), st.integers(1, 200))
@example(Preprocessing(size=32), 1, 5000)
@example(Preprocessing(size=97, crop_fraction=0.882), 3001, 3)
def test_a_crop_of_the_canvas_is_the_plain_view(preprocessing, height, width):
    rgb = picture(height, width)
    canvas = preprocessing.canvas(rgb)
    if max(height, width) <= 4 * min(height, width):
        assert canvas.shape[:2] == preprocessing.resized(height, width)
    assert max(canvas.shape[:2]) <= 4 * preprocessing.short_side + 3  # no file can ask for gigabytes
    np.testing.assert_allclose(preprocessing.crop(canvas), preprocessing.pixels(rgb), atol=TOLERANCE, rtol=0)


def test_pixels_are_neither_rounded_nor_clipped():
    """Bicubic resizing overshoots at edges; torchvision's uint8 path clips that away."""
    rgb = np.zeros((40, 400, 3), np.uint8)
    rgb[:, 205:] = 255
    values = Preprocessing(size=32, mean=(0, 0, 0), std=(1, 1, 1)).canvas(rgb)
    assert values.max() > 256
    assert values.min() < -1
    assert np.abs(values - np.round(values)).max() > 0.1


def test_pixels_can_be_written_in_place():
    preprocessing, rgb = Preprocessing(size=64), picture(70, 90)
    out = np.full((3, 64, 64), np.nan, np.float32)
    assert preprocessing.pixels(rgb, out=out) is out
    np.testing.assert_array_equal(out, preprocessing.pixels(rgb))


def test_a_view_of_another_array_gives_the_same_pixels():
    rgb = picture(60, 80)
    preprocessing = Preprocessing(size=48)
    for strange in (rgb[:, ::-1], rgb.transpose(1, 0, 2), np.rot90(rgb), np.asfortranarray(rgb)):
        plain = np.ascontiguousarray(strange)
        np.testing.assert_array_equal(preprocessing.pixels(strange), preprocessing.pixels(plain))


@given(kinds)
def test_json_gives_the_same_preprocessing_back(preprocessing):
    value = json.loads(json.dumps(as_json(preprocessing)))
    assert from_json(value, Preprocessing) == preprocessing


@pytest.mark.parametrize(
    "change",
    [{"mean": [0.5]}, {"mean": None}, {"unknown": 1}, {"crop_fraction": "half"}, {"std": "0.5"}],
)
def test_json_that_is_no_preprocessing_is_a_format_error(change):
    value = {**as_json(Preprocessing(size=64)), **change}
    with pytest.raises(FormatError, match="preprocessing can't be read"):
        from_json(value, Preprocessing)
    del value["mean"]
    with pytest.raises(FormatError, match="preprocessing can't be read"):
        from_json(value, Preprocessing)


@pytest.mark.parametrize("size", [-1, 0, 31, 2049])
def test_a_size_that_no_network_takes_is_an_option_error(size):
    with pytest.raises(OptionError, match=f"size of {size} px.*32 to 2048"):
        Preprocessing(size=size)


@pytest.mark.parametrize("fraction", [0, -0.5, 1.01])
def test_a_crop_outside_the_picture_is_an_option_error(fraction):
    with pytest.raises(OptionError, match=r"above 0, at most 1"):
        Preprocessing(size=64, crop_fraction=fraction)


@given(kinds, st.integers(1, 3000), st.integers(1, 3000))
def test_the_resized_picture_always_holds_the_crop(preprocessing, height, width):
    new_height, new_width = preprocessing.resized(height, width)
    assert min(new_height, new_width) == preprocessing.short_side >= preprocessing.size
    assert 0 <= centre(new_height, preprocessing.size) <= new_height - preprocessing.size


@given(st.integers(40, 420), st.integers(40, 420), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_the_plain_view_is_that_of_the_canvas_to_the_last_bit_whoever_shares_the_work(
    height: int, width: int, seed: int
) -> None:
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    preprocessing = Preprocessing(size=96, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    with threadpool_limits(1, user_api="blas"):
        alone, of_canvas = preprocessing.pixels(rgb), preprocessing.crop(preprocessing.canvas(rgb))
    with threadpool_limits(2, user_api="blas"):
        shared = preprocessing.pixels(rgb)
    assert np.array_equal(alone, of_canvas)
    assert np.array_equal(alone, shared)
