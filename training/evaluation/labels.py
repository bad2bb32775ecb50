"""How well pixels are named: intersection over union of the thirteen classes. Knows no network.

Counts are pooled over all pictures before anything is divided, as is usual for NYU: a class that a
picture hardly shows would otherwise weigh as much as a wall.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from training.data.labels import CLASSES, UNLABELLED

Labels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelFigures:
    """miou is the mean over classes that the truth shows; unlabelled pixels never count."""

    miou: float
    pixel_accuracy: float
    iou: dict[str, float]


@dataclass(slots=True)
class Confusion:
    """Pixels by their true and their answered class."""

    counts: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros((len(CLASSES), len(CLASSES)), np.int64)
    )

    def add(self, answered: Labels, truth: Labels) -> None:
        """answered, truth  (H, W) class ids; an answer of 0 on a labelled pixel is wrong."""
        labelled = truth != UNLABELLED
        pairs = truth[labelled].astype(np.int64) * len(CLASSES) + answered[labelled]
        self.counts += np.bincount(pairs, minlength=self.counts.size).reshape(self.counts.shape)

    def figures(self) -> LabelFigures | None:
        """None where no labelled pixel was added."""
        hits, true, said = np.diag(self.counts), self.counts.sum(1), self.counts.sum(0)
        shown = np.flatnonzero(true)
        if not shown.size:
            return None
        iou = {CLASSES[i]: float(hits[i] / (true[i] + said[i] - hits[i])) for i in shown}
        return LabelFigures(
            miou=float(np.mean(list(iou.values()))),
            pixel_accuracy=float(hits.sum() / true.sum()),
            iou=iou,
        )
