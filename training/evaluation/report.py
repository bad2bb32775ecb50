"""A report for people and for programs: a table, JSON, and a sheet of the worst pictures."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from training.contact_sheet import Row, write_contact_sheet
from training.data.reader import Reader
from training.evaluation.metrics import Metrics
from training.evaluation.scored import Scored
from training.evaluation.scoring import Report, Scoring, answered

# What a sheet paints from red to blue, indoors and on streets.
INDOORS_M, STREETS_M = (0.5, 8.0), (3.0, 80.0)


def as_json(report: Report, scored: str) -> bytes:
    """The whole report.

    scored  what it is of, in words that find it again
    """
    return json.dumps({"scored": scored, **asdict(report)}, indent=1, allow_nan=False).encode()


def as_table(report: Report) -> str:
    """The mean metrics in two aligned lines under a title, and the classes below."""
    names = [f.name for f in fields(Metrics)]
    lines = [_title(report), *_aligned(names, [[getattr(report.mean, name) for name in names]])]
    if report.labels is not None:
        told = f"miou {report.labels.miou:.4f}  pixel_accuracy {report.labels.pixel_accuracy:.4f}"
        classes = "  ".join(f"{name} {share:.3f}" for name, share in report.labels.iou.items())
        lines += [told, classes]
    return "\n".join(lines)


def _title(report: Report) -> str:
    left_out = f" ({report.without_truth} without truth)" if report.without_truth else ""
    many = f"{report.pictures} picture{'s' * (report.pictures != 1)}{left_out}"
    return f"{report.protocol} on {report.part}, {many}, mean per picture"


def _aligned(names: Sequence[str], rows: Sequence[Sequence[float | None]]) -> Sequence[str]:
    cells = [list(names), *(["-" if v is None else f"{v:.4f}" for v in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True))
        for row in cells
    ]


def write_worst(
    path: Path, report: Report, scored: Scored, reader: Reader, scoring: Scoring, count: int = 8
) -> None:
    """Picture, truth, prediction and error of the pictures with the largest AbsRel, worst first."""
    ranked = sorted(report.per_picture, key=lambda id_: -report.per_picture[id_].abs_rel)
    rows = []
    for id_ in ranked[:count]:
        sample = scoring.protocol.prepare(reader.read(id_))
        found = report.per_picture[id_]
        told = f"{id_}  abs_rel {found.abs_rel:.3f}  delta1 {found.delta1:.3f}  {scoring.name}"
        rows.append(Row(sample, answered(scored, sample, scoring)[0], told))
    far = scoring.protocol.max_m > 20 and not math.isinf(scoring.protocol.max_m)
    write_contact_sheet(path, rows, STREETS_M if far else INDOORS_M)
