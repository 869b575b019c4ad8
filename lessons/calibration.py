"""Calibration: what "90 % sure" should mean.

    python lessons/calibration.py

A head that is far too sure of itself, how one sees it, and how one number, the temperature, puts it right. The figures
are written to the folder calibration.

Seconds: 7
Order: 110
"""

# %% [markdown]
# # What "90 % sure" should mean
#
# A weather forecast is good if it rains on nine of ten of the days for which it says "rain: 90 %". So with a network:
# of all the pictures on which it is 90 % sure, it should be right on 90 %. Then one may act on the number: let the
# sure ones pass, and look at the others oneself. Most networks, as they come out of training, are surer than they
# should be.

# %%
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression

import goldenrule as gr
from goldenrule.demo.digits import write_digits
from goldenrule.report.figures.plots import GOLD, HIT

FIGURES = Path("calibration")
FIGURES.mkdir(exist_ok=True)
images = gr.from_folder(write_digits(Path("demo/digits")))
backbone = gr.backbone("efficientnet_lite0", size=96)
images, features = gr.features_of(images, backbone)
images = gr.with_split(images, shares=gr.data.Shares(valid=0.3, test=0.55))
rows = {split: features.rows(images.split(split).digests).astype(np.float32) for split in ("train", "valid", "test")}
print({split: len(row) for split, row in rows.items()})

# %% [markdown]
# ## A head that is too sure
#
# A head with many weights and few pictures can be right on all of them; and as long as it is asked for a lower loss,
# it can only become surer. So we let it, on purpose: next to no penalty on the weights (C=100), and many steps.

# %%
careless = LogisticRegression(C=100, max_iter=300).fit(rows["train"], images.split("train").targets)


def said(split: str) -> gr.Predictions:
    """Return what the careless head says of a split."""
    table = images.split(split)
    return gr.Predictions.from_logits(
        careless.decision_function(rows[split]), images.classes, truth=table.targets, ids=table.uris
    )


before = said("test")
print(f"training images right: {gr.metrics.accuracy(said('train'))}")
print(f"test images right: {gr.metrics.accuracy(before)}")
print(f"it believes: {before.probabilities.max(axis=1).mean():.1%}")
sure = before.probabilities.max(axis=1) > 0.99
right = int((before.predicted == before.truth)[sure].sum())
print(f"surer than 99 % on {sure.sum()} test images; right on {gr.Estimate.of_share('right', right, sure.sum())}")

# %% [markdown]
# ## One number puts it right
#
# Divide all logits by a number, the temperature, before they become probabilities. Above 1 it makes all answers
# milder. No order changes, so no answer changes: only how sure it is. The number is chosen so that the loss on the
# *validation* images is lowest. Those of the training would not do: on them the head is right to be sure. (Guo et al.,
# [On calibration of modern neural networks](https://arxiv.org/abs/1706.04599), 2017.)

# %%
temperature = gr.metrics.fit_temperature(said("valid"))
after = temperature.apply(before)
print(f"temperature {temperature.value:.2f}, from {temperature.n} validation images")

figure = Figure(figsize=(6.4, 2.8), layout="constrained")
axes = figure.add_subplot()
tried = np.geomspace(0.5, 20, 40)
for split, colour in (("train", "#888888"), ("valid", HIT)):
    losses = [gr.metrics.Temperature(value=one, n=1).apply(said(split)) for one in tried]
    means = [-np.log(np.maximum(p.probabilities[np.arange(len(p)), p.truth], 1e-12)).mean() for p in losses]
    axes.semilogx(tried, means, color=colour, label=split)
axes.axvline(temperature.value, color=GOLD, linestyle="--", label=f"lowest on valid: {temperature.value:.1f}")
axes.set(xlabel="temperature", ylabel="loss", ylim=(0, None))
axes.set_xticks([0.5, 1, 2, 5, 10, 20], ["0.5", "1", "2", "5", "10", "20"])
axes.minorticks_off()
axes.legend(frameon=False, fontsize=8)
axes.spines[["top", "right"]].set_visible(False)
figure.savefig(
    FIGURES / "temperature.svg",
    metadata={
        "Description": "The loss of training images rises with the temperature, that of validation is lowest near 2"
    },
)

# %% [markdown]
# ## Before and after
#
# On test images, which neither the head nor the temperature has seen. On the dashed line "90 % sure" means right on 90
# %; below it the head is too sure. The calibration error is how far, on average, the two lie apart.

# %%
gr.report.reliability_figure(before, after).savefig(
    FIGURES / "reliability.svg",
    metadata={
        "Description": "Before, the share that is right lies far below the confidence; after, along the diagonal"
    },
)
for name, predictions in (("before", before), ("after", after)):
    print(
        f"{name:6} accuracy {gr.metrics.accuracy(predictions)}; loss {gr.metrics.log_loss(predictions)}; "
        f"calibration error {gr.metrics.calibration_error(predictions)}"
    )
print(gr.metrics.paired_bootstrap(before, after).sentence("before", "after"))

# %% [markdown]
# ## Or not to be careless
#
# A temperature is a cure. Better not to fall ill: `gr.fit_head` chooses the penalty on the weights by images that each
# fold has not learned from, and penalised weights do not shout.

# %%
careful = gr.fit_head(images.split("train"), features).head
table = images.split("test")
linear = gr.Predictions.from_logits(careful.logits(rows["test"]), images.classes, truth=table.targets, ids=table.uris)
print(
    f"careful: accuracy {gr.metrics.accuracy(linear)}; loss {gr.metrics.log_loss(linear)}; "
    f"calibration error {gr.metrics.calibration_error(linear)}"
)
print(gr.metrics.paired_bootstrap(after, linear).sentence("careless, with a temperature", "careful"))

# %% [markdown]
# ## In goldenrule
#
# `goldenrule fit` tries a temperature on the network that it chose, and applies it where that makes out-of-fold
# predictions better; the report draws this same figure. More: [probabilities that can be
# believed](../how-to/calibration.md).
#
# ## Exercise
#
# A careful friend says: "sure is sure, I take temperature 20". What happens to the accuracy, and what to the loss? Is
# a head that is never sure better calibrated? Guess; then run the cell.

# %%
timid = gr.metrics.Temperature(value=20.0, n=temperature.n).apply(before)
print(f"temperature 20: accuracy {gr.metrics.accuracy(timid)}; loss {gr.metrics.log_loss(timid)}")
print(
    f"it believes {timid.probabilities.max(axis=1).mean():.1%}; calibration error {gr.metrics.calibration_error(timid)}"
)

# %% [markdown]
# **Answer.** The accuracy stays, to the last picture: no order changes. The loss is nearly twice what it was before,
# since now the network is right far more often than it says. Being too modest is a calibration error as well: who is
# sure of nothing helps nobody to choose the pictures that may pass.
