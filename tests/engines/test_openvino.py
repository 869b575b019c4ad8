"""The frozen backbone through OpenVINO: rows stand alone, precision is said, nothing is reported to anyone."""

import json
import subprocess
import sys
import textwrap
from importlib import metadata

import numpy as np
import pytest

from goldenrule.core.schema import as_json, from_json
from goldenrule.data.pictures.decode import decode
from goldenrule.engines import EngineKind, openvino
from goldenrule.engines.openvino import OpenVinoEngine
from goldenrule.models.backbone import backbone
from goldenrule.models.graphs.compiled import available_threads, compiled, engine_kind

PRECISIONS = ["bf16", "fp32"]


@pytest.fixture(scope="module")
def pretrained(prepared_cache):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOLDENRULE_CACHE", str(prepared_cache))
        yield backbone()


@pytest.fixture(scope="module")
def ir(pretrained, prepared_cache):
    """Return the exported backbone (the only .xml in the cache)."""
    engine_kind(pretrained)
    (path,) = (prepared_cache / "engines").rglob("backbone.xml")
    return path


@pytest.fixture(scope="module")
def pictures(pretrained, photos):
    """Return a batch of real photos as network input."""
    files = sorted(photos("cat_dog_horse").rglob("*.jpg"))
    chosen = files[:: len(files) // openvino.BATCH_SIZE][: openvino.BATCH_SIZE]
    return np.stack([pretrained.spec.preprocessing.pixels(decode(path.read_bytes())) for path in chosen])


def capable(precision):
    if precision == "bf16" and openvino.best_precision() != "bf16":
        pytest.skip("this processor does not compute in bf16")
    return precision


def features(engine, pixels):
    ((_, values),) = engine.run([(None, pixels)])
    return values


@pytest.fixture(scope="module")
def engines(ir):
    made = {}

    def engine(precision, threads=2):
        key = capable(precision), threads
        if key not in made:
            made[key] = OpenVinoEngine(ir, precision, threads=threads)
        return made[key]

    return engine


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_row_has_the_same_bits_alone_with_others_and_elsewhere_in_the_batch(engines, pictures, precision):
    """Law 3: without this, a bank's rows would depend on which other images were missing."""
    engine = engines(precision)
    together = features(engine, pictures)
    assert np.unique(together, axis=0).shape == together.shape
    order = np.random.default_rng(0).permutation(len(pictures))
    np.testing.assert_array_equal(features(engine, pictures[order]), together[order])
    for row in (0, 7, len(pictures) - 1):
        alone = np.zeros_like(pictures)
        alone[row] = pictures[row]
        np.testing.assert_array_equal(features(engine, alone)[row], together[row])
        huge = np.full_like(pictures, 1e4)
        huge[(row + 3) % len(huge)] = pictures[row]
        np.testing.assert_array_equal(features(engine, huge)[(row + 3) % len(huge)], together[row])


@pytest.mark.parametrize("precision", PRECISIONS)
def test_one_thread_and_two_give_the_same_bits(engines, pictures, precision):
    one, two = (features(engines(precision, threads), pictures) for threads in (1, 2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_precision_is_set_and_read_back(engines, precision):
    engine = engines(precision)
    assert engine.kind == EngineKind(name="openvino", precision=precision, version=openvino.version())
    assert from_json(json.loads(json.dumps(as_json(engine.kind))), EngineKind) == engine.kind
    assert str(engine.kind) == f"openvino {openvino.version()} {precision}"


def test_precisions_really_differ_and_stay_close(engines, pictures):
    exact, rough = features(engines("fp32"), pictures), features(engines("bf16"), pictures)
    cosine = np.sum(exact * rough, axis=1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(rough, axis=1)
    assert not np.array_equal(exact, rough)
    assert cosine.mean() > 0.98


def test_many_batches_come_back_in_order_with_their_own_tags(engines, pictures):
    engine = engines("fp32")
    batches = [np.roll(pictures, shift, axis=0) for shift in range(7)]
    together = features(engine, pictures)
    found = list(engine.run(enumerate(batches)))
    assert [tag for tag, _ in found] == list(range(7))
    for shift, values in found:
        np.testing.assert_array_equal(values, np.roll(together, shift, axis=0))
    assert list(engine.run([])) == []


def test_results_stay_as_they_are_while_the_engine_runs_on(engines, pictures):
    engine = engines("fp32")
    first, *_ = results = [values for _, values in engine.run((n, pictures * (n + 1)) for n in range(5))]
    np.testing.assert_array_equal(first, features(engine, pictures))
    assert not any(np.shares_memory(first, other) for other in results[1:])


def test_a_consumer_that_stops_early_leaves_an_engine_that_works(engines, pictures):
    engine = engines("fp32")
    wanted = features(engine, pictures)
    stream = engine.run((number, pictures) for number in range(10))
    next(stream)
    stream.close()
    np.testing.assert_array_equal(features(engine, pictures), wanted)


def test_torch_agrees_with_openvino_in_fp32(engines, pretrained, pictures):
    from goldenrule.engines.pytorch import TorchEngine

    wanted = features(TorchEngine(pretrained.module, threads=available_threads()), pictures)
    found = features(engines("fp32"), pictures)
    cosine = np.sum(wanted * found, axis=1) / np.linalg.norm(wanted, axis=1) / np.linalg.norm(found, axis=1)
    assert cosine.min() > 0.9999
    np.testing.assert_allclose(found, wanted, atol=1e-3)


def test_the_engine_that_is_chosen_is_the_one_that_is_compiled(pretrained, ir):
    kind = engine_kind(pretrained)
    assert kind.name == "openvino"
    assert kind.precision == openvino.best_precision()
    assert compiled(pretrained, kind).kind == kind


def in_a_new_process(code):
    script = textwrap.dedent(code)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)


def test_neither_goldenrule_nor_openvino_through_it_imports_the_telemetry():
    """Law 13. The package is installed here: without the guard, importing openvino imports it."""
    try:
        metadata.version("openvino-telemetry")
    except metadata.PackageNotFoundError:
        pytest.skip("OpenVINO came without its telemetry")
    result = in_a_new_process("""
        import sys
        import goldenrule
        assert "openvino" not in sys.modules
        from goldenrule.engines import openvino
        core = openvino.imported().Core()
        core.available_devices
        assert sys.modules.get("openvino_telemetry") is None, sys.modules["openvino_telemetry"]
    """)
    assert result.returncode == 0, result.stderr


def test_the_telemetry_of_an_openvino_that_was_imported_before_is_silenced():
    """Law 13. Its reports also cost a fork of this process each time that a network is converted."""
    result = in_a_new_process("""
        import sys
        import openvino
        if sys.modules.get("openvino_telemetry") is None:
            sys.exit(0)  # OpenVINO came without its telemetry
        import multiprocessing, multiprocessing.context
        def forked(*_):
            raise AssertionError("a report is sent from a process of its own")
        multiprocessing.context.ForkProcess._Popen = forked
        from goldenrule.engines import openvino as engine
        engine.imported()
        assert sys.modules["openvino_telemetry"].Telemetry.__module__ == "openvino.tools.ovc.telemetry_stub"
        import pathlib, tempfile, torch
        with tempfile.TemporaryDirectory() as folder:
            engine.export(torch.nn.Conv2d(3, 4, 3), 32, pathlib.Path(folder) / "backbone.xml")
    """)
    assert result.returncode == 0, result.stderr


def test_no_process_of_tests_has_the_telemetry():
    assert sys.modules.get("openvino_telemetry") is None


def test_sockets_may_be_forbidden_while_openvino_is_imported():
    result = in_a_new_process("""
        import socket, threading, time
        tried = []
        def refuse(*arguments, **options):
            tried.append(arguments)
            raise OSError("no sockets")
        socket.socket = socket.create_connection = socket.getaddrinfo = refuse
        from goldenrule.engines import openvino
        openvino.imported().Core().get_property("CPU", "FULL_DEVICE_NAME")
        time.sleep(0.3)
        assert not tried, tried
    """)
    assert result.returncode == 0, result.stderr


SIGNALLED = """
import gc, signal, sys
from pathlib import Path
from goldenrule.engines import openvino

one = openvino.OpenVinoEngine(Path(sys.argv[1]), "fp32", threads=1)
other = openvino.OpenVinoEngine(Path(sys.argv[1]), "fp32", threads=1)
del one
gc.collect()
del other
gc.collect()
signal.signal(signal.SIGTERM, lambda *_: print("came"))
signal.raise_signal(signal.SIGTERM)
"""


def test_signals_still_come_where_engines_have_come_and_gone(prepared_cache):
    """OpenVINO's CPU plugin gives signals a stack of their own; unloaded, it leaves them one that is gone."""
    (model,) = prepared_cache.glob("engines/*/backbone.xml")
    found = subprocess.run([sys.executable, "-c", SIGNALLED, str(model)], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "came\n"), found.stderr
