"""Every part that a student can be made of says the same in ONNX Runtime as in PyTorch."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from export.onnx import export_onnx
from export.program import export_program, output_names
from tests.training.students.kinds import frames, lively, name_of, spec
from training.students.spec import StudentSpec

# With the plain student of the other tests here, each encoder, decoder and head once.
KINDS = (
    spec("resnet18", classes=True),
    spec(decoder="reference-002"),
    spec(decoder="se5x5", head="bins"),
)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=name_of)
def test_a_student_says_the_same_in_onnx(kind: StudentSpec, tmp_path: Path) -> None:
    student = lively(kind)
    outputs = output_names(student)
    export_onnx(export_program(student), tmp_path / "model.onnx", outputs, {})
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    pictures = frames(3).numpy()
    for batch in (pictures, pictures[:1]):
        found = dict(zip(outputs, session.run(list(outputs), {"frames": batch}), strict=True))
        np.testing.assert_allclose(found["depth_m"], student.predict(batch), rtol=1e-3)
        if kind.classes:
            assert found["labels"].dtype == np.uint8
            assert (found["labels"] == student.classify(batch)).mean() > 0.999
