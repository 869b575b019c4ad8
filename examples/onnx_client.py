"""Classify pictures with an exported file, without goldenrule: python onnx_client.py photos.onnx PICTURE..."""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

session = onnxruntime.InferenceSession(sys.argv[1])
about = json.loads(session.get_modelmeta().custom_metadata_map["goldenrule"])
names = [output.name for output in session.get_outputs()]
for path in sys.argv[2:]:
    picture = ImageOps.exif_transpose(Image.open(path)).convert("RGB")  # upright, as cameras mean it
    said = dict(zip(names, session.run(names, {"image": np.asarray(picture)}), strict=True))
    probabilities = said["probabilities"][0]
    far = about["ood"] and said["ood_distance"][0] > about["ood"]["threshold"]
    mark = "\tout-of-distribution" if far else ""
    print(f"{path}\t{about['classes'][probabilities.argmax()]}\t{probabilities.max():.6f}{mark}")
