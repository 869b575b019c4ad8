"""Views made as a batch of tensors are those that Pillow makes one by one, within two levels."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from goldenrule.data.augmentation.augment import Reflected, View
from goldenrule.data.augmentation.presets import basic, custom, keras, side_on, stronger, top_down, trivial
from goldenrule.data.pictures.decode import decode
from goldenrule.data.pictures.file_digests import with_digests
from goldenrule.data.pictures.preprocess import Preprocessing
from goldenrule.data.sources.folders import from_folder
from goldenrule.training.inputs.batch_augmentation import augmented, can_batch
from goldenrule.training.inputs.batches import Pixels

CPU = torch.device("cpu")
KINDS = [
    basic(),
    side_on(max_zoom=1.5),
    top_down(max_zoom=1.2),
    keras(),
    stronger(side_on()),
    replace(top_down(), crop="resized"),
]


def smooth(height, width, seed):
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 7, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC), np.float32)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(KINDS),
    st.lists(st.tuples(st.integers(70, 130), st.integers(70, 130)), min_size=1, max_size=4),
    st.integers(1, 99),
)
def test_tensors_give_the_views_that_pillow_gives(kind, sides, index):
    sources = [Reflected.of(smooth(*side, seed), 64, rim=kind.rim) for seed, side in enumerate(sides)]
    warps = [View(augmentation=kind, index=index).warp(bytes([number])) for number in range(len(sides))]
    views = augmented(sources, warps, CPU).permute(0, 2, 3, 1).numpy()
    for source, warp, view in zip(sources, warps, views, strict=True):
        wanted = kind.apply_to(warp, source)
        contrast = max(warp.contrast, 1)
        assert np.abs(view - wanted).max() <= 2 * contrast
        assert np.abs(view - wanted).mean() <= 0.3 * contrast


def test_real_photos_on_tensors_are_the_views_of_the_threads_within_two_levels(photos):
    files = sorted(photos("dogscats").glob("train/*/*.jpg"))[::60]
    preprocessing, kind = Preprocessing(size=224), side_on(max_zoom=1.1)
    sources = [Reflected.of(preprocessing.canvas(decode(file.read_bytes())), 224, rim=kind.rim) for file in files]
    warps = [View(augmentation=kind, index=3).warp(file.name.encode()) for file in files]
    views = augmented(sources, warps, CPU).permute(0, 2, 3, 1).numpy()
    wanted = np.stack([kind.apply_to(warp, source) for warp, source in zip(warps, sources, strict=True)])
    far = np.abs(views - wanted)
    assert len(files) >= 10
    assert np.quantile(far, 0.999) <= 2
    assert far.mean() < 0.2


@pytest.mark.parametrize("kind", [side_on(max_zoom=1.2), replace(basic(), crop="resized"), trivial(), None])
def test_training_on_pixels_sees_the_same_batches_either_way(picture_folder, kind):
    root = picture_folder(each=5)
    (root / "red" / "02.png").write_bytes(b"no picture")
    about = {
        "train": with_digests(from_folder(root)),
        "preprocessing": Preprocessing(size=32),
        "augmentation": kind,
        "seed": 1,
        "batch_size": 4,
        "threads": 2,
    }
    by_threads, by_tensors = Pixels(**about), Pixels(**about, device=CPU)
    assert by_tensors.warped == (kind is None or kind.policy == "trivial")
    pairs = list(zip(by_threads.batches(2, 1), by_tensors.batches(2, 1), strict=True))
    assert len(pairs) == 2
    assert sum(int((one.weights == 0).sum()) for one, _ in pairs) <= 1
    for one, other in pairs:
        assert other.inputs.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(other.targets, one.targets)
        torch.testing.assert_close(other.weights, one.weights)
        good = one.weights > 0
        torch.testing.assert_close(other.inputs[good], one.inputs[good], atol=2.1 / 127.5, rtol=0)


def test_what_works_on_one_picture_each_stays_with_the_threads():
    assert can_batch(keras())
    assert not can_batch(None)
    assert not can_batch(trivial())
    assert not can_batch(custom(lambda picture, _: picture, key="1"))
