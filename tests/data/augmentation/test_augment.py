"""Views are drawn by what they are for: (seed, view, digest), and the plain view is among them."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goldenrule.core.errors import FormatError, OptionError
from goldenrule.core.schema import as_json, from_json
from goldenrule.data.augmentation.augment import PLAIN, VIEW_SEED, Augmentation, Reflected, View, Warp, affine, views
from goldenrule.data.augmentation.policies import CHANGES, changed
from goldenrule.data.augmentation.presets import (
    AUGMENTATIONS,
    basic,
    by_name,
    keras,
    side_on,
    stronger,
    top_down,
    trivial,
)
from goldenrule.data.pictures.preprocess import Preprocessing

IDENTITY = Warp(degrees=0, zoom=1, shift=(0, 0), brightness=0, contrast=1, turns=0, mirrored=False)
KINDS = [basic(), side_on(max_zoom=1.1), top_down(max_zoom=2), keras()]
digests = st.binary(min_size=32, max_size=32)


def smooth_canvas(height=64, width=80):
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return np.stack([3 * x, 3 * y, x + y + 20], axis=2)


@settings(max_examples=30)
@given(st.sampled_from(KINDS), st.integers(1, 9), st.integers(0, 99), digests, digests)
def test_parameters_depend_on_seed_view_and_digest_alone(kind, index, seed, digest, other):
    view = View(augmentation=kind, index=index, seed=seed)
    wanted = view.warp(digest)
    View(augmentation=kind, index=index, seed=seed).warp(other)
    assert View(augmentation=replace(kind), index=index, seed=seed).warp(bytes(digest)) == wanted
    assert replace(view, index=index + 1).warp(digest) != wanted
    assert replace(view, seed=seed + 1).warp(digest) != wanted
    assert (view.warp(other) == wanted) == (other == digest)


def test_parameters_are_those_that_stored_activations_were_made_with():
    warp = View(augmentation=side_on(max_zoom=1.1), index=1, seed=VIEW_SEED).warp(bytes(32))
    assert VIEW_SEED == 0
    assert warp == Warp(
        degrees=4.020419238378139,
        zoom=1.027705794765836,
        shift=(-0.2612354673867785, -0.6866132117041077),
        brightness=0.01774279110534624,
        contrast=0.9574221338988625,
        turns=0,
        mirrored=False,
    )


def test_the_parameters_keep_their_bounds_and_use_them():
    kind = side_on(max_zoom=1.5)
    warps = [View(augmentation=kind, index=index).warp(b"") for index in range(400)]
    degrees = np.array([warp.degrees for warp in warps])
    assert np.abs(degrees).max() <= 10
    assert np.abs(degrees).max() > 9
    assert 0.65 < np.mean(degrees != 0) < 0.85
    assert all(1 <= warp.zoom <= 1.5 for warp in warps)
    assert all(1 / 1.05 - 1e-9 <= warp.contrast <= 1.05 for warp in warps)
    assert all(abs(warp.brightness) <= 0.05 for warp in warps)
    assert 0.4 < np.mean([warp.mirrored for warp in warps]) < 0.6
    assert {warp.turns for warp in warps} == {0}
    assert not any(View(augmentation=basic(), index=index).warp(b"").mirrored for index in range(50))


def test_top_down_covers_the_eight_symmetries_of_a_square():
    canvas = smooth_canvas(64, 64)
    warps = [View(augmentation=top_down(), index=index).warp(b"") for index in range(80)]
    symmetries = {(warp.turns, warp.mirrored) for warp in warps}
    assert len(symmetries) == 8
    pictures = {
        top_down().apply(replace(IDENTITY, turns=turns, mirrored=mirrored), canvas, 64).tobytes()
        for turns, mirrored in symmetries
    }
    square = np.round(canvas)
    wanted = {np.rot90(square, turns)[:, ::step].tobytes() for turns in range(4) for step in (1, -1)}
    assert pictures == wanted


def test_without_any_change_a_view_is_the_plain_crop():
    preprocessing = Preprocessing(size=48)
    rgb = np.random.default_rng(0).integers(0, 256, size=(90, 130, 3)).astype(np.uint8)
    rgb = rgb.repeat(4, axis=0).repeat(4, axis=1)  # smooth enough for half a pixel
    canvas = preprocessing.canvas(rgb)
    canvas = canvas[:, : canvas.shape[1] // 2 * 2]  # an even frame: the crop lies on whole pixels
    view = preprocessing.normalised(basic().apply(IDENTITY, canvas, 48))
    clipped = preprocessing.crop(np.clip(canvas, 0, 255))
    np.testing.assert_allclose(view, clipped, atol=1.01 / 127.5)  # a view starts from rounded pixels


def test_a_mirrored_view_is_the_mirror_image():
    canvas = smooth_canvas()
    plain = side_on().apply(IDENTITY, canvas, 48)
    mirrored = side_on().apply(replace(IDENTITY, mirrored=True), canvas, 48)
    np.testing.assert_array_equal(mirrored, plain[:, ::-1])


def test_degrees_turn_counter_clockwise():
    canvas = np.zeros((64, 64, 3), np.float32)
    canvas[30:34, 56:60] = 200  # at three o'clock
    turned = basic().apply(replace(IDENTITY, degrees=90), canvas, 64)
    y, x = np.argwhere(turned[:, :, 0] > 100).mean(axis=0)
    assert y < 12
    assert abs(x - 31.5) < 2


def test_zoom_enlarges_and_the_shift_chooses_where():
    canvas = smooth_canvas(64, 64)
    whole = basic().apply(IDENTITY, canvas, 64)
    zoomed = basic().apply(replace(IDENTITY, zoom=2), canvas, 64)
    assert np.ptp(zoomed[:, :, 0]) == pytest.approx(np.ptp(whole[:, :, 0]) / 2, abs=4)
    assert zoomed.mean() == pytest.approx(whole.mean(), abs=2)
    right = basic().apply(replace(IDENTITY, zoom=2, shift=(0, 1)), canvas, 64)
    down = basic().apply(replace(IDENTITY, zoom=2, shift=(1, 0)), canvas, 64)
    assert right[:, :, 0].mean() > zoomed[:, :, 0].mean() + 30
    assert down[:, :, 1].mean() > zoomed[:, :, 1].mean() + 30
    assert right[:, :, 0].max() <= whole[:, :, 0].max()


def test_light_changes_brightness_and_contrast_and_stays_in_range():
    canvas = smooth_canvas(64, 64)
    plain = basic().apply(IDENTITY, canvas, 64)
    brighter = basic().apply(replace(IDENTITY, brightness=0.05), canvas, 64)
    np.testing.assert_allclose(brighter, np.minimum(plain + 0.05 * 255, 255), atol=1e-3)
    harder = basic().apply(replace(IDENTITY, contrast=1.05), canvas, 64)
    assert harder.std() == pytest.approx(1.05 * plain.std(), rel=0.02)
    extreme = basic().apply(replace(IDENTITY, brightness=0.9, contrast=3), canvas, 64)
    assert 0 <= extreme.min() <= extreme.max() <= 255


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(KINDS), st.integers(1, 50), st.integers(1, 90), digests)
def test_no_view_of_a_light_picture_has_black_corners(kind, height, width, digest):
    preprocessing = Preprocessing(size=64)
    canvas = preprocessing.canvas(np.full((height, width, 3), 200, np.uint8))
    view = kind.apply(View(augmentation=kind, index=1).warp(digest), canvas, 64)
    assert view.shape == (64, 64, 3)
    assert view.min() > 150


@pytest.mark.parametrize("kind", [*KINDS, trivial(), replace(basic(), crop="resized")])
def test_json_gives_the_same_augmentation_back(kind):
    value = json.loads(json.dumps(as_json(kind)))
    assert from_json(value, Augmentation) == kind
    with pytest.raises(FormatError, match="version 4"):
        from_json({**value, "version": 4}, Augmentation)
    with pytest.raises(FormatError, match="can't be read"):
        from_json({**value, "blur": 3}, Augmentation)


def test_views_are_the_plain_one_and_as_many_as_asked():
    assert views(side_on(), 0) == (PLAIN,)
    assert views(None, 4) == (PLAIN,)
    found = views(side_on(), 3)
    assert found[0] == PLAIN
    assert [view.index for view in found[1:]] == [1, 2, 3]
    assert all(view.augmentation == side_on() and view.seed == VIEW_SEED for view in found[1:])
    assert PLAIN.warp(b"any") is None
    with pytest.raises(OptionError, match="--views -1"):
        views(side_on(), -1)


def test_views_that_differ_have_descriptions_that_differ():
    """The description is part of a bank's key: two views with one description would share rows."""
    several = [*views(side_on(), 2), *views(top_down(), 2), *views(side_on(max_zoom=1.2), 1)]
    several += [View(augmentation=side_on(), index=1, seed=1)]
    texts = {json.dumps(as_json(view), sort_keys=True) for view in several}
    assert len(texts) == len(set(several))


@pytest.mark.parametrize("kind", [basic(), side_on(max_zoom=2.0), top_down()])
def test_stronger_is_the_same_kind_with_no_less_of_anything(kind):
    more = stronger(kind)
    assert (more.name, more.symmetry) == (kind.name, kind.symmetry)
    assert more.lighting > kind.lighting
    assert more.max_zoom >= kind.max_zoom
    assert stronger(more) == more


def test_names_of_the_command_line():
    assert by_name("none") is None
    assert {name: by_name(name).name for name in AUGMENTATIONS if name not in ("none", "auto")} == {
        name: name for name in ("basic", "side_on", "top_down", "keras", "trivial")
    }
    assert by_name("auto") == by_name("side_on")
    assert by_name("side_on", max_zoom=1.3).max_zoom == 1.3
    with pytest.raises(OptionError, match=r"sideon.*none, basic, side_on, top_down"):
        by_name("sideon")
    with pytest.raises(OptionError, match="1 \\(no zoom\\) to 4"):
        side_on(max_zoom=0.5)


def test_the_keras_kind_shears_and_zooms_both_ways_and_light_keeps_its_mean():
    warps = [View(augmentation=keras(), index=index).warp(b"") for index in range(400)]
    shear, zoom = (np.array([getattr(warp, name) for warp in warps]) for name in ("shear", "zoom"))
    assert 0.19 < np.abs(shear).max() <= 0.2
    assert 0.8 <= zoom.min() < 0.82
    assert 1.18 < zoom.max() <= 1.2
    assert {(warp.degrees, warp.brightness, warp.turns, warp.change) for warp in warps} == {(0.0, 0.0, 0, "identity")}
    assert 0.4 < np.mean([warp.mirrored for warp in warps]) < 0.6


def test_shear_moves_the_top_against_the_bottom():
    canvas = np.zeros((64, 64, 3), np.float32)
    canvas[:, 30:34] = 255
    view = keras().apply(replace(IDENTITY, shear=0.2), canvas, 64)[:, :, 0]
    where = (view * np.arange(64)).sum(axis=1) / view.sum(axis=1)
    slope = np.polyfit(np.arange(10, 54), where[10:54], 1)[0]
    assert abs(slope + 0.2) < 0.02


def test_trivial_draws_one_of_all_changes_equally_often_at_every_strength():
    warps = [View(augmentation=trivial(), index=index).warp(b"") for index in range(2800)]
    counts = Counter(warp.change for warp in warps)
    assert counts.keys() == CHANGES.keys()
    assert all(140 < count < 260 for count in counts.values()), counts
    strengths = np.array([warp.strength for warp in warps])
    assert -1 <= strengths.min() < -0.99
    assert 0.99 < strengths.max() <= 1


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_gives_a_picture_and_does_little_at_its_weakest(name):
    canvas = smooth_canvas(64, 64) + np.random.default_rng(0).integers(0, 60, (64, 64, 3)).astype(np.float32)
    for strength in (-1.0, 0.5, 1.0):
        view = changed(canvas, name, strength)
        assert view.shape == (64, 64, 3)
        assert view.dtype == np.float32
        assert 0 <= view.min() <= view.max() <= 255
        assert name in ("identity", "autocontrast") or np.abs(view - canvas).max() > 1
    if name not in ("equalize", "autocontrast"):
        assert np.abs(changed(canvas, name, 0.0) - canvas).mean() < 2


def test_zoom_and_shear_have_bounds():
    with pytest.raises(OptionError, match=r"min_zoom=0\.5"):
        Augmentation(name="x", min_zoom=0.5)
    with pytest.raises(OptionError, match=r"shear=0\.4"):
        Augmentation(name="x", shear=0.4)


@settings(max_examples=60, deadline=None)
@given(st.integers(48, 400), st.integers(48, 400), st.integers(1, 999))
def test_a_random_window_lies_on_the_canvas_and_keeps_its_bounds(height, width, index):
    kind = replace(basic(), crop="resized", rotate_probability=0.0)
    warp = View(augmentation=kind, index=index).warp(b"")
    share, shape = warp.window
    assert 0.35 <= share <= 1
    assert 3 / 4 <= shape <= 4 / 3
    source = Reflected.of(np.zeros((height, width, 3), np.float32), 48)
    a, b, c, d, e, f = affine(warp, source)
    assert b == d == 0
    left, top = c - source.margin, f - source.margin
    right, bottom = left + a * 48, top + e * 48
    assert min(left, top) >= -1e-6
    assert right <= width + 1e-6
    assert bottom <= height + 1e-6
    wide, tall = right - left, bottom - top
    assert wide / tall == pytest.approx(shape)
    fills = max(wide / width, tall / height) > 1 - 1e-6
    assert wide * tall == pytest.approx(share * height * width) or (wide * tall < share * height * width and fills)


def test_windows_use_their_whole_range_and_a_centre_crop_never_moves():
    windows = [View(augmentation=replace(basic(), crop="resized"), index=i).warp(b"").window for i in range(400)]
    shares, shapes = np.array(windows).T
    assert shares.min() < 0.37
    assert shares.max() > 0.98
    assert 0.45 < np.mean(shapes < 1) < 0.55
    assert shapes.min() < 0.76
    assert shapes.max() > 1.32
    centred = [View(augmentation=replace(basic(), crop="centre"), index=i).warp(b"") for i in range(50)]
    assert {(warp.shift, warp.window) for warp in centred} == {((0.0, 0.0), None)}
    with pytest.raises(OptionError, match="crop='corner'"):
        replace(basic(), crop="corner")


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["random", "centre", "resized"]), st.integers(1, 99))
def test_whatever_the_crop_a_view_shows_nothing_that_is_not_in_the_picture(crop, index):
    """A ramp from left to right keeps its range, and its slope says how wide the window is."""
    canvas = smooth_canvas(72, 72)
    kind = replace(basic(), crop=crop, rotate_probability=0.0, lighting=0.0)
    warp = View(augmentation=kind, index=index).warp(b"")
    view = kind.apply(warp, canvas, 64)
    assert canvas.min() - 1 <= view.min() <= view.max() <= canvas.max() + 1
    slope = np.polyfit(np.arange(10, 54), view[32, 10:54, 0], 1)[0]
    share, shape = warp.window or (64**2 / 72**2, 1)
    wide = 72 * min(np.sqrt(share / shape), 1, 1 / shape) * shape
    assert slope == pytest.approx(3 * wide / 64, abs=0.1)
