"""Where an export begins: the checkpoint of a run, or the program of a published model.

From the program anybody can make what was not published, such as plans for their own GPU.
"""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from fathom.errors import Code, FathomError
from training.students.checkpoint import load_student, read_notes
from training.students.spec import StudentSpec
from training.students.student import Student

ABOUT = "fathom.json"
_OUTER = "student."  # how an exported program's weights are called, against a student's own


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """recipe  the name of the one that the student was trained by"""

    student: Student
    recipe: str

    @property
    def about(self) -> Mapping[str, str]:
        """What a program must carry to be a source again, as files inside it."""
        return {ABOUT: json.dumps({"spec": asdict(self.student.spec), "recipe": self.recipe})}


def open_source(path: Path) -> Source:
    """Read a `.safetensors` checkpoint or a `.pt2` of an export; raises BAD_MODEL."""
    if path.suffix == ".pt2":
        return _of_program(path)
    settings = read_notes(path).get("settings")
    recipe = str(settings.get("recipe", "unknown")) if isinstance(settings, dict) else "unknown"
    return Source(student=load_student(path), recipe=recipe)


def _of_program(path: Path) -> Source:
    inside = {ABOUT: ""}
    try:
        zipfile.ZipFile(path).close()  # of a torn one torch would log a page first
        program = torch.export.load(path, extra_files=inside)
        about = json.loads(inside[ABOUT])
        student = Student(StudentSpec.of(about["spec"]))
        weights = program.state_dict.items()
        student.load_state_dict({key.removeprefix(_OUTER): value for key, value in weights})
    except (OSError, zipfile.BadZipFile, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise FathomError(
            Code.BAD_MODEL,
            expected="a program that an export of this version wrote",
            got=f"{path}: {str(error).splitlines()[0] or type(error).__name__}",
            repair="give the model.pt2 of a published version, or the run's best.safetensors",
        ) from error
    return Source(student=student.eval(), recipe=str(about["recipe"]))
