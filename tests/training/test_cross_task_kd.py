"""Classes as a second task: they shape the maps that depth is made of, and can be left out."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.batches import batch_of, plane
from training.__main__ import main
from training.data.nyu import NyuFolder
from training.loop import BEST, METRICS
from training.recipes.cross_task_kd import CROSS_TASK_KD
from training.students.checkpoint import load_student
from training.students.spec import StudentSpec
from training.students.student import Student

SEGMENTATION = CROSS_TASK_KD.terms[-1]


def test_its_gradient_reaches_the_encoder_and_not_the_depth_predictor() -> None:
    torch.manual_seed(0)
    student = Student(StudentSpec(height_px=64, width_px=96, classes=13)).train()
    frames = torch.randint(0, 256, (2, 64, 96, 3), dtype=torch.uint8)
    labels = torch.randint(0, 14, (2, 64, 96), dtype=torch.uint8)
    value, elements = SEGMENTATION(student(frames), batch_of(plane(2, 2, 64, 96), labels=labels))
    value.backward()  # type: ignore[no-untyped-call]
    assert elements == int((labels > 0).sum())
    assert SEGMENTATION.weight(0.5) == 0.1
    assert all(p.grad is not None and p.grad.any() for p in student.encoder.parameters())
    assert all(p.grad is None for p in student.decoder.predict.parameters())  # type: ignore[union-attr]


@pytest.mark.slow
def test_a_run_from_the_command(tiny_nyu: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    said = ["--recipe", "cross-task-kd", "--data", str(tiny_nyu), "--out", str(out)]
    assert main([*said, "--epochs", "1", "--batch-size", "3", "--threads", "1"]) == 0
    told = json.loads((out / METRICS).read_text())
    assert told["segmentation"] > 0 and told["silog"] > 0
    student = load_student(out / BEST)
    frames = NyuFolder(tiny_nyu).read("0007").image[None, :224, :320]
    labels = student.classify(np.ascontiguousarray(frames))
    assert labels.shape == (1, 224, 320) and 1 <= labels.min() <= labels.max() <= 13
    # Depth is the same without the head.
    whole = student(torch.from_numpy(np.ascontiguousarray(frames))).depth_m
    assert torch.equal(torch.from_numpy(student.predict(np.ascontiguousarray(frames))), whole)
