"""From the bytes of a file to pixels, and from pixels to the input of a network.

Reading order: decode · formats, tiff, deep_pixels, levels · decoding_memory · unread · preprocess, preprocess_onnx.
"""
