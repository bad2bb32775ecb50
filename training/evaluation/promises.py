"""What a student promises beyond its score, measured on the same pictures.

Border: it does not read its scale from the white frame that undistortion left round NYU's pictures,
as some published networks do (1.6 times off without it). Focal length: the middle of a photo, given
its own focal length, has the metres it had inside the whole.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fathom.errors import Code, FathomError
from fathom.geometry import F32, RGB, FieldOfView
from training.data.reader import Reader
from training.data.sample import Sample
from training.evaluation.metrics import Metrics
from training.evaluation.protocols import Box, cut, strided
from training.evaluation.scored import Scored
from training.evaluation.scoring import Scoring, evaluate
from training.teachers.teacher import Unit

# Inside the frame, on even pixels so that maps of every second one can be cut with the picture.
INSIDE: Box = (slice(8, 474), slice(8, 632))
LARGEST_DELTA1_CHANGE = 0.01
LARGEST_METRES_CHANGE = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """One figure and the bound it must keep, with what else was measured on the way.

    measured  name of a way to look at the pictures -> figure
    """

    name: str
    scoring: str
    part: str
    pictures: int
    value: float
    bound: float
    measured: Mapping[str, float]

    @property
    def kept(self) -> bool:
        return self.value <= self.bound  # False for NaN, as it should be

    def __str__(self) -> str:
        told = "\n".join(f"  {name:<28}{value:8.4f}" for name, value in self.measured.items())
        verdict = "kept" if self.kept else "BROKEN"
        head = f"{self.name}: {self.value:.4f}, at most {self.bound:g}: {verdict}"
        return f"{head} ({self.scoring} on {self.part}, {self.pictures} pictures)\n{told}"


@dataclass(frozen=True, slots=True)
class Changed:
    """A reader whose pictures are looked at in another way."""

    reader: Reader
    change: Callable[[Sample], Sample]

    def ids(self, part: str) -> Sequence[str]:
        return self.reader.ids(part)

    def read(self, id_: str) -> Sample:
        return self.change(self.reader.read(id_))


def painted(level: int) -> Callable[[Sample], Sample]:
    """The frame of NYU's pictures in one shade, over whatever is there."""

    def change(sample: Sample) -> Sample:
        size = (sample.image.shape[0], sample.image.shape[1])
        box = strided(INSIDE, size)
        image = np.full_like(sample.image, level)
        image[box] = sample.image[box]
        return replace(sample, image=image)

    return change


def check_border(scored: Scored, reader: Reader, part: str, scoring: Scoring) -> Promise:
    """delta1 with the frame as it is, cut off, white and black; the promise is the largest change.

    raises  BAD_SETTING for another protocol than NYU's, and whatever `evaluate` does
    """
    if scoring.protocol.name != "nyu-eigen":
        raise FathomError(
            Code.BAD_SETTING,
            expected="--protocol nyu-eigen, which shows the frame and does not score it",
            got=scoring.protocol.name,
            repair="leave --protocol out",
        )
    prepare = scoring.protocol.prepare
    ways: Mapping[str, Callable[[Sample], Sample]] = {
        "as stored": prepare,
        "cut off": lambda sample: cut(prepare(sample), INSIDE),
        "painted white": lambda sample: prepare(painted(255)(sample)),
        "painted black": lambda sample: prepare(painted(0)(sample)),
    }
    as_prepared = replace(scoring, protocol=replace(scoring.protocol, prepare=lambda s: s))
    means: dict[str, Metrics] = {}
    pictures = 0
    for name, change in ways.items():
        report = evaluate(scored, Changed(reader, change), part, as_prepared)
        means[name], pictures = report.mean, report.pictures
    delta1 = {f"delta1, {name}": mean.delta1 for name, mean in means.items()}
    stored = means["as stored"].delta1
    return Promise(
        name="border: largest change of delta1",
        scoring=scoring.name,
        part=part,
        pictures=pictures,
        value=max(abs(mean.delta1 - stored) for mean in means.values()),
        bound=LARGEST_DELTA1_CHANGE,
        measured=delta1 | {f"abs_rel, {name}": mean.abs_rel for name, mean in means.items()},
    )


def middle(image: RGB, focal_px: float) -> Box:
    """The box in the middle of a picture that has half its horizontal field of view."""
    height, width = image.shape[:2]
    half_deg = math.degrees(math.atan(width / 2 / focal_px))
    share = focal_px / FieldOfView(half_deg).for_size((height, width)).fx
    rows, cols = round(height * share), round(width * share)
    top, left = (height - rows) // 2, (width - cols) // 2
    return slice(top, top + rows), slice(left, left + cols)


def check_focal(scored: Scored, reader: Reader, part: str) -> Promise:
    """How far the metres of a photo's middle are from those inside the whole, median over a part.

    Of a picture it is the median over pixels of |ratio - 1|: with the focal length, and without.
    raises  BAD_SETTING for answers that are not metres, BAD_DATA
    """
    if scored.unit is not Unit.METRIC:
        raise FathomError(
            Code.BAD_SETTING,
            expected="answers in metres",
            got=str(scored.unit),
            repair="only metres can depend on the focal length",
        )
    told, untold = [], []
    for id_ in reader.ids(part):
        sample = reader.read(id_)
        box = middle(sample.image, sample.focal_px)
        part_of_whole = scored(sample.image, sample.focal_px).depth[box]
        image = np.ascontiguousarray(sample.image[box])
        told.append(_off(scored(image, sample.focal_px).depth, part_of_whole))
        untold.append(_off(scored(image, None).depth, part_of_whole))
    return Promise(
        name="focal length: change of metres",
        scoring="half the field of view",
        part=part,
        pictures=len(told),
        value=float(np.median(told)),
        bound=LARGEST_METRES_CHANGE,
        measured={
            "median, focal length given": float(np.median(told)),
            "share within, given": float(np.mean(np.array(told) <= LARGEST_METRES_CHANGE)),
            "median, not given": float(np.median(untold)),
            "share within, not given": float(np.mean(np.array(untold) <= LARGEST_METRES_CHANGE)),
        },
    )


def _off(answered_m: F32, expected_m: F32) -> float:
    return float(np.median(np.abs(answered_m / expected_m - 1)))
