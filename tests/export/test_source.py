"""Where exports begin: a checkpoint, or a program that was exported before."""

from pathlib import Path

import numpy as np
import pytest

from export.pictures import Pictures
from export.program import export_program, save_program
from export.source import Source, open_source
from fathom.errors import Code, FathomError
from training.students.student import Student


def test_a_checkpoint_says_its_recipe(checkpoint: Path) -> None:
    assert open_source(checkpoint).recipe == "supervised"


def test_a_published_program_is_the_student_it_was_made_from(
    student: Student, pictures: Pictures, tmp_path: Path
) -> None:
    path = tmp_path / "model.pt2"
    save_program(export_program(student), path, Source(student=student, recipe="detail").about)
    again = open_source(path)
    assert (again.student.spec, again.recipe) == (student.spec, "detail")
    frames = pictures.frames
    assert np.array_equal(again.student.predict(frames), student.predict(frames))


def test_a_program_without_its_spec_and_a_file_that_is_none_are_refused(
    student: Student, tmp_path: Path
) -> None:
    bare, torn = tmp_path / "bare.pt2", tmp_path / "torn.pt2"
    save_program(export_program(student), bare)
    torn.write_bytes(bare.read_bytes()[:1000])
    for path in (bare, torn, tmp_path / "none.pt2"):
        with pytest.raises(FathomError, match="expected a program that an export") as caught:
            open_source(path)
        assert caught.value.code is Code.BAD_MODEL
