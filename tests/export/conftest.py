"""A student with random weights and a folder of two photos: enough to export in seconds."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from export.onnx import export_onnx
from export.pictures import Pictures, read_pictures
from export.program import export_program
from training.students.checkpoint import save_student
from training.students.spec import StudentSpec
from training.students.student import Student

REPOSITORY = Path(__file__).parents[2]


def make_student(**spec: object) -> Student:
    torch.manual_seed(0)
    random = Student(StudentSpec(height_px=64, width_px=96, **spec)).eval()  # type: ignore[arg-type]
    # Fresh weights give almost one depth everywhere, which the gates rightly refuse.
    *_, last = (module for module in random.decoder.modules() if isinstance(module, nn.Conv2d))
    last.weight.data.mul_(50)
    return random


@pytest.fixture(scope="session")
def student() -> Student:
    return make_student()


@pytest.fixture(scope="session")
def model_path(student: Student, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    export_onnx(export_program(student), path, ["depth_m"], {"fathom.name": "tiny"})
    return path


@pytest.fixture(scope="session")
def checkpoint(student: Student, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "best.safetensors"
    notes = {"settings": {"recipe": "supervised"}}
    save_student(path, student.spec, student.state_dict(), notes)
    return path


def write_photos(folder: Path, count: int) -> Path:
    """Smooth coloured pictures of a camera's shape, so that padding is needed on both sides."""
    rng = np.random.default_rng(0)
    for i in range(count):
        coarse = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{i:02d}.png"), cv2.resize(coarse, (128, 96)))
    return folder


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_photos(tmp_path_factory.mktemp("photos"), 2)
    (folder / "notes.txt").write_text("not a picture")
    return folder


@pytest.fixture(scope="session")
def pictures(photos: Path, student: Student) -> Pictures:
    return read_pictures(photos, student.network_size)


@pytest.fixture(scope="session")
def real_photos() -> Path:
    """Photos of rooms, of which the shipped student has seen others."""
    root = Path(os.environ.get("DEPTH_DATA", REPOSITORY.parent / "shared" / "data"))
    folder = root / "nyuv2" / "train" / "rgb"
    if not folder.is_dir():
        pytest.skip(f"no {folder}; set DEPTH_DATA to the folder that holds nyuv2")
    return folder
