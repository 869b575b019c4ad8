"""Test-time augmentation: ask several times, and take the average.

    python lessons/tta.py

The network looks at each test picture once plainly and then turned, zoomed and shifted a little; the answers are
averaged. Does it help? A paired test on the same pictures says. The figures are written to the folder tta.
"""

# %% [markdown]
# # Test-time augmentation
#
# If you are not sure what is in a picture, you tilt your head and look again. Test-time augmentation (TTA) does so:
# the network is asked about the plain picture and about some augmented views of it, and the probabilities are
# averaged. Mistakes that hang on one chance detail should cancel out. It costs as many looks as there are views.

# %%
from pathlib import Path

from matplotlib.figure import Figure

import goldenrule as gr
from goldenrule.images.split import sample_per_class
from goldenrule.recipes.digits import write_digits
from goldenrule.recipes.showing import draw_augmentation
from goldenrule.report.plots import HIT, MISTAKE

FIGURES = Path("tta")
FIGURES.mkdir(exist_ok=True)
folder = write_digits(Path("demo/digits"))
images = gr.with_split(sample_per_class(gr.from_folder(folder), 80), shares=gr.Shares(valid=0.1, test=0.6))
body = gr.backbone("efficientnet_lite0", size=96)  # so small a picture has no more to show
print(images)

# %% [markdown]
# ## The views
#
# `gr.basic` turns by up to ten degrees, zooms by up to a tenth, shifts, and changes the light a little. It does not
# mirror: a mirrored 2 is no 2.

# %%
augment = gr.basic(max_zoom=1.1)
draw_augmentation(folder, augment=augment.name, images=3, size=96, out=FIGURES / "augmentation.svg")

# %% [markdown]
# ## Two heads
#
# One head learns from the plain pictures alone. The other learns from three augmented views of each beside the plain
# one: it has seen such views before.

# %%
heads = {
    "learned plain pictures": gr.Learner(images, body, precompute=True, augment=augment, augmented_views=0),
    "learned views too": gr.Learner(images, body, precompute=True, augment=augment, augmented_views=3),
}
for learn in heads.values():
    learn.fit(3e-3, 8, cycle_len=1)

# %% [markdown]
# ## Ask once, ask several times

# %%
VIEWS = (0, 1, 2, 4, 8)
asked = {name: {count: learn.tta("test", augmented_views=count) for count in VIEWS} for name, learn in heads.items()}
for name, by_views in asked.items():
    for count, predictions in by_views.items():
        print(f"{name}, asked {1 + count} x: {gr.accuracy(predictions)}; loss {gr.log_loss(predictions)}")

figure = Figure(figsize=(9.0, 2.8), layout="constrained")
for axes, metric, label in zip(
    figure.subplots(1, 2), (gr.accuracy, gr.log_loss), ("accuracy on test", "log loss on test"), strict=True
):
    for (name, by_views), colour, aside in zip(asked.items(), (MISTAKE, HIT), (-0.05, 0.05), strict=True):
        found = [metric(predictions) for predictions in by_views.values()]
        looks = [1 + count + aside for count in by_views]
        axes.plot(looks, [one.value for one in found], color=colour, marker="o", markersize=4, label=name)
        axes.vlines(looks, [one.low for one in found], [one.high for one in found], color=colour, linewidth=1)
    axes.set(xlabel="looks at each picture", ylabel=label, xticks=[1 + count for count in VIEWS])
    axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False, fontsize=8)
figure.savefig(FIGURES / "looks.svg")

# %% [markdown]
# ## Better, or luck?
#
# The intervals overlap, but that is the wrong question: all were asked about *the same* pictures, and a hard picture
# is hard for all. The paired bootstrap compares them picture by picture; McNemar's test counts the pictures on which
# one is right and the other wrong.

# %%
for name, by_views in asked.items():
    print(f"{name}:")
    print(" ", gr.paired_bootstrap(by_views[0], by_views[4]).sentence("one look", "five looks"))
    print(" ", gr.mcnemar(by_views[0], by_views[4]).sentence("one look", "five looks"))

# %% [markdown]
# TEXT
#
# ## In goldenrule
#
# `goldenrule fit` tries it on images that the head has not learned from, and the classifier looks several times only
# where that was measured to help; the report says which.
#
# ## Exercise
#
# Why not mirror too? `gr.side_on` does all that `gr.basic` does and mirrors every second view. What will it do to
# digits? Guess; then run the cell.

# %%
mirrored = gr.Learner(images, body, precompute=True, augment=gr.side_on(max_zoom=1.1), augmented_views=0)
mirrored.fit(3e-3, 8, cycle_len=1)
wrong_views = mirrored.tta("test", augmented_views=4)
print(f"five looks, some of them mirrored: {gr.accuracy(wrong_views)}; loss {gr.log_loss(wrong_views)}")
exercise = gr.paired_bootstrap(asked["learned plain pictures"][4], wrong_views)
print(exercise.sentence("views that keep a digit a digit", "views that are mirrored too"))

# %% [markdown]
# **Answer.** TEXT
