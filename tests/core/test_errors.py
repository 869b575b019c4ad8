import errno
import inspect
import re

import pytest

from goldenrule.core import errors
from goldenrule.core.errors import GoldenRuleError, SourceError, StorageError, nearest, system_errors


def test_the_tree_drawn_on_top_of_the_file_is_the_tree_of_the_classes():
    drawn = re.findall(r"^ {4}([│ ├└─]*)([A-Z]\w+) {2,}", errors.__doc__, flags=re.MULTILINE)
    above: dict[int, str] = {}
    tree = {}
    for indent, name in drawn:
        depth = len(indent) // 4
        above[depth] = name
        tree[name] = above.get(depth - 1, "Exception")
    classes = {
        name: one.__base__.__name__
        for name, one in inspect.getmembers(errors, inspect.isclass)
        if one.__module__ == errors.__name__ and issubclass(one, Exception)
    }
    assert tree == classes
    assert all(issubclass(getattr(errors, name), GoldenRuleError) for name in tree)


@pytest.mark.parametrize(
    ("name", "first"),
    [("resnet1", "resnet18"), ("efficientnet_light0", "efficientnet_lite0"), ("convnext", "convnext_tiny")],
)
def test_the_nearest_name_comes_first(name, first):
    assert nearest(name, ["efficientnet_lite0", "resnet18", "convnext_tiny"])[0] == first


def test_nothing_alike_gives_nothing_and_never_more_than_asked():
    assert nearest("qqqq", ["resnet18"]) == []
    assert len(nearest("resnet", [f"resnet{number}" for number in range(50)], most=3)) == 3


@pytest.mark.parametrize(
    ("raised", "wanted"),
    [
        (OSError(errno.ENAMETOOLONG, "File name too long", "n" * 300), SourceError),
        (OSError(errno.ENOSPC, "No space left on device", "a"), StorageError),
        (ValueError("embedded null byte"), SourceError),
        (ConnectionError("the server is gone"), ConnectionError),
        (ValueError("no such layer"), ValueError),
    ],
)
def test_what_is_said_of_a_path_is_told_and_what_others_say_is_left(raised: Exception, wanted: type[Exception]) -> None:
    with pytest.raises(wanted), system_errors():
        raise raised


def test_an_error_of_the_users_own_code_keeps_its_words() -> None:
    @system_errors()
    def logged() -> None:
        try:
            raise OSError(errno.EIO, "Input/output error", "socket")
        except OSError:
            raise RuntimeError("tracking server is gone") from None

    with pytest.raises(RuntimeError, match="tracking server is gone"):
        logged()
