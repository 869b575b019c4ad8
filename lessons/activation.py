"""Activation functions: the bends between layers, and what becomes of a gradient that passes through them.

Seconds: 4
Order: 30
"""

# %% [markdown]
# # Activation functions
#
# A layer weighs and adds. After it comes an **activation function**, which bends each number a little. Without bends a
# hundred layers are worth one; which bend one takes decides whether a hundred layers can learn at all.

# %%
from pathlib import Path

import torch
from matplotlib.figure import Figure

from goldenrule.report.figures.plots import GOLD, HIT, MISTAKE

FIGURES = Path("activation")
FIGURES.mkdir(exist_ok=True)

BENDS = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "ReLU": torch.relu,
    "ReLU6": torch.nn.functional.relu6,
    "leaky ReLU": torch.nn.functional.leaky_relu,
    "GELU": torch.nn.functional.gelu,
}

# %% [markdown]
# ## Six of them
#
# Blue is the function, orange its slope. *Sigmoid* and *tanh* press every number between two bounds. *ReLU* keeps what
# is positive and makes the rest 0. *ReLU6* also cuts at 6, so that the numbers fit into few bits: EfficientNet-Lite,
# the network that goldenrule takes first, is built with it. *Leaky ReLU* lets a hundredth of the negative side through.
# *GELU* is a ReLU with a soft corner, and common in transformers.

# %%
x = torch.linspace(-8, 8, 401, requires_grad=True)
figure = Figure(figsize=(6.8, 4), layout="constrained")
for axes, (name, bend) in zip(figure.subplots(2, 3).flat, BENDS.items(), strict=True):
    (slope,) = torch.autograd.grad(bend(x).sum(), x)
    axes.plot(x.detach(), bend(x).detach(), color=HIT)
    axes.plot(x.detach(), slope, color=MISTAKE, linewidth=1)
    axes.set_title(name)
    print(f"{name:>10}: from {bend(x).min():5.2f} to {bend(x).max():4.2f}, largest slope {slope.max():.2f}")
figure.savefig(
    FIGURES / "functions.svg",
    metadata={"Description": "Sigmoid, tanh, ReLU, ReLU6, leaky ReLU and GELU, each with its slope"},
)

# %% [markdown]
# ## Gradients that vanish
#
# To learn, the early layers need to hear how wrong the end was. The gradient comes back to them through every layer,
# and each bend multiplies it by its slope. The sigmoid's slope is .25 at most: after ten layers no more than .25 to the
# tenth power is left of it.
#
# Let us measure. A signal goes through 20 layers of 256 units with random weights, drawn so that the sums keep their
# size (He: variance 2 / 256 for the ReLU, which loses half; 1 / 256 for the others). How large is the gradient at the
# first layer, as a share of that at the last?

# %%
print(f".25 to the power of 10: {0.25**10:.7f}")


def backwards(bend, gain, depth=20, width=256):
    torch.manual_seed(0)
    signal, signals = torch.randn(64, width), []
    for _ in range(depth):
        signal = bend(signal @ torch.randn(width, width) * (gain / width) ** 0.5)
        signals.append(signal.requires_grad_() if not signals else signal)
    sizes = torch.autograd.grad(signal.sum(), signals)
    return [float(size.square().mean().sqrt()) for size in sizes]


figure = Figure(figsize=(5.6, 3.2), layout="constrained")
axes = figure.add_subplot()
for name, gain, colour in (("sigmoid", 1, MISTAKE), ("tanh", 1, GOLD), ("ReLU", 2, HIT)):
    sizes = backwards(BENDS[name], gain)
    print(f"{name:>8}: gradient at layer 1 is {sizes[0] / sizes[-1]:.1e} of that at layer 20")
    axes.semilogy(range(1, 21), sizes, "o-", color=colour, label=name, markersize=4)
axes.set(xlabel="layer", ylabel="size of the gradient", xticks=[1, 5, 10, 15, 20])
axes.legend()
figure.savefig(
    FIGURES / "vanishing.svg",
    metadata={
        "Description": "Going back from layer 20 to 1 the sigmoid's gradient shrinks steadily, ReLU's stays level"
    },
)

# %% [markdown]
# With the sigmoid the first layers hear next to nothing: they stay as random as they began. This was one of the reasons
# why networks stayed shallow for so long. ReLU has slope 1 wherever it is on, so the gradient passes; tanh is in
# between (its slope is 1 in the middle alone).
#
# ## Bends make curves
#
# What are bends good for? Each ReLU gives a line one corner. Here the corners stand at even distances, and the best sum
# of 1, 4 and 16 such ReLUs is solved for (least squares).

# %%
t = torch.linspace(-3, 3, 200)[:, None]
curve = torch.sin(2 * t)
figure = Figure(figsize=(6.8, 2.6), layout="constrained")
for axes, width in zip(figure.subplots(1, 3, sharey=True), (1, 4, 16), strict=True):
    corners = torch.linspace(-3, 3, width + 1)[:-1]
    hidden = torch.cat([torch.relu(t - corners), torch.ones_like(t)], dim=1)
    output = hidden @ torch.linalg.lstsq(hidden, curve).solution
    print(f"{width:2} ReLUs: mean squared error {(output - curve).square().mean():.4f}")
    axes.plot(t, curve, color="silver", linewidth=3)
    axes.plot(t, output, color=HIT)
    axes.set_title(f"{width} ReLU{'s' * (width > 1)}")
figure.savefig(
    FIGURES / "corners.svg",
    metadata={"Description": "A wave and what 1, 4 and 16 ReLUs make of it: a line, a zigzag, nearly the wave"},
)

# %% [markdown]
# ## Exercise
#
# A ReLU whose input is negative for every example gives 0 for every example, and its slope is 0 too. Can it ever learn
# again? Draw 1,000 ReLUs of 10 random inputs with bias 0, then with bias -10: how many of them are "dead" on 500
# examples? And leaky ReLUs?
#
# ## Answer

# %%
torch.manual_seed(0)
examples, weights = torch.randn(500, 10), torch.randn(10, 1000)
for bias in (0.0, -10.0):
    for name in ("ReLU", "leaky ReLU"):
        sums = (examples @ weights + bias).requires_grad_()
        (slopes,) = torch.autograd.grad(BENDS[name](sums).sum(), sums)
        print(f"bias {bias:5.1f}: {int((slopes == 0).all(0).sum()):3} of 1,000 {name}s never get a gradient")

# %% [markdown]
# A dead ReLU gets no gradient, so neither its weights nor its bias change: it stays dead, whatever the others do. One
# much too large step is enough to get there, one more reason to look for the learning rate with care. A leaky ReLU
# always has a way back.
