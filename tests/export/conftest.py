"""A student with random weights and a folder of two photos: enough to export in seconds."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from export.onnx import export_onnx
from training.students.checkpoint import save_student
from training.students.spec import StudentSpec
from training.students.student import Student


@pytest.fixture(scope="session")
def student() -> Student:
    torch.manual_seed(0)
    random = Student(StudentSpec(height_px=64, width_px=96)).eval()
    # Fresh weights give almost one depth everywhere, which the gates rightly refuse.
    *_, last = (module for module in random.decoder.modules() if isinstance(module, nn.Conv2d))
    last.weight.data.mul_(50)
    return random


@pytest.fixture(scope="session")
def model_path(student: Student, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    export_onnx(student, path, {"fathom.name": "tiny"})
    return path


@pytest.fixture(scope="session")
def checkpoint(student: Student, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "best.safetensors"
    notes = {"settings": {"recipe": "supervised"}}
    save_student(path, student.spec, student.state_dict(), notes)
    return path


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for i in range(2):
        coarse = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{i}.png"), cv2.resize(coarse, (128, 96)))
    (folder / "notes.txt").write_text("not a picture")
    return folder
