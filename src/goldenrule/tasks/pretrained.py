"""A classifier to publish: a folder with a model card, and the one call that sends it to a Hugging Face hub."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from goldenrule.core.errors import HubError, MissingExtra, OptionError, StorageError, first_line
from goldenrule.core.extras import quiet_dependencies
from goldenrule.core.schema import from_json
from goldenrule.core.visible import visible
from goldenrule.metrics import Estimate
from goldenrule.metrics.estimate import value_and_interval, value_beside_interval
from goldenrule.models.classifier import Classifier
from goldenrule.runs.verified_files import RESULT, was_written
from goldenrule.storage.files import atomic_folder
from goldenrule.storage.manifest import Sealed
from goldenrule.storage.tensors import tensors_content
from goldenrule.tasks.sharing import without_maker

CARD = "README.md"
NAMES_SHOWN = 40
"""So many classes are named on the card; the rest stands in classifier.json."""
HUB_METRICS = {"accuracy": "accuracy"}
"""Metrics that the hub has a name for; others are F-beta, which it calls f1 only where beta is 1."""
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True, slots=True)
class Measured:
    """The headline of a run: a number, and the split that it was measured on."""

    estimate: Estimate
    split: str


def save_pretrained(classifier: Classifier, folder: Path, *, license: str, keep_ood_detector: bool) -> Path:  # noqa: A002
    """Write the classifier to a new folder with its card; see `Classifier.save_pretrained`."""
    if folder.is_symlink() or (folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))):
        raise StorageError(f"{folder} is there already. Nothing was changed: give a new folder.")
    copy = without_maker(classifier)
    if keep_ood_detector:
        copy = replace(copy, ood_detector=classifier.ood_detector)
    with atomic_folder(folder) as temporary:
        copy.write_into(temporary, graph=copy.engine.name == "openvino")
        card = model_card(copy, measured_by_its_run(classifier), name=folder.name, license=license)
        (temporary / CARD).write_text(card, encoding="utf-8")
    return folder


def push_to_hub(
    classifier: Classifier,
    repo_id: str,
    *,
    token: str | None,
    endpoint: str | None,
    private: bool,
    license: str,  # noqa: A002
    keep_ood_detector: bool,
) -> str:
    """Send the folder that `save_pretrained` writes to a hub; see `Classifier.push_to_hub`."""
    if not REPOSITORY.fullmatch(repo_id):
        raise OptionError(f"push_to_hub({repo_id!r}): wanted OWNER/NAME, letters, digits, dots and dashes.")
    hub = client(endpoint, token)
    with TemporaryDirectory(prefix="goldenrule-") as place:
        folder = Path(place) / repo_id.rpartition("/")[2]
        save_pretrained(classifier, folder, license=license, keep_ood_detector=keep_ood_detector)
        try:
            made = hub.create_repo(repo_id, private=private, repo_type="model", exist_ok=True)
            hub.upload_folder(repo_id=repo_id, folder_path=folder, commit_message="A classifier by goldenrule")
        except Exception as error:  # of the client, of its HTTP library, of the system
            raise HubError(
                f"{repo_id} could not be pushed to {hub.endpoint} ({first_line(error)}). Check the address, the name "
                "and the token (hf auth login keeps one that may write), and push again: what was sent already is not "
                "sent twice, and is used by nobody until then."
            ) from error
    return str(made)


def client(endpoint: str | None, token: str | None) -> Any:
    """Return the hub's client, its telemetry off."""
    quiet_dependencies()
    try:
        import huggingface_hub
    except ImportError as error:
        raise MissingExtra("push_to_hub needs huggingface_hub: pip install 'goldenrule[hf]'.") from error
    return huggingface_hub.HfApi(endpoint=endpoint, token=token)


def measured_by_its_run(classifier: Classifier) -> Measured | None:
    """Return the headline of the run that a classifier was loaded from; None where it stands alone.

    None too where it was changed since it was loaded, or the run went on: the numbers are those of another one.
    """
    if classifier.folder is None or not was_written(run := classifier.folder.parent, RESULT):
        return None
    now, own = Classifier.load(classifier.folder), classifier
    heads = [tensors_content(one.head.tensors) for one in (now, own)]
    if heads[0] != heads[1] or (now.backbone.spec.weights, now.views) != (own.backbone.spec.weights, own.views):
        return None
    headline = dict(Sealed(run).json(RESULT)["headline"])
    return Measured(split=str(headline.pop("split")), estimate=from_json(headline, Estimate))


def model_card(classifier: Classifier, measured: Measured | None, *, name: str, license: str) -> str:  # noqa: A002
    """Return the card: a head for the hub's search, and what a user of the classifier wants to know."""
    parts = [
        f"---\n{_head(measured, name=name, license=license)}---",
        f"# {name}",
        _about(classifier),
        f"## How good it is\n\n{_numbers(measured)}",
        f"## Use\n\n```python\nimport goldenrule as gr\n\nclassifier = gr.Classifier.from_pretrained({name!r})  "
        '# this folder, downloaded\nfor one in classifier.predict(["photo.jpg"]):\n'
        "    print(one.id, one.label, one.probability)\n```",
        f"## Limits\n\n{_limits(classifier)}",
        f"## How it was made\n\n{_made(classifier)}",
    ]
    return "\n\n".join(parts) + "\n"


def _head(measured: Measured | None, *, name: str, license: str) -> str:  # noqa: A002
    """Return the head as YAML, of which JSON is a part."""
    head: dict[str, Any] = {
        "license": license,
        "library_name": "goldenrule",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "goldenrule"],
    }
    if measured and (kind := HUB_METRICS.get(measured.estimate.name)):
        found = measured.estimate
        metric = {"type": kind, "value": found.value, "name": f"{found.name}: {_of(measured)}"}
        about = {"type": "images", "name": f"{measured.split} split, {found.n:,} images"}
        result = {"task": {"type": "image-classification"}, "dataset": about, "metrics": [metric]}
        head |= {"metrics": [kind], "model-index": [{"name": name, "results": [result]}]}
    return "".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in head.items())


def _of(measured: Measured) -> str:
    found = measured.estimate
    return f"{value_and_interval(found)} of {found.n:,} images, {found.basis}"


def _about(classifier: Classifier) -> str:
    names = ", ".join(map(visible, classifier.classes[:NAMES_SHOWN]))
    more = f", and {len(classifier.classes) - NAMES_SHOWN:,} more" if len(classifier.classes) > NAMES_SHOWN else ""
    each = "each with a probability of its own" if classifier.task == "multi" else "of which an image has one"
    return f"A classifier of images with {len(classifier.classes):,} classes, {each}: {names}{more}."


def _numbers(measured: Measured | None) -> str:
    if measured is None:
        return "This copy carries no measured number: it was not saved from the run that made it."
    found = measured.estimate
    value, interval = value_beside_interval(found)
    table = (
        "| metric | value | 95 % interval | images | split |\n|---|---|---|---|---|\n"
        f"| {found.name} | {value} | {interval} | {found.n:,} | {measured.split}, {found.basis} |"
    )
    return (
        f"**{found.name.capitalize()}: {_of(measured)}** (the {measured.split} split).\n\n{table}\n\n"
        "It holds for images like those that it was measured on: of the same places, cameras and times."
    )


def _limits(classifier: Classifier) -> str:
    said = [
        "Every image gets one of these classes, whatever it shows."
        if classifier.task == "single"
        else "What is not among these classes is never named."
    ]
    if classifier.sets:
        said.append(classifier.sets.sentence)
    if classifier.ood_detector:
        said.append(classifier.ood_detector.sentence)
    else:
        said.append("This copy does not flag out-of-distribution images: it holds no features of training images.")
    return "\n".join(f"- {one}" for one in said)


def _made(classifier: Classifier) -> str:
    spec, facts = classifier.backbone.spec, classifier.provenance
    counts = {name: count for name, count in (facts.get("counts", {}).get("train") or {}).items() if name}
    said = [
        f"backbone: {spec.name}, {spec.parameters:,} parameters, input {spec.preprocessing.size} px; its weights are "
        f"{spec.source.get('from', 'of unknown origin')}, licence: {spec.source.get('licence', 'unknown')}",
        f"head: {facts.get('candidate', classifier.head.kind)}",
        f"trained on {facts.get('train_images', 0):,} images"
        + (f" ({', '.join(f'{name} {count:,}' for name, count in counts.items())})" if counts else ""),
        f"by goldenrule {facts.get('goldenrule', '')}".rstrip(),
    ]
    return "\n".join(f"- {one}" for one in said)
