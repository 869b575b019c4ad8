"""What a search leaves behind: tune.csv, tune.json, two figures, the page, and what to do next."""

from __future__ import annotations

import datetime
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goldenrule.core.cells import csv_text
from goldenrule.core.schema import as_json
from goldenrule.metrics import value_and_interval
from goldenrule.pipelines.tuning.search_space import FITTED, NAMES, SMOOTHING, Setting, described
from goldenrule.storage.files import in_shell, write_atomic, write_json
from goldenrule.storage.outputs import shown_path

if TYPE_CHECKING:
    from goldenrule.pipelines.tuning.search_result import SearchResult
    from goldenrule.pipelines.tuning.search_study import Trial

SCHEMA_VERSION = 2
SAID = ("backbone", "sample", "group_by", "min_per_class", "seed", "levels")
"""Options of a search that a fit has too: without them it is told of other images, splits or networks."""
NUMBERS = "tune.json"
COLUMNS = ("study", "trial", "state", "log_loss", "quality", "seconds", *NAMES)


def write_trials(folder: Path, trials: Mapping[str, tuple[Trial, ...]]) -> None:
    """Write a row per finished trial to tune.csv."""
    rows: list[Sequence[Any]] = [COLUMNS]
    for study, trials_of in trials.items():
        for one in trials_of:
            first = (study, one.number, one.state, one.log_loss, one.facts.get("quality"), one.facts.get("seconds"))
            rows.append([*first, *(one.drawn.get(name) for name in NAMES)])
    write_atomic(folder / "tune.csv", csv_text(rows))


def write_report(found: SearchResult) -> None:
    """Write tune.json, importance.svg, trials.svg and tune.html."""
    from goldenrule.report.figures.search_figures import importance_figure, trials_figure
    from goldenrule.report.pages.search_page import render_search

    write_json(found.folder / NUMBERS, search_json(found))
    figures = {"trials": trials_figure(losses(found), default=found.default_log_loss.value)}
    if any(found.importance.values()):
        figures["importance"] = importance_figure(found.importance)
    for name, figure in figures.items():
        picture = io.BytesIO()
        figure.savefig(picture, format="svg", metadata={"Date": None})
        write_atomic(found.folder / f"{name}.svg", picture.getvalue())
    page = render_search(
        found.images.resolve().name,
        f"{datetime.datetime.fromisoformat(found.created):%Y-%m-%d %H:%M %Z}",
        head=headline(found),
        sentences=sentences(found),
        rows=page_rows(found),
        figures=figures,
        next_steps=next_steps(found),
        code=code(found),
    )
    write_atomic(found.folder / "tune.html", page)


def losses(found: SearchResult) -> dict[str, list[tuple[int, float | None]]]:
    """Return (number, log loss or None) of every trial, by study."""
    return {name: [(one.number, one.log_loss) for one in trials_of] for name, trials_of in found.trials.items()}


def headline(found: SearchResult) -> str:
    """Return in a line what was found."""
    tried = sum(map(len, found.trials.values()))
    if found.verdict is None:
        return f"None of {tried:,} trials is better than the default head"
    if found.replaced:
        return f"The best of {tried:,} trials is better than the default head, on the images it was chosen by"
    return f"The best of {tried:,} trials is tied with the default head"


def sentences(found: SearchResult) -> list[str]:
    """Return what was found, on how many images, and what that is worth."""
    ended = sum(one.log_loss is not None for trials_of in found.trials.values() for one in trials_of)
    tried, best = sum(map(len, found.trials.values())), found.best
    said = [
        f"{tried:,} trials, {tried - ended:,} of them given up early; each trained on {found.counts['train']:,} images "
        f"and evaluated by its log loss on {found.counts['valid']:,} validation images. The test split was not opened.",
        f"Default ({described(found.default)}): log loss {value_and_interval(found.default_log_loss)}.",
    ]
    if found.verdict:
        said += [
            f"Best, trial {best.number} ({described(best.drawn)}): log loss {value_and_interval(found.best_log_loss)}.",
            f"{found.verdict.sentence}.",
        ]
    worth = f"The best of {ended:,} is picked for its luck too: on new images it will be worse than it looks here"
    return [*said, f"{worth}, the more so the fewer validation images there are."]


def page_rows(found: SearchResult) -> list[dict[str, Any]]:
    """Return the trials for the page: those that came to their end, the best first, then those given up."""
    every = [(name, one) for name, trials_of in found.trials.items() for one in trials_of]
    every.sort(key=lambda pair: (pair[1].log_loss is None, pair[1].log_loss or 0.0, pair[1].number))
    return [
        {
            "study": name,
            "number": one.number,
            "what": described(one.drawn),
            "log_loss": "" if one.log_loss is None else f"{one.log_loss:.4f}",
            "quality": f"{100 * one.facts['quality']:.1f} %" if "quality" in one.facts else "",
            "default": one.drawn == found.default,
            "state": one.state,
        }
        for name, one in every
    ]


def next_steps(found: SearchResult) -> list[str]:
    """Return what to do with what was found."""
    more, live = 2 * max(found.asked, len(found.trials["cache"])), " --live" * ("live" in found.trials)
    again = f"goldenrule tune {in_shell(found.images)} --trials {more}{live}{_said(found)}"
    again += f" --out {in_shell(found.folder)}"
    if not found.replaced:
        keep = f"goldenrule fit {in_shell(found.images)} --quick{_said(found)}"
        steps = [f"Keep the default: {keep}. More than a head: omit --quick."]
        return [*steps, f"Search on, from where this ended: {again}"]
    return [f"Use it: {_command(found) or 'the code below'}.", f"Search on, from where this ended: {again}"]


def _command(found: SearchResult) -> str:
    """Return the fit that uses the best trial, "" where only a Learner can."""
    drawn = found.best.drawn
    if drawn.get("head") != FITTED:
        return ""
    views = f"--augment {drawn['augment']}" + (f" --views {drawn['views']}" if "views" in drawn else "")
    return f"goldenrule fit {in_shell(found.images)} --quick {views}{_said(found)}"


def _said(found: SearchResult) -> str:
    """Return the words of a command line by which the same images are read, in the same way."""
    return found.options.said(*SAID) + "".join(f" --exclude {in_shell(name)}" for name in found.exclude)


def code(found: SearchResult) -> str:
    """Return Python that trains the best trial, "" where a command does."""
    drawn, live = found.best.drawn, "layers" in found.best.drawn
    if drawn.get("head") == FITTED:
        return ""
    left = f", exclude={list(found.exclude)!r}" if found.exclude else ""
    images = f"gr.from_folder({str(found.images)!r}, group_by={found.options.group_by!r}{left})"
    if found.drawn_split:
        split = str(found.folder / "split.csv")
        images = f"gr.from_csv({split!r}, images={str(found.images)!r}, id='path', label='class', split='split')"
    augment = "None" if drawn["augment"] == "none" else f"gr.data.{drawn['augment']}(max_zoom=1.1)"
    custom_loss = drawn["loss"] == "focal"
    arguments = {
        "precompute": "True",
        "augment": augment,
        "augmented_views": str(0 if live else drawn.get("views", 0)),
        **({"late_views": "3"} if live else {}),
        **({"head": "'concat-pool'"} if drawn.get("head") == "concat-pool" else {}),
        **({"optimizer": repr(drawn["optimizer"])} if "optimizer" in drawn else {}),
        "weight_decay": repr(drawn[Setting.WEIGHT_DECAY]),
        **({"batch_size": repr(drawn[Setting.BATCH_SIZE])} if Setting.BATCH_SIZE in drawn else {}),
        **({"class_weights": "'balanced'"} if drawn["loss"] == "balanced" else {}),
        **({"loss": "focal"} if custom_loss else {}),
        "seed": repr(found.options.seed),
    }
    smooth = f", label_smoothing={SMOOTHING}" if drawn["loss"] == "smoothed" else ""
    rate, fit = repr(drawn["rate"]), f"1, cycle_len={drawn['epochs']}, mixup={drawn['mixup']}{smooth}"
    lines = [
        "import goldenrule as gr",
        *(["from goldenrule.pipelines.tuning.search_space import focal"] if custom_loss else []),
    ]
    backbone, levels = repr(found.options.backbone), found.options.fixed_levels
    backbone = backbone if levels is None else f"gr.backbone({backbone}, levels={levels})"
    lines += ["", f"images = {images}", f"learn = gr.Learner(images, {backbone},"]
    lines += [f"    {name}={value}," for name, value in arguments.items()]
    lines += [")"]
    if live:
        lines += [f"learn.load({str(found.folder / 'default')!r})  # the default head, saved by the search"]
        lines += [f"learn.freeze_to({int(drawn['layers'] == 'late')})"]
        lines += [f"learn.precompute = {'learn.can_precompute()' if drawn['layers'] == 'late' else 'False'}"]
        rate = f"[{rate} / 9, {rate} / 3, {rate}]"
    lines += [f"learn.fit({rate}, {fit})", *(["learn.blend()"] if live else []), "learn.calibrate()"]
    return "\n".join(
        [
            *lines,
            "learn.save('my-classifier')",
            "print(gr.metrics.accuracy(learn.evaluate('test')))  # once, at the end",
            "",
        ]
    )


def search_json(found: SearchResult) -> dict[str, Any]:
    """Return all of it for programs."""
    return {
        "schema_version": SCHEMA_VERSION,
        "created": found.created,
        "images": {"folder": shown_path(found.images), **found.counts},
        "seed": found.options.seed,
        "default": {"settings": dict(found.default), "log_loss": as_json(found.default_log_loss)},
        "best": {
            "trial": found.best.number,
            "settings": dict(found.best.drawn),
            "log_loss": as_json(found.best_log_loss),
        },
        "replaced": found.replaced,
        "says": [headline(found), *sentences(found)],
        "next": next_steps(found),
        "code": code(found),
        "importance": found.importance,
        "trials": {
            name: [
                {"trial": one.number, "state": one.state, "log_loss": one.log_loss, "settings": dict(one.drawn)}
                | dict(one.facts)
                for one in trial
            ]
            for name, trial in found.trials.items()
        },
    }
