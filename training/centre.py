"""The last step before a student ships: no error in the middle of the pictures it was fitted on.

Scale-invariant loss forgives a common factor (silog counts 15 % of it), and pictures that are
zoomed, framed and recoloured have another middle than plain ones: students come out some per cent
too far. One number mends that: the range of the metric head times the factor that is missing.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from training.data.reader import Reader
from training.evaluation import Scored, Scoring, answered, scored_student
from training.settings import CentreSettings
from training.students.checkpoint import load_student, read_notes, save_student
from training.students.student import Student


def centre(settings: CentreSettings, reader: Reader) -> float:
    """Write the centred student; returns by how much answers were too far, as a share.

    raises  BAD_MODEL, BAD_DATA
    """
    student = load_student(settings.checkpoint)
    student.spec.require_metres(settings.checkpoint)
    off = middle_log_error(scored_student(student), reader, reader.ids(settings.part))
    centred = at_range(student, math.exp(-off))
    notes = {**read_notes(settings.checkpoint), "centred_by": math.exp(-off)}
    save_student(settings.out, centred.spec, centred.state_dict(), notes)
    return math.expm1(off)


def middle_log_error(scored: Scored, reader: Reader, ids: Sequence[str]) -> float:
    """The median over pictures of the median of ln(answer / truth)."""
    scoring, middles = Scoring(), []
    for id_ in ids:
        sample = scoring.protocol.prepare(reader.read(id_))
        counted = scoring.protocol.counted(sample)
        if counted.any():
            depth_m, _ = answered(scored, sample, scoring)
            middles.append(np.median(np.log(depth_m[counted] / sample.depth_m[counted])))
    return float(np.median(middles))


def at_range(student: Student, factor: float) -> Student:
    """The same weights with a head that says `factor` times the metres."""
    spec = student.spec
    moved = replace(spec, min_m=spec.min_m * factor, max_m=spec.max_m * factor)
    centred = Student(moved)
    centred.load_state_dict(student.state_dict())
    return centred.eval()
