"""The classifier that is saved, shared and served: same pixels, same answer, no silent one."""

import copy
import json
import subprocess
import sys
import tarfile
import textwrap
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file, save_file

from goldenrule.core.errors import FormatError, SourceError, StorageError
from goldenrule.core.schema import as_json
from goldenrule.data.pictures.decode import decode
from goldenrule.data.pictures.preprocess import Preprocessing
from goldenrule.data.sources.folders import from_folder
from goldenrule.engines import openvino
from goldenrule.engines.openvino import OpenVinoEngine
from goldenrule.models.backbone import backbone
from goldenrule.models.classifier import SCHEMA_VERSION, Classifier
from goldenrule.models.graphs.compiled import available_threads, engine_kind
from goldenrule.models.heads import LayeredHead, linear_head
from goldenrule.storage.manifest import seal

PER_CLASS = 6


@pytest.fixture(scope="module")
def own_cache(prepared_cache):
    """Let the module's fixtures share the prepared backbone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOLDENRULE_CACHE", str(prepared_cache))
        yield prepared_cache


@pytest.fixture(scope="module")
def table(photos):
    """Return a few real photos of three classes."""
    whole = from_folder(photos("cat_dog_horse")).split("train")
    rows = [row for label in range(3) for row in np.flatnonzero(whole.targets == label)[:PER_CLASS]]
    mask = np.zeros(len(whole), bool)
    mask[rows] = True
    return whole.where(mask)


@pytest.fixture(scope="module")
def files(table):
    return [table.root / uri for uri in table.uris]


@pytest.fixture(scope="module")
def features_by_hand(own_cache, files):
    """Return the features of the photos, one photo per batch, step by step."""
    pretrained = backbone()
    (path,) = own_cache.joinpath("engines").rglob("backbone.xml")
    engine = OpenVinoEngine(path, engine_kind(pretrained).precision, threads=1)
    batches = []
    for file in files:
        batch = np.zeros((openvino.BATCH_SIZE, 3, 224, 224), np.float32)
        batch[0] = pretrained.spec.preprocessing.pixels(decode(file.read_bytes()))
        batches.append(batch)
    return np.stack([values[0] for _, values in engine.run(enumerate(batches))])


@pytest.fixture(scope="module")
def classifier(own_cache, table, features_by_hand):
    """Return a classifier by least squares on a few photos: real weights, real classes."""
    wanted = np.eye(3)[table.targets] * 3
    inputs = np.hstack([features_by_hand, np.ones((len(wanted), 1))]).astype(np.float64)
    linear = np.linalg.solve(inputs.T @ inputs + 0.1 * np.eye(inputs.shape[1]), inputs.T @ wanted).T
    head = linear_head(linear[:, :-1].astype(np.float32), linear[:, -1].astype(np.float32))
    return Classifier(table.classes, backbone(), head, engine_kind(backbone()), {"made": "by a test"})


@pytest.fixture(scope="module")
def saved(classifier, tmp_path_factory):
    return classifier.save(tmp_path_factory.mktemp("saved") / "classifier")


@pytest.fixture(scope="module")
def predictions(own_cache, saved, files):
    return Classifier.load(saved).predict(files)


def copy_of(saved, tmp_path):
    for file in saved.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def edit(folder, **changes):
    file = folder / "classifier.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    seal(folder)


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_a_saved_and_loaded_classifier_gives_the_probabilities_found_by_hand(
    saved, predictions, features_by_hand, table
):
    head = load_file(saved / "head.safetensors")
    by_hand = softmax(features_by_hand.astype(np.float64) @ head["weight"].T + head["bias"])
    np.testing.assert_allclose(predictions.probabilities, by_hand, atol=2e-3)  # features are kept in float16
    halves = features_by_hand.astype(np.float16).astype(np.float64)
    by_hand = softmax(halves @ head["weight"].T + head["bias"])
    np.testing.assert_allclose(predictions.probabilities, by_hand, atol=1e-4)
    assert predictions.classes == table.classes
    assert (predictions.probabilities.argmax(axis=1) == table.targets).all()
    assert (predictions.truth == -1).all()


def test_the_pytorch_network_in_fp32_names_the_same_classes(own_cache, saved, predictions, files):
    loaded = Classifier.load(saved)
    pixels = np.stack([loaded.preprocessing.pixels(decode(file.read_bytes())) for file in files])
    with torch.inference_mode():
        found = softmax(loaded.network()(torch.from_numpy(pixels)).numpy().astype(np.float64))
    difference = np.abs(found - predictions.probabilities).max()
    assert (found.argmax(axis=1) == predictions.probabilities.argmax(axis=1)).all()
    assert difference < (0.02 if openvino.best_precision() == "bf16" else 2e-3), difference
    print(f"largest difference {difference:.1e}, n = {len(files)}")
    assert difference > 0


def test_an_unreadable_file_has_a_status_and_no_probabilities(own_cache, saved, files, tmp_path, predictions):
    """Law 9, and its neighbours in the batch do not notice."""
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "cut.jpg").write_bytes(files[0].read_bytes()[:1000])
    bad = sorted(tmp_path.glob("*.jpg"))
    found = Classifier.load(saved).predict([*bad, *files[:3]])
    assert found.status.tolist() == ["unreadable"] * 3 + ["ok"] * 3
    assert np.isnan(found.probabilities[:3]).all()
    np.testing.assert_array_equal(found.logits[3:], predictions.logits[:3])
    only_bad = Classifier.load(saved).predict(bad)
    assert only_bad.status.tolist() == ["unreadable"] * 3
    assert [row.reason for row in only_bad] == only_bad.to_frame()["reason"].tolist()
    assert all(row.reason for row in only_bad)
    assert [row.reason for row in found][3:] == ["", "", ""]


def test_pictures_as_a_program_has_them_are_predicted_as_their_files(classifier, files):
    file = files[0]
    with Image.open(file) as image:
        pixels = np.asarray(image.convert("RGB"))
    every = classifier.predict([file, file.read_bytes(), pixels, Image.fromarray(pixels)])
    assert np.array_equal(every.logits[0], every.logits[1])
    assert np.array_equal(every.logits[2], every.logits[3])
    assert np.allclose(every.logits[0], every.logits[2], atol=0.05), (
        "Pillow and the fast decoder differ by a grey level"
    )
    assert [row.label for row in every] == [every.classes[number] for number in every.predicted]
    frame = every.to_frame()
    known = ["distance"] if classifier.ood_detector else []
    probabilities = [f"p:{name}" for name in every.classes]
    assert list(frame.columns) == ["path", "status", "prediction", "probability", *known, "reason", *probabilities]
    assert frame["prediction"].tolist() == [row.label for row in every]


def test_a_folder_gives_a_row_for_every_image_by_its_name(own_cache, saved, picture_folder):
    found = Classifier.load(saved).predict(picture_folder(each=10))
    assert found.ids == tuple(f"{name}/{number:02d}.png" for name in ("blue", "red") for number in range(10))
    assert found.ok.all()
    with pytest.raises(SourceError, match="does not exist"):
        Classifier.load(saved).predict("gone.jpg")
    with pytest.raises(SourceError, match="does not exist"):
        Classifier.load(saved).predict(["gone.jpg", "also.jpg"])


def test_of_several_paths_one_that_is_gone_has_its_row(own_cache, saved, picture_folder):
    first = sorted(picture_folder(each=2).rglob("*.png"))[0]
    found = Classifier.load(saved).predict([first, "gone.jpg"])
    assert (found.ids[1], list(found.status)) == ("gone.jpg", ["ok", "unreadable"])


def test_archives_tables_and_patterns_are_predicted_as_on_the_command_line(own_cache, saved, picture_folder, tmp_path):
    root, classifier = picture_folder(each=3), Classifier.load(saved)
    wanted = classifier.predict(root)
    assert not wanted.to_frame()["path"].duplicated().any()
    with tarfile.open(tmp_path / "all.tar.gz", "w:gz") as archive:
        archive.add(root, arcname=".")
    names = [str(root / name) for name in wanted.ids]
    (tmp_path / "all.csv").write_text("name,file\n" + "".join(f"{place},{name}\n" for place, name in enumerate(names)))
    for source in (tmp_path / "all.tar.gz", tmp_path / "all.csv", str(root / "*/*.png")):
        found = classifier.predict(source)
        by_name = {Path(name).parts[-2:]: row for row, name in enumerate(found.ids)}
        order = [by_name[Path(name).parts[-2:]] for name in wanted.ids]
        np.testing.assert_array_equal(found.select(order).logits, wanted.logits)
    (tmp_path / "cut.tar.gz").write_bytes((tmp_path / "all.tar.gz").read_bytes()[:-40])
    with pytest.warns(UserWarning, match=r"cut.tar.gz"):
        assert len(classifier.predict(tmp_path / "cut.tar.gz")) > 0
    with zipfile.ZipFile(tmp_path / "none.zip", "w") as empty:
        empty.writestr("notes.txt", "nothing")
    with pytest.raises(SourceError, match="no picture is in there"):
        classifier.predict(tmp_path / "none.zip")


def test_a_saved_classifier_is_json_and_safetensors_that_others_may_read(saved):
    names = {file.name: file for file in saved.iterdir()}
    assert set(names) == {
        *("classifier.json", "backbone.safetensors", "head.safetensors", "manifest.json"),
        *("graph.xml", "graph.bin", "graph.safetensors"),
    }
    assert all(file.stat().st_mode & 0o444 == 0o444 for file in names.values())
    value = json.loads(names["classifier.json"].read_text())
    assert value["schema_version"] == SCHEMA_VERSION
    assert value["classes"] == sorted(value["classes"])
    assert value["engine"]["precision"] in ("bf16", "fp32")


def test_loading_gives_what_was_saved_from_its_folder_or_that_of_its_run(classifier, saved, tmp_path):
    loaded = Classifier.load(saved)
    assert as_json(loaded) == as_json(classifier)
    assert loaded.preprocessing == classifier.preprocessing
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "classifier").symlink_to(saved)
    assert as_json(Classifier.load(tmp_path / "run")) == as_json(classifier)
    assert repr(loaded).startswith("Classifier(3 classes: ")


def test_saving_over_an_old_classifier_replaces_it_whole(classifier, tmp_path):
    target = tmp_path / "classifier"
    classifier.save(target)
    (target / "stray").touch()
    classifier.save(target)
    assert sorted(path.name for path in target.iterdir()) == [
        "backbone.safetensors",
        "classifier.json",
        "graph.bin",
        "graph.safetensors",
        "graph.xml",
        "head.safetensors",
        "manifest.json",
    ]
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_while_saving_leaves_the_old_classifier(classifier, tiny_disk):
    disk = tiny_disk("40m")
    classifier.save(disk / "classifier")
    with pytest.raises(StorageError, match="disk is full"):
        classifier.save(disk / "classifier")
    assert as_json(Classifier.load(disk / "classifier")) == as_json(classifier)
    assert [path.name for path in disk.iterdir()] == ["classifier"]


def test_both_kinds_of_head_are_saved_and_loaded(own_cache, classifier, tmp_path):
    draws = np.random.default_rng(1)
    names = ("scale_1", "shift_1", "weight_1", "scale_2", "shift_2", "weight_2", "bias_2")
    shapes = [(1280,), (1280,), (16, 1280), (16,), (16,), (3, 16), (3,)]
    tensors = {name: draws.normal(size=shape).astype(np.float32) for name, shape in zip(names, shapes, strict=True)}
    head = LayeredHead("concat-pool", tensors)
    made = Classifier(classifier.classes, classifier.backbone, head, classifier.engine)
    loaded = Classifier.load(made.save(tmp_path / "classifier"))
    features = np.random.default_rng(0).normal(size=(5, 1280)).astype(np.float32)
    assert loaded.head.kind == "concat-pool"
    np.testing.assert_array_equal(loaded.logits(features), made.logits(features))
    assert json.loads((tmp_path / "classifier" / "classifier.json").read_text())["head"] == "concat-pool"


def test_the_preprocessing_travels_inside_the_classifier_and_is_used(cache, random_weights, files, tmp_path):
    """Law 1: another size than the network's own must come back from the file and reach the pixels."""
    pretrained = backbone("mobilenetv3_small_050", weights=random_weights("mobilenetv3_small_050"), size=96)
    head = linear_head(
        np.random.default_rng(0).normal(size=(3, pretrained.spec.features)).astype(np.float32), np.zeros(3, np.float32)
    )
    made = Classifier(("a", "b", "c"), pretrained, head, engine_kind(pretrained))
    loaded = Classifier.load(made.save(tmp_path / "classifier"))
    assert loaded.preprocessing == pretrained.spec.preprocessing
    assert loaded.preprocessing.size == 96
    assert loaded.preprocessing != Preprocessing(size=96)
    pixels = np.stack([pretrained.spec.preprocessing.pixels(decode(file.read_bytes())) for file in files[:4]])
    with torch.inference_mode():
        features = loaded.network().backbone(torch.from_numpy(pixels)).numpy()
    found = loaded.predict(files[:4]).logits[:, 0]
    scale = np.abs(head.logits(features)).max()
    np.testing.assert_allclose(found, head.logits(features), atol=0.05 * scale)


def test_a_classifier_of_a_newer_version_asks_for_an_update(saved, tmp_path):
    folder = copy_of(saved, tmp_path)
    edit(folder, schema_version=SCHEMA_VERSION + 1)
    with pytest.raises(FormatError, match=rf"schema version {SCHEMA_VERSION + 1}.*Update goldenrule"):
        Classifier.load(folder)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *((name, damage) for name in ("backbone", "head", "classifier") for damage in ("cut", "missing", "garbage")),
        ("backbone", "changed"),
        ("head", "changed"),
    ],
)
def test_a_damaged_classifier_is_a_format_error(saved, tmp_path, name, damage):
    (file,) = copy_of(saved, tmp_path).glob(f"{name}.*")
    content = file.read_bytes()
    file.unlink()
    match damage:
        case "garbage":
            file.write_bytes(b"garbage")
        case "cut":
            file.write_bytes(content[: len(content) // 2])
        case "changed":
            file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    wanted = SourceError if (name, damage) == ("classifier", "missing") else FormatError
    with pytest.raises(wanted, match=r"copy it again, whole|can't be read|Give the folder of a run"):
        Classifier.load(tmp_path)


def test_a_head_that_does_not_fit_the_classes_or_the_body_is_a_format_error(saved, tmp_path):
    folder = copy_of(saved, tmp_path)
    edit(folder, classes=["a", "b"])
    with pytest.raises(FormatError, match="3 outputs for 2 classes"):
        Classifier.load(folder)
    edit(folder, classes=["a", "b", "c"])
    save_file({"weight": np.zeros((3, 7), np.float32), "bias": np.zeros(3, np.float32)}, folder / "head.safetensors")
    seal(folder)
    with pytest.raises(FormatError, match="is damaged"):
        Classifier.load(folder)


@pytest.mark.parametrize(
    "change", [{"backbone": None}, {"backbone": {}}, {"head": "other"}, {"engine": {"name": "x"}}, {"classes": 3}]
)
def test_fields_that_are_missing_or_strange_are_a_format_error(saved, tmp_path, change):
    folder = copy_of(saved, tmp_path)
    edit(folder, **change)
    with pytest.raises(FormatError):
        Classifier.load(folder)


def test_another_engine_than_the_one_it_was_scored_with_is_said(own_cache, classifier):
    assert classifier.engine_note() == ""
    older = replace(classifier, engine=replace(classifier.engine, version="2020.1"))
    assert older.engine_note() == (
        f"Scored with {older.engine}, predicting with {classifier.engine}: probabilities may differ a little."
    )


def test_a_folder_without_a_classifier_says_what_makes_one(tmp_path):
    with pytest.raises(SourceError, match=r"holds no classifier.*goldenrule fit writes one"):
        Classifier.load(tmp_path)


def test_with_sockets_forbidden_a_new_process_predicts_and_needs_no_torch(own_cache, saved, files, predictions):
    """Law 13; and torch and timm stay unimported, so that the first answer comes in two seconds, not in ten."""
    script = textwrap.dedent("""
        import socket, sys
        def refuse(*arguments, **options):
            raise AssertionError(f"a socket was wanted: {arguments}")
        socket.socket = socket.create_connection = socket.getaddrinfo = refuse
        import goldenrule
        from goldenrule.models.graphs import compiled
        compiled._export_and_compare = refuse
        found = goldenrule.Classifier.load(sys.argv[1]).predict(sys.argv[2:])
        print(found.logits[:, 0].tolist())
        imported = {"torch", "timm", "openvino_telemetry", "huggingface_hub"} & {
            name for name, module in sys.modules.items() if module is not None
        }
        assert not imported, imported
    """)
    command = [sys.executable, "-c", script, str(saved), *map(str, files[:2])]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    np.testing.assert_array_equal(np.float32(json.loads(result.stdout)), predictions.logits[:2, 0])


def test_threads_and_company_change_no_bit_of_a_prediction(own_cache, saved, files, predictions):
    loaded = Classifier.load(saved)
    for threads in {1, available_threads()}:
        found = loaded.predict(files[::-1], threads=threads)
        np.testing.assert_array_equal(found.logits[::-1], predictions.logits)
    np.testing.assert_array_equal(loaded.predict(files[4]).logits, predictions.logits[4:5])


def test_threads_may_share_a_classifier_and_a_copy_predicts_the_same(classifier, files):
    alone = classifier.predict(files).logits
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda _: classifier.predict(files).logits, range(8)))
    assert all(one.tobytes() == alone.tobytes() for one in (*together, copy.deepcopy(classifier).predict(files).logits))


def test_the_second_prediction_compiles_nothing(classifier, files, monkeypatch):
    first = classifier.predict(files[0])
    monkeypatch.setattr("goldenrule.models.classifier.serving_engine", None)
    assert classifier.predict(files[0]).logits.tobytes() == first.logits.tobytes()
