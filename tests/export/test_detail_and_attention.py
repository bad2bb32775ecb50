"""Students with detail or attention as ONNX files: the graph answers as PyTorch does."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from export.onnx import export_onnx
from export.program import export_program, output_names
from training.students.decoder import SlimDecoder
from training.students.spec import StudentSpec
from training.students.student import Student

DETAIL = StudentSpec(height_px=64, width_px=128, detail=True)


@pytest.mark.parametrize(
    "spec", [DETAIL, replace(DETAIL, detail=False, attention=3)], ids=["detail", "attention"]
)
def test_the_graph_answers_as_pytorch_does(spec: StudentSpec, tmp_path: Path) -> None:
    torch.manual_seed(0)
    student = Student(spec).train()
    frames = np.random.default_rng(0).integers(0, 256, (3, 64, 128, 3)).astype(np.uint8)
    with torch.no_grad():
        for module in student.attention:
            module.gate.fill_(0.5)  # type: ignore[operator]
        if student.detail is not None:
            student.detail.decoder.predict.weight.normal_(std=0.3)
        assert isinstance(student.decoder, SlimDecoder)
        student.decoder.predict.weight.mul_(10)
        student(torch.from_numpy(frames))
    student.eval()
    path = tmp_path / "model.onnx"
    export_onnx(export_program(student), path, output_names(student), {})
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for count in (3, 1):
        expected_m = student.predict(frames[:count])
        assert expected_m.std() > 1e-3
        answered_m = session.run(None, {"frames": frames[:count]})[0]
        np.testing.assert_allclose(answered_m, expected_m, rtol=1e-4)
