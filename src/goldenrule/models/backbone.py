"""`Backbone`: the pretrained backbone with its layer groups and the preprocessing that came with its weights.

A backbone is prepared once per machine: timm builds it, its weights and a compiled graph go into the cache.
From then on its features are had without importing torch or timm.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from goldenrule.core.errors import BackboneError, FormatError, OptionError, first_line, system_errors
from goldenrule.core.option import Decoding
from goldenrule.core.progress import Progress, Silent
from goldenrule.core.schema import IF_OTHERWISE, Count, Digest, Name, as_json, from_json
from goldenrule.data.pictures.deep_pixels import Levels
from goldenrule.data.pictures.preprocess import Preprocessing
from goldenrule.models.catalog import (
    DEFAULT_BACKBONE,
    EMBEDDED,
    JOINED,
    ORIGINAL_VERSION,
    canonical_name,
    check_known,
    gives_class_token,
    is_embedded,
    side_by_side,
)
from goldenrule.models.graphs.prepared import is_there, is_whole, sealed_folder
from goldenrule.models.layer_groups import layer_groups
from goldenrule.storage.cache_folder import cache_folder
from goldenrule.storage.files import digest, file_digest, json_digest, read_json, write_json

if TYPE_CHECKING:
    import torch

    from goldenrule.models.custom import Maker
    from goldenrule.models.weights import State

Pooling = Literal["average", "max+average", "flattened", "token"]
POOLINGS: Mapping[str, Pooling] = {"concat-pool": "max+average", "flatten-64": "flattened"}
"""What heads stand on that do not stand on averages."""
Tap = Literal["pooled", "boundary"]
"""The depth at which activations are kept: pooled features, or what flows into the late layers."""
CustomPooling = Literal["average", "none"]
"""Of a backbone of the user's own: its maps are averaged, or it gives features already."""
_TIMM_NAME = r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)?"
NETWORK_NAME = re.compile(rf"custom [^\s]+|{_TIMM_NAME}(\+{_TIMM_NAME})*")
"""What a classifier may name as its network: one of timm's with or without a tag, several, or what a function makes."""
FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneSpec:
    """All that can be known of a backbone without loading it, a plain JSON value."""

    name: Name
    timm_name: Name  # the architecture; "custom KEY" where a function of the user's makes it
    weights: Digest  # blake2b of backbone.safetensors: the identity of the pretrained tensors
    features: Annotated[int, msgspec.Meta(ge=1, le=100_000_000)]
    pooling: Pooling | CustomPooling
    tap: Tap = "pooled"
    parameters: Count
    preprocessing: Preprocessing
    groups: Mapping[str, str] = field(repr=False)  # parameter (of an own backbone: or buffer) -> "early" or "late"
    source: Mapping[str, Any]
    places: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = field(
        default=1, metadata=IF_OTHERWISE
    )  # of flattened feature maps: how many places each channel has
    built_for_size: bool = field(
        default=False, metadata=IF_OTHERWISE
    )  # by timm, for the side of the input: the network as it is takes another one

    def averaged(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return features (n, features) as pictures are likened by them: flattened maps as averages (n, channels)."""
        if self.places == 1:
            return rows
        maps = rows.reshape(len(rows), -1, self.places)
        return np.asarray(maps.mean(axis=2, dtype=np.float32), rows.dtype)


@dataclass(frozen=True, eq=False)
class Backbone:
    """A prepared backbone: its description, the folder with its weights, and of one's own what makes it."""

    spec: BackboneSpec
    folder: Path
    maker: Maker | None = None

    @property
    def weights_file(self) -> Path:
        """The backbone's tensors, with timm's names."""
        return self.folder / "backbone.safetensors"

    @cached_property
    def module(self) -> torch.nn.Module:
        """The backbone as a module: (batch, 3, size, size) to features (batch, features); in eval mode."""
        return new_module(self)

    def cut(self) -> tuple[torch.nn.Module, torch.nn.Module]:
        """Return (prefix, suffix) of the backbone, cut before the late layers: suffix(prefix(x)) equals module(x).

        The boundary is the tap at which activations of frozen early layers can be kept. Works by torch.fx; a
        backbone that can't be traced, or whose groups are joined by more than one tensor, is a `BackboneError`.
        """
        from goldenrule.models.graphs.cutting import cut

        return cut(self.module, {f"model.{name}": group for name, group in self.spec.groups.items()})


@system_errors()
def backbone(
    name: str = DEFAULT_BACKBONE,
    *,
    weights: str | Path | None = None,
    size: int | None = None,
    pooling: Pooling = "average",
    squish: bool = False,
    decoding: Decoding = "canonical",
    levels: Levels | None = None,
    drawn: int | None = None,
    progress: Progress | None = None,
) -> Backbone:
    """Return a prepared backbone, from the cache where it was prepared before.

    `name` is embedded, a family's, or one of timm's, or joins several by "+": their features lie side by side then.
    `weights` a .safetensors or .pth file with timm's names, else the
    packaged weights or the hub's; with `drawn` random ones, drawn under that seed, to train from scratch. `size` is
    another input side in px than the weights were trained at. `squish` shows it the whole picture, brought to a square,
    instead of a centre crop. `decoding="scaled"` decodes large JPEGs at a fraction of their size (`decode.decode`).
    `levels` are the values that become black and white in pictures of more than 8 bits.
    Raises `UnknownBackbone`, `WeightsUnavailable` or `BackboneError`.
    """
    name, weights = canonical_name(name), Path(weights) if weights is not None else None
    pooling = _as_probed(name, pooling)
    folder = _folder_of(name, weights, size, pooling, drawn)
    if (found := cached(folder)) is not None:
        return _looking(found, squish, decoding, levels)
    check_known(name)
    if is_there(folder):
        (progress or Silent()).say(f"{name} in {folder} is damaged or of another version, and is prepared anew.")
    (progress or Silent()).say(f"Preparing {name} for this machine (once, some seconds) ...")
    _prepare(folder, name, weights, size, pooling, drawn)
    prepared = cached(folder)
    assert prepared is not None
    return _looking(prepared, squish, decoding, levels)


def check_backbone(
    name: str,
    *,
    weights: str | Path | None = None,
    size: int | None = None,
    pooling: Pooling = "average",
    drawn: int | None = None,
) -> None:
    """Raise `UnknownBackbone`, `WeightsUnavailable` or `OptionError` where `backbone` would: nothing is prepared.

    What is embedded, or was prepared on this machine, is known without importing timm; of the former no file is read.
    """
    name = canonical_name(name)
    if (is_embedded(name) and weights is None) or not is_there(
        _folder_of(name, Path(weights) if weights is not None else None, size, _as_probed(name, pooling), drawn)
    ):
        check_known(name)


def _as_probed(name: str, pooling: Pooling) -> Pooling:
    """Return how the features of a network are pooled where its authors probe another one than timm's default."""
    return "token" if pooling == "average" and gives_class_token(name) else pooling


def _folder_of(name: str, weights: Path | None, size: int | None, pooling: Pooling, drawn: int | None) -> Path:
    """Return the folder of the cache where a backbone is prepared, or would be."""
    if weights is not None and drawn is not None:
        raise OptionError(f"--weights {weights} and weights drawn by chance: wanted one of them.")
    if drawn is not None:
        origin = f"drawn {drawn}{f', version {ORIGINAL_VERSION}' if name == 'original' else ''}"
    elif weights is not None:
        from goldenrule.models.weights import check_file

        check_file(weights)
        origin = f"file {file_digest(weights)}"
    else:
        origin = JOINED.join(_origin(part) for part in side_by_side(name))
    if size is not None:
        Preprocessing(size=size)  # says at once what is wrong with it
    key = json_digest({"name": name, "origin": origin, "pooling": pooling, "size": size, "format": FORMAT})
    return cache_folder() / "backbones" / key[:32]


def _origin(name: str) -> str:
    """Return where the learned weights of one network come from, as its key in the cache knows it."""
    return f"package {_digest_once(EMBEDDED[name].weights_file())}" if name in EMBEDDED else f"hub {name}"


def _digest_once(path: Path) -> str:
    """Return the digest of a file of a package, which is read once as long as it stays as it is."""
    found = path.stat()
    return _digest_of(path, (found.st_ino, found.st_size, found.st_mtime_ns))


@functools.lru_cache(maxsize=len(EMBEDDED))
def _digest_of(path: Path, _state: tuple[int, int, int]) -> str:
    return file_digest(path)


def _looking(backbone: Backbone, squish: bool, decoding: Decoding, levels: Levels | None) -> Backbone:
    """Return the same backbone behind a preprocessing that squishes, or decodes, as asked."""
    preprocessing = replace(backbone.spec.preprocessing, name=decoding, levels=levels)
    preprocessing = replace(preprocessing, resize="squish", crop_fraction=1.0) if squish else preprocessing
    return replace(backbone, spec=replace(backbone.spec, preprocessing=preprocessing))


def with_levels(backbone: Backbone, levels: Levels | None) -> Backbone:
    """Return the same backbone behind a preprocessing with these values as black and white of more than 8 bits."""
    return replace(
        backbone, spec=replace(backbone.spec, preprocessing=replace(backbone.spec.preprocessing, levels=levels))
    )


def resized(backbone: Backbone, size: int) -> Backbone:
    """Return the same weights behind another input side in px; `OptionError` where the network can't take it.

    A network that timm builds for one size is built anew, and its position embeddings are resampled.
    """
    preprocessing = replace(backbone.spec.preprocessing, size=size)
    if size != backbone.spec.preprocessing.size:
        if not backbone.maker:
            from goldenrule.models.input_sizes import takes

            if not takes(backbone.module.get_submodule("model"), size):
                return _rebuilt(backbone, preprocessing)
        features = _features(backbone.module, size, backbone.spec.name)
        if features != backbone.spec.features:
            known = f"{backbone.spec.features} at {backbone.spec.preprocessing.size} px"
            raise OptionError(f"{backbone.spec.name} gives {features} features at {size} px, {known}: keep that size.")
    return replace(backbone, spec=replace(backbone.spec, preprocessing=preprocessing))


def _rebuilt(backbone: Backbone, preprocessing: Preprocessing) -> Backbone:
    """Return a backbone built anew for the size of a preprocessing, kept in the cache by its content."""
    from goldenrule.models.input_sizes import sized

    spec = backbone.spec
    model = sized(backbone.module.get_submodule("model"), spec.timm_name, preprocessing.size)
    if _features(pooled(model, spec.pooling), preprocessing.size, spec.name) != spec.features:
        raise OptionError(f"{spec.name} gives other features at {preprocessing.size} px: keep its size.")
    content = weights_content(model)
    backbone_spec = replace(
        spec,
        weights=digest(content).hex(),
        preprocessing=preprocessing,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        built_for_size=True,
    )
    return replace(backbone, spec=backbone_spec, folder=put_in_cache(backbone_spec, content))


def put_in_cache(spec: BackboneSpec, content: bytes) -> Path:
    """Return the folder of the cache where weights lie that are known by their digest; written once."""
    if digest(content).hex() != spec.weights:
        raise FormatError(f"The weights of {spec.name} have changed while they were read. Give the command again.")
    folder = cache_folder() / "backbones" / f"trained-{spec.weights[:32]}"
    if cached(folder) is None:
        with sealed_folder(folder) as temporary:
            (temporary / "backbone.safetensors").write_bytes(content)
            write_json(temporary / "spec.json", as_json(spec))
    return folder


def from_files(spec: BackboneSpec, weights_file: Path, *, digest: str, maker: Maker | None = None) -> Backbone:
    """Return the backbone whose description and weights a classifier carries."""
    if not NETWORK_NAME.fullmatch(spec.timm_name):
        raise FormatError(
            f"{weights_file.parent} names {spec.timm_name!r} as its network, and no network has such a name. Nothing "
            "is fetched or read from an address that a classifier names."
        )
    if digest != spec.weights:
        raise FormatError(f"{weights_file} is not what the classifier was saved with: copy it again, whole.")
    return Backbone(spec, weights_file.parent, maker)


def kept(backbone: Backbone) -> Backbone:
    """Return the same backbone from the cache, where its weights stay though the classifier they came from may go."""
    return replace(backbone, folder=put_in_cache(backbone.spec, backbone.weights_file.read_bytes()))


def new_module(backbone: Backbone) -> torch.nn.Module:
    """Return a module of its own, to be trained: (batch, 3, size, size) to (batch, features); in eval mode."""
    from safetensors.torch import load_file

    from goldenrule.models.architectures import architecture
    from goldenrule.models.weights import load_into

    spec = backbone.spec
    side = spec.preprocessing.size
    built_for = side if spec.built_for_size else None
    model = custom_model(backbone.maker, side) if backbone.maker else architecture(spec.timm_name, size=built_for)
    load_into(model, load_file(backbone.weights_file), what=str(backbone.weights_file))
    return pooled(model, spec.pooling, custom=backbone.maker is not None).eval()


def pooling_for(head: object) -> Pooling:
    """Return how the features of a head are pooled, for which may stand its kind."""
    return POOLINGS.get(head if isinstance(head, str) else getattr(head, "kind", ""), "average")


def custom_model(maker: Maker, size: int) -> torch.nn.Module:
    """Return a new module of a function of the user's, called once: lazy layers then have their tensors."""
    import torch

    model, _ = maker.module(probe=torch.zeros(2, 3, size, size))
    return model.requires_grad_(False)


def pooled(model: torch.nn.Module, pooling: Pooling | CustomPooling, *, custom: bool = False) -> torch.nn.Module:
    """Return a module from pictures to pooled features; "max+average" needs feature maps, as does "flattened"."""
    from goldenrule.models.pooling import AveragePooled, ClassToken, Flattened, MapsAveraged, MaxAveragePooled, Plain

    if custom:
        return MapsAveraged(model) if pooling == "average" else Plain(model)
    kinds = {
        "average": AveragePooled,
        "max+average": MaxAveragePooled,
        "flattened": Flattened,
        "token": ClassToken,
    }
    return kinds[pooling](model)


def cached(folder: Path, maker: Maker | None = None) -> Backbone | None:
    """Return the backbone that was prepared in a folder; None where there is none, or not what was written."""
    if not is_whole(folder, ("backbone.safetensors", "spec.json")):
        return None
    try:
        return Backbone(from_json(read_json(folder / "spec.json"), BackboneSpec), folder, maker)
    except FormatError:
        return None


def _prepare(
    folder: Path, name: str, weights: Path | None, size: int | None, pooling: Pooling, drawn: int | None
) -> None:
    from goldenrule.models.architectures import architecture
    from goldenrule.models.input_sizes import sized, takes
    from goldenrule.models.pooling import Flattened
    from goldenrule.models.weights import load_into

    timm_name = JOINED.join(EMBEDDED[part].timm_name if part in EMBEDDED else part for part in side_by_side(name))
    if drawn is not None:
        source: Mapping[str, Any] = {
            "from": f"drawn by PyTorch under the seed {drawn}",
            "licence": "yours",
            "from_scratch": True,
        }
        model = architecture(timm_name, seed=drawn)
    else:
        state, source = _weights(name, weights)
        model = architecture(timm_name)
        load_into(model, state, what=f"--weights {weights}" if weights else f"The weights of {name}")
    preprocessing = _preprocessing(model, name, size)
    built_for_size = size is not None and not takes(model, size)
    if built_for_size:
        model = sized(model, timm_name, preprocessing.size, seed=drawn)
    backbone = pooled(model, pooling)
    features = _features(backbone, preprocessing.size, name)
    places = backbone.places(preprocessing.size) if isinstance(backbone, Flattened) else 1
    with sealed_folder(folder) as temporary:
        file = temporary / "backbone.safetensors"
        write_weights(file, model)
        spec = BackboneSpec(
            name=name,
            timm_name=timm_name,
            weights=file_digest(file),
            features=features,
            pooling=pooling,
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            preprocessing=preprocessing,
            groups=layer_groups(model),
            source=source,
            places=places,
            built_for_size=built_for_size,
        )
        write_json(temporary / "spec.json", as_json(spec))


def write_weights(path: Path, model: torch.nn.Module) -> None:
    """Write a model's tensors under its own names; tied ones are written once under each."""
    path.write_bytes(weights_content(model))


def weights_content(model: torch.nn.Module) -> bytes:
    """Return the content of a safetensors file with a model's tensors."""
    from safetensors.torch import save

    return save({name: value.contiguous().clone() for name, value in model.state_dict().items()})


def _weights(name: str, weights: Path | None) -> tuple[State, Mapping[str, Any]]:
    from goldenrule.models import weights as reading

    if weights is not None:
        return reading.read_state(weights), {"from": f"file {weights.name}", "licence": "as you know it"}
    if len(parts := side_by_side(name)) > 1:
        each = [_weights(part, None) for part in parts]
        joined = {f"networks.{n}.{key}": value for n, (state, _) in enumerate(each) for key, value in state.items()}
        return joined, _joined_source([source for _, source in each])
    if name in EMBEDDED:
        return reading.embedded_state(name), EMBEDDED[name].source()
    source = {"from": f"timm hub {name}", "licence": "see the model's page on the hub", "public": True}
    return reading.hub_state(name), source


def _joined_source(sources: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return where several weights come from; their licences, each once."""
    what = {"from": "; ".join(str(source["from"]) for source in sources)}
    licences = dict.fromkeys(str(source["licence"]) for source in sources)
    trained_on = dict.fromkeys(str(source["trained_on"]) for source in sources if "trained_on" in source)
    public = all(source.get("public") for source in sources)
    return (
        what
        | {"licence": "; ".join(licences), "public": public}
        | ({"trained_on": "; ".join(trained_on)} if trained_on else {})
    )


def _preprocessing(model: Any, name: str, size: int | None) -> Preprocessing:
    config = model.pretrained_cfg
    preprocessing = Preprocessing(
        size=int(config["input_size"][-1]),
        crop_fraction=min(float(config.get("crop_pct") or 0.875), 1.0),
        interpolation="bilinear" if config.get("interpolation") == "bilinear" else "bicubic",
        resize="squish" if config.get("crop_mode") == "squash" else "shorter",
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
    )
    if embedded := [EMBEDDED[part] for part in side_by_side(name) if part in EMBEDDED]:
        largest = max(embedded, key=lambda one: one.size)
        preprocessing = replace(preprocessing, size=largest.size, crop_fraction=largest.crop_fraction)
    return replace(preprocessing, size=size) if size is not None else preprocessing


def _features(backbone: torch.nn.Module, size: int, name: str) -> int:
    import torch

    try:
        with torch.no_grad():
            return int(backbone(torch.zeros(1, 3, size, size)).shape[1])
    except BackboneError:
        raise
    except Exception as error:
        raise OptionError(
            f"{name} does not take pictures of {size} x {size} px ({first_line(error)}). "
            "Choose another size: a multiple of 32, as a rule."
        ) from error
