"""The learning rate: too low, too high, just right, and how to find it.

Seconds: 5
Order: 50
"""

# %% [markdown]
# # The learning rate
#
# Gradient descent knows which way is down. How far to go is for us to say: the **learning rate** is the one number that
# has to be right, or nothing else matters.

# %%
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

import goldenrule as gr
from goldenrule.report.figures.plots import GOLD, HIT, MISTAKE

FIGURES = Path("rate")
FIGURES.mkdir(exist_ok=True)

# %% [markdown]
# ## In the simplest valley there is
#
# The loss is w squared, the gradient 2 w. Each step makes w <- w - rate x 2 w, that is, multiplies it by 1 - 2 rate.

# %%
STEPS = 10
figure = Figure(figsize=(7, 2.2), layout="constrained")
w = np.linspace(-5, 5, 100)
for axes, rate in zip(figure.subplots(1, 4, sharey=True), (0.02, 0.3, 0.95, 1.02), strict=True):
    path = 4 * (1 - 2 * rate) ** np.arange(STEPS + 1)
    print(f"rate {rate:4}: each step multiplies w by {1 - 2 * rate:5.2f}; after {STEPS} steps w = {path[-1]:8.5f}")
    axes.plot(w, w**2, color="silver")
    axes.plot(path, path**2, ".-", color=MISTAKE if abs(path[-1]) > 1 else HIT, linewidth=0.8)
    axes.set_title(f"rate {rate}", fontsize=9)
figure.savefig(
    FIGURES / "valley.svg",
    metadata={"Description": "Four paths in a valley: creeping, arriving, jumping from side to side, climbing out"},
)

# %% [markdown]
# Too low creeps. Too high jumps over the lowest point, and above a certain rate (here 1) each jump is longer than the
# one before: it diverges. The steeper the walls, the lower that rate. Between creeping and climbing lies all there is.
#
# ## On handwritten digits
#
# A small network: 64 pixels, 32 hidden ReLUs, 10 digits. 1,297 pictures to learn from, 500 to be evaluated on; 200
# steps of 64 pictures each.

# %%
digits = load_digits()
order = np.random.default_rng(0).permutation(len(digits.target))
pictures = torch.tensor(digits.data[order] / 16, dtype=torch.float32)
labels = torch.tensor(digits.target[order])
train_x, train_y, test_x, test_y = pictures[500:], labels[500:], pictures[:500], labels[:500]


def fresh():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))


def train(network, rates):
    losses, draws = [], torch.Generator().manual_seed(0)
    for rate in rates:
        batch = torch.randint(len(train_x), (64,), generator=draws)
        loss = torch.nn.functional.cross_entropy(network(train_x[batch]), train_y[batch])
        losses.append(loss.item())
        gradients = torch.autograd.grad(loss, list(network.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(network.parameters(), gradients, strict=True):
                parameter -= rate * gradient
    return losses


def accuracy(network):
    right = network(test_x).argmax(1) == test_y
    return gr.Estimate.of_share("accuracy", int(right.sum()), len(right))


figure = Figure(figsize=(6, 3.4), layout="constrained")
axes = figure.add_subplot()
for rate, colour in ((0.001, "silver"), (0.03, GOLD), (0.5, HIT), (3, MISTAKE), (100, "black")):
    network = fresh()
    losses = train(network, [rate] * 200)
    print(f"rate {rate:>5}: last loss {losses[-1]:8.3g}, right on {accuracy(network)}")
    axes.plot(losses, color=colour, label=f"rate {rate}", linewidth=0.9)
axes.set(xlabel="step", ylabel="loss of the batch", ylim=(0, 4.5))
axes.legend(frameon=False, ncols=3, fontsize=8)
figure.savefig(
    FIGURES / "digits.svg",
    metadata={
        "Description": "Loss over 200 steps at five rates: 0.001 hardly falls, .5 falls far, 100 goes up at once"
    },
)

# %% [markdown]
# 2.3 is log 10, the loss of a guess among ten digits. The lowest rate hardly leaves it in 200 steps. Rate 3 comes back
# to it: one of its first steps was so long that 30 of the 32 ReLUs died (see the lesson `activation`). Rate 100
# is out of the picture at once.
#
# ## Find it: the range test
#
# One need not try them all. Begin with a tiny rate and raise it a little at every step (Smith, arXiv:1506.01186). While
# the rate is too low the loss stays; then it falls, faster and faster; then it bursts. A good rate lies where it still
# clearly falls, well before the lowest point. `goldenrule lr-find` does this for your images.

# %%
rates = np.geomspace(1e-3, 30, 300)
losses = np.array(train(fresh(), rates))
average, mean = [], losses[0]
for loss in losses:
    mean = 0.9 * mean + 0.1 * min(loss, 10)  # smoothed, or one sees the luck of the batches
    average.append(mean)
lowest = int(np.argmin(average))
found = rates[lowest] / 10
print(f"The smoothed loss is lowest at rate {rates[lowest]:.2g}; a tenth of it is {found:.2g}")
network = fresh()
train(network, [found] * 200)
print(f"trained at {found:.2g}: right on {accuracy(network)}")

# %% [markdown]
# A tenth of the lowest is careful: in as many steps .5 got further, above. But .5 lies close under the edge, and nobody
# had told us to try it. One test of 300 steps did, instead of one training for each rate.

# %%
figure = Figure(figsize=(5, 3), layout="constrained")
axes = figure.add_subplot()
axes.semilogx(rates, np.minimum(losses, 10), color="silver", linewidth=0.7)
axes.semilogx(rates, average, color=HIT)
axes.axvline(rates[lowest], color=MISTAKE, linestyle=":", label="lowest: already too high")
axes.axvline(found, color=GOLD, linestyle="--", label="a tenth of it")
axes.set(xlabel="rate", ylabel="loss", ylim=(0, 4))
axes.legend(frameon=False, fontsize=8)
figure.savefig(
    FIGURES / "finder.svg",
    metadata={
        "Description": "The loss is level, falls as the rate grows, and bursts; a line at a tenth of the lowest point"
    },
)

# %% [markdown]
# ## Exercise
#
# The pixels were divided by 16, so that they lie between 0 and 1. Somebody forgets it (it happens: pixels from 0 to
# 255, straight into a network). What does the best of the rates above do now, and which rate is right?
#
# ## Answer

# %%
train_x, test_x = train_x * 16, test_x * 16
for rate in (0.5, 0.05, 0.005, 0.0005):
    network = fresh()
    losses = train(network, [rate] * 200)
    print(f"pixels 0 to 16, rate {rate:>6}: last loss {losses[-1]:8.3g}, right on {accuracy(network)}")

# %% [markdown]
# Inputs 16 times as large make the walls steeper, and the old rate climbs out: a guess among ten digits. A tenth of it
# is right now. So a good rate belongs to the data, the network and the batch, and has to be found again when one of
# them changes; and pixels are scaled the same way always, which goldenrule keeps with the classifier.
