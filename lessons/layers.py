"""What each layer of a network answers to.

    python lessons/layers.py

A look inside EfficientNet-Lite0, from the first filters to the last block, on two photos; and how much can be read
off each depth about handwritten digits. The figures are written to the folder layers.

Seconds: 27
Order: 80
"""

# %% [markdown]
# # What each layer of a network answers to
#
# A network is a row of layers, each of which looks at what the one before has made of the picture. EfficientNet-Lite0,
# which comes with goldenrule, has learned on a million photos of a thousand kinds of things. What has it learned to
# look at, and where in it does that happen?

# %%
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.datasets import load_digits, load_sample_image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import goldenrule as gr
from goldenrule.report.figures.plots import GOLD, HIT

FIGURES = Path("layers")
FIGURES.mkdir(exist_ok=True)
backbone = gr.backbone("efficientnet_lite0")
network = backbone.module.model  # a PyTorch module
depths = {"stem": network.bn1}
depths |= {f"stage {number}": stage for number, stage in enumerate(network.blocks, start=1)}
depths |= {"last": network.bn2}


def answers(pictures: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the feature maps (n, channels, rows, columns) at each depth, caught while the pictures flow through."""
    caught: dict[str, torch.Tensor] = {}
    hooks = [
        layer.register_forward_hook(lambda _layer, _given, maps, name=name: caught.update({name: maps}))
        for name, layer in depths.items()
    ]
    with torch.no_grad():
        network.forward_features(pictures)
    for hook in hooks:
        hook.remove()
    return caught


# %% [markdown]
# ## The first filters
#
# The first layer, the stem, lays 32 little stencils of 3 x 3 pixels over every place of the picture, in red, green and
# blue. Each answers where the picture looks like itself: grey stripes to edges of one direction, coloured spots to
# colours. Nobody drew them. They were learned, and nearly every network that learns from photos comes to such ones.

# %%
filters = network.conv_stem.weight.permute(0, 2, 3, 1).numpy()  # 32 filters, 3 x 3 pixels, 3 colours
strength = np.abs(filters).max(axis=(1, 2, 3))
figure = Figure(figsize=(7.2, 2.0), layout="constrained")
for axes, number in zip(figure.subplots(2, 16).flat, np.argsort(-strength), strict=True):
    axes.imshow(0.5 + filters[number] / strength[number] / 2, interpolation="none")
    axes.set_axis_off()
figure.savefig(
    FIGURES / "filters.svg",
    metadata={"Description": "32 squares of 3 by 3 pixels: some in grey with edges, some in colours"},
)

# %% [markdown]
# ## Two photos on their way
#
# From depth to depth the maps become smaller and more: each place sees more of the picture and says more about it.

# %%
photos = {name: load_sample_image(f"{name}.jpg") for name in ("china", "flower")}
maps = answers(torch.stack([torch.from_numpy(backbone.spec.preprocessing.pixels(photo)) for photo in photos.values()]))
for name, values in maps.items():
    _, channels, rows, columns = values.shape
    print(f"{name:8} {channels:5,} channels of {rows:3} x {columns} places")
same = int((maps["stem"].std(dim=(2, 3)).amax(dim=0) < 1e-3).sum())
print(f"{same} of the {len(filters)} channels of the stem answer the same everywhere on both photos: they tell nothing")

# %% [markdown]
# For four depths, the three channels that vary most over the places of these photos; the same three for both. Bright
# is a strong answer. Early channels are drawings of the photo: edges, and areas of one colour. In the middle they mark
# textures and parts. At the end only 7 x 7 places are left, and a channel tells roughly where its *thing* is, if at
# all.

# %%
SHOWN = ("stem", "stage 2", "stage 4", "stage 7")
figure = Figure(figsize=(7.2, 6.2), layout="constrained")
grid = figure.add_gridspec(len(SHOWN) + 1, 6, height_ratios=[1.6] + [1] * len(SHOWN))
for column, photo in enumerate(photos.values()):
    axes = figure.add_subplot(grid[0, 3 * column : 3 * column + 3])
    axes.imshow(photo[::2, ::2])
    axes.set_axis_off()
for row, name in enumerate(SHOWN, start=1):
    values = maps[name].numpy()
    liveliest = np.argsort(-values.std(axis=(2, 3)).mean(axis=0))[:3]
    for column in range(6):
        axes = figure.add_subplot(grid[row, column])
        channel = liveliest[column % 3]
        axes.imshow(
            values[column // 3, channel], cmap="cividis", vmin=values[:, channel].min(), vmax=values[:, channel].max()
        )
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.set_title(f"channel {channel}", fontsize=7)
        if column == 0:
            axes.set_ylabel(name, fontsize=9)
figure.savefig(
    FIGURES / "maps.svg",
    metadata={"Description": "Two photos and what 4 stages answer: fine edges first, then textures, then coarse spots"},
)

# %% [markdown]
# (The photos come with scikit-learn: [china](https://www.flickr.com/photos/danielbuechele/6061409035/) by
# danielbuechele, [flower](https://www.flickr.com/photos/vultilion/6056698931/) by vultilion, both [CC BY
# 2.0](https://creativecommons.org/licenses/by/2.0/); made smaller here.)
#
# ## What can be read off each depth
#
# A *linear probe* asks a layer: how much of the answer lies ready in you? The maps are averaged over their places, so
# that each picture is one number per channel, and the simplest classifier there is, a line between classes, learns
# from these numbers. 600 handwritten digits, which the network has never seen the like of; five folds, so that each
# digit is evaluated by a probe that has not learned from it.

# %%
digits = load_digits()
chosen = np.random.default_rng(0).permutation(len(digits.target))[:600]
truth = digits.target[chosen]
small = gr.backbone("efficientnet_lite0", size=96).spec.preprocessing
grey = np.rint(255 - digits.images[chosen] * (255 / 16)).astype(np.uint8).repeat(8, 1).repeat(8, 2)
pictures = torch.stack([torch.from_numpy(small.pixels(np.stack([one] * 3, axis=2))) for one in grey])
averages: dict[str, list[torch.Tensor]] = {name: [] for name in depths}
for batch in pictures.split(50):
    for name, values in answers(batch).items():
        averages[name].append(values.mean(dim=(2, 3)))


def probe(rows: np.ndarray) -> gr.Predictions:
    """Return the out-of-fold predictions of a line between classes, from rows (n, numbers)."""
    line = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300))
    logits = cross_val_predict(line, rows, truth, cv=5, method="decision_function")
    return gr.Predictions.from_logits(logits, [str(digit) for digit in range(10)], truth=truth)


probed = {name: probe(torch.cat(average).numpy()) for name, average in averages.items()}
for name, predictions in probed.items():
    print(f"{name:8} {averages[name][0].shape[1]:5,} numbers  {gr.metrics.accuracy(predictions)}")

# %%
figure = Figure(figsize=(6.4, 3.0), layout="constrained")
axes = figure.add_subplot()
shares = [gr.metrics.accuracy(predictions) for predictions in probed.values()]
axes.plot(range(len(shares)), [100 * one.value for one in shares], color=HIT, marker="o")
axes.vlines(range(len(shares)), [100 * one.low for one in shares], [100 * one.high for one in shares], color=HIT)
axes.axhline(10, color=GOLD, linestyle="--", linewidth=1)
axes.annotate("guessing", (len(shares) - 1, 10), xytext=(0, 4), textcoords="offset points", ha="right", color=GOLD)
axes.set_xticks(range(len(shares)), probed, rotation=30)
axes.set(ylabel="digits that a probe gets right, %", ylim=(0, 100))
axes.spines[["top", "right"]].set_visible(False)
figure.savefig(
    FIGURES / "probes.svg",
    metadata={"Description": "What a probe reads of the digits: most, near 90 %, in the middle, less at both ends"},
)

# %% [markdown]
# The probe does worse again at the end. The first layers know strokes and edges, from which a digit can only be
# guessed once their places are averaged away. The middle has put them together. The last layers have thrown away what
# does not help to tell a thousand kinds of things apart, and the shape of a 7 is among it. Is that more than chance?
# (The best of nine depths was picked on these same digits, which flatters it a little.)

# %%
best = max(probed, key=lambda name: gr.metrics.accuracy(probed[name]).value)
print(gr.metrics.mcnemar(probed["last"], probed[best]).sentence("the last layer", best))

# %% [markdown]
# This is why `goldenrule fit`, after the head, tries to train the *late* layers too, where it is worth it: early ones
# know what all pictures have in common, late ones know what photos of things have in common, and digits are no such
# photos.
#
# ## Exercise
#
# A digit here has 8 x 8 = 64 pixels. Give the probe these plain 64 numbers, and no network at all. Is that worse or
# better than the best layer? Guess; then run the cell.

# %%
raw = probe(digits.data[chosen])
print("64 pixels:", gr.metrics.accuracy(raw))
exercise = gr.metrics.mcnemar(probed[best], raw)
print(exercise.sentence(best, "64 pixels"))

# %% [markdown]
# **Answer.** Better: 64 plain pixels beat every layer of a network that has seen a million photos. The probes lost the
# places, as the maps were averaged, while the pixels keep them, and digits that are centred and of one size are told
# apart by *where* the ink is. Two lessons: a simple base line belongs beside every result, and a pretrained network is
# worth most on pictures like those it has learned from. On photos of cats and dogs the pixels would be lost.
