"""Exports that are broken on purpose: each is refused, and told apart by its words."""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from export.gates import Gate, judge
from export.networks import Network, of_onnx, of_student
from export.openvino import refuse_bad_calibration
from export.pictures import Pictures
from export.program import in_halves
from fathom.errors import Code, FathomError
from fathom.geometry import RGB
from training.students.student import Prediction, Student


class Swapped(Student):
    """Takes BGR."""

    def forward(self, frames: Tensor, *, classes: bool = True) -> Prediction:
        return super().forward(frames.flip(-1), classes=classes)


class Centimetres(Student):
    def forward(self, frames: Tensor, *, classes: bool = True) -> Prediction:
        found = super().forward(frames, classes=classes)
        return found._replace(depth_m=100 * found.depth_m)


class BlackPadding(Student):
    """Paints the columns beside the picture black; of 96 the picture fills 85, from column 5 on."""

    def forward(self, frames: Tensor, *, classes: bool = True) -> Prediction:
        inside = torch.zeros(96, dtype=torch.uint8)
        inside[5:90] = 1
        return super().forward(frames * inside[:, None], classes=classes)


class Cornered(Student):
    """Moves the picture to the left edge."""

    def forward(self, frames: Tensor, *, classes: bool = True) -> Prediction:
        return super().forward(frames.roll(-5, 2), classes=classes)


class Deaf(Student):
    """Answers one depth whatever it is shown."""

    def forward(self, frames: Tensor, *, classes: bool = True) -> Prediction:
        found = super().forward(frames, classes=classes)
        return found._replace(depth_m=0 * found.depth_m + 2)


def broken(student: Student, kind: type[Student]) -> Network:
    """The student's weights in a network that makes a mistake."""
    mistaken = kind(student.spec).eval()
    mistaken.load_state_dict(student.state_dict())
    return of_student(mistaken)


def why(gates: list[Gate]) -> str:
    """The one reason that all failed gates give."""
    [reason] = {gate.why for gate in gates if not gate.passed}
    return reason


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Swapped, "red and blue are swapped"),
        (Centimetres, "centimetres"),
        (BlackPadding, "letterbox padding of 0"),
        (Cornered, "top left corner"),
        (Deaf, "one depth everywhere"),
    ],
)
def test_a_mistaken_graph_is_refused_and_the_mistake_is_named(
    student: Student, pictures: Pictures, kind: type[Student], words: str
) -> None:
    network = broken(student, kind)
    assert words in why(judge("onnx f32", "f32", network, of_student(student), pictures))


def test_nan_in_the_weights_is_refused(
    student: Student, model_path: Path, pictures: Pictures, tmp_path: Path
) -> None:
    model = onnx.load(model_path)
    weights = next(w for w in model.graph.initializer if len(w.dims) == 4)
    nan = np.full(tuple(weights.dims), np.nan, np.float32)
    weights.CopyFrom(onnx.numpy_helper.from_array(nan, weights.name))
    onnx.save(model, tmp_path / "model.onnx")
    gates = judge(
        "onnx f32", "f32", of_onnx(tmp_path / "model.onnx"), of_student(student), pictures
    )
    assert "finite" in {gate.name for gate in gates if not gate.passed}
    assert "NaN in the weights" in why(gates)


def test_a_layer_that_overflows_float16_is_refused(student: Student, pictures: Pictures) -> None:
    loud = copy.deepcopy(student)
    # No ReLU6 follows the last layer of a block, which would hide how far it went.
    last = [
        m
        for m in loud.get_submodule("encoder.features.1").modules()
        if isinstance(m, nn.BatchNorm2d)
    ][-1]
    last.weight.data.mul_(1e6)
    gates = judge(
        "tensorrt-rtx f16 graph", "f16", of_student(in_halves(loud)), of_student(student), pictures
    )
    assert "overflows float16" in why(gates)


def test_another_students_file_is_refused(
    student: Student, model_path: Path, pictures: Pictures
) -> None:
    other = Student(student.spec).eval()
    gates = judge("onnx f32", "f32", of_onnx(model_path), of_student(other), pictures)
    assert "another network" in why(gates)


def noise(shape: tuple[int, ...]) -> RGB:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (noise, "say nothing of their neighbours"),
        (lambda shape: np.zeros(shape, np.uint8), "say nothing of their neighbours"),
        (lambda shape: noise(shape)[:3], "3"),
    ],
)
def test_int8_is_not_calibrated_on_what_no_camera_sees(
    make: Callable[[tuple[int, ...]], RGB], words: str
) -> None:
    frames = make((20, 64, 96, 3))
    content = np.ones(frames.shape[:3], np.bool_)
    with np.errstate(invalid="ignore"), pytest.raises(FathomError) as caught:
        refuse_bad_calibration(Pictures(frames, content))
    assert caught.value.code is Code.BAD_DATA
    assert words in caught.value.got
    assert "--calibration" in caught.value.repair
