"""Precompute: why a frozen backbone need look at each picture only once.

    python lessons/precompute.py

The time of some epochs with and without it, measured here and now; that both end in the same network; and what happens
when one asks twice. The figure is written to the folder precompute.

Seconds: 17
Order: 90
"""

# %% [markdown]
# # Precompute
#
# A network has a backbone, which turns a picture into 1,280 numbers (its features), and a head, one layer that makes
# an answer of them. When only the head learns, the backbone is *frozen*: nothing in it changes. Then the same picture
# gives the same 1,280 numbers today, tomorrow, and in every epoch. So why compute them again?

# %%
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import goldenrule as gr
from goldenrule.data.splits.splitting import sample_per_class
from goldenrule.demo.digits import write_digits
from goldenrule.report.figures.plots import HIT, MISTAKE

FIGURES = Path("precompute")
FIGURES.mkdir(exist_ok=True)
EPOCHS = 8
images = gr.with_split(sample_per_class(gr.from_folder(write_digits(Path("demo/digits"))), 40))
backbone = gr.backbone("efficientnet_lite0", size=112)  # so small a picture has no more to show
print(images)

# %% [markdown]
# ## Look once, and keep
#
# Every picture is decoded and goes through the backbone once. What comes out is kept on disk, in the *feature cache*: a
# row of 1,280 numbers per picture. Run this lesson a second time, and the rows are there. (The engine that runs the
# backbone is compiled before the clock starts: both ways need it.)

# %%
extractor = gr.FeatureExtractor.of(backbone)
assert extractor.engine.kind == extractor.kind  # compiled here, before the clock starts

began = time.perf_counter()
images, features = gr.features_of(images, backbone)
filling = time.perf_counter() - began
print(f"{features.computed[0]} rows computed, {features.reused[0]} found in the cache, in {filling:.2f} s")

# %% [markdown]
# ## Epochs without, and with
#
# Without precompute, every training picture is decoded and goes through the backbone again in every epoch, though the
# backbone is as it was. With it, an epoch reads rows. (`replay=False`, because goldenrule would know these epochs again
# the second time, and we want to measure them.)


# %%
def trained(precompute: bool) -> tuple[gr.Predictions, list[float]]:
    """Train the head for some epochs; give what it says of the validation images, and the seconds of each epoch."""
    learn = gr.Learner(images, backbone, precompute=precompute, replay=False)
    seconds = []
    for _ in range(EPOCHS):
        began = time.perf_counter()
        learn.fit(1e-2, 1)
        seconds.append(time.perf_counter() - began)
    return learn.evaluate("valid"), seconds


live, live_seconds = trained(precompute=False)
kept, kept_seconds = trained(precompute=True)
for name, seconds in (("without", live_seconds), ("with", kept_seconds)):
    print(f"{name:7} seconds of each epoch:", ", ".join(f"{one:.2f}" for one in seconds))

figure = Figure(figsize=(6.4, 2.8), layout="constrained")
axes = figure.add_subplot()
axes.plot(range(EPOCHS + 1), np.cumsum([0, *live_seconds]), color=MISTAKE, marker="o", label="without")
axes.plot(range(EPOCHS + 1), np.cumsum([filling, *kept_seconds]), color=HIT, marker="o", label="with precompute")
axes.set(xlabel="epochs trained", ylabel="seconds since the start", ylim=(0, None), xticks=range(EPOCHS + 1))
axes.legend(frameon=False, fontsize=8)
axes.spines[["top", "right"]].set_visible(False)
figure.savefig(
    FIGURES / "seconds.svg",
    metadata={
        "Description": "With precompute the first epoch begins a second later, and from then on the line hardly climbs"
    },
)

# %% [markdown]
# ## Is it the same network?
#
# It should be: the same numbers went into the same training, in the same order.

# %%
difference = float(np.abs(live.probabilities - kept.probabilities).max())
alike = gr.Estimate.of_share("same answer", int((live.predicted == kept.predicted).sum()), len(live))
print(f"largest difference of a probability: {difference:.1e}; the same answer on {alike} images")
print(f"accuracy without {gr.metrics.accuracy(live)}, with {gr.metrics.accuracy(kept)}")

# %% [markdown]
# ## Asking twice
#
# Rows are found by what is *in* a file, not by its name, and by all that made them: the weights, the size, the kind of
# view. Ask again, and nothing is computed. Ask for another size, and all is: these are other numbers.

# %%
_, again = gr.features_of(images, backbone)
print(f"asked again:        {again.computed[0]:3} computed, {again.reused[0]:3} found")
_, other = gr.features_of(images.split("valid"), gr.backbone("efficientnet_lite0", size=80))
print(
    f"another size:       {other.computed[0]:3} computed, {other.reused[0]:3} found (of {len(images.split('valid'))})"
)
size = features.caches[0].features * 2
print(f"a row takes {size:,} bytes: {size * 1_000_000 / 1e9:.1f} GB for a million pictures")

# %% [markdown]
# (Where the last line but one says *found*, somebody has run this lesson before you on this machine: you.)
#
# ## Where it ends
#
# Precomputed rows are those of pictures that do not change. With augmentation each epoch sees each picture otherwise:
# goldenrule then keeps some augmented views of each picture (`augmented_views=4`), which costs five rows instead of
# one, once. And when the backbone itself learns (`unfreeze`), its numbers change in every step: then all has to be
# computed live. This is why the frozen head comes first: it is nearly free.
#
# ## Exercise
#
# You have 20,000 photos; the backbone takes 100 a second, and the head takes 1 second an epoch. How long do 30 epochs
# take without precompute, how long with, and how long if you keep five views of each photo? Work it out; then run the
# cell.

# %%
photos, per_second, epochs, head_seconds = 20_000, 100, 30, 1
body_seconds = photos / per_second
without = epochs * (body_seconds + head_seconds)
with_one = body_seconds + epochs * head_seconds
with_five = 5 * body_seconds + epochs * 5 * head_seconds
print(f"without {without / 60:.0f} min; with {with_one / 60:.0f} min; with five views {with_five / 60:.0f} min")

# %% [markdown]
# **Answer.** 30 · (200 + 1) s are 100 minutes; 200 + 30 · 1 s are 4 minutes; 5 · 200 + 30 · 5 s are 19 minutes (the
# head now learns from five times as many rows). And if you then change the rate and train again, the 200 s do not come
# again.
