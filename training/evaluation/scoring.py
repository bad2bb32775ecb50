"""One protocol over one part of a data set. Knows no network and no file form."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from fathom.errors import Code, FathomError
from fathom.geometry import F32, Size, resize_map
from training.data.reader import Reader
from training.data.sample import Sample
from training.evaluation.alignment import ALLOWED, Alignment, align, refuse_unit
from training.evaluation.labels import Confusion, LabelFigures, Labels
from training.evaluation.metrics import Metrics, edge_f1, mean_metrics, measure
from training.evaluation.protocols import PROTOCOLS, EvalProtocol
from training.evaluation.scored import Flipped, Scored


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """A protocol and what is done to the answers before; all of it is in the name."""

    protocol: EvalProtocol = PROTOCOLS["nyu-eigen"]
    align: Alignment = Alignment.RAW
    flip: bool = False

    @property
    def name(self) -> str:
        fitted = "" if self.align is Alignment.RAW else f"+{self.align}-aligned"
        return self.protocol.name + ("+flip" if self.flip else "") + fitted


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Mean metrics and where they come from; also one row per picture, in order of the ids.

    protocol       name of the `Scoring`
    without_truth  pictures of the part that the data set has no depth of, which are left out
    labels         None unless both the truth and the answers name classes
    """

    protocol: str
    part: str
    pictures: int
    without_truth: int
    mean: Metrics
    labels: LabelFigures | None
    per_picture: Mapping[str, Metrics]


def least_fitted(scored: Scored) -> Scoring:
    """NYU's protocol with no more alignment than the unit of the answers needs."""
    return Scoring(align=ALLOWED[scored.unit][0])


def evaluate(scored: Scored, reader: Reader, part: str, scoring: Scoring) -> Report:
    """Score every picture of a part, one at a time, as a stream would see them.

    raises  BAD_SETTING if the unit cannot be compared so, BAD_DATA, BAD_MODEL (see `score`)
    """
    refuse_unit(scored.unit, scoring.align)
    rows: dict[str, Metrics] = {}
    confusion, ids = Confusion(), reader.ids(part)
    for id_ in ids:
        sample = scoring.protocol.prepare(reader.read(id_))
        if not sample.valid.any():
            continue
        depth_m, labels = answered(scored, sample, scoring)
        rows[id_] = score(depth_m, sample, scoring.protocol, id_)
        if labels is not None and sample.labels is not None:
            confusion.add(labels, sample.labels)
    if not rows:
        raise FathomError(
            Code.BAD_DATA,
            expected=f"measured depth in part {part}",
            got=f"none in {len(ids)} pictures",
            repair="look at the folder with: python -m training check-data FOLDER",
        )
    return Report(
        protocol=scoring.name,
        part=part,
        pictures=len(rows),
        without_truth=len(ids) - len(rows),
        mean=mean_metrics(rows.values()),
        labels=confusion.figures(),
        per_picture=rows,
    )


def answered(scored: Scored, sample: Sample, scoring: Scoring) -> tuple[F32, Labels | None]:
    """Metres (H, W) at the truth's size, and class ids if there are any.

    sample  prepared by the protocol
    """
    asked = Flipped(scored) if scoring.flip else scored
    depth, labels = asked(sample.image, sample.focal_px)
    size = (sample.depth_m.shape[0], sample.depth_m.shape[1])
    at_truth = to_truth(depth, size)
    counted = scoring.protocol.counted(sample)
    if counted.any():
        at_truth = align(at_truth, sample.depth_m, counted, scored.unit, scoring.align)
    return at_truth, None if labels is None else labels_to_truth(labels, size)


def to_truth(given: F32, size: Size) -> F32:
    """Every n-th pixel where the truth was stored so, else bilinear."""
    step = _stride(given, size)
    if step:
        return np.ascontiguousarray(given[::step, ::step])
    return resize_map(given, size)


def labels_to_truth(given: Labels, size: Size) -> Labels:
    step = _stride(given, size)
    if step:
        return given[::step, ::step]
    nearest = cv2.resize(given, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(nearest, np.uint8)


def _stride(given: F32 | Labels, size: Size) -> int:
    """How many pixels of the answer are one of the truth, if that is a whole number, else 0."""
    step = given.shape[0] // size[0]
    return step if given.shape == (step * size[0], step * size[1]) else 0


def score(predicted_m: F32, sample: Sample, protocol: EvalProtocol, name: str) -> Metrics:
    """The metrics of one picture.

    predicted_m  (H, W) metres of the truth's size
    sample       prepared by the protocol
    raises       BAD_MODEL if a compared pixel has no finite or positive answer, BAD_DATA if none
                 can be compared
    """
    counted = protocol.counted(sample)
    if not counted.any():
        raise FathomError(
            Code.BAD_DATA,
            expected=f"truth within {protocol.min_m:g}..{protocol.max_m:g} m in picture {name}",
            got="none inside the crop",
            repair="check the unit that depth is stored in",
        )
    if protocol.clamps:
        refuse(counted & ~np.isfinite(predicted_m), f"finite metres for picture {name}")
        predicted_m = np.clip(predicted_m, protocol.min_m, protocol.max_m)
    else:
        wrong = ~(np.isfinite(predicted_m) & (predicted_m > 0))
        refuse(counted & wrong, f"finite metres above 0 for picture {name}")
    found = measure(predicted_m[counted], sample.depth_m[counted], inclusive=protocol.inclusive)
    return replace(found, edge_f1=edge_f1(predicted_m, sample.depth_m, counted))


def refuse(wrong: NDArray[np.bool_], expected: str) -> None:
    if wrong.any():
        raise FathomError(
            Code.BAD_MODEL,
            expected=expected,
            got=f"{int(wrong.sum())} pixels that are not",
            repair="look at the weights or the precision; nothing was averaged over",
        )
