"""XOR: what one layer can't learn, and why a hidden layer can.

Seconds: 7
Order: 20
"""

# %% [markdown]
# # XOR, and why a hidden layer
#
# XOR says "one or the other, but not both". Four examples are all there is to know. In 1969 they became famous: no
# single layer can learn them (Minsky and Papert, *Perceptrons*).

# %%
from pathlib import Path

import torch
from matplotlib.figure import Figure

import goldenrule as gr
from goldenrule.report.figures.plots import HIT, MISTAKE

FIGURES = Path("xor")
FIGURES.mkdir(exist_ok=True)

X = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
Y = torch.tensor([0.0, 1.0, 1.0, 0.0])

# %% [markdown]
# ## One layer
#
# One layer weighs its two inputs, adds a bias, and the sigmoid makes a probability of the sum. The loss is the log
# loss: -log of the probability that was given to what is true.


# %%
def train(network, steps=1000, rate=0.05):
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    for _ in range(steps):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(network(X)[:, 0], Y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


def say(name, network, loss):
    probabilities = ", ".join(f"{p:.2f}" for p in network(X)[:, 0].sigmoid().tolist())
    print(f"{name}: loss {loss:.3f}, probabilities {probabilities} (wanted 0, 1, 1, 0)")


torch.manual_seed(0)
one_layer = torch.nn.Sequential(torch.nn.Linear(2, 1))
say("one layer", one_layer, train(one_layer))

# %% [markdown]
# It says one half to everything: log 2 = 0.693 is the loss of a coin. More steps would not help. Where the sum is zero
# the layer draws a straight line, and no straight line has (0, 1) and (1, 0) on one side, (0, 0) and (1, 1) on the
# other. At best three of four are right.
#
# ## A hidden layer, made by hand
#
# Ask two simpler questions first. With a and b as inputs: *how many are on?*, a + b, and *how many more than one?*,
# max(0, a + b - 1). The first minus twice the second is XOR. `max(0, ...)` is called **ReLU**; it is the bend that a
# straight line lacks.

# %%
hidden = torch.stack([X.sum(1), torch.relu(X.sum(1) - 1)], dim=1)
for (a, b), (some, both) in zip(X.tolist(), hidden.tolist(), strict=True):
    print(f"a = {a:.0f}, b = {b:.0f}: hidden {some:.0f} and {both:.0f}, answer {some - 2 * both:.0f}")

# %% [markdown]
# ## A hidden layer, learned
#
# Nobody has to find such questions: gradient descent does, if there is a hidden layer to put them in.

# %%
torch.manual_seed(0)
two_layers = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
say("with 4 hidden units", two_layers, train(two_layers))

# %%
side = torch.linspace(-0.5, 1.5, 120)
grid = torch.cartesian_prod(side, side)
figure = Figure(figsize=(6.4, 3.5), layout="constrained")
for axes, network, title in zip(
    figure.subplots(1, 2), (one_layer, two_layers), ("one layer", "4 hidden units"), strict=True
):
    with torch.no_grad():
        shades = network(grid)[:, 0].sigmoid().reshape(120, 120).T.numpy()
    axes.contourf(side, side, shades, levels=[0, 0.1, 0.25, 0.4, 0.6, 0.75, 0.9, 1], cmap="Greys", alpha=0.5)
    for wanted, colour, mark in ((0, MISTAKE, "s"), (1, HIT, "o")):
        axes.plot(*X[wanted == Y].T.numpy(), mark, color=colour, markersize=11, label=f"wanted {wanted}")
    axes.set(xlabel="a", ylabel="b", title=title, aspect="equal")
figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
figure.savefig(
    FIGURES / "planes.svg",
    metadata={
        "Description": "One layer shades the whole plane the same; with 4 hidden units a band holds the two ones"
    },
)

# %% [markdown]
# ## How many hidden units?
#
# The solution by hand needs two. Does descent find it? That depends on the random numbers it starts from, so one trial
# proves nothing. We train 200 networks of each width, each from another start. (All 200 at once: torch multiplies
# stacks of matrices.)


# %%
def solved(width, networks=200, steps=400):
    torch.manual_seed(width)
    shapes, spread = [(2, width), (1, width), (width, 1), (1, 1)], [1, 1, width**-0.5, 0]
    parameters = [
        (torch.randn(networks, *shape) * size).requires_grad_() for shape, size in zip(shapes, spread, strict=True)
    ]
    W1, b1, W2, b2 = parameters
    optimizer = torch.optim.Adam(parameters, lr=0.05)
    for _ in range(steps):
        logits = (torch.relu(X @ W1 + b1) @ W2 + b2)[..., 0]
        losses = torch.nn.functional.binary_cross_entropy_with_logits(logits, Y.expand_as(logits), reduction="none")
        optimizer.zero_grad()
        losses.mean(1).sum().backward()
        optimizer.step()
    right = ((logits > 0) == (Y > 0)).all(1)
    return gr.Estimate.of_share("solved", int(right.sum()), networks)


for width in (1, 2, 4, 8, 16):
    print(f"{width:2} hidden units: solved by {solved(width)}")

# %% [markdown]
# In the brackets: where the true share lies, with 95 % confidence. One unit can't do it, two often get stuck, sixteen
# hardly ever do. Wider than needed is easier to train: there are more ways to be right. That is one reason why networks
# are so large.
#
# ## Exercise
#
# Take the ReLU away: `Linear(2, 4)` and right after it `Linear(4, 1)`. There still are two layers. What will the loss
# be?
#
# ## Answer

# %%
torch.manual_seed(0)
no_bend = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Linear(4, 1))
say("two layers without ReLU", no_bend, train(no_bend))

# %% [markdown]
# A coin again. Weighing sums of weighed sums is weighing once: two layers without a bend between them are one layer.
