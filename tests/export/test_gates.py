import math
from pathlib import Path

import numpy as np
import onnx
import pytest

from export.gates import Gate, read_frames, run_gates, table
from fathom.errors import Code, FathomError
from fathom.geometry import PAD_RGB
from training.students.student import Student


def test_a_gate_holds_its_bound_from_the_side_it_says() -> None:
    assert Gate("error", 0.5, 1.0).passed
    assert not Gate("error", 1.5, 1.0).passed
    assert Gate("spread", 1.5, 1.0, at_least=True).passed
    assert not Gate("spread", 0.5, 1.0, at_least=True).passed


@pytest.mark.parametrize("at_least", [True, False])
def test_nan_passes_no_gate(at_least: bool) -> None:
    assert not Gate("error", math.nan, 1.0, at_least=at_least).passed


def test_the_table_marks_what_failed() -> None:
    text = table([Gate("good", 0.1, 1.0), Gate("bad", 2.0, 1.0)])
    assert "ok" in text.splitlines()[1]
    assert "FAILED" in text.splitlines()[2]


def test_frames_are_letterboxed_photos_and_nothing_else(photos: Path) -> None:
    frames = read_frames(photos, (64, 96))
    assert frames.shape == (2, 64, 96, 3)
    # 128x96 into 96x64 leaves columns on both sides: 85 of 96 are the photo's.
    assert (frames[:, :, 0] == PAD_RGB).all()


def test_a_folder_without_photos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FathomError) as caught:
        read_frames(tmp_path, (64, 96))
    assert caught.value.code is Code.BAD_DATA


def test_another_students_file_does_not_pass(
    student: Student, model_path: Path, photos: Path
) -> None:
    other = Student(student.spec).eval()
    gates = run_gates(other, model_path, read_frames(photos, (64, 96)))
    failed = {gate.name for gate in gates if not gate.passed}
    assert "onnx f32 max relative" in failed


def test_a_file_with_nan_in_its_weights_does_not_pass(
    student: Student, model_path: Path, photos: Path, tmp_path: Path
) -> None:
    model = onnx.load(model_path)
    weights = next(w for w in model.graph.initializer if len(w.dims) == 4)
    nan = np.full(tuple(weights.dims), np.nan, np.float32)
    weights.CopyFrom(onnx.numpy_helper.from_array(nan, weights.name))
    onnx.save(model, tmp_path / "model.onnx")
    gates = run_gates(student, tmp_path / "model.onnx", read_frames(photos, (64, 96)))
    assert "finite" in {gate.name for gate in gates if not gate.passed}
