"""Pretrained backbones, heads, and the classifier that is saved, shared and served.

Reading order: backbone · catalog, weights · pooling, layer_groups, input_sizes · layers, heads · seen, classifier,
classifier_json · trainable, network · custom, custom_heads, custom_backbones · architectures, original · summary, cost;
then graphs.
"""

from typing import TYPE_CHECKING

from goldenrule.core.lazy import lazy

if TYPE_CHECKING:
    from goldenrule.models.backbone import Backbone
    from goldenrule.models.custom_backbones import custom_backbone
    from goldenrule.models.custom_heads import custom_head

__all__ = [
    "Backbone",
    "custom_backbone",
    "custom_head",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "Backbone": "backbone",
        "custom_backbone": "custom_backbones",
        "custom_head": "custom_heads",
    },
)
