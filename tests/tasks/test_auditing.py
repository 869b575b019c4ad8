"""An audit looks at the neighbours in a bank, where there is one, and computes nothing for it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from goldenrule.features.cache import stored
from goldenrule.models.backbone import backbone
from goldenrule.tasks.auditing import audit_images
from goldenrule.tasks.precompute import features_of
from goldenrule.tasks.split_folder import split_folder


@pytest.fixture
def turned(photos: Callable[[str], Path], tmp_path: Path) -> Path:
    """Ten photos, one of them a second time, turned and cropped; another encoded again."""
    root = tmp_path / "set"
    for label in ("cats", "dogs"):
        (root / label).mkdir(parents=True)
        for number, file in enumerate(sorted((photos("dogscats") / "train" / label).iterdir())[:5]):
            shutil.copy(file, root / label / f"{number}.jpg")
    with Image.open(root / "cats" / "0.jpg") as opened:
        image = opened.convert("RGB")
    image = image.rotate(5, Image.Resampling.BICUBIC).crop((0, 0, image.width * 17 // 20, image.height * 17 // 20))
    image.save(root / "cats" / "turned.jpg", quality=80)
    with Image.open(root / "dogs" / "0.jpg") as opened:
        opened.convert("RGB").save(root / "dogs" / "again.jpg", quality=50)
    return root


def test_what_the_description_misses_is_found_where_a_bank_has_activations(turned: Path, real_cache: Path) -> None:
    before = audit_images(turned)
    uris = before.table.uris
    again = ("dogs/0.jpg", "dogs/again.jpg")
    assert [(uris[pair.first], uris[pair.second]) for pair in before.pairs] == [again]
    assert stored() == []
    features_of(before.table, backbone())
    after = audit_images(turned)
    assert [(uris[pair.first], uris[pair.second]) for pair in after.pairs] == [("cats/0.jpg", "cats/turned.jpg"), again]
    (finding,) = [one for one in after.findings if one.code == "near-duplicate"]
    assert finding.sentence == "2 pairs of near duplicates are in one split"
    split = split_folder(turned, turned.parent / "split")
    assert split.together["near duplicates"] == len(after.pairs), "a split keeps together what an audit names"


def test_an_audit_imports_no_network_library(turned: Path, cache: Path) -> None:
    code = f"""
import sys
from goldenrule.tasks.auditing import audit_images
audit_images({str(turned)!r})
print(sorted({{"torch", "timm", "openvino"}} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
