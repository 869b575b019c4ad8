"""The same photos and pretrained backbone in Keras 3, as its guide to transfer learning and fine-tuning has it.

    python benchmarks/peer_keras.py DATA --method frozen3 --seed 0 -o out.json

The guide: a frozen backbone in inference mode, random flips and small rotations, dropout 0.2, a dense layer, Adam at
1e-3; then everything unfrozen at 1e-5. The backbone is PyTorch's, in Keras' own wrapper, as the weights of
keras.applications would have to be fetched.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
from PIL import Image

import peer_common
from peer_common import Answer

METHODS = {"frozen3": (3, 0), "frozen3_fine1": (3, 1), "frozen3_fine5": (3, 5)}
BATCH_SIZE, SIZE = 32, 224


class Photos(keras.utils.PyDataset):
    """Batches of pixels from -1 to 1 (images, 3, 224, 224), cropped to a square, with the numbers of their classes."""

    def __init__(self, files: list[Path], classes: list[str], *, shuffle: bool, seed: int) -> None:
        super().__init__(workers=2, use_multiprocessing=False)
        self.files, self.classes, self.shuffle = list(files), classes, shuffle
        self.draws = np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self) -> int:
        return -(-len(self.files) // BATCH_SIZE)

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        files = [self.files[row] for row in self.order[number * BATCH_SIZE : (number + 1) * BATCH_SIZE]]
        pixels = np.stack([pixels_of(file) for file in files])
        return pixels, np.array([self.classes.index(file.parent.name) for file in files])

    def on_epoch_end(self) -> None:
        """Take the images of the next epoch in another order."""
        self.order = self.draws.permutation(len(self.files)) if self.shuffle else np.arange(len(self.files))


class Body(keras.layers.TorchModuleWrapper):
    """A network of PyTorch whose BatchNorms keep their statistics, as the guide has it also for fine-tuning."""

    def call(self, *arguments: Any, training: bool | None = None, **more: Any) -> Any:  # noqa: ARG002
        """Return its features, in inference mode."""
        return super().call(*arguments, training=False, **more)


def pixels_of(file: Path) -> np.ndarray:
    """Return the centre of a picture (3, 224, 224)."""
    picture = Image.open(file).convert("RGB")
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    picture = picture.crop((left, top, left + side, top + side)).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    return (np.asarray(picture, np.float32) / 127.5 - 1).transpose(2, 0, 1)


def main() -> None:
    asked = peer_common.arguments_of(__doc__ or "", list(METHODS))
    keras.utils.set_random_seed(asked.seed)
    keras.config.set_image_data_format("channels_first")
    data, classes = asked.data, peer_common.classes_of(asked.data)
    files = {split: peer_common.files_of(data, split) for split in ("train", *peer_common.HELD_OUT)}
    sets = {split: Photos(those, classes, shuffle=split == "train", seed=asked.seed) for split, those in files.items()}
    body = Body(peer_common.backbone(), output_shape=(None, 1280))
    inputs = keras.Input((3, SIZE, SIZE))
    seen = keras.layers.RandomRotation(0.1)(keras.layers.RandomFlip("horizontal")(inputs))
    features = keras.layers.Dropout(0.2)(body(seen))
    model = keras.Model(inputs, keras.layers.Dense(len(classes), activation="softmax")(features))
    frozen, whole = METHODS[asked.method]
    for epochs, trainable, rate in ((frozen, False, 1e-3), (whole, True, 1e-5)):
        if epochs:
            body.trainable = trainable
            model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
            model.test_on_batch(*sets["train"][0])  # built, so that fit takes no batch of its own to build it
            model.fit(sets["train"], validation_data=sets["valid"], epochs=epochs)
    answers = {split: Answer(files[split], model.predict(sets[split]).tolist()) for split in peer_common.HELD_OUT}
    peer_common.write(asked.output, data, answers)


if __name__ == "__main__":
    main()
