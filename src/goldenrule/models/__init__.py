"""Pretrained backbones, heads, and the classifier that is saved, shared and served.

Reading order: backbone · catalog, weights · pooling, layer_groups, input_sizes · layers, heads · classifier,
classifier_json · trainable, network · custom, custom_head, custom_backbone · architectures, original · summary, cost;
then graphs.
"""
