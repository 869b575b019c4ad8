"""Several networks trained several ways on the same images: chosen on validation, the test split opened afterwards.

FOLDER/NETWORK-TYPE/          an ordinary run each, with its report, for predict, explain and the rest
FOLDER/entries/NETWORK-TYPE.json   how long it took, whether it is trained and evaluated: what goes on after a kill
FOLDER/choice.json            which to take and why, written before the test split is opened
FOLDER/comparison.html, .csv, .json
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from goldenrule.core.errors import BackboneError, OptionError, RunMismatch, SourceError, system_errors
from goldenrule.core.findings import Finding
from goldenrule.core.progress import Progress, Silent
from goldenrule.core.schema import as_json
from goldenrule.data.pictures.unread import unreadable
from goldenrule.data.sources.label_tables import from_source
from goldenrule.data.table import ImageTable
from goldenrule.features.speed_record import known_speed
from goldenrule.metrics import Basis, Predictions
from goldenrule.models.catalog import canonical_name
from goldenrule.pipelines.comparison.compared_networks import ComparedNetworks, Row, choose
from goldenrule.pipelines.comparison.comparison_report import write_comparison
from goldenrule.pipelines.comparison.entries import DEFAULT_MODELS, Entry, Network, Stopwatch
from goldenrule.pipelines.fit_result import FitResult
from goldenrule.pipelines.named_training import train
from goldenrule.pipelines.prepare import prepared_fit
from goldenrule.runs.options import FitOptions
from goldenrule.runs.training_options import TYPES, TrainingOptions, TrainingType, stopping
from goldenrule.runs.verified_files import kept_predictions
from goldenrule.storage.files import file_digest, in_shell, read_digested_json, write_digested_json, write_json

VERSION = 1
SHARED_STAGES = ("precompute", "precompute views")
"""Stages whose result the cache shares: how long they take depends on what is there, so that is told by the speed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bench:
    """What all entries share."""

    folder: Path
    table: ImageTable
    options: FitOptions
    how: Mapping[str, Any]
    progress: Progress

    def run_folder(self, entry: Entry) -> Path:
        return self.folder / entry.name

    def options_of(self, entry: Entry) -> FitOptions:
        return replace(
            self.options,
            backbone=entry.network.name,
            size=entry.network.size or self.options.size,
            weights=entry.network.weights,
            sample=None,  # the table is sampled
            min_per_class=1,  # it had enough before it was split
            training=TrainingOptions(type=entry.type, **_asked_of(entry.type, self.how)),
        )

    def trained(self, entry: Entry, *, final: bool) -> FitResult:
        return train(
            self.table,
            options=self.options_of(entry),
            out=self.run_folder(entry),
            final=final,
            progress=Silent() if final else self.progress,  # what was told before is not told again
        )


@system_errors()
def compare_networks(
    source: str | os.PathLike[str] | ImageTable,
    models: Sequence[str] = DEFAULT_MODELS,
    types: Sequence[str] = TYPES,
    *,
    epochs: int | None = None,
    stop: Sequence[str] = (),
    weights: Mapping[str, Path] | None = None,
    options: FitOptions | None = None,
    out: str | Path | None = None,
    runs: str | Path = Path("runs"),
    progress: Progress | None = None,
) -> ComparedNetworks:
    """Train every network in every way that it can be, choose on validation, then open the test split.

    `models` are names, or NAME@PX for an input of so many pixels, `types` ways of training; or one of them. Without
    pretrained weights a network is trained from scratch alone, and what is left out is said. `epochs` and `stop` are
    for live training: heads alone are fitted. Split, near duplicates and cache are shared. Written to `out`, by default
    `runs/NAME-compare`: the same call goes on where a killed one stopped, and with other names the same comparison
    grows. Raises a `GoldenRuleError` for what can be mended.
    """
    progress, options = progress or Silent(), options or FitOptions()
    models, types = ([one] if isinstance(one, str) else one for one in (models, types))
    networks = list(dict.fromkeys(Network.named(name, weights or {}) for name in models))
    _check_types(types)
    if not networks:
        raise OptionError("There is no network to compare: give -m NAME, such as -m original -m efficientnet.")
    known = {network.name for network in networks}
    if unknown := [name for name in weights or {} if canonical_name(name) not in known]:
        raise OptionError(f"--weights-of {unknown[0]}=FILE: there is no -m {unknown[0]} to load them into.")
    entries = [Entry.of(network, way) for network in networks for way in TYPES if way in types]
    table = source if isinstance(source, ImageTable) else from_source(source, group_by=options.group_by)
    folder = Path(out) if out else Path(runs) / f"{table.name}-compare"
    how = {"epochs": epochs, "stop": tuple(stop)}
    for way in types:
        TrainingOptions(type=way, **how)  # type: ignore[arg-type]  # checked here
    about = {"compare": VERSION, "epochs": epochs, "converged": 0, "overfit": 0, **stopping(stop)}
    with prepared_fit(table, options=options, out=folder, runs=runs, progress=progress, also=about) as (
        context,
        features,
    ):
        shared = replace(context.table, findings=())
        bench = _Bench(folder=folder, table=shared, options=options, how=how, progress=progress)
        broken = features.failures
        findings = (*context.state.findings, *([unreadable(broken)] if broken else []))
        commands = () if isinstance(source, ImageTable) else _commands(Path(source), bench)
        return _compared(bench, entries, findings, commands)


def _compared(
    bench: _Bench, entries: Sequence[Entry], findings: tuple[Finding, ...], commands: tuple[str, ...]
) -> ComparedNetworks:
    before = [entry for entry in _kept_entries(bench) if entry not in entries]
    opened = any(_facts(bench, entry).get("evaluated") for entry in (*before, *entries))
    left_out: dict[str, str] = {}
    trained: list[Entry] = []
    for number, entry in enumerate(entries, 1):
        where = f"{number} of {len(entries)}: {entry.title}"
        try:
            _train(bench, entry, where, after_test=opened)
        except (BackboneError, OptionError) as error:
            left_out[entry.title] = str(error)
            _facts_file(bench, entry).unlink(missing_ok=True)
            bench.progress.say(f"{where}: left out")
        else:
            trained.append(entry)
    if not trained:
        raise OptionError(f"Nothing could be trained. {next(iter(left_out.values()))}")
    every = [*before, *trained]
    choice = choose([_row(bench, entry) for entry in every])
    write_json(bench.folder / "choice.json", as_json(choice))
    with bench.progress.task("evaluate", len(every), "networks") as task:
        for entry in every:
            _evaluate(bench, entry)
            task.advance()
    found = ComparedNetworks(
        folder=bench.folder,
        images=bench.table.root,
        counts=bench.table.counts(),
        rows=tuple(_row(bench, entry) for entry in every),
        choice=choice,
        left_out=left_out,
        seed=bench.options.seed,
        beta=bench.options.beta,
        findings=findings,
        commands=commands,
    )
    write_comparison(found)
    return found


def _train(bench: _Bench, entry: Entry, where: str, *, after_test: bool) -> None:
    """Train an entry without opening the test split, once, and write down what it took."""
    facts = _facts(bench, entry)
    if facts.get("trained"):
        if (kept := Entry.kept(facts)) != entry:
            before, now = (weights.network.weights or "those of its name" for weights in (kept, entry))
            raise RunMismatch(f"{entry.name} was trained with the weights {before}, now {now}. Give another --out.")
        trained_with, given = facts.get("weights_digest"), _weights_digest(entry)
        if trained_with and given and trained_with != given:
            raise RunMismatch(
                f"{entry.network.weights} has changed since {entry.name} was trained. Give another --out."
            )
        bench.progress.say(f"{where}: trained before")
        return
    bench.progress.say(f"{where}")
    weights_digest = _weights_digest(entry)
    with Stopwatch(_facts_file(bench, entry)) as watch:
        result = bench.trained(entry, final=False)
        chosen = result.candidate
        spec, stages = result.classifier.backbone.spec, dict(result.stages)
        rows = 0 if entry.type == "fromzero" else sum(result.features.values())
        speed = known_speed(spec, result.classifier.engine) if rows else None
        backbone, head = spec.parameters, sum(tensor.size for tensor in result.classifier.head.tensors.values())
        watch.end(
            trained=True,
            after_test=after_test,
            network=as_json(entry.network),
            weights_digest=weights_digest,
            type=entry.type,
            epochs=chosen.facts.get("epochs"),
            without=sum(stages.get(stage, 0.0) for stage in SHARED_STAGES) if speed or not rows else 0.0,
            activation_seconds=rows / speed if speed else 0.0,
            parameters=backbone + head,
            trained_parameters=head if entry.type == "transfer_learning" else backbone + head,
        )
    gc.collect()  # a network's graph refers to itself


def _evaluate(bench: _Bench, entry: Entry) -> None:
    """Replay an entry's run to its end: the test split is evaluated."""
    facts = _facts(bench, entry)
    if facts.get("evaluated"):
        return
    bench.trained(entry, final=True)
    write_digested_json(_facts_file(bench, entry), {**facts, "evaluated": True})


def _row(bench: _Bench, entry: Entry) -> Row:
    facts, task = _facts(bench, entry), bench.table.task

    def said(split: str) -> Predictions | None:
        basis: Basis = Basis.HELD_OUT if split == "test" else Basis.USED_FOR_SELECTION
        predictions = kept_predictions(bench.run_folder(entry), split, task=task, basis=basis)
        return predictions if predictions is not None and len(predictions.scored) else None

    valid = said("valid")
    if valid is None:
        raise SourceError(f"{bench.run_folder(entry)} has no predictions of validation images. Give another --out.")
    return Row(
        network=str(entry.network),
        type=entry.type,
        folder=bench.run_folder(entry),
        valid=valid,
        test=said("test") if facts.get("evaluated") else None,
        epochs=facts["epochs"],
        seconds=facts["seconds"] - facts["without"] + facts["activation_seconds"],
        activation_seconds=facts["activation_seconds"],
        parameters=facts["parameters"],
        trained_parameters=facts["trained_parameters"],
        after_test=facts["after_test"],
    )


def _asked_of(training: TrainingType, how: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was said about live training; a head alone is fitted."""
    return {} if training == "transfer_learning" else dict(how)


def _commands(images: Path, bench: _Bench) -> tuple[str, ...]:
    """Return the commands that fit these images, and that add ANOTHER network to this comparison."""
    folder, short = (
        in_shell(images),
        bench.options.said("sample", "group_by", "min_per_class", "seed", "device", "levels"),
    )
    looks = bench.options.said("augment", "crop")
    epochs = f" --epochs {bench.how['epochs']}" if bench.how["epochs"] else ""
    stop = "".join(f" --stop {rule}" for rule in bench.how["stop"])
    out = f" --out {in_shell(bench.folder)}"
    return (
        f"goldenrule fit {folder}{short}",
        f"goldenrule compare-models {folder} -m ANOTHER{epochs}{stop}{looks}{short}{out}",
    )


def _check_types(types: Sequence[str]) -> None:
    for way in types:
        if way not in TYPES:
            raise OptionError(f"-t {way}: wanted all, or some of {', '.join(TYPES)}.")
    if not types:
        raise OptionError(f"There is no way of training to compare: give -t all, or some of {', '.join(TYPES)}.")


def _weights_digest(entry: Entry) -> str | None:
    """Return the digest of the file of weights, None where there is none: `train` says what is wrong with it."""
    path = entry.network.weights
    return file_digest(path) if path is not None and path.is_file() else None


def _facts_file(bench: _Bench, entry: Entry) -> Path:
    return bench.folder / "entries" / f"{entry.name}.json"


def _facts(bench: _Bench, entry: Entry) -> dict[str, Any]:
    path = _facts_file(bench, entry)
    return read_digested_json(path) if path.exists() else {}


def _kept_entries(bench: _Bench) -> Iterator[Entry]:
    """Return the entries that were trained before, as with other names."""
    for path in sorted((bench.folder / "entries").glob("*.json")):
        facts = read_digested_json(path)
        if facts.get("trained"):
            yield Entry.kept(facts)
