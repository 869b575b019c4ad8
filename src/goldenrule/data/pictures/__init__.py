"""From the bytes of a file to pixels, and from pixels to the input of a network.

Reading order: decode · header, formats, colours, tiff, deep_pixels, levels · decoding_memory · file_digests, unread ·
preprocess, preprocess_onnx.
"""
