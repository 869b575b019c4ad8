import inspect
import re

import pytest

from goldenrule.foundation import errors
from goldenrule.foundation.errors import GoldenRuleError, nearest


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
        if one.__module__ == errors.__name__
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
