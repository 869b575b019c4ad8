"""Lesson 2 of fast.ai's course, by hand: cell by cell, on a folder of your own or on handwritten digits.

    python lessons/lesson2.py                  the digits that scikit-learn ships
    python lessons/lesson2.py photos           CLASS/image.jpg or train/CLASS/image.jpg

or open it in an editor that knows cells (# %%). What is finished is kept: a second time takes seconds. The figures
are written to the folder lesson2.

Seconds: 36
Order: 200
"""

# %% [markdown]
# # Lesson 2, by hand
#
# Seven steps lead from a folder of pictures to a trained network. `goldenrule fit` takes them all by itself; here each
# is one line, so that one can see what it does, and do it otherwise.

# %%
import sys
from pathlib import Path

import goldenrule as gr
from goldenrule.data.splits.splitting import sample_per_class
from goldenrule.demo.digits import write_digits

ON_DIGITS = len(sys.argv) < 2
FOLDER = write_digits(Path("demo/digits")) if ON_DIGITS else Path(sys.argv[1])
FIGURES = Path("lesson2")
FIGURES.mkdir(exist_ok=True)

images = gr.from_folder(FOLDER)
if ON_DIGITS:
    images = sample_per_class(images, 60)  # enough to see what happens
images = gr.with_split(images)
for split, counts in images.counts().items():
    print(f"{split:>6}:", ", ".join(f"{name} {count}" for name, count in counts.items() if name))

# %% [markdown]
# ## Pictures that vary
#
# No two photos of a thing are alike. Augmentation turns, shifts and lights each picture a little otherwise, so that the
# network sees more than there is. Photos may be mirrored (`gr.data.side_on`), a mirrored 2 is no 2 any more
# (`gr.data.basic`).

# %%
from goldenrule.tasks.augmentation_sheet import draw_augmentation  # noqa: E402

augment = gr.data.basic(max_zoom=1.1) if ON_DIGITS else gr.data.side_on(max_zoom=1.1)
draw_augmentation(FOLDER, augment=augment.name, images=3, size=128, out=FIGURES / "augmentation.svg")

# %% [markdown]
# ## 1. Augmentation on, precompute=True
#
# The backbone of a network that was trained on a million photos turns a picture into 1,280 numbers, its features.
# While the backbone stays as it is, so do they: they are computed once and kept, with one augmented view beside each
# plain one. What is learned now is the head alone, one layer from 1,280 numbers to the classes.

# %%
learn = gr.Learner(images, "efficientnet_lite0", precompute=True, augment=augment, augmented_views=1)
if ON_DIGITS:
    learn.set_size(128)  # so small a picture has no more to show, and the lesson is quicker

# %% [markdown]
# ## 2. Find the learning rate
#
# The rate is how far each step goes. `lr_find` raises it from step to step and watches the loss. Where the loss falls
# fastest is a good rate; at the lowest point it is already too high: the next step would go up again.

# %%
rate = learn.lr_find()
gr.plot(rate, show="rate").savefig(FIGURES / "rate.svg")
gr.plot(rate).savefig(FIGURES / "finder.svg")
print(rate)

# %% [markdown]
# ## 3. Train the head from cached features

# %%
learn.fit(rate.suggestion, 2, stage="head, precomputed")

# %% [markdown]
# ## 4. Train the head on live pictures
#
# With `precompute=False` each picture is augmented anew in each epoch. `cycle_len=1` lets the rate fall to nothing
# within each epoch and begin again: a restart may jump out of a narrow valley into a wider one (SGDR).

# %%
learn.precompute = False
learn.fit(rate.suggestion, 2, cycle_len=1, stage="head, live")

# %% [markdown]
# ## 5. Unfreeze, with lower rates for earlier layers
#
# Now the whole network learns. Its first layers know edges and colours, which are the same everywhere: they need to
# change least. So there are three rates: early layers, late layers, head.

# %%
learn.unfreeze()
learn.bn_freeze(True)

# %% [markdown]
# ## 6. Find the rate again

# %%
again = learn.lr_find(rates=[1 / 9, 1 / 3, 1], steps=25)
gr.plot(again).savefig(FIGURES / "finder-unfrozen.svg")
print(again)

# %% [markdown]
# ## 7. Train the full network with cycle_mult=2
#
# Each cycle is twice as long as the one before. Before that, what the rate will do:

# %%
top = again.suggestion
gr.plot(gr.training.Sgdr(cycles=2, length=1, mult=2), rate=top).savefig(FIGURES / "cycles.svg")
learn.fit([top / 9, top / 3, top], 2, cycle_len=1, cycle_mult=2, keep="best", stage="whole network")
gr.plot(learn.history).savefig(FIGURES / "history.svg")
print(learn.history)

# %% [markdown]
# ## What it is worth
#
# Each number with its n and a 95 % interval. Labelled test images, where there are some, were not looked at until now;
# validation images have helped to choose. TTA (test-time augmentation)
# averages what the network says of the plain view and of some augmented ones.

# %%
split = "test" if (images.split("test").targets >= 0).any() else "valid"
plain = learn.evaluate(split)
averaged = learn.tta(split, augmented_views=2)
for name, predictions in (("plain", plain), ("averaged over 3 views", averaged)):
    print(f"{split}, {name}: {gr.metrics.accuracy(predictions)}; {gr.metrics.log_loss(predictions)}")

# %% [markdown]
# Is the average better, or was it luck? The paired bootstrap asks on the same images.

# %%
print(gr.metrics.paired_bootstrap(plain, averaged).sentence("the plain view", "the average of 3 views"))

# %% [markdown]
# ## Keep it
#
# The folder holds the network, its classes and how it looks at pictures: all that `goldenrule predict` needs.

# %%
saved = learn.save(FIGURES / "classifier")
print(f"Saved. Try: goldenrule predict {saved} SOME_PICTURES")
