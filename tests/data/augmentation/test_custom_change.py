"""A user's own function changes views: reproducibly, kept under its source, and its mistakes are named."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from goldenrule.core.errors import FormatError, OptionError
from goldenrule.core.schema import as_json, from_json
from goldenrule.data.augmentation.augment import Augmentation, View
from goldenrule.data.augmentation.presets import by_name, custom, side_on

CANVAS = np.random.default_rng(0).uniform(0, 255, (80, 96, 3)).astype(np.float32)
FILE = """
import numpy as np
import goldenrule as gr

def darker(picture, random):
    return picture * random.uniform(0.5, 0.8)

STRONG = gr.data.custom(darker, after=gr.data.side_on(max_zoom=1.2))
SETTING = 3
"""


def noisy(picture, random):
    return picture + random.normal(0, 20, picture.shape)


def seen(kind, index=1, digest=b"x"):
    return kind.apply(View(augmentation=kind, index=index).warp(digest), CANVAS, 64)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 50), st.binary(max_size=8))
def test_a_view_by_an_own_function_is_the_same_in_any_order(index, digest):
    kind = custom(noisy, after=side_on())
    wanted = seen(kind, index, digest)
    seen(kind, index + 1, digest)
    np.testing.assert_array_equal(seen(kind, index, digest), wanted)
    assert np.abs(seen(kind, index + 1, digest) - wanted).mean() > 5


def test_the_function_gets_whole_values_and_the_view_of_the_kind_it_comes_after():
    got = []
    seen(custom(lambda picture, random: got.append(picture) or picture, after=side_on(), key="1"))
    plain = seen(side_on())
    assert got[0].dtype == np.uint8
    np.testing.assert_allclose(got[0], plain, atol=0.51)


def test_without_a_kind_the_function_gets_random_crops():
    kind = custom(lambda picture, _: picture, key="1")
    warps = [View(augmentation=kind, index=index).warp(b"") for index in range(50)]
    assert {(warp.degrees, warp.brightness, warp.mirrored, warp.zoom) for warp in warps} == {(0.0, 0.0, False, 1.0)}
    assert len({warp.shift for warp in warps}) == 50


def test_pictures_and_lists_are_taken_and_values_beyond_the_range_are_cut():
    np.testing.assert_array_equal(
        seen(custom(lambda p, _: Image.new("RGB", (64, 64), "red"), key="1"))[0, 0], [255, 0, 0]
    )
    bright = seen(custom(lambda p, _: p.astype(float) + 300, key="1"))
    assert (bright == 255).all()
    assert bright.dtype == np.float32


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda p, _: p[:10], r"of shape \(10, 64, 3\)"),
        (lambda p, _: None, "gave object"),
        (lambda p, _: p * np.nan, "no numbers"),
        (lambda p, _: 1 / 0, "failed \\(ZeroDivisionError"),
    ],
)
def test_a_function_that_goes_wrong_is_named(change, said):
    with pytest.raises(OptionError, match=said):
        seen(custom(change, key="1"))


def make(strength):
    def change(picture, random):
        return picture * strength

    return change


def test_what_a_function_made_is_kept_under_its_source_and_the_values_it_was_given():
    first, same, other = (as_json(custom(make(strength))) for strength in (0.5, 0.5, 0.6))
    assert first == same != other
    assert as_json(custom(noisy)) != as_json(custom(noisy, after=side_on()))
    assert as_json(custom(noisy, key="a")) != as_json(custom(noisy, key="b"))


def test_a_function_that_can_not_be_told_apart_needs_a_key():
    with pytest.raises(OptionError, match='key="my-change-v1"'):
        custom(np.flip)
    with pytest.raises(OptionError, match="key="):
        custom(make(np.eye(3)))
    with pytest.raises(OptionError, match="wanted a function"):
        custom("darker")
    with pytest.raises(FormatError, match="noisy"):
        from_json(as_json(custom(noisy)), Augmentation)


def test_the_command_line_names_a_function_or_an_augmentation_of_a_file(tmp_path):
    file = tmp_path / "changes.py"
    file.write_text(FILE)
    darker, strong = by_name(f"{file}:darker"), by_name(f"{file}:STRONG", crop="resized")
    assert seen(darker).mean() < 0.9 * seen(custom(lambda p, _: p, key="1")).mean()
    assert (strong.symmetry, strong.max_zoom, strong.crop) == ("mirror", 1.2, "resized")
    assert by_name(f"{file}:darker") == darker
    file.write_text(FILE.replace("0.5", "0.4"))
    assert as_json(by_name(f"{file}:darker")) != as_json(darker)
    assert as_json(by_name(f"{file}:STRONG")) != as_json(strong)


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (FILE, "lighter", "has no 'lighter'; it has SETTING, STRONG, darker"),
        (FILE, "SETTING", "wanted a function"),
        ("1 / 0", "darker", "can't be run \\(ZeroDivisionError"),
        (None, "darker", "there is no file"),
    ],
)
def test_a_file_without_what_is_named_is_a_clear_error(tmp_path, content, name, said):
    if content:
        (tmp_path / "changes.py").write_text(content)
    with pytest.raises(OptionError, match=said):
        by_name(f"{tmp_path / 'changes.py'}:{name}")
