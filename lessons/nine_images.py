"""Why nine test images prove nothing.

    python lessons/nine_images.py

A study compared seven networks on nine test images, and one of them got "100 %". This lesson says what nine images can
tell, what luck does with seven tries, and how many images it takes. The figures are written to the folder nine_images.

Seconds: 2
Order: 120
"""

# %% [markdown]
# # Why nine test images prove nothing
#
# A student trained seven networks to tell cats, dogs and horses apart. Nine pictures had been kept for the test, and
# one network was right on all nine: "test accuracy 100 %". Is it a network that is always right? Is it even the best?

# %%
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import goldenrule as gr
from goldenrule.report.figures.plots import GOLD, HIT, MISTAKE

FIGURES = Path("nine_images")
FIGURES.mkdir(exist_ok=True)
draws = np.random.default_rng(0)

# %% [markdown]
# ## What 9 of 9 says
#
# A test is a sample: other pictures would have given another number. The interval holds all the accuracies that go
# well with what was seen (Wilson's, 95 %; the exact one of Clopper and Pearson begins even lower, at 66 %). The same
# "100 %" on more pictures says more:

# %%
all_right = [gr.Estimate.of_share("accuracy", n, n) for n in (9, 20, 50, 100, 300, 1000)]
nine = all_right[0]
print(*all_right, sep="\n")

figure = Figure(figsize=(6.4, 2.8), layout="constrained")
axes = figure.add_subplot()
for place, one in enumerate(all_right):
    axes.plot([place, place], [100 * one.low, 100 * one.high], color=MISTAKE if one is nine else HIT, linewidth=4)
axes.set_xticks(range(len(all_right)), [f"{one.n:,}" for one in all_right])
axes.set(xlabel="test images, all of them right", ylabel="true accuracy may be, %")
axes.spines[["top", "right"]].set_visible(False)
figure.savefig(
    FIGURES / "intervals.svg",
    metadata={
        "Description": "Nine of nine right: the truth may be 70 to 100 %. The bar shrinks slowly, to a point at 1,000"
    },
)

# %% [markdown]
# ## See it happen
#
# Take a network of which we know that it is right on 80 % of all pictures in the world, since we make it up. Give it
# 10,000 different tests of nine pictures. How often does it get all nine?

# %%
TESTS = 10_000
figure = Figure(figsize=(6.4, 2.8), layout="constrained")
axes = figure.add_subplot()
for place, (truth, colour) in enumerate({0.7: MISTAKE, 0.8: GOLD, 0.95: HIT}.items()):
    right = draws.binomial(9, truth, size=TESTS)
    perfect = gr.Estimate.of_share("perfect tests", int((right == 9).sum()), TESTS)
    print(f"truly right on {truth:.0%}: 9 of 9 in {perfect} tests")
    heights = np.bincount(right, minlength=10) / TESTS * 100
    axes.bar(np.arange(10) + (place - 1) * 0.28, heights, width=0.28, color=colour, label=f"truly {truth:.0%}")
axes.set(xlabel="right of nine", ylabel="share of the tests, %", xticks=range(10))
axes.legend(frameon=False, fontsize=8)
axes.spines[["top", "right"]].set_visible(False)
figure.savefig(
    FIGURES / "luck.svg",
    metadata={
        "Description": "How many of nine are right: the heaps of classifiers truly 70, 80 and 95 % right overlap"
    },
)

# %% [markdown]
# ## Seven tries
#
# Who throws seven dice is not surprised by a six. If all seven networks are equally good, 80 % each, and one reports
# the best of the seven, a perfect score is more likely than not. (The networks are taken to err independently. Real
# ones stumble over the same pictures, which makes it somewhat less likely.)

# %%
best = draws.binomial(9, 0.8, size=(TESTS, 7)).max(axis=1)
best_perfect = gr.Estimate.of_share("best of seven is perfect", int((best == 9).sum()), TESTS)
print(f"seven equal networks of 80 %: the best one has 9 of 9 in {best_perfect} tests")

# %% [markdown]
# ## Are they different at all?
#
# These are the seven scores of the study. All intervals overlap, even the lowest and the highest:

# %%
STUDY = {
    "original network": 4,
    "ResNet from scratch": 4,
    "ResNet fine-tuned": 8,
    "ResNet transfer": 7,
    "EfficientNet from scratch": 7,
    "EfficientNet fine-tuned": 7,
    "EfficientNet transfer": 9,
}
for name, right_of_nine in STUDY.items():
    print(f"{name:24}", gr.Estimate.of_share("accuracy", right_of_nine, 9))

# %% [markdown]
# Two networks that took the same test are compared on the same pictures: only those count on which one is right and
# the other wrong (McNemar's test). Between 9 and 7 of 9 these are two pictures, and two coins that fall alike are no
# proof.


# %%
def predictions(right: np.ndarray) -> gr.Predictions:
    """Return the predictions of a network that is right where `right` (n,) is true."""
    logits = np.where(right[:, np.newaxis], [2.0, 0.0], [0.0, 2.0])
    return gr.Predictions.from_logits(logits, ["horse", "other"], truth=np.zeros(len(right), int))


seven_of_nine = predictions(np.arange(9) < 7)
nine_of_nine = predictions(np.arange(9) < 9)
verdict = gr.metrics.mcnemar(seven_of_nine, nine_of_nine)
print(verdict.sentence("the one with 7", "the one with 9"))

# %% [markdown]
# Even the widest gap of the study, 9 against 4 of 9, is five pictures: p = 2 / 2⁵ = .06. By this test *no two* of the
# seven networks can be told apart. Nine pictures could only show a difference of six or more, all in one direction.

# %%
widest = gr.metrics.mcnemar(predictions(np.arange(9) < 4), nine_of_nine)
print(widest.sentence("the one with 4", "the one with 9"))
for k in range(4, 8):
    print(f"{k} pictures on which one alone is right, none the other way: p = {2 * 0.5**k:.3f}")

# %% [markdown]
# ## How many are needed?
#
# It depends on what you want to say. "Right on more than 95 %, surely", without one mistake:


# %%
def images_needed(least: float) -> int:
    """Return how many images, all of them right, put the lower end of the interval at `least`."""
    n = 1
    while gr.Estimate.of_share("accuracy", n, n).low < least:
        n += 1
    return n


needed = {least: images_needed(least) for least in (0.9, 0.95, 0.99)}
for least, n in needed.items():
    print(f"surely above {least:.0%}: {n} images, all right")

# %% [markdown]
# "B is better than A", where A alone is right on 1 % of the pictures and B alone on 3 %: here is such a pair on 200
# pictures, and goldenrule says how many it would take to see it four times of five.

# %%
a = predictions(~np.isin(np.arange(200), range(6)))  # six mistakes that B does not make
b = predictions(~np.isin(np.arange(200), range(6, 8)))  # two that A does not make
print(gr.metrics.mcnemar(a, b).sentence())

# %% [markdown]
# ## What to do with few pictures
#
# Do not keep nine pictures for a test. Let *every* picture be a test picture once: `goldenrule fit` splits the
# training pictures in five, trains on four fifths, asks the fifth, and goes round (out-of-fold predictions). 500
# pictures then are 500 test pictures. And let the interval stand beside each number: goldenrule prints no number
# without one.
#
# ## Exercise
#
# Your network is right on 48 of 50 test pictures. A friend's is right on 45 of the same 50, and on all that yours got
# wrong. You say: "mine is better, 96 % against 90 %." Is that so? Guess first; then run the cell.

# %%
yours = predictions(np.arange(50) >= 2)  # wrong on the first two
friends = predictions(np.arange(50) < 45)  # wrong on the last five
print("yours:   ", gr.metrics.accuracy(yours))
print("friend's:", gr.metrics.accuracy(friends))
exercise = gr.metrics.mcnemar(friends, yours)
print(exercise.sentence("the friend's", "yours"))

# %% [markdown]
# **Answer.** Nobody knows. On 43 pictures both are right: those say nothing about who is better. Seven are left, five
# for you and two for your friend, and seven coins fall five to two or more unevenly in 45 of 100 cases. You are not
# wrong; you just can't know it from 50 pictures.
