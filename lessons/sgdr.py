"""SGDR: a rate that falls and starts anew, on a bumpy valley.

Seconds: 2
Order: 60
"""

# %% [markdown]
# # SGDR on a bumpy valley
#
# A rate that falls to nothing comes to rest; where, is a matter of luck. **SGDR** (stochastic gradient descent with
# warm restarts, Loshchilov and Hutter, arXiv:1608.03983) lets it fall along a cosine, then jump back to the full
# rate, and again. What is that good for? We take a valley that one can draw, and measure.

# %%
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import goldenrule as gr
from goldenrule.report.figures.plots import GOLD, HIT, MISTAKE

FIGURES = Path("sgdr")
FIGURES.mkdir(exist_ok=True)

# %% [markdown]
# ## The valley
#
# A wide bowl with bumps. Each bump makes a small hollow in which a walker can be caught. Training images are only a
# sample, so each step's gradient is a little off: we add noise to it.


# %%
def loss(w):
    return 0.05 * w**2 + 0.5 * (1 - np.cos(3 * w))


def gradient(w):
    return 0.1 * w + 1.5 * np.sin(3 * w)


FULL, NOISE, EPOCH = 0.4, 3.0, 50  # the full rate, the size of the noise, steps in an epoch


def walk(factor, starts):
    draws, w, path = np.random.default_rng(1), starts.copy(), [starts.copy()]
    for step in range(7 * EPOCH):
        rate = FULL * factor(step / EPOCH)
        w = w - rate * (gradient(w) + NOISE * draws.standard_normal(len(w)))
        path.append(w.copy())
    return np.array(path)


grid = np.linspace(-9, 9, 9001)
downhill = gradient(grid) < 0
print(f"hollows between -9 and 9: {(downhill[:-1] & ~downhill[1:]).sum()}; the deepest is at 0")

# %% [markdown]
# ## Five ways to spend 350 steps
#
# Seven epochs of 50 steps: at a low rate throughout, at the full one throughout, one long cosine, seven short ones, and
# SGDR as the golden rule has it: cycles of 1, 2 and 4 epochs (`cycle_mult=2`).


# %%
WAYS = {
    "low rate": lambda _: 0.05,
    "full rate": lambda _: 1.0,
    "one cosine": gr.training.Sgdr(cycles=1, length=7).factor,
    "7 cycles of 1": gr.training.Sgdr(cycles=7).factor,
    "cycles of 1, 2, 4": gr.training.Sgdr(cycles=3, mult=2).factor,
}

start = np.array([-7.4])
figure = Figure(figsize=(7, 4.4), layout="constrained")
panels = figure.subplots(2, 3)
for axes, name in zip(panels.T, ("low rate", "one cosine", "cycles of 1, 2, 4"), strict=True):
    path = walk(WAYS[name], start)[:, 0]
    steps = np.arange(len(path))
    axes[0].plot(steps[:-1], [FULL * WAYS[name](step / EPOCH) for step in steps[:-1]], color=GOLD)
    axes[0].set(title=name, xlabel="step", ylabel="rate", ylim=(0, 0.45))
    axes[1].plot(grid, loss(grid), color="silver")
    axes[1].plot(path, loss(path), ".", color=HIT, markersize=2)
    axes[1].plot(path[-1], loss(path[-1]), "*", color=MISTAKE, markersize=12)
    axes[1].set(xlabel="w", ylabel="loss", xlim=(-9, 9), ylim=(0, 5.5))
figure.savefig(
    FIGURES / "walks.svg",
    metadata={
        "Description": "Rates above, walks below: a low rate stays in its hollow, both cosines wander and settle"
    },
)

# %% [markdown]
# ## Two thousand walkers
#
# One walk is luck: above the long cosine happened to end in the deepest hollow, SGDR in a poor one. Two thousand
# walkers start anywhere between -9 and 9; all meet the same noise whichever way they
# take. How low do they stand, on average, after each epoch?

# %%
starts = np.random.default_rng(0).uniform(-9, 9, 2000)
walks = {name: walk(factor, starts) for name, factor in WAYS.items()}


def mean(values):
    margin = 1.96 * values.std(ddof=1) / len(values) ** 0.5
    return f"{values.mean():.2f} [{values.mean() - margin:.2f}, {values.mean() + margin:.2f}]"


print(f"{'mean loss after':>18}     1 epoch            3 epochs           7 epochs")
for name, path in walks.items():
    print(f"{name:>18}  " + "  ".join(mean(loss(path[epochs * EPOCH])) for epochs in (1, 3, 7)))

# %%
figure = Figure(figsize=(6, 3.4), layout="constrained")
axes = figure.add_subplot()
for (name, path), colour in zip(walks.items(), ("silver", "black", GOLD, MISTAKE, HIT), strict=True):
    axes.plot(np.arange(351) / EPOCH, loss(path).mean(axis=1), color=colour, label=name, linewidth=1.1)
axes.set(xlabel="epoch", ylabel="mean loss of 2,000 walkers", ylim=(0, 2.2))
axes.legend(frameon=False, ncols=3, fontsize=8)
figure.savefig(
    FIGURES / "losses.svg",
    metadata={
        "Description": "Mean losses: low and full rate stay high, the long cosine falls late, SGDR at each cycle's end"
    },
)

# %% [markdown]
# What can be said, and what can't:
#
# - A low rate is caught in the hollow where it starts. The full rate is caught nowhere, and never comes to rest.
# - A rate that falls does both: first wander, then settle. That is most of what there is to gain.
# - For a **given** number of steps one long cosine is the best of the five here, and better than restarts: it ends
#   lower. SGDR is not magic.
# - But one must know that number beforehand. After one epoch, and after three, SGDR stands far lower than the long
#   cosine, since at the end of each cycle it is at rest. One can stop there, or go on. "Train until it over-fits" needs
#   just that: nobody knows beforehand when it will.
# - Cycles that grow are better than equal short ones: the later ones have time to settle well.
#
# This is a valley with one number in it. Networks have millions, and which way is best there is to be measured on
# validation images; `goldenrule fit` keeps what stood at the end of every cycle and chooses among them.
#
# ## Exercise
#
# At the end of each cycle one can keep a copy. Let every walker of "cycles of 1, 2, 4" go back to the lowest of its
# three ends. Is that better than one long cosine?
#
# ## Answer

# %%
ends = np.array([epochs * EPOCH for epochs in gr.training.Sgdr(cycles=3, mult=2).cycle_ends])
best = loss(walks["cycles of 1, 2, 4"][ends]).min(axis=0)
long = loss(walks["one cosine"][-1])
print(f"best of three ends: {mean(best)}; one cosine: {mean(long)}; difference {mean(best - long)}")

# %% [markdown]
# Here each walker knows its true loss. On images one has validation images instead, and choosing on them flatters: the
# number for the outside world has to come from others.
