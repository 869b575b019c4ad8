"""A line through five points: gradient descent, step by step.

Seconds: 2
Order: 10
"""

# %% [markdown]
# # A line through five points
#
# Somebody has a rule, y = 2x + 1, and shows us five examples of it, but not the rule. We want a program that finds the
# two numbers, 2 and 1, by itself. A network of a million numbers learns in the very same way, so it pays to watch it
# once with two.

# %%
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from goldenrule.report.figures.plots import GOLD, HIT, MISTAKE

FIGURES = Path("regression")
FIGURES.mkdir(exist_ok=True)

X = [0, 1, 3, 5, 6]
Y = [1, 3, 7, 11, 13]

# %% [markdown]
# ## A guess, and how wrong it is
#
# Our model is y = weight x + bias. We begin with a guess: weight 1, bias 10. For x = 1 it says 11, where 3 is right: an
# error of +8. The **loss** sums up all errors in one number: the mean of their squares. Learning means: change weight
# and bias until the loss is small.


# %%
def loss(weight, bias):
    return np.mean([(weight * x + bias - y) ** 2 for x, y in zip(X, Y, strict=True)])


print(f"error at x = 1: {1 * 1 + 10 - 3:+}")
print(f"loss of the guess: {loss(1, 10):.1f}, of the true rule: {loss(2, 1):.1f}")

# %% [markdown]
# ## Which way is down?
#
# The square of an error is error x error, with error = weight x + bias - y. Its **gradient** says how it changes if
# weight or bias grow a little: 2 error x for the weight, 2 error for the bias. Where the gradient is positive, growing
# makes it worse, so we go the other way: that is **gradient descent**. The **learning rate** says how far.
#
# One look at one example, and one step, is an *iteration*; once through all five is an *epoch*. Fifty epochs are 250
# iterations.

# %%
RATE, EPOCHS = 0.025, 50

weight, bias = 1.0, 10.0
path = [(weight, bias)]
for _ in range(EPOCHS):
    for x, y in zip(X, Y, strict=True):
        error = weight * x + bias - y
        weight -= RATE * 2 * error * x
        bias -= RATE * 2 * error
    path.append((weight, bias))

for epoch in (0, 1, 2, 5, 10, 20, 50):
    print(f"after epoch {epoch:2}: y = {path[epoch][0]:.4f} x + {path[epoch][1]:7.4f}, loss {loss(*path[epoch]):.5f}")

# %% [markdown]
# The line turns into the five points. It never is exactly there: each step takes away a share of what is left.

# %%
figure = Figure(figsize=(6.4, 3.2), layout="constrained")
left, right = figure.subplots(1, 2)
for epoch, colour in ((0, "silver"), (1, GOLD), (5, MISTAKE), (50, HIT)):
    left.plot(X, np.polyval(path[epoch], X), color=colour, label=f"epoch {epoch}")
left.plot(X, Y, "o", color="black")
left.set(xlabel="x", ylabel="y")
left.legend(frameon=False)
right.semilogy([loss(*point) for point in path], color=HIT)
right.set(xlabel="epoch", ylabel="loss")
figure.savefig(
    FIGURES / "line.svg",
    metadata={"Description": "Left: lines after 0, 1, 5 and 50 epochs close in on five points. Right: the loss falls"},
)

# %% [markdown]
# ## The valley
#
# Each pair of weight and bias is a place on a map, and the loss there is its height. Seen from above the path first
# drops to the floor of a long, narrow valley, and then follows it slowly to the lowest point. Most of the time is spent
# on that floor; what makes training quick (a good rate, momentum, Adam) is there to shorten this walk.

# %%
weights, biases = np.linspace(-1, 4, 200), np.linspace(-2, 11, 200)
heights = np.array([[loss(w, b) for w in weights] for b in biases])
figure = Figure(figsize=(5, 3.6), layout="constrained")
axes = figure.add_subplot()
axes.contour(weights, biases, heights, levels=np.geomspace(0.1, 300, 14), colors="silver", linewidths=0.8)
axes.plot(*zip(*path, strict=True), ".-", color=HIT, markersize=4)
axes.plot(2, 1, "*", color=MISTAKE, markersize=12)
axes.set(xlabel="weight", ylabel="bias")
figure.savefig(
    FIGURES / "valley.svg",
    metadata={
        "Description": "A long, narrow valley from above; the path drops to its floor and follows it to the star"
    },
)

# %% [markdown]
# ## Is it right?
#
# For a line there is a formula (least squares), so we can check. For a network there is none: descent is all we have.

# %%
exact = np.polyfit(X, Y, 1)
print(f"by descent: y = {weight:.4f} x + {bias:.4f}")
print(f"by formula: y = {exact[0]:.4f} x + {exact[1]:.4f}")

# %% [markdown]
# ## Exercise
#
# Take one step per epoch, with the mean gradient of all five examples (a *batch* of five), at the same rate. How many
# epochs does it take until the loss is as small as above? Is that more work, or less?
#
# ## Answer

# %%
x, y, goal = np.array(X), np.array(Y), loss(weight, bias)
weight, bias, epochs = 1.0, 10.0, 0
while loss(weight, bias) > goal:
    error = weight * x + bias - y
    weight, bias = weight - RATE * 2 * np.mean(error * x), bias - RATE * 2 * np.mean(error)
    epochs += 1
print(f"{epochs} epochs of one step each: y = {weight:.4f} x + {bias:.4f}")
print(f"Examples looked at: {EPOCHS * 5} one by one, {epochs * 5} in batches of five.")

# %% [markdown]
# About as many steps, five times as many looks: small batches learn more per look at an example. A computer, though,
# works on a batch of 32 images in hardly more time than on a few, so batches are what one takes.
