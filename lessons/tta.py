"""Test-time augmentation: ask several times, and take the average.

    python lessons/tta.py

The network looks at each test picture once plainly and then turned, zoomed and shifted a little; the answers are
averaged. Does it help? A paired test on the same pictures says. The figures are written to the folder tta.

Seconds: 16
Order: 100
"""

# %% [markdown]
# # Test-time augmentation
#
# If you are not sure what is in a picture, you tilt your head and look again. Test-time augmentation (TTA) does so:
# the network is asked about the plain picture and about some augmented views of it, and the probabilities are
# averaged. Mistakes that hang on one chance detail should cancel out. It costs as many looks as there are views.

# %%
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import goldenrule as gr
from goldenrule.data.augmentation.augment import views
from goldenrule.data.splits.splitting import sample_per_class
from goldenrule.demo.digits import write_digits
from goldenrule.report.figures.plots import HIT, MISTAKE
from goldenrule.tasks.augmentation_sheet import draw_augmentation

FIGURES = Path("tta")
FIGURES.mkdir(exist_ok=True)
folder = write_digits(Path("demo/digits"))
images = gr.with_split(sample_per_class(gr.from_folder(folder), 80), shares=gr.data.Shares(valid=0.1, test=0.6))
backbone = gr.backbone("efficientnet_lite0", size=96)  # so small a picture has no more to show
print(images)

# %% [markdown]
# ## The views
#
# `gr.data.basic` turns by up to ten degrees, zooms by up to a tenth, shifts, and changes the light a little. It does
# not mirror: a mirrored 2 is no 2.

# %%
augment = gr.data.basic(max_zoom=1.1)
draw_augmentation(folder, augment=augment.name, images=3, size=96, out=FIGURES / "augmentation.svg")

# %% [markdown]
# ## The views go through the backbone once
#
# The backbone is frozen, so what it makes of each picture and each view is computed once and kept: nine rows of 1,280
# numbers per picture, the plain view first.

# %%
extractor = gr.FeatureExtractor.of(backbone)


def looks_of(table: gr.ImageTable, augment: gr.data.Augmentation, count: int) -> gr.Features:
    """Return the features of the plain view and of `count` augmented views of every picture."""
    every = np.ones(len(table), bool)
    return extractor.features(table, views=views(augment, count), augmented=every)


features = looks_of(images, augment, 8)
train, test = images.split("train"), images.split("test")

# %% [markdown]
# ## Two heads
#
# One head learns from the plain pictures alone. The other learns from three augmented views of each beside the plain
# one: it has seen such views before. Both are then asked about the test pictures, once or several times.

# %%
heads = {
    "learned plain pictures": gr.fit_head(train, features, views=0).head,
    "learned views too": gr.fit_head(train, features, views=3).head,
}


def asked(head, looks: int, features: gr.Features = features) -> gr.Predictions:
    """Return the average of what a head says of so many looks at each test picture, the plain one first."""
    logits = [head.logits(features.rows(test.digests, view)) for view in range(looks)]
    return gr.Predictions.from_logits(np.stack(logits, axis=1), images.classes, truth=test.targets, ids=test.uris)


LOOKS = (1, 2, 3, 5, 9)
answers = {name: {looks: asked(head, looks) for looks in LOOKS} for name, head in heads.items()}
for name, by_looks in answers.items():
    for looks, predictions in by_looks.items():
        print(f"{name}, asked {looks} x: {gr.metrics.accuracy(predictions)}; loss {gr.metrics.log_loss(predictions)}")

figure = Figure(figsize=(9.0, 2.8), layout="constrained")
for axes, metric, label in zip(
    figure.subplots(1, 2),
    (gr.metrics.accuracy, gr.metrics.log_loss),
    ("accuracy on test", "log loss on test"),
    strict=True,
):
    for (name, by_looks), colour, aside in zip(answers.items(), (MISTAKE, HIT), (-0.05, 0.05), strict=True):
        found = [metric(predictions) for predictions in by_looks.values()]
        looks = [one + aside for one in by_looks]
        axes.plot(looks, [one.value for one in found], color=colour, marker="o", markersize=4, label=name)
        axes.vlines(looks, [one.low for one in found], [one.high for one in found], color=colour, linewidth=1)
    axes.set(xlabel="looks at each picture", ylabel=label, xticks=LOOKS)
    axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False, fontsize=8)
figure.savefig(
    FIGURES / "looks.svg",
    metadata={
        "Description": "More looks help the head that learned from views and hurt the one that saw plain pictures alone"
    },
)

# %% [markdown]
# ## Better, or luck?
#
# The intervals overlap, but that is the wrong question: all were asked about *the same* pictures, and a hard picture
# is hard for all. The paired bootstrap compares them picture by picture; McNemar's test counts the pictures on which
# one is right and the other wrong.

# %%
for name, by_looks in answers.items():
    print(f"{name}:")
    print(" ", gr.metrics.paired_bootstrap(by_looks[1], by_looks[5]).sentence("one look", "five looks"))
    print(" ", gr.metrics.mcnemar(by_looks[1], by_looks[5]).sentence("one look", "five looks"))
plain, averaged = answers["learned plain pictures"][1], answers["learned views too"][5]
print("one look of the first head, five of the second:")
print(" ", gr.metrics.mcnemar(plain, averaged).sentence("the first", "the second"))

# %% [markdown]
# Both happened, and neither by chance. The head that had learned from plain pictures alone got *worse* by looking
# again: a digit that is turned by ten degrees is new to it, so its second opinion is a bad one, and an average with
# bad opinions is worse than the first one. The head that had learned from such views got better, by looking again and
# beyond what the first head can do at all. So: augment in training, if you want to augment in testing; and measure it.
# (These digits are drawn with 8 x 8 coarse pixels, to which turning does much. On photos the differences are often too
# small to be told from nothing: see [lesson 2](lesson2.md), where it was a tie.)
#
# ## In goldenrule
#
# `goldenrule fit` tries it on images that the head has not learned from, and the classifier looks several times only
# where that was measured to help; the report says which.
#
# ## Exercise
#
# Why not mirror too? `gr.data.side_on` does all that `gr.data.basic` does and mirrors every second view. What will it
# do to digits? Guess; then run the cell.

# %%
mirrored = looks_of(test, gr.data.side_on(max_zoom=1.1), 4)
wrong_views = asked(heads["learned views too"], 5, mirrored)
print(f"five looks, some of them mirrored: {gr.metrics.accuracy(wrong_views)}; loss {gr.metrics.log_loss(wrong_views)}")
exercise = gr.metrics.paired_bootstrap(averaged, wrong_views)
print(exercise.sentence("views that keep a digit a digit", "views that are mirrored too"))

# %% [markdown]
# **Answer.** On average it harms: the loss is surely higher, by little, since only some of the five looks are
# mirrored, and a 0 or an 8 is still one in the mirror. The accuracy moves by so little that these pictures do not show
# it. Choose views that leave a thing what it is: letters and digits do not mirror, cats do, and satellite pictures may
# be turned as well.
