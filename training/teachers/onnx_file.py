"""Any depth network in an ONNX file as a teacher, its unit declared by whoever gives it."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fathom.errors import Code, FathomError
from fathom.geometry import F32, RGB, resize_image, resize_map
from training.students.student import IMAGENET_MEAN, IMAGENET_STD
from training.teachers.teacher import Unit, bad_weights, key_of, normalised


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxForm:
    """What the file cannot say itself.

    size  network input (H, W) where the graph leaves it open
    mean  subtracted from RGB in 0..1, before `std` divides; not for graphs that take uint8
    """

    unit: Unit
    size: tuple[int, int] = (384, 512)
    mean: Sequence[float] = IMAGENET_MEAN
    std: Sequence[float] = IMAGENET_STD


class OnnxFile:
    """A graph with one picture input, (N, 3, H, W) float or (N, H, W, 3) uint8, and a map output.

    The first output is taken; the picture is stretched to the input and the answer back.
    raises  BAD_MODEL
    """

    def __init__(self, path: Path, form: OnnxForm) -> None:
        try:
            runtime = importlib.import_module("onnxruntime")
        except ImportError as error:
            raise bad_weights(path, "onnxruntime, to run an ONNX teacher", error) from error
        try:
            self.session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own classes share no base
            raise bad_weights(path, "an ONNX graph", error) from error
        self.form, self.unit = form, form.unit
        given = self.session.get_inputs()[0]
        self.name, self.takes_bytes = given.name, given.type == "tensor(uint8)"
        rows, cols = given.shape[1:3] if self.takes_bytes else given.shape[2:4]
        fixed = isinstance(rows, int) and isinstance(cols, int)
        self.size = (int(rows), int(cols)) if fixed else form.size
        self.fixed_batch = given.shape[0] == 1
        self.key = key_of("onnx 1", path, repr((form, self.size)))

    def __call__(self, frames: RGB) -> F32:
        small: RGB = np.stack([resize_image(frame, self.size) for frame in frames])
        form = self.form
        inputs = small if self.takes_bytes else normalised(small, form.mean, form.std)
        groups = np.split(inputs, len(inputs)) if self.fixed_batch else [inputs]
        outputs = [self.session.run(None, {self.name: group})[0] for group in groups]
        maps = np.concatenate(outputs).astype(np.float32)
        maps = maps.squeeze(1) if maps.ndim == 4 else maps
        if maps.ndim != 3 or not np.isfinite(maps).all():
            raise FathomError(
                Code.BAD_MODEL,
                expected="one finite map for each picture, (N, h, w) or (N, 1, h, w)",
                got=f"shape {maps.shape}" if maps.ndim != 3 else "values that are not finite",
                repair="give a depth network whose first output is the depth",
            )
        return np.stack([resize_map(each, (frames.shape[1], frames.shape[2])) for each in maps])
