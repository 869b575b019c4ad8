"""Convolution, ReLU and max-pooling on a photo, with the classic kernels, and how far a network sees.

Seconds: 5
Order: 40
"""

# %% [markdown]
# # Convolution, ReLU, max-pooling
#
# The networks that look at images are made of three simple things, over and over. We do each by hand, on a photo that
# comes with scikit-learn: `china.jpg` by danielbuechele, [CC BY 2.0](https://creativecommons.org/licenses/by/2.0/).

# %%
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.datasets import load_sample_image

from goldenrule.report.figures.plots import GOLD

FIGURES = Path("convolution")
FIGURES.mkdir(exist_ok=True)

photo = load_sample_image("china.jpg")[:140, 120:300]  # a roof against the sky
grey = photo.mean(axis=2) / 255  # 0 is black, 1 is white
print(f"{grey.shape[0]} x {grey.shape[1]} pixels from {grey.min():.2f} to {grey.max():.2f}")

# %% [markdown]
# ## Convolution
#
# A **kernel** is a small table of weights, here 3 x 3. It is laid on every place of the picture: multiply the nine
# pixels by the nine weights, add up, and that is one pixel of the result. The same nine weights serve the whole
# picture: an edge is an edge wherever it is.


# %%
def convolve(picture, kernel):
    windows = np.lib.stride_tricks.sliding_window_view(picture, kernel.shape)  # (rows, columns, 3, 3)
    return (windows * kernel).sum(axis=(2, 3))


KERNELS = {
    "blur": np.ones((3, 3)) / 9,
    "sharpen": np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]]),
    "outline": np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]),
    "edges below (Sobel)": np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]]),
    "edges right (Sobel)": np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]),
    "emboss": np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]),
}

for name, kernel in KERNELS.items():
    seen = convolve(grey, kernel)
    print(f"{name:>20}: weights sum to {kernel.sum():.0f}, from {seen.min():5.2f} to {seen.max():4.2f}")

# %% [markdown]
# Where the weights sum to 1, bright stays bright. Where they sum to 0, an even surface (the sky) gives 0, and only
# what changes is left. A result keeps 2 rows and 2 columns less: at the border a kernel has nothing to stand on.
# Networks usually put zeros around the picture (*padding*).
#
# Is this what PyTorch calls a convolution?

# %%
kernel = KERNELS["edges below (Sobel)"]
theirs = torch.nn.functional.conv2d(
    torch.tensor(grey)[None, None], torch.tensor(kernel, dtype=torch.double)[None, None]
)
print(f"largest difference from torch: {np.abs(theirs[0, 0].numpy() - convolve(grey, kernel)).max():.1e}")

# %%
figure = Figure(figsize=(7, 4.2), layout="constrained")
panels = figure.subplots(2, 4).flat
shown = {"photo": photo, "in grey": grey} | {name: convolve(grey, kernel) for name, kernel in KERNELS.items()}
for axes, (name, picture) in zip(panels, shown.items(), strict=True):
    bound = (-1, 1) if picture.min() < -0.8 else (0, 1)
    axes.imshow(picture, cmap="gray", vmin=bound[0], vmax=bound[1])
    axes.set_title(name, fontsize=9)
    axes.axis("off")
figure.savefig(
    FIGURES / "kernels.svg",
    metadata={
        "Description": "A temple roof as photo, in grey, and after six kernels; edge kernels leave lines on grey"
    },
)

# %% [markdown]
# ## ReLU
#
# "Edges below" is positive where the picture is brighter below than above, and negative where it is darker. **ReLU**
# keeps the positive part: now the map answers one question, *is there such an edge here?*, and "no" is 0.
#
# ## Max-pooling
#
# Then each square of 2 x 2 numbers is replaced by its largest. The map has half the side and a quarter of the numbers;
# the answer becomes *is there such an edge hereabouts?* It matters less where exactly.


# %%
def relu(picture):
    return np.maximum(picture, 0)


def max_pool(picture):
    rows, columns = picture.shape[0] // 2, picture.shape[1] // 2
    return picture[: rows * 2, : columns * 2].reshape(rows, 2, columns, 2).max(axis=(1, 3))


edges = convolve(grey, kernel)
kept = relu(edges)
pooled = max_pool(kept)
print(f"edges {edges.shape}, {(edges < 0).mean():.0%} negative; pooled {pooled.shape}")
moved = relu(convolve(np.roll(grey, 1, axis=1), kernel))


def alike(one, other):
    return np.corrcoef(one[:, 1:-1].flat, other[:, 1:-1].flat)[0, 1]


print("Picture moved by one pixel: correlation of the maps before and after the move")
print(f"{alike(kept, moved):.2f}, pooled {alike(pooled, max_pool(moved)):.2f}")

# %%
figure = Figure(figsize=(7, 2.2), layout="constrained")
for axes, (name, picture) in zip(
    figure.subplots(1, 4),
    {"convolved": edges, "ReLU": kept, "max-pooled": pooled, "pooled again": max_pool(pooled)}.items(),
    strict=True,
):
    axes.imshow(picture, cmap="gray", vmin=-1, vmax=1)
    axes.set_title(f"{name}\n{picture.shape[0]} x {picture.shape[1]}", fontsize=9)
    axes.axis("off")
figure.savefig(
    FIGURES / "steps.svg",
    metadata={
        "Description": "The edge map with dark and bright lines, after ReLU bright ones alone, then coarser twice"
    },
)

# %% [markdown]
# ## The receptive field
#
# One number after one kernel has seen 3 x 3 pixels. The next kernel looks at 3 x 3 such numbers, which overlap: it sees
# 5 x 5 pixels. After pooling neighbours are 2 pixels apart, so each further kernel adds twice as much. The part of the
# picture that a number depends on is its **receptive field**:

# %%
LAYERS = ["kernel", "kernel", "pool", "kernel", "kernel", "pool", "kernel", "kernel", "pool"]


def receptive_fields(layers):
    field, apart, fields = 1, 1, []
    for layer in layers:
        field += (2 if layer == "kernel" else 1) * apart
        apart *= 1 if layer == "kernel" else 2
        fields.append(field)
    return fields


fields = receptive_fields(LAYERS)
for layer, field in zip(LAYERS, fields, strict=True):
    print(f"after {layer:>6}: {field:2} x {field:2} pixels")

# %% [markdown]
# That was arithmetic. Now we ask the network itself: which pixels have a gradient for one number in the middle?
# (Average pooling in place of max-pooling here, so that every pixel of a square counts.)

# %%
kinds = {"kernel": lambda: torch.nn.Conv2d(1, 1, 3, bias=False), "pool": lambda: torch.nn.AvgPool2d(2)}
network = torch.nn.Sequential(*(kinds[layer]() for layer in LAYERS)).double()
for parameter in network.parameters():
    torch.nn.init.constant_(parameter, 1 / 9)
pixels = torch.zeros(1, 1, 100, 100, dtype=torch.double, requires_grad=True)
result = network(pixels)[0, 0]
result[result.shape[0] // 2, result.shape[1] // 2].backward()
weight = pixels.grad[0, 0].numpy()
print(f"measured: {(weight > 0).any(axis=1).sum()} x {(weight > 0).any(axis=0).sum()} pixels")
middle = weight[weight.any(axis=1)][:, weight.any(axis=0)][11:-11, 11:-11].sum() / weight.sum()
print(f"The middle quarter of them has {middle:.0%} of the weight.")

# %%
figure = Figure(figsize=(3.6, 3), layout="constrained")
axes = figure.add_subplot()
axes.imshow(grey[20:120, 40:140], cmap="gray", vmin=0, vmax=1)
axes.imshow(weight, cmap="Oranges", alpha=np.clip(weight / weight.max(), 0, 0.8))
axes.contour(weight > 0, levels=[0.5], colors=GOLD, linewidths=1)
axes.set_title(f"what one number sees: {fields[-1]} x {fields[-1]} px", fontsize=9)
axes.axis("off")
figure.savefig(
    FIGURES / "field.svg",
    metadata={
        "Description": "The photo in grey with a square of 36 pixels; an orange spot in it is strong at the centre"
    },
)

# %% [markdown]
# Six kernels of nine numbers and three poolings, and one number knows about a whole square of the roof. What it cares
# about most is in the middle. Nobody writes such kernels any more: the network learns them by gradient descent, as the
# line in the lesson `regression` learned its two numbers. What the first layer learns looks much like these: edges and
# colours.
#
# ## Exercise
#
# Without pooling, how many 3 x 3 kernels one after another are needed to see as much? And how many weights are that,
# compared with a single kernel of that size?
#
# ## Answer

# %%
needed = next(count for count in range(1, 100) if receptive_fields(["kernel"] * count)[-1] >= fields[-1])
print(f"{needed} kernels see {receptive_fields(['kernel'] * needed)[-1]} pixels with {needed * 9} weights;")
print(f"one kernel of {fields[-1]} x {fields[-1]} would have {fields[-1] ** 2:,}; with pooling there were {6 * 9}.")
