"""Frozen is frozen, and what is trained moves, for one network of every family that timm has."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest
import timm
import torch

from goldenrule.core.errors import OptionError
from goldenrule.models.backbone import Backbone, backbone
from goldenrule.models.heads import linear_head
from goldenrule.models.trainable import GROUPS, BatchNormFrozen, Trainable

SMALLEST = {
    "beit": "beit_base_patch16_224",
    "byoanet": "halonet_h1",
    "byobnet": "test_byobnet",
    "cait": "cait_xxs24_224",
    "coat": "coat_tiny",
    "convit": "convit_tiny",
    "convmixer": "convmixer_768_32",
    "convnext": "test_convnext",
    "cpubone": "cpubone_nano",
    "crossvit": "crossvit_tiny_240",
    "csatv2": "csatv2",
    "cspnet": "cs3darknet_focus_s",
    "cspnext": "cspnext_tiny",
    "davit": "davit_tiny",
    "deit": "deit_tiny_patch16_224",
    "densenet": "densenet121",
    "dla": "dla46x_c",
    "dpn": "dpn48b",
    "edgenext": "edgenext_xx_small",
    "efficientformer": "efficientformer_l1",
    "efficientformer_v2": "efficientformerv2_s0",
    "efficientnet": "test_efficientnet",
    "efficientvim": "efficientvim_m1",
    "efficientvit_mit": "efficientvit_b0",
    "efficientvit_msra": "efficientvit_m0",
    "eva": "vit_tiny_patch16_dinov3_qkvb",
    "fasternet": "fasternet_t0",
    "fastvit": "fastvit_t8",
    "focalnet": "focalnet_tiny_srf",
    "gcvit": "gcvit_xxtiny",
    "gemma4_vit": "gemma4_vit_167m",
    "ghostnet": "ghostnet_050",
    "hardcorenas": "hardcorenas_b",
    "hgnet": "hgnetv2_b0",
    "hiera": "hiera_tiny_224",
    "hieradet_sam2": "sam2_hiera_tiny",
    "hrnet": "hrnet_w18_small",
    "iformer": "iformer_t",
    "inception_next": "inception_next_atto",
    "inception_resnet_v2": "inception_resnet_v2",
    "inception_v3": "inception_v3",
    "inception_v4": "inception_v4",
    "lcnetv2": "lcnetv2_small",
    "levit": "levit_128s",
    "lowformer": "lowformer_b0",
    "mambaout": "test_mambaout",
    "maxxvit": "test_coatnet",
    "metaformer": "poolformerv2_s12",
    "mlp_mixer": "gmlp_ti16_224",
    "mobilenetv3": "lcnet_035",
    "mobilenetv5": "mobilenetv5_base",
    "mobilevit": "mobilevit_xxs",
    "mvitv2": "mvitv2_tiny",
    "naflexvit": "naflexvit_base_patch16_parfac_gap",
    "nasnet": "nasnetalarge",
    "nest": "nest_tiny",
    "nextvit": "nextvit_small",
    "nfnet": "test_nfnet",
    "pit": "pit_ti_224",
    "pnasnet": "pnasnet5large",
    "pvt_v2": "pvt_v2_b0",
    "qwen3_vit": "qwen3_vit_88m",
    "rdnet": "rdnet_tiny",
    "regnet": "regnetx_002",
    "repghost": "repghostnet_050",
    "repvit": "repvit_m1",
    "res2net": "res2next50",
    "resnest": "resnest14d",
    "resnet": "test_resnet",
    "resnetv2": "resnetv2_18",
    "rexnet": "rexnet_100",
    "selecsls": "selecsls42",
    "senet": "legacy_seresnet18",
    "sequencer": "sequencer2d_s",
    "shvit": "shvit_s1",
    "sknet": "skresnet18",
    "starnet": "starnet_s050",
    "swiftformer": "swiftformer_xs",
    "swin_transformer": "swin_tiny_patch4_window7_224",
    "swin_transformer_v2": "swinv2_tiny_window16_256",
    "swin_transformer_v2_cr": "swinv2_cr_tiny_224",
    "tiny_vit": "tiny_vit_5m_224",
    "tnt": "tnt_s_legacy_patch16_224",
    "tresnet": "tresnet_m",
    "twins": "twins_svt_small",
    "vgg": "vgg11",
    "visformer": "visformer_tiny",
    "vision_transformer": "test_vit",
    "vision_transformer_hybrid": "vit_tiny_r_s16_p8_224",
    "vision_transformer_relpos": "test_vit_relpos",
    "vision_transformer_sam": "samvit_base_patch16_224",
    "vitamin": "vitamin_small_224",
    "volo": "volo_d1_224",
    "vovnet": "ese_vovnet19b_slim_dw",
    "xception": "legacy_xception",
    "xception_aligned": "xception41p",
    "xcit": "xcit_nano_12_p8_224",
}
"""Of each module of timm.models the network with the fewest parameters, by timm 1.0.31."""

NOT_TRIED = {"deepseek_vit": "412 million parameters at the least: it wants more memory than a test should"}
"""Families that are left out, and why."""

TINY = {family for family, name in SMALLEST.items() if name.startswith("test_")} | {"mobilenetv3"}
"""Families of which timm has a tiny network for tests, and a last one; the others are tried by `make test-all`."""

SIZES = (64, 96, None)
"""Sides in px that are tried in turn, None the network's own: small pictures are quick."""

HOW: list[tuple[int, BatchNormFrozen]] = [(2, "none"), (1, "none"), (1, "all")]
"""First trained group, and the BatchNorms that keep their statistics: free ones could move where they must not."""


def test_every_family_is_tried_or_named_with_the_reason() -> None:
    assert {*timm.list_modules()} == {*SMALLEST, *NOT_TRIED}


def prepared(name: str, folder: Path) -> Backbone:
    """Prepare a network with random weights at the smallest side that it takes."""
    from safetensors.torch import save_file

    torch.manual_seed(0)
    weights = folder / "weights.safetensors"
    state = timm.create_model(name, num_classes=0).state_dict()
    save_file({key: value.contiguous().clone() for key, value in state.items()}, weights)
    for size in SIZES:
        try:
            return backbone(name, weights=weights, size=size)
        except (OptionError, AssertionError):
            if size is None:
                raise
    raise AssertionError


FAMILIES = [name if name in TINY else pytest.param(name, marks=pytest.mark.exhaustive) for name in SMALLEST]


@pytest.mark.parametrize("family", FAMILIES)
def test_two_steps_leave_what_is_frozen_bit_identical(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOLDENRULE_CACHE", str(tmp_path / "cache"))
    pretrained = prepared(SMALLEST[family], tmp_path)
    weights = np.random.default_rng(0).normal(size=(3, pretrained.spec.features)).astype(np.float32) / 50
    head = linear_head(weights, np.zeros(3, np.float32))
    side = pretrained.spec.preprocessing.size
    pixels = torch.randn(4, 3, side, side, generator=torch.Generator().manual_seed(0))
    of_module = {name.rpartition(".")[0]: group for name, group in pretrained.spec.groups.items()}
    model = pretrained.module.get_submodule("model")
    known = {id(value): name for name, value in model.named_parameters()}  # tied tensors have one of several names
    found = {name: known[id(value)] for name, value in model.named_parameters(remove_duplicate=False)}
    for first_trained, bn_frozen in HOW:
        network = Trainable(pretrained, head, first_trained=first_trained, bn_frozen=bn_frozen)
        before = network.backbone_state()
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        optimizer = torch.optim.SGD(trained, lr=0.1, momentum=0.9)
        network.train()
        for _ in range(2):
            optimizer.zero_grad()
            network(pixels).square().mean().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        after = network.backbone_state()
        moved = {name for name in before if not np.array_equal(before[name], after[name], equal_nan=True)}
        groups = {
            name: pretrained.spec.groups.get(found.get(name, name)) or of_module.get(name.rpartition(".")[0])
            for name in before
        }
        frozen = {name for name, group in groups.items() if group is None or GROUPS.index(group) < first_trained}
        assert not moved & frozen, f"{first_trained=} {bn_frozen=}"
        assert bool(moved) == (first_trained < 2), "what is not frozen learns"
        del network, optimizer, trained
    gc.collect()
