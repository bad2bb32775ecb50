"""The command `eval`: opens what is scored and the data, scores, and writes what was found.

Knows no metric; what a protocol means is `training.evaluation`'s.
"""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

import torch

from fathom.errors import Code, FathomError
from training.data.forms import open_any
from training.data.lists import ListedFolder
from training.data.nyu import NyuFolder, WithLabels
from training.data.reader import Reader
from training.evaluation import PROTOCOLS, Alignment, Scored, Scoring, evaluate
from training.evaluation.promises import check_border, check_focal
from training.evaluation.report import as_json, as_table, write_worst
from training.evaluation.repository_model import open_model
from training.evaluation.scored import ScoredTeacher, scored_student
from training.settings import EvalSettings
from training.students.checkpoint import load_student, write_atomically
from training.teachers.choice import open_teacher


class Outcome(NamedTuple):
    """What to print, and whether every promise that was checked is kept."""

    text: str
    good: bool


def assess(settings: EvalSettings) -> Outcome:
    """Score or check by the settings, and write the report where there is a place for it.

    raises  BAD_SETTING, BAD_DATA, BAD_MODEL
    """
    torch.set_num_threads(settings.threads)
    scored, reader = open_scored(settings), open_data(settings)
    scoring = Scoring(
        protocol=PROTOCOLS[settings.protocol], align=Alignment(settings.align), flip=settings.flip
    )
    path = settings.report or beside_checkpoint(settings, settings.check or scoring.name)
    if settings.check is not None:
        border = settings.check == "border"
        promise = (
            check_border(scored, reader, settings.split, scoring)
            if border
            else check_focal(scored, reader, settings.split)
        )
        if path is not None:
            content = {"scored": what_is_scored(settings), **asdict(promise), "kept": promise.kept}
            write_atomically(path, json.dumps(content, indent=1, allow_nan=False).encode())
        return Outcome(str(promise), promise.kept)
    report = evaluate(scored, reader, settings.split, scoring)
    if path is not None:
        write_atomically(path, as_json(report, what_is_scored(settings)))
        write_worst(path.with_suffix(".png"), report, scored, reader, scoring)
    return Outcome(as_table(report), good=True)


def open_scored(settings: EvalSettings) -> Scored:
    """The one thing that the settings name."""
    named = [settings.checkpoint, settings.model, settings.teacher]
    if sum(each is not None for each in named) != 1:
        raise FathomError(
            Code.BAD_SETTING,
            expected="one of --checkpoint, --model and --teacher",
            got=", ".join(str(each) for each in named if each is not None) or "none of them",
            repair="name the one thing that is to be scored",
        )
    if settings.checkpoint is not None:
        return scored_student(load_student(settings.checkpoint))
    if settings.model is not None:
        return open_model(settings.model_repository, settings.model, settings.precision)
    if settings.teacher is None or settings.teacher_weights is None:
        raise FathomError(
            Code.BAD_SETTING,
            expected="--teacher-weights beside --teacher",
            got="none",
            repair="give the folder or file with the teacher's weights",
        )
    return ScoredTeacher(open_teacher(settings.teacher, settings.teacher_weights))


def what_is_scored(settings: EvalSettings) -> str:
    if settings.model is not None:
        return f"model {settings.model}, OpenVINO {settings.precision}"
    if settings.teacher is not None:
        return f"teacher {settings.teacher}, {settings.teacher_weights}"
    return f"checkpoint {settings.checkpoint}"


def open_data(settings: EvalSettings) -> Reader:
    """The data set as it was recorded: the protocol, not the reader, cuts it."""
    reader = open_any(settings.data, settings.form)
    if isinstance(reader, NyuFolder):
        return WithLabels(reader)
    if isinstance(reader, ListedFolder):
        return ListedFolder(
            reader.images, reader.depths, reader.lists, replace(reader.form, kb_crop=False)
        )
    return reader


def beside_checkpoint(settings: EvalSettings, name: str) -> Path | None:
    """Where a checkpoint's report goes if nothing is said; nowhere for a model or a teacher."""
    if settings.checkpoint is None:
        return None
    return settings.checkpoint.with_name(f"{settings.checkpoint.stem}.{settings.split}.{name}.json")
