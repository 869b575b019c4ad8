"""A backbone of the user's own: any module from pictures to features or feature maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from goldenrule.core.errors import BackboneError, OptionError
from goldenrule.core.schema import as_json
from goldenrule.data.pictures.preprocess import Preprocessing
from goldenrule.models.backbone import Backbone, BackboneSpec, CustomPooling, cached, write_weights
from goldenrule.models.custom import Maker
from goldenrule.models.graphs.prepared import sealed_folder
from goldenrule.models.layer_groups import custom_groups
from goldenrule.models.weights import load_into, read_state
from goldenrule.storage.cache_folder import cache_folder
from goldenrule.storage.files import file_digest, json_digest, write_json

if TYPE_CHECKING:
    import torch

MakeBackbone = Callable[[], "torch.nn.Module"]
"""Gives (batch, 3, size, size) -> features (batch, f), or feature maps (batch, c, h, w), which are averaged."""

FORMAT = 1


def custom_backbone(
    make: MakeBackbone,
    *,
    preprocessing: Preprocessing,
    weights: str | Path | None = None,
    late: Sequence[str] | None = None,
    name: str | None = None,
    key: str | None = None,
) -> Backbone:
    """Make the backbone with a function of your own: `make()` gives a torch.nn.Module.

    Its weights are those of a .safetensors or .pth file with the module's own names, or those that `make` draws under
    a fixed seed. `late` names the modules that are the late layers, by the beginning of their names: by default the
    last ones that hold half of the parameters. Features are kept under the weights, the function's source and that
    of the module's classes, or under `key`; change the key where something changes that it takes from elsewhere.
    Raises `BackboneError` or `OptionError`.
    """
    import torch

    maker = Maker("backbone", make, key)
    if not isinstance(preprocessing, Preprocessing):
        raise OptionError(
            f"preprocessing={preprocessing!r}: wanted gr.data.Preprocessing(size=..., mean=..., std=...)."
        )
    size = preprocessing.size
    model, output = maker.module(probe=torch.zeros(2, 3, size, size))
    if output.ndim not in (2, 4) or len(output) != 2:
        raise maker.wrong(f"for 2 pictures of {size} px it gives shape {tuple(output.shape)}")
    file = Path(weights) if weights is not None else None
    if file is not None:
        load_into(model, read_state(file), what=f"weights={file}", names=f"the names of what {maker.name} makes")
    known_as, groups = maker.known_as(model), custom_groups(model, late)
    origin = f"file {file_digest(file)}" if file else "drawn"
    about = {"key": known_as, "origin": origin, "preprocessing": as_json(preprocessing), "groups": groups}
    identity = json_digest(about | {"name": name or maker.name, "format": FORMAT})
    folder = cache_folder() / "backbones" / f"custom-{identity[:28]}"
    if (found := cached(folder, maker)) is not None:
        return found
    pooling: CustomPooling = "average" if output.ndim == 4 else "none"
    with sealed_folder(folder) as temporary:
        write_weights(temporary / "backbone.safetensors", model)
        spec = BackboneSpec(
            name=name or maker.name.rpartition(":")[2],
            timm_name=f"custom {known_as}",
            weights=file_digest(temporary / "backbone.safetensors"),
            features=output.shape[1],
            pooling=pooling,
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            preprocessing=preprocessing,
            groups=groups,
            source={
                "from": f"file {file.name}" if file else "drawn by PyTorch under a fixed seed",
                "licence": "as you know it",
                "made_by": maker.made_by(known_as),
            },
        )
        write_json(temporary / "spec.json", as_json(spec))
    return Backbone(spec, folder, maker)


def custom_maker(given: MakeBackbone | Backbone | Maker | None) -> Maker | None:
    """Return the function of what `Classifier.load` was given for the backbone."""
    if given is None or isinstance(given, Maker):
        return given
    if not isinstance(given, Backbone):
        return Maker("backbone", given)
    if given.maker is None:
        raise BackboneError(
            f"backbone={given.spec.name}: wanted the function that makes it, or gr.models.custom_backbone(...)."
        )
    return given.maker
