"""Law 8: no pickle, anywhere in the source."""

import ast
from pathlib import Path

import pytest

import goldenrule

SOURCE = Path(goldenrule.__file__).parent
PICKLES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
IN_MEMORY = "training/processes/work.py"


def offences(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found += [name.name for name in names if name.name.split(".")[0] in PICKLES]
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in PICKLES:
                found.append(module)
            case ast.Call(func=ast.Attribute(value=ast.Name(id="torch"), attr="load" | "save" as verb), keywords=given):
                wanted = [word.value for word in given if word.arg == "weights_only"]
                safe = [value for value in wanted if isinstance(value, ast.Constant) and value.value is True]
                if verb == "save" or not safe:
                    found.append(f"torch.{verb} in line {node.lineno}")
            case ast.keyword(arg="allow_pickle", value=ast.Constant(value=True)):
                found.append("allow_pickle=True")
            case ast.keyword(arg="weights_only", value=value) if not (
                isinstance(value, ast.Constant) and value.value is True
            ):
                found.append("weights_only is not True")
            case ast.Attribute(attr="read_pickle" | "to_pickle"):
                found.append(node.attr)
    return found


def test_no_module_reads_or_writes_a_pickle():
    modules = sorted(SOURCE.rglob("*.py"))
    assert len(modules) > 40
    found = {
        path.relative_to(SOURCE).as_posix(): bad
        for path in modules
        if (bad := offences(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert found == {IN_MEMORY: ["pickle"]}


def test_what_processes_send_each_other_never_meets_a_file():
    """Decision 64: what trains together is sent through memory and sockets of the user's own processes."""
    calls = [node for node in ast.walk(ast.parse((SOURCE / IN_MEMORY).read_text())) if isinstance(node, ast.Call)]
    names = {getattr(call.func, "attr", getattr(call.func, "id", "")) for call in calls}
    assert "loads" in names
    assert not names & {"open", "load", "read_bytes", "write_bytes", "read", "write"}


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from joblib import dump",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.save(state, path)",
        "np.load(path, allow_pickle=True)",
        "frame.to_pickle(path)",
        "load(path, weights_only=flag)",
    ],
)
def test_this_check_sees_a_pickle_where_there_is_one(code):
    assert offences(ast.parse(code))


def test_this_check_lets_safe_reading_pass():
    assert not offences(ast.parse("torch.load(path, map_location='cpu', weights_only=True)"))
