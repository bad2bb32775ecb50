"""What became of every frame of every camera. Knows no node and no clock."""

from array import array
from collections import Counter

import numpy as np

from benchmarks.fleet.node import ANSWERED
from benchmarks.plot import F64
from fathom.errors import Code

LOST = f"failed_{Code.CONNECTION_LOST}"


class Books:
    """Counts by camera; when each answered frame was captured, and its age at the camera."""

    def __init__(self, cameras: int) -> None:
        self._sent = [0] * cameras
        self._settled = [0] * cameras
        self._answered = [0] * cameras
        self.outcomes: Counter[str] = Counter()
        self._captured_s = array("d")
        self._ages_s = array("d")

    def sent(self, camera: int) -> None:
        self._sent[camera] += 1

    def settle(self, camera: int, outcome: str, captured_s: float, age_s: float) -> None:
        """One frame has its outcome, and its age where it was answered."""
        self.settle_all(camera, outcome, 1)
        if outcome == ANSWERED:
            self._answered[camera] += 1
            self._captured_s.append(captured_s)
            self._ages_s.append(age_s)

    def settle_all(self, camera: int, outcome: str, frames: int) -> None:
        """So many frames of a camera have the same outcome, none of them an answer's."""
        self._settled[camera] += frames
        if frames:
            self.outcomes[outcome] += frames

    @property
    def frames(self) -> int:
        """Sent, over all cameras."""
        return sum(self._sent)

    @property
    def sums_agree(self) -> bool:
        """Whether every frame of every camera has exactly one outcome."""
        return self._sent == self._settled and sum(self.outcomes.values()) == self.frames

    @property
    def captured_s(self) -> F64:
        """Of each answered frame, in the order of their answers."""
        return np.array(self._captured_s)

    @property
    def ages_s(self) -> F64:
        """Of the same frames: from capture to the camera's having the answer."""
        return np.array(self._ages_s)

    @property
    def answered(self) -> F64:
        """Answers of each camera."""
        return np.array(self._answered, np.float64)
