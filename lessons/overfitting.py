"""Over-fitting, and what helps against it.

    python lessons/overfitting.py

A network of 16,510 weights learns sixty handwritten digits by heart. Four cures are tried side by side: more images,
weight decay, augmentation, early stopping. The figures are written to the folder overfitting.

Seconds: 10
Order: 70
"""

# %% [markdown]
# # Over-fitting, and what helps against it
#
# A pupil who learns the answers of last year's exam by heart has full marks in that exam and fails the next one. So
# does a network with many weights and few pictures: it remembers instead of understanding. One sees it by keeping
# pictures aside that it does not learn from: those that *validate*, by which we choose, and those that *test*, at
# which nobody looks until all is chosen.

# %%
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from torch.nn import functional

import goldenrule as gr
from goldenrule.report.figures.plots import GOLD, HIT, MISTAKE

FIGURES = Path("overfitting")
FIGURES.mkdir(exist_ok=True)
EPOCHS = 200
digits = load_digits()  # 1,797 handwritten digits of 8 x 8 pixels
pixels = torch.tensor(digits.images / 16, dtype=torch.float32)
truth = torch.tensor(digits.target)

# %% [markdown]
# ## A network, and its training
#
# One hidden layer of 220 units: 16,510 weights for sixty pictures. `train` gives the loss on training and on
# validation images after each epoch, and the logits on the test images after the last epoch, and after the epoch with
# the lowest validation loss. The loss is the mean of -ln(probability of the true class): 0 is perfect, 2.3 is guessing
# among ten.


# %%
def turned(pictures: torch.Tensor) -> torch.Tensor:
    """Return pictures (n, 8, 8), each turned by up to 15 degrees, zoomed by 10 % and moved by half a pixel."""
    n = len(pictures)
    angle = (torch.rand(n) * 2 - 1) * np.deg2rad(15)
    zoom = 1 + (torch.rand(n) * 2 - 1) * 0.1
    shift = (torch.rand(n, 2) * 2 - 1) / 8
    across = torch.stack([zoom * angle.cos(), -zoom * angle.sin(), shift[:, 0]], dim=1)
    down = torch.stack([zoom * angle.sin(), zoom * angle.cos(), shift[:, 1]], dim=1)
    grid = functional.affine_grid(torch.stack([across, down], dim=1), [n, 1, 8, 8], align_corners=False)
    return functional.grid_sample(pictures[:, None], grid, align_corners=False)[:, 0]


def train(draw: int, images: int = 60, decay: float = 0.0, augment: bool = False) -> dict:
    """Train on so many digits; `draw` says which ones train, validate and test, and where the weights begin."""
    order = np.random.default_rng(draw).permutation(len(truth))
    learned, valid, test = order[:images], order[600:1000], order[1000:]
    torch.manual_seed(draw)
    network = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(64, 220), torch.nn.ReLU(), torch.nn.Linear(220, 10)
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01, weight_decay=decay)
    train_losses, valid_losses = [], []
    for _ in range(EPOCHS):
        pictures = turned(pixels[learned]) if augment else pixels[learned]
        loss = functional.cross_entropy(network(pictures), truth[learned])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            train_losses.append(float(functional.cross_entropy(network(pixels[learned]), truth[learned])))
            valid_losses.append(float(functional.cross_entropy(network(pixels[valid]), truth[valid])))
            if valid_losses[-1] == min(valid_losses):
                best, early = len(valid_losses), network(pixels[test])
    names = [str(digit) for digit in range(10)]
    with torch.no_grad():
        last, early = (
            gr.Predictions.from_logits(logits.numpy(), names, truth=digits.target[test])
            for logits in (network(pixels[test]), early)
        )
    return {"train": train_losses, "valid": valid_losses, "best": best, "last": last, "early": early}


# %% [markdown]
# ## The disease
#
# Sixty digits, 200 epochs. The training loss falls to nothing; the validation loss falls, turns, and rises. From the
# turn on the network learns nothing any more that is true of other digits: it only becomes surer, of its mistakes too.

# %%
plain = train(0)
turn = plain["best"]
for name in ("train", "valid"):
    print(f"{name}: loss {plain[name][turn - 1]:.3f} after epoch {turn}, {plain[name][-1]:.3f} after {EPOCHS}")

figure = Figure(figsize=(6.4, 3.0), layout="constrained")
axes = figure.add_subplot()
axes.plot(range(1, EPOCHS + 1), plain["train"], color="#888888", label="train, 60 images")
axes.plot(range(1, EPOCHS + 1), plain["valid"], color=HIT, label="valid, 400 images")
axes.plot([turn], [plain["valid"][turn - 1]], "o", color=GOLD, label=f"the turn, epoch {turn}")
axes.set(xlabel="epoch", ylabel="loss", ylim=(0, 1.2))
axes.legend(frameon=False, fontsize=8)
axes.spines[["top", "right"]].set_visible(False)
figure.savefig(
    FIGURES / "curves.svg",
    metadata={
        "Description": "The loss of 60 training images falls to nothing; that of validation turns at epoch 19 and rises"
    },
)

# %% [markdown]
# ## Four cures
#
# * **More images**: 600 instead of 60. The best cure, where one can have it.
# * **Weight decay**: every weight is pulled a little towards 0 in every step, so that only what many pictures ask for
#   stays large.
# * **Augmentation**: each digit is turned, zoomed and moved a little otherwise in each epoch, so that there is no
#   picture to remember.
# * **Early stopping**: go back to the epoch of the turn.

# %%
CURES = {
    "none": plain,
    "600 images": train(0, images=600),
    "weight decay": train(0, decay=3.0),
    "augmentation": train(0, augment=True),
}
evaluated = {name: one["last"] for name, one in CURES.items()} | {"early stopping": plain["early"]}
for name, predictions in evaluated.items():
    print(f"{name:15} test: {gr.metrics.accuracy(predictions)}; loss {gr.metrics.log_loss(predictions)}")

# %%
figure = Figure(figsize=(9.0, 3.0), layout="constrained")
curves, bars = figure.subplots(1, 2)
COLOURS = dict(zip(evaluated, ("#888888", HIT, GOLD, MISTAKE, "#333333"), strict=True))
for name, one in CURES.items():
    curves.plot(range(1, EPOCHS + 1), one["valid"], color=COLOURS[name], label=name)
curves.set(xlabel="epoch", ylabel="loss on 400 validation images", ylim=(0, 1.4))
curves.legend(frameon=False, fontsize=8)
for place, (name, predictions) in enumerate(evaluated.items()):
    loss = gr.metrics.log_loss(predictions)
    bars.plot([loss.low, loss.high], [place, place], color=COLOURS[name], linewidth=2)
    bars.plot([loss.value], [place], "o", color=COLOURS[name])
bars.set_yticks(range(len(evaluated)), evaluated)
bars.invert_yaxis()
bars.set(xlabel="loss on 797 test images, 95 % interval", xlim=(0, None))
for axes in (curves, bars):
    axes.spines[["top", "right"]].set_visible(False)
figure.savefig(
    FIGURES / "cures.svg",
    metadata={
        "Description": "Losses over epochs and on test: more images cure best by far, augmentation not in this draw"
    },
)

# %% [markdown]
# ## Or was it luck?
#
# Twice. First: would other test images say the same? The paired bootstrap asks on the same 797 images.

# %%
for name, predictions in evaluated.items():
    if name != "none":
        print(gr.metrics.paired_bootstrap(evaluated["none"], predictions).sentence("no cure", name))

# %% [markdown]
# Second: would other *training* images say the same? Sixty digits are soon a lucky or an unlucky sixty. So all of it
# again with four other draws; what counts is in how many of the five a cure has a lower test loss, or more test images
# right, than none.

# %%
draws = [evaluated]
for draw in range(1, 5):
    none, decayed, augmented = train(draw), train(draw, decay=3.0), train(draw, augment=True)
    more = train(draw, images=600)
    draws.append(
        {
            "none": none["last"],
            "600 images": more["last"],
            "weight decay": decayed["last"],
            "augmentation": augmented["last"],
            "early stopping": none["early"],
        }
    )
for name in evaluated:
    losses = [gr.metrics.log_loss(one[name]).value for one in draws]
    shares = [gr.metrics.accuracy(one[name]).value for one in draws]
    lower = sum(gr.metrics.log_loss(one[name]).value < gr.metrics.log_loss(one["none"]).value for one in draws)
    higher = sum(gr.metrics.accuracy(one[name]).value > gr.metrics.accuracy(one["none"]).value for one in draws)
    print(
        f"{name:15} loss {np.mean(losses):.2f} ({min(losses):.2f} to {max(losses):.2f}), lower in {lower} of 5; "
        f"accuracy {np.mean(shares):.1%} ({min(shares):.1%} to {max(shares):.1%}), higher in {higher} of 5"
    )

# %% [markdown]
# More images win every time, in loss and in accuracy: nothing replaces them. Weight decay and early stopping lower the
# loss every time, but hardly ever make more answers right: they take back false certainty, not mistakes. And had we
# looked at one draw alone, we would have said that augmentation *harms*; over five it has the second-best accuracy,
# and a loss that is now much lower, now higher, than without. One draw of sixty images is one draw: beware of tables
# that show no more.
#
# ## In goldenrule
#
# `goldenrule fit` chooses the pull on the weights of the head out-of-fold, learns from augmented views, keeps the best
# cycle instead of the last (`keep="best"`), and `gr.Learner.fit_until_overfit` stops when over-fitting is confirmed.
# And `goldenrule learning-curve` says how much more images would help: see [how many more images are
# needed](../how-to/learning-curve.md).
#
# ## Exercise
#
# Cures can be taken together. Is augmentation *and* weight decay better than augmentation alone? Guess; then run the
# cell.

# %%
both = train(0, decay=3.0, augment=True)["last"]
print(f"both: test: {gr.metrics.accuracy(both)}; loss {gr.metrics.log_loss(both)}")
exercise = gr.metrics.paired_bootstrap(evaluated["augmentation"], both)
print(exercise.sentence("augmentation", "augmentation and weight decay"))

# %% [markdown]
# **Answer.** In the loss yes, clearly: augmentation alone was trained 200 epochs far and had become too sure of its
# mistakes; the decay holds the weights small. In the accuracy there is little between them (the intervals overlap
# widely), and on this draw sixty images are too few for either. Where the pictures come cheap, take more of them
# first.
