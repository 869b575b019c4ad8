"""Networks for another side of the input: built by timm for it, their tensors of places resampled from learned ones."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn.functional import interpolate

from goldenrule.core.errors import BackboneError, OptionError, first_line
from goldenrule.models.architectures import architecture

MOST_PREFIX_TOKENS, CLASS_TOKEN_DISTANCES = 16, 3
TRIED_PX = (64, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512)

State = dict[str, torch.Tensor]


def takes(model: Any, size: int) -> bool:
    """Return whether a network as it is takes pictures of (3, size, size)."""
    try:
        _probe(model, size)
    except Exception:  # noqa: BLE001 - whatever its layers raise, it does not
        return False
    return True


def sized(model: torch.nn.Module, name: str, size: int, *, seed: int | None = None) -> torch.nn.Module:
    """Return timm's network `name` built for another side of the input in px.

    Its weights are drawn under `seed`; without one they are those of `model`, the network at its own size, and what
    depends on the size is resampled. Raises `OptionError` where timm builds none or its weights can't be resampled.
    """
    try:
        found = architecture(name, seed=seed, size=size)
        _probe(found, size)
    except Exception as error:
        raise OptionError(_refusal(name, size, error)) from error
    if seed is None:
        try:
            found.load_state_dict(resampled(model.state_dict(), found))
        except BackboneError as error:
            raise OptionError(_refusal(name, size, error)) from error
    return found


def resampled(state: State, model: torch.nn.Module) -> State:
    """Return the weights of a network at one input size for the same network at another.

    Tensors of the same shape stay bit for bit; position embeddings are resampled as timm does; buffers that depend on
    the size alone are the network's own. Raises `BackboneError` for a tensor that can't be resampled.
    """
    weights, learned = model.state_dict(), {name for name, _ in model.named_parameters(remove_duplicate=False)}
    other = {name for name, value in weights.items() if state[name].shape != value.shape}
    result: State = {}
    for name, value in weights.items():
        if name not in other:
            result[name] = state[name]
        elif name not in learned:
            result[name] = value
        else:
            result[name] = _resampled(name, state[name], value.shape)
    return result


def _resampled(name: str, old: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Return a tensor of places at another number of places, by what its name and shape say it is."""
    from timm.layers.pos_embed_rel import resize_rel_pos_bias_table_simple

    is_position = "pos_embed" in name or name.endswith("patch_pos")  # TNT's name for it
    if old.ndim == len(shape):
        if is_position and old.ndim == 3 and old.shape[2] == shape[2]:  # (1, tokens, channels)
            for prefix in range(MOST_PREFIX_TOKENS):
                if _side(old.shape[1] - prefix) and (side := _side(shape[1] - prefix)):
                    grid = _grid(old[:, prefix:].transpose(1, 2), side).transpose(1, 2)
                    return torch.cat([old[:, :prefix], grid], dim=1)
        if is_position and old.ndim == 4:
            if old.shape[1] == shape[1] and old.shape[3] == shape[3] and (side := _side(shape[2])):
                return _grid(old[0].transpose(1, 2), side).transpose(1, 2)[None]  # (1, blocks, tokens, channels)
            if old.shape[1] == shape[1]:  # (1, channels, height, width)
                return interpolate(old, shape[2:], mode="bicubic", antialias=True)
            if old.shape[3] == shape[3]:  # (1, height, width, channels)
                places = interpolate(old.permute(0, 3, 1, 2), shape[1:3], mode="bicubic", antialias=True)
                return places.permute(0, 2, 3, 1)
        if "relative_position_bias_table" in name:  # (distances [and those of tokens], heads), (heads, down, across)
            side = shape[1] if old.ndim == 3 else _side(shape[0]) or _side(shape[0] - CLASS_TOKEN_DISTANCES)
            window = (side + 1) // 2
            if side:
                table: torch.Tensor = resize_rel_pos_bias_table_simple(old, (window, window), tuple(shape))
                return table
        if "attention_biases" in name and (side := _side(shape[1])) and (before := _side(old.shape[1])):
            offsets = old.reshape(1, -1, before, before)  # (heads, distance down x distance across)
            return interpolate(offsets, (side, side), mode="bicubic", align_corners=True).reshape(tuple(shape))
    raise BackboneError(f"its {name} is {_said(old.shape)} in the weights and {_said(shape)} at that size")


def _grid(old: torch.Tensor, side: int) -> torch.Tensor:
    """Return (n, channels, places) of a square grid at another side, (n, channels, side * side)."""
    before = math.isqrt(old.shape[2])
    places = old.reshape(*old.shape[:2], before, before)
    return interpolate(places, (side, side), mode="bicubic", antialias=True).flatten(2)


def _side(places: int) -> int:
    """Return the side of a square of so many places, 0 where they are no square."""
    return side if places > 0 and (side := math.isqrt(places)) ** 2 == places else 0


def _said(shape: torch.Size) -> str:
    return " x ".join(map(str, shape))


def _probe(model: Any, size: int) -> None:
    with torch.no_grad():
        maps = model.forward_features(torch.zeros(1, 3, size, size, device=next(model.parameters()).device))
        model.forward_head(maps, pre_logits=True)


def _refusal(name: str, size: int, error: Exception) -> str:
    why = str(error) if isinstance(error, BackboneError) else first_line(error)
    known = f"It takes {', '.join(map(str, possible))} px." if (possible := _possible(name)) else ""
    return f"{name} does not take pictures of {size} x {size} px ({why}). {known or 'Omit --size.'}"


def _possible(name: str) -> list[int]:
    """Return the sides in px, of `TRIED_PX` and its own, that a network takes without being built for them."""
    try:
        with torch.device("meta"):  # shapes alone, no numbers
            model: Any = architecture(name)
        native = int(model.pretrained_cfg["input_size"][-1])
        return [side for side in sorted({native, *TRIED_PX}) if side == native or takes(model, side)]
    except Exception:  # noqa: BLE001 - it is a help, and can be left out
        return []
