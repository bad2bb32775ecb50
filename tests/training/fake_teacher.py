"""Teachers whose answers are known, one of them in an ONNX file, and pictures to ask it about."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import onnx
from onnx import TensorProto, helper

from fathom.geometry import F32, RGB
from training.teachers.teacher import Unit


class Ramp:
    """Says the column number plus `shift`; counts how often it was asked."""

    unit: ClassVar[Unit] = Unit.METRIC

    def __init__(self, shift: float = 1.0, unit: Unit = Unit.METRIC) -> None:
        self.shift, self.key, self.asked = shift, f"ramp {shift}", 0
        self.unit = unit  # type: ignore[misc]

    def __call__(self, frames: RGB) -> F32:
        self.asked += len(frames)
        columns = np.arange(frames.shape[2], dtype=np.float32) + np.float32(self.shift)
        return np.broadcast_to(columns, frames.shape[:3]).copy()


def pictures(count: int, height: int = 24, width: int = 32) -> RGB:
    return np.random.default_rng(1).integers(0, 256, (count, height, width, 3)).astype(np.uint8)


def write_onnx(path: Path, *, as_bytes: bool) -> Path:
    """Says the green channel: times 255 of floats, or as it is of bytes."""
    if as_bytes:
        shape, kind = [None, 24, 32, 3], TensorProto.UINT8
        nodes = [
            helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
            helper.make_node("Gather", ["f", "one"], ["y"], axis=3),
        ]
    else:
        shape, kind = [1, 3, 24, 32], TensorProto.FLOAT
        nodes = [
            helper.make_node("Gather", ["x", "one"], ["g"], axis=1),
            helper.make_node("Mul", ["g", "scale"], ["y"]),
        ]
    given = helper.make_tensor_value_info("x", kind, shape)
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    constants = [
        helper.make_tensor("one", TensorProto.INT64, [], [1]),
        helper.make_tensor("scale", TensorProto.FLOAT, [], [255.0]),
    ]
    graph = helper.make_graph(nodes, "g", [given], [made], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))
    return path
