"""A student in one safetensors file: weights, and in its header what they are. No pickle anywhere.

Knows no optimiser: what a run needs to go on is `training.checkpoint`'s. Header entries are JSON
texts: `fathom.spec` is the `StudentSpec`, `fathom.notes` whatever the writer wants to keep.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from fathom.errors import Code, FathomError
from training.students.spec import StudentSpec
from training.students.student import Student

SPEC_KEY = "fathom.spec"
NOTES_KEY = "fathom.notes"


def save_student(
    path: Path, spec: StudentSpec, weights: Mapping[str, Tensor], notes: Mapping[str, object]
) -> None:
    """Write the file whole or not at all."""
    header = {SPEC_KEY: json.dumps(asdict(spec)), NOTES_KEY: json.dumps(notes)}
    write_atomically(path, save({k: v.contiguous() for k, v in weights.items()}, header))


def load_student(path: Path) -> Student:
    """The student of a file made by `save_student`, in eval mode.

    raises  BAD_MODEL
    """
    header = read_header(path)
    try:
        student = Student(StudentSpec.of(json.loads(header[SPEC_KEY])))
        student.load_state_dict(load_file(path), strict=True)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise FathomError(
            Code.BAD_MODEL,
            expected="a student's checkpoint with its spec and all of its weights",
            got=f"{path}: {str(error).splitlines()[0]}",
            repair="give best.safetensors or student.safetensors of a run of this version",
        ) from error
    return student.eval()


def go_on_from(path: Path, student: Student) -> None:
    """Give `student` the weights of a checkpoint; a part that only `student` has stays as it is.

    raises  BAD_MODEL if the checkpoint's student has parts or shapes that this one has not
    """
    weights = load_student(path).state_dict()
    own = student.state_dict()
    foreign = [k for k, v in weights.items() if k not in own or own[k].shape != v.shape]
    if foreign:
        raise FathomError(
            Code.BAD_MODEL,
            expected="a checkpoint whose every weight has its place in the student to be trained",
            got=f"{path}, whose {foreign[0]} has none, as {len(foreign)} in all",
            repair="ask for the same --encoder, --decoder, --head and --classes as it has",
        )
    student.load_state_dict({**own, **weights})


def read_notes(path: Path) -> dict[str, object]:
    """What the writer of a student's file noted: recipe, settings, metrics."""
    notes: dict[str, object] = json.loads(read_header(path).get(NOTES_KEY, "{}"))
    return notes


def read_header(path: Path) -> dict[str, str]:
    """The text entries in the head of a safetensors file."""
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise FathomError(
            Code.BAD_MODEL,
            expected="a readable safetensors file",
            got=f"{path}: {error}",
            repair="check the path; a run writes its checkpoints into its --out folder",
        ) from error


def write_atomically(path: Path, content: bytes) -> None:
    """After this the path holds all of `content`, even if the machine stops in the middle."""
    beside = path.with_name(f".{path.name}.partial")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    # The rename itself is only on disk once the folder is.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
