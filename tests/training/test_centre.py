"""One number that brings a student's middle error to zero, and moves nothing else."""

from pathlib import Path

import numpy as np
import pytest
import torch

from training.__main__ import main
from training.centre import at_range, middle_log_error
from training.data.nyu import NyuFolder
from training.evaluation import scored_student
from training.students.checkpoint import load_student, read_notes, save_student
from training.students.spec import StudentSpec
from training.students.student import Student

SPEC = StudentSpec(height_px=64, width_px=96)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    student, path = Student(SPEC), tmp_path / "best.safetensors"
    save_student(path, SPEC, student.state_dict(), {"epoch": 3})
    return path


def test_a_centred_student_is_neither_too_far_nor_too_near_in_the_middle(
    checkpoint: Path, tiny_nyu: Path, tmp_path: Path
) -> None:
    reader, out = NyuFolder(tiny_nyu), tmp_path / "centred.safetensors"
    ids = reader.ids("train_fit")
    before = middle_log_error(scored_student(load_student(checkpoint)), reader, ids)
    words = [f"--checkpoint={checkpoint}", f"--data={tiny_nyu}", f"--out={out}"]
    assert main(["centre", *words]) == 0
    after = middle_log_error(scored_student(load_student(out)), reader, ids)
    assert abs(before) > 0.05 and abs(after) < 1e-5
    notes = read_notes(out)
    assert notes["epoch"] == 3 and notes["centred_by"] == pytest.approx(np.exp(-before))


def test_a_range_moved_by_a_factor_moves_every_metre_by_it() -> None:
    torch.manual_seed(0)
    student = Student(SPEC).eval()
    frames = np.random.default_rng(0).integers(0, 255, (1, 64, 96, 3), np.uint8)
    moved_m = at_range(student, 0.9).predict(frames)
    np.testing.assert_allclose(moved_m, 0.9 * student.predict(frames), rtol=1e-5)


def test_a_student_without_metres_has_nothing_to_centre(
    tiny_nyu: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = StudentSpec(height_px=64, width_px=96, metric_scale=False)
    path = tmp_path / "best.safetensors"
    save_student(path, spec, Student(spec).state_dict(), {})
    out = tmp_path / "centred"
    words = [f"--checkpoint={path}", f"--data={tiny_nyu}", f"--out={out}"]
    assert main(["centre", *words]) == 1
    assert "expected a student of metric depth" in capsys.readouterr().err
    assert not out.exists()
