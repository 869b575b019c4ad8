"""Curves of training as matplotlib figures: the learning-rate finder's, and those of a history."""

from __future__ import annotations

import math

from matplotlib.figure import Figure

from goldenrule.report.figures.page_width import PAGE_INCHES
from goldenrule.runs.history import History
from goldenrule.training.lr_finder import RangeTest
from goldenrule.training.schedule import Schedule

COLOURS = {"steepest": "#a87400", "largest flat": "#a87400", "valley": "#2f6f94", "minimum / 10": "#cf5a2e"}
GREY = "#888888"
CURVE_POINTS = 1000


def range_figure(test: RangeTest) -> Figure:
    """Return the loss over the rate: each step faint, the moving average, the suggestions, the minimum hollow."""
    figure = Figure(figsize=(PAGE_INCHES, 3.0), layout="constrained")
    axes = figure.add_subplot(facecolor="none")
    axes.semilogx(test.rates, test.losses, ".", color=GREY, markersize=3, alpha=0.6, label="each step")
    axes.semilogx(test.rates, test.smoothed, color="#333333", linewidth=1.5, label="smoothed")
    for rule, rate in test.suggestions.items():
        at = min(range(len(test.rates)), key=lambda step: abs(test.rates[step] / rate - 1))
        axes.plot(
            [rate], [test.smoothed[at]], "o", color=COLOURS.get(rule, GREY), markersize=8, label=f"{rule}: {rate:.1e}"
        )
    if test.minimum is not None:
        label = "minimum: too high"
        axes.plot(
            [test.minimum], [min(test.smoothed)], "o", color=GREY, markerfacecolor="none", markersize=8, label=label
        )
    top = max(test.smoothed[: max(len(test.smoothed) // 2, 1)])
    low, high = min(*test.losses, *test.smoothed), max(top * 1.3, min(test.smoothed) * 1.5)
    axes.set_ylim(low - 0.05 * (high - low), high)
    axes.set(xlabel="learning rate", ylabel="loss")
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def rate_figure(test: RangeTest) -> Figure:
    """Return the rate over the steps."""
    figure = Figure(figsize=(5.0, 2.6), layout="constrained")
    axes = figure.add_subplot(facecolor="none")
    axes.semilogy(range(1, len(test.rates) + 1), test.rates, color="#333333")
    axes.set(xlabel="step", ylabel="learning rate")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def schedule_figure(schedule: Schedule, rate: float = 1.0) -> Figure:
    """Return rate and momentum over the epochs; the rate jumps where a cycle restarts."""
    figure = Figure(figsize=(6.4, 2.6), layout="constrained")
    rates, momenta = figure.subplots(1, 2)
    places = [schedule.epochs * step / CURVE_POINTS for step in range(CURVE_POINTS)]
    for axes, values, label in (
        (rates, [rate * schedule.factor(place) for place in places], "rate" if rate != 1 else "share of the full rate"),
        (momenta, [schedule.momentum(place) for place in places], "momentum"),
    ):
        axes.plot(places, values, color="#333333")
        axes.set(xlabel="epoch", ylabel=label, xlim=(0, schedule.epochs))
        axes.set_facecolor("none")
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    rates.set_ylim(0, None)
    momenta.set_ylim(0.8, 1)
    return figure


def history_figure(history: History) -> Figure:
    """Return losses, accuracy, own metrics and the rate over the epochs; the ends of cycles are marked."""
    metrics = history.metrics
    figure = Figure(figsize=(PAGE_INCHES, 4.6), layout="constrained")
    panels = figure.subplots(2, 2).ravel().tolist()
    losses, shares, *measures, rates = panels if metrics else panels[:3]
    if not metrics:
        panels[3].remove()
    epochs = [row.epoch for row in history]
    losses.plot(epochs, [row.train_loss for row in history], marker=".", color=GREY, label="train")
    losses.plot(epochs, [row.valid_loss for row in history], marker=".", color="#2f6f94", label="valid")
    ends = [row for row in history if row.cycle_end and row.valid_loss is not None]
    losses.plot([r.epoch for r in ends], [r.valid_loss for r in ends], "o", color="#a87400", label="end of a cycle")
    highest_loss = max(
        (loss for row in history for loss in (row.train_loss, row.valid_loss) if loss is not None), default=1.0
    )
    above = 1.08 * highest_loss if 0 < highest_loss < math.inf else None  # no mark is cut in two by the edge
    losses.set(xlabel="epoch", ylabel="loss", ylim=(0, above))
    losses.legend(frameon=False, fontsize=8)
    shares.plot(epochs, [row.accuracy for row in history], marker=".", color="#2f6f94")
    known = [row.accuracy for row in history if row.accuracy is not None] or [0.5]
    room = (max(0.0, min(known) - 0.05), min(1.02, max(known) + 0.05))
    shares.set(xlabel="epoch", ylabel="accuracy on valid", ylim=room)
    shares.set_yticks([tick for tick in shares.get_yticks() if tick <= 1], minor=False)
    shares.set_ylim(room)  # setting ticks may widen it
    for axes in measures:
        for name in metrics:
            axes.plot(epochs, [row.metrics.get(name, math.nan) for row in history], marker=".", label=name)
        axes.set(xlabel="epoch", ylabel="custom metrics on valid")
        axes.legend(frameon=False, fontsize=8)
    highest = [float(f"{max(row.rates):.6g}") for row in history]  # a last bit of difference would break the axis
    rates.semilogy(epochs, highest, marker=".", color="#333333")
    rates.set(xlabel="epoch", ylabel="highest rate")
    for axes in (losses, shares, *measures, rates):
        axes.set_xlim(min(epochs, default=1) - 0.5, max(epochs, default=1) + 0.5)
        axes.set_facecolor("none")
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    return figure
