"""What backbones of other families cost on this machine: engine, late layers, heat maps, sizes.

The weights are drawn, as nothing is downloaded: speed and agreement with PyTorch do not depend on them, accuracy does,
and is not measured here. Each network has a cache of its own; images a second are of the engine alone, the median of
five rounds of two full batches.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from common import RESULTS, made_with, markdown_table
from goldenrule.core.errors import GoldenRuleError
from goldenrule.engines.openvino import BATCH_SIZE
from goldenrule.models.backbone import Backbone, backbone, resized
from goldenrule.models.cost import multiply_adds
from goldenrule.models.graphs.compiled import available_threads, compiled, engine_kind

NETWORKS = {
    "efficientnet_lite0": 224,
    "mobilenetv4_conv_small": 224,
    "resnet50": 224,
    "efficientnetv2_rw_t": 224,
    "convnext_tiny": 224,
    "convnextv2_nano": 224,
    "vit_small_patch14_reg4_dinov2": 224,
    "vit_base_patch14_reg4_dinov2": 224,
    "vit_small_patch16_dinov3": 224,
    "vit_base_patch16_dinov3": 224,
    "vit_base_patch16_siglip_224": 224,
    "vit_base_patch16_clip_224": 224,
    "eva02_small_patch14_224": 224,
    "beitv2_base_patch16_224": 224,
    "deit3_small_patch16_224": 224,
    "swin_tiny_patch4_window7_224": 224,
    "tiny_vit_11m_224": 224,
    "caformer_s18": 224,
    "fastvit_t8": 256,
}
"""What people take, with a size at which it is often run."""
LARGER = 448
ROUNDS, BATCHES = 5, 2


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=list(NETWORKS), help="These networks alone.")
    parser.add_argument("-o", "--out", type=Path, default=RESULTS / "families.md")
    parser.add_argument("--resume", action="store_true", help="Keep what the JSON file has, and measure the others.")
    arguments = parser.parse_args()
    kept = arguments.out.with_suffix(".json")
    found: list[dict[str, Any]] = json.loads(kept.read_text()) if arguments.resume and kept.is_file() else []
    there = {one["name"] for one in found}
    for name in (one for one in arguments.only if one not in there):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["GOLDENRULE_CACHE"] = folder
            found.append(measured(name, NETWORKS[name]))
        print(json.dumps(found[-1]), flush=True)
        kept.write_text(json.dumps(found, indent=1) + "\n")
    arguments.out.write_text(page(found))


def measured(name: str, size: int) -> dict[str, Any]:
    """Return what one network costs, and what works with it."""
    began = time.perf_counter()
    network = backbone(name, drawn=0, size=size)
    built = time.perf_counter() - began
    kind = engine_kind(network)
    prepared = time.perf_counter() - began
    pixels = np.random.default_rng(0).normal(size=(BATCH_SIZE, 3, size, size)).astype(np.float32)
    engine = compiled(network, kind, threads=available_threads())
    seconds = []
    for number in range(ROUNDS + 1):
        began = time.perf_counter()
        for _ in engine.run((batch, pixels) for batch in range(BATCHES)):
            pass
        if number:  # the first one warms up
            seconds.append(time.perf_counter() - began)
    return {
        "name": name,
        "size": size,
        "pooling": "class token" if network.spec.pooling == "token" else _pooled_by_timm(network),
        "features": network.spec.features,
        "parameters": network.spec.parameters,
        "multiply_adds": multiply_adds(network),
        "seconds_to_build": round(built, 2),
        "seconds_to_prepare": round(prepared, 2),
        "engine": f"{kind.name} {kind.precision}",
        "alone": kind.alone,
        "images_per_second": round(BATCHES * BATCH_SIZE / median(seconds), 1),
        "late_layers": works(lambda: _late_layers(network)),
        "heat_maps": works(lambda: _heat_maps(network)),
        "another_size": works(lambda: resized(network, LARGER)),
    }


def works(tried: Any) -> str:
    """Return "" where something works, else why it does not."""
    try:
        tried()
    except GoldenRuleError as error:
        return str(error)
    return ""


def _pooled_by_timm(network: Backbone) -> str:
    how = str(getattr(network.module.get_submodule("model"), "global_pool", "") or "avg")
    return {"token": "class token", "map": "attention"}.get(how, "average")


def _late_layers(network: Backbone) -> None:
    from goldenrule.models.graphs.boundary import boundary

    boundary(network)


def _heat_maps(network: Backbone) -> None:
    import torch

    from goldenrule.models.graphs.feature_maps import over_maps
    from goldenrule.models.network import Network

    head = torch.nn.Linear(network.spec.features, 2)
    over_maps(Network(network.module, head), network.spec.preprocessing.size, network.spec.name)


def page(found: list[dict[str, Any]]) -> str:
    """Return the Markdown page."""
    rows = [
        [
            f"`{one['name']}`",
            f"{one['size']}",
            one["pooling"],
            f"{one['features']:,}",
            f"{one['parameters'] / 1e6:.1f}",
            f"{one['multiply_adds'] / 1e9:.2f}",
            f"{one['seconds_to_prepare']:.1f}",
            one["engine"],
            f"{one['images_per_second']:.1f}",
            *("yes" if not one[what] else "no" for what in ("late_layers", "heat_maps", "another_size")),
        ]
        for one in found
    ]
    table = markdown_table(
        [
            "network",
            "px",
            "features are",
            "features",
            "million parameters",
            "G multiply-adds",
            "s to prepare",
            "engine",
            "images/s",
            "late layers kept",
            "heat maps",
            f"{LARGER} px",
        ],
        rows,
    )
    why = [
        f"- `{one['name']}`, {what.replace('_', ' ')}: {one[what]}"
        for one in found
        for what in ("late_layers", "heat_maps", "another_size")
        if one[what]
    ]
    return TEXT.format(made=made_with(), table=table, why="\n".join(why) or "- Everything works with all of them.")


TEXT = """# What other backbones cost

[Which backbone for what](../how-to/another-backbone.md#which-one-for-what) says who published which accuracy. \
Here stands what each costs on a processor, and what works with it. \
**The weights were drawn: no accuracy was measured here.**

{table}

- **Features are** the class token, an average over the places, or what an attention of the network's own pools.
- **s to prepare**: building it, converting it for the engine, and comparing the engine with PyTorch on photos. \
Once per machine. The first network of a process imports timm as well, 6 s: efficientnet_lite0 and \
vit_small_patch16_dinov3 here, as the table was made with `--resume`.
- **Engine**: OpenVINO where its features agree with PyTorch's on photos (mean cosine of at least .9999 in fp32), \
else PyTorch. Drawn weights can blow up what is rounded (features of EfficientNetV2 are in the thousands here): \
learned ones are tamer.
- **Images/s** of the engine alone, from pixels to features, median of five rounds of 32 images.
- **Late layers kept**: whether `goldenrule fit` can train them from kept activations; else it trains the whole \
network live.

{why}

Made by `python benchmarks/families.py`: {made}.
"""

if __name__ == "__main__":
    main()
