"""Where only `pip install goldenrule` was run: predicting works to the bit, all else names the extra that it needs."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from goldenrule.core.errors import EXTRAS, FormatError, MissingExtra
from goldenrule.core.progress import Silent
from goldenrule.data.augmentation.augment import PLAIN
from goldenrule.data.pictures.decode import decode
from goldenrule.data.sources.given_pictures import readers_of
from goldenrule.engines import openvino
from goldenrule.features.extractor import bank_for
from goldenrule.models.backbone import backbone
from goldenrule.models.classifier import Classifier
from goldenrule.models.graphs import compiled as compiled_module
from goldenrule.models.graphs.compiled import engine_kind
from goldenrule.models.graphs.graph_check import drawn_batch
from goldenrule.models.heads import linear_head
from goldenrule.storage.manifest import seal

ROOT = Path(__file__).parents[2]
HIDDEN = sorted({module for modules in EXTRAS.values() for module in modules} | {"pandas"})
HOOK = f"""
    import importlib.abc, sys

    class Hidden(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] in {HIDDEN!r}:
                raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

    sys.meta_path.insert(0, Hidden())
"""
Process = subprocess.CompletedProcess[str]
Small = Callable[..., Process]


@pytest.fixture
def small(start: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> Small:
    """Run Python code, or a command line, in a process that has no module of an extra, and a new cache."""

    def run(*words: object, code: str = "") -> Process:
        body = code or "from goldenrule.cli.main import run; run()"
        script = textwrap.dedent(HOOK) + textwrap.dedent(body)
        process = start("-c", script, *words, env={"GOLDENRULE_CACHE": str(tmp_path / "small_cache")})
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return run


@pytest.fixture
def saved(cache: Path, tmp_path: Path) -> Path:
    """A classifier with a random head on the tiny network."""
    draws = np.random.default_rng(0)
    spec = backbone().spec
    head = linear_head(draws.normal(size=(2, spec.features)).astype(np.float32), np.zeros(2, np.float32))
    return Classifier(("blue", "red"), backbone(), head, engine_kind(backbone())).save(tmp_path / "classifier")


def test_a_saved_classifier_predicts_the_same_bits_without_pytorch(
    saved: Path, small: Small, picture_folder: Callable[..., Path], tmp_path: Path
) -> None:
    folder = picture_folder(each=9)
    wanted = Classifier.load(saved).predict(folder)
    found = small(
        saved,
        folder,
        code="""
        import goldenrule as gr, json
        classifier = gr.Classifier.load(sys.argv[1])
        logits = classifier.predict(sys.argv[2]).logits
        one = classifier.predict(sys.argv[2] + "/red/03.png").logits
        print(json.dumps([logits.tobytes().hex(), one.tobytes().hex()]))
        """,
    )
    assert found.returncode == 0, found.stderr
    several, one = json.loads(found.stdout)
    assert several == wanted.logits.tobytes().hex()
    assert one == wanted.logits[12:13].tobytes().hex()
    again = small("predict", saved, folder, "-o", "small.csv")
    assert again.returncode == 0, again.stderr
    assert "Checking the graph" not in again.stderr  # once per machine


def test_a_trained_network_predicts_the_same_bits_without_pytorch(
    command: Callable[..., Process], small: Small, picture_folder: Callable[..., Path], tmp_path: Path
) -> None:
    folder = picture_folder(each=16)
    command("train", folder, "-t", "fine_tuning", "--epochs", 1, "--out", "run", "--seed", 1)
    wanted = command("predict", "run", folder, "-o", "full.csv")
    assert wanted.returncode == 0, wanted.stderr
    spec = Classifier.load(tmp_path / "run").backbone.spec
    assert spec.weights != backbone().spec.weights
    found = small("predict", tmp_path / "run", folder, "-o", "small.csv")
    assert found.returncode == 0, found.stderr
    assert (tmp_path / "small.csv").read_text() == (tmp_path / "full.csv").read_text()


def test_predicting_imports_no_module_of_an_extra(
    saved: Path, start: Callable[..., subprocess.Popen[str]], picture_folder: Callable[..., Path]
) -> None:
    code = """
    import sys
    import goldenrule as gr
    list(gr.Classifier.load(sys.argv[1]).predict(sys.argv[2]))
    print(sorted({name.partition(".")[0] for name in sys.modules}))
    """
    process = start("-c", textwrap.dedent(code), saved, picture_folder(each=2))
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    loaded = set(ast.literal_eval(out))
    assert {"openvino", "numpy"} < loaded
    assert not loaded & {*HIDDEN}


@pytest.fixture
def answers(small: Small, saved: Path, picture_folder: Callable[..., Path]) -> dict[str, tuple[int, str]]:
    """What each command, and each name of Python, says without the extras: an exit code or 0, and the words."""
    code = """
    import json
    import goldenrule as gr
    from goldenrule.cli.main import app
    from typer.main import get_command
    from typer.testing import CliRunner

    answers = {}
    for name in gr.__all__:
        try:
            getattr(gr, name)
            answers["gr." + name] = 0, ""
        except gr.GoldenRuleError as error:
            answers["gr." + name] = 2, str(error)
    for name in get_command(app).commands:
        found = CliRunner().invoke(app, [name, *sys.argv[1:]], env={"COLUMNS": "300"})
        answers[name] = found.exit_code, found.output
        if found.exception and not isinstance(found.exception, SystemExit):
            answers[name] = 1, repr(found.exception)
    print(json.dumps(answers))
    """
    found = small(saved, picture_folder(each=2), code=code)
    assert found.returncode == 0, found.stderr
    return {name: tuple(answer) for name, answer in json.loads(found.stdout).items()}


WITHOUT_EXTRAS = {
    *("cache", "predict", "share"),
    *("gr.Classifier", "gr.Estimate", "gr.Finding", "gr.GoldenRuleError", "gr.Predictions"),
    *("gr.as_json", "gr.data", "gr.from_json", "gr.metrics", "gr.models"),
}


def test_every_command_and_name_does_without_the_extras_or_names_the_one_it_needs(
    answers: dict[str, tuple[int, str]],
) -> None:
    assert {"fit", "train", "evaluate", "explain", "predict", "gr.fit", "gr.Learner"} < answers.keys()
    for name, (code, words) in answers.items():
        if name in WITHOUT_EXTRAS:
            assert "needs the extra" not in words, (name, words)
            continue
        called = name.replace("gr.", "goldenrule.") if "." in name else f"goldenrule {name}"
        assert code == 2, (name, code, words)
        extra = {"review": "review", "serve": "serve"}.get(name, "fit")
        assert f"{called} needs the extra `{extra}`" in words, (name, words)
        assert f"pip install 'goldenrule[{extra}]'" in words


def test_what_needs_a_package_deep_inside_names_the_extra_too(small: Small, saved: Path) -> None:
    code = """
    import goldenrule as gr
    import numpy as np

    classifier = gr.Classifier.load(sys.argv[1])
    pixels = np.zeros((2, 40, 40, 3), np.uint8)
    known = classifier.predictions(classifier.predict(pixels).logits, ids=["a", "b"], truth=np.array([0, 1]))
    for call in (
        classifier.network,
        lambda: gr.models.custom_head,
        lambda: gr.metrics.to_arrow(known),
        lambda: gr.metrics.clopper_pearson(1, 2),
        lambda: gr.data.Shares,
    ):
        try:
            print("well", call())
        except gr.GoldenRuleError as error:
            print(type(error).__name__, error)
    """
    found = small(saved, code=code)
    assert found.returncode == 0, found.stderr
    lines = found.stdout.splitlines()
    assert len(lines) == 5
    assert all(line.startswith("well") or "pip install 'goldenrule[fit]'" in line for line in lines), lines
    assert [line.split()[0] for line in lines[:4]] == ["MissingExtra"] * 4


def test_the_packages_of_the_extras_are_those_that_the_code_names() -> None:
    """A package that is imported comes with goldenrule, or with an extra that `EXTRAS` knows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    called = {
        "scikit-learn": "sklearn",
        "pillow": "PIL",
        "mlflow-skinny": "mlflow",
        "pi-heif": "pi_heif",
        "markdown-it-py": "markdown_it",
    }

    def modules(requirements: list[str]) -> set[str]:
        names = [re.split(r"[<>=\[ ]", one)[0] for one in requirements]
        return {called.get(name, name.replace("-", "_")) for name in names} - {"goldenrule"}

    base = modules(project["dependencies"])
    assert not base & {*HIDDEN}
    for extra, listed in EXTRAS.items():
        assert modules(project["optional-dependencies"][extra]) == {*listed}, extra
    imported = set()
    for file in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.partition(".")[0])
    brought = {"markupsafe", "sqlalchemy", "huggingface_hub", "IPython", "pydantic", "grpc"}  # by these
    unknown = imported - {*sys.stdlib_module_names} - base - {*HIDDEN} - brought - {"goldenrule"}
    assert not unknown


@pytest.mark.parametrize(
    ("name", "how"), [("graph.xml", "cut"), ("graph.bin", "flipped"), ("graph.safetensors", "missing")]
)
def test_a_carried_graph_that_is_damaged_is_never_run(
    saved: Path, small: Small, picture_folder: Callable[..., Path], name: str, how: str
) -> None:
    content = bytearray((saved / name).read_bytes())
    (saved / name).unlink()
    if how != "missing":
        content[len(content) // 2] ^= 4
        (saved / name).write_bytes(content if how == "flipped" else content[:-7])
    found = small("predict", saved, picture_folder(each=2))
    assert found.returncode == 2, found.stdout
    assert name in found.stderr
    assert "copy it again, whole" in found.stderr
    assert "Traceback" not in found.stderr


def test_a_classifier_without_a_graph_says_what_to_do(
    saved: Path, small: Small, command: Callable[..., Process], picture_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """As earlier versions wrote them: with PyTorch they predict, and `share` makes a copy that needs none."""
    for name in ("graph.xml", "graph.bin", "graph.safetensors"):
        (saved / name).unlink()
    seal(saved)
    folder = picture_folder(each=2)
    found = small("predict", saved, folder)
    assert found.returncode == 2
    assert "carries no graph" in found.stderr
    assert "pip install 'goldenrule[fit]'" in found.stderr
    assert "goldenrule share CLASSIFIER -o COPY" in found.stderr
    assert command("predict", saved, folder, "-o", "full.csv").returncode == 0
    assert command("share", saved, "-o", "copy").returncode == 0
    assert small("predict", tmp_path / "copy", folder, "-o", "small.csv").returncode == 0
    assert (tmp_path / "small.csv").read_text() == (tmp_path / "full.csv").read_text()


def test_a_strangers_graph_is_not_run_where_the_weights_can_be(
    saved: Path, small: Small, cache: Path, picture_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """A graph that is not that of the weights: the manifest fits, and still it gets nowhere near the shared engines."""
    folder = picture_folder(each=2)
    wanted = Classifier.load(saved).predict(folder).logits
    content = np.frombuffer((saved / "graph.bin").read_bytes(), np.uint8).copy()
    weights = content[: len(content) // 4 * 4].view(np.float32)
    weights[np.abs(weights) > 1e-3] *= 3
    (saved / "graph.bin").write_bytes(content.tobytes())
    seal(saved)
    np.testing.assert_array_equal(Classifier.load(saved).predict(folder).logits, wanted)
    found = small("predict", saved, folder)
    assert found.returncode == 2
    assert re.search(r"gives other features here .* cosine is .* wanted 0\.9999", found.stderr)


def test_a_copy_made_without_pytorch_predicts_without_it(
    saved: Path, small: Small, picture_folder: Callable[..., Path], tmp_path: Path
) -> None:
    assert small("share", saved, "-o", "copy").returncode == 0
    shutil.rmtree(tmp_path / "small_cache", ignore_errors=True)
    found = small("predict", tmp_path / "copy", picture_folder(each=2))
    assert found.returncode == 0, found.stderr


def test_a_backbone_is_not_prepared_without_pytorch(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = backbone()
    shutil.rmtree(cache / "engines")
    monkeypatch.setattr("goldenrule.core.extras.is_installed", lambda module: module != "torch")
    with pytest.raises(MissingExtra, match=r"Preparing efficientnet_lite0 needs the extra `fit`: torch is not"):
        engine_kind(prepared)


def test_drawn_pictures_are_the_same_everywhere(cache: Path) -> None:
    """They are compared on another machine: nothing in them is drawn by chance."""
    one, other = (drawn_batch(backbone().spec.preprocessing) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    assert one.std(axis=(1, 2, 3)).min() > 0.3
    assert not np.array_equal(one[0], one[1])


def test_one_picture_has_the_bits_that_it_has_in_a_batch(saved: Path, picture_folder: Callable[..., Path]) -> None:
    files = sorted(picture_folder(each=12).rglob("*.png"))
    classifier = Classifier.load(saved)
    together = classifier.predict(files).logits
    sizes = {engine.batch_size for engine in classifier._engines.values()}
    few = [classifier.predict(files[start : start + 3]).logits for start in range(0, len(files), 3)]
    alone = [classifier.predict(file).logits for file in files]
    assert sizes == {openvino.BATCH_SIZE}
    assert {engine.batch_size for engine in classifier._engines.values()} == {1, openvino.BATCH_SIZE}
    np.testing.assert_array_equal(np.concatenate(few), together)
    np.testing.assert_array_equal(np.concatenate(alone), together)


def test_a_network_whose_pictures_alone_have_other_bits_runs_every_picture_alone(
    saved: Path, picture_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a batch too, and its features are kept under another key."""
    whole = compiled_module._made_here

    def doubtful(*arguments: object) -> tuple[Path, dict[str, object]]:
        folder, check = whole(*arguments)  # type: ignore[arg-type]
        return folder, {**check, "alone": {"fp32": False, "bf16": False}}

    files = sorted(picture_folder(each=12).rglob("*.png"))
    classifier = Classifier.load(saved)
    usual = engine_kind(classifier.backbone)
    monkeypatch.setattr(compiled_module, "_made_here", doubtful)
    together = classifier.predict(files).logits
    alone = [classifier.predict(file).logits for file in files]
    assert {engine.batch_size for engine in classifier._engines.values()} == {1, openvino.BATCH_SIZE}
    assert {engine.kind.alone for engine in classifier._engines.values()} == {True}
    assert classifier.engine_note() == ""
    np.testing.assert_array_equal(np.concatenate(alone), together)
    kinds = {replace(usual, alone=False), engine_kind(classifier.backbone)}
    keys = {bank_for(classifier.backbone.spec, kind, PLAIN).name for kind in kinds}
    assert len(keys) == 2


def test_a_graph_is_whole_before_it_is_copied(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (saved / "graph.bin").write_bytes((saved / "graph.bin").read_bytes()[:-1])
    monkeypatch.setattr(compiled_module, "is_installed", lambda module: module != "torch")
    classifier = Classifier.load(saved)
    with pytest.raises(FormatError, match=r"graph\.bin was changed or damaged"):
        classifier.save(tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_network_is_said_to_be_compiled_once(cache: Path) -> None:
    """A fit with live steps compiles it cut short, and with the weights of each candidate."""
    shutil.rmtree(cache / "engines")
    said: list[str] = []

    class Heard(Silent):
        def say(self, text: str) -> None:
            said.append(text)

    for size in (64, 96):
        engine_kind(backbone(size=size), progress=Heard())
    assert len([text for text in said if text.startswith("Compiling efficientnet_lite0")]) == 1


def test_an_array_is_not_compressed_on_its_way() -> None:
    """To compress it would take longer than the network; what a picture says of its colours is kept."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    plain, coloured = Image.fromarray(pixels), Image.fromarray(pixels)
    coloured.info["icc_profile"] = b"a profile"
    contents = [read() for _, read in readers_of([pixels, plain, coloured])]
    assert [content[:4] for content in contents] == [b"P6\n5", b"P6\n5", b"\x89PNG"]
    assert all(np.array_equal(decode(content), pixels) for content in contents[:2])
    assert np.array_equal(decode(next(read() for _, read in readers_of(pixels[:, :, 0])))[:, :, 1], pixels[:, :, 0])


@pytest.mark.exhaustive
def test_a_fresh_environment_of_the_plain_installation_predicts_the_same(
    saved: Path, command: Callable[..., Process], picture_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """The real thing, by pip: under 400 MB, and not a bit is another."""
    folder, python = picture_folder(each=4), tmp_path / "new" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", python.parents[1]], check=True)
    constraints = ["-c", ROOT / "constraints.txt"]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *constraints, ROOT], check=True)
    packages = [file for file in (tmp_path / "new" / "lib").rglob("*") if file.is_file() and not file.is_symlink()]
    assert sum(file.stat().st_size for file in packages) < 400e6
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["GOLDENRULE_CACHE"] = str(tmp_path / "new_cache")
    ours = [python, "-m", "goldenrule"]
    subprocess.run([*ours, "predict", saved, folder, "-o", "new.csv"], cwd=tmp_path, env=environment, check=True)
    assert command("predict", saved, folder, "-o", "full.csv").returncode == 0
    assert (tmp_path / "new.csv").read_text() == (tmp_path / "full.csv").read_text()
    refused = subprocess.run([*ours, "fit", folder], env=environment, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "needs the extra `fit`" in refused.stderr
