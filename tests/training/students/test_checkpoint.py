"""Students in files: whole, of any kind, and those from before there were kinds."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from fathom.errors import Code, FathomError
from training.students.checkpoint import (
    SPEC_KEY,
    go_on_from,
    load_student,
    read_notes,
    save_student,
    write_atomically,
)
from training.students.spec import StudentSpec
from training.students.student import Student

SPEC = StudentSpec(height_px=64, width_px=96)


def test_notes_come_back(tmp_path: Path) -> None:
    save_student(tmp_path / "s.safetensors", SPEC, Student(SPEC).state_dict(), {"epoch": 3})
    assert read_notes(tmp_path / "s.safetensors") == {"epoch": 3}


def test_a_file_from_before_there_were_kinds_is_the_first_student(tmp_path: Path) -> None:
    torch.manual_seed(0)
    student = Student(SPEC).eval()
    later = ("encoder", "decoder", "head", "classes")
    old = {key: value for key, value in asdict(SPEC).items() if key not in later}
    save_file(student.state_dict(), tmp_path / "s.safetensors", {SPEC_KEY: json.dumps(old)})
    again = load_student(tmp_path / "s.safetensors")
    assert again.spec == SPEC and not again.training
    picture = np.zeros((1, 64, 96, 3), np.uint8)
    assert np.array_equal(again.predict(picture), student.predict(picture))


@pytest.mark.parametrize("header", [{}, {SPEC_KEY: "{}"}])
def test_a_file_without_a_spec_is_refused(header: dict[str, str], tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "s.safetensors", header)
    with pytest.raises(FathomError, match="a student's checkpoint") as caught:
        load_student(tmp_path / "s.safetensors")
    assert caught.value.code is Code.BAD_MODEL


@pytest.mark.parametrize("field", ["encoder", "decoder", "head"])
def test_a_student_of_an_unknown_kind_is_refused(field: str, tmp_path: Path) -> None:
    header = {SPEC_KEY: json.dumps({**asdict(SPEC), field: "later"})}
    save_file({"a": torch.zeros(1)}, tmp_path / "s.safetensors", header)
    with pytest.raises(FathomError, match=f"expected {field} one of .*; got 'later'") as caught:
        load_student(tmp_path / "s.safetensors")
    assert caught.value.code is Code.BAD_MODEL


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")
    with pytest.raises(TypeError):
        write_atomically(path, "not bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_a_student_goes_on_from_one_without_its_head_of_classes(tmp_path: Path) -> None:
    old, path = Student(StudentSpec()), tmp_path / "old.safetensors"
    save_student(path, old.spec, old.state_dict(), {})
    new = Student(StudentSpec(classes=13))
    fresh = {k: v.clone() for k, v in new.state_dict().items() if k.startswith("segmentation.")}
    go_on_from(path, new)
    now = new.state_dict()
    assert all(torch.equal(now[key], value) for key, value in old.state_dict().items())
    assert fresh
    assert all(torch.equal(now[key], value) for key, value in fresh.items())


@pytest.mark.parametrize("other", [StudentSpec(encoder="resnet18"), StudentSpec(classes=13)])
def test_a_student_does_not_go_on_from_one_that_has_more_or_other_parts(
    other: StudentSpec, tmp_path: Path
) -> None:
    old, path = Student(other), tmp_path / "old.safetensors"
    save_student(path, old.spec, old.state_dict(), {})
    with pytest.raises(FathomError, match="has none, as") as caught:
        go_on_from(path, Student(StudentSpec()))
    assert caught.value.code is Code.BAD_MODEL
