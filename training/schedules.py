"""Numbers that change as training goes from 0 to 1. Knows no step: a resumed run needs no state."""

import math
from dataclasses import dataclass
from typing import Protocol


class Schedule(Protocol):
    def __call__(self, progress: float) -> float: ...


@dataclass(frozen=True, slots=True)
class Constant:
    value: float

    def __call__(self, progress: float) -> float:  # noqa: ARG002  # a constant heeds nothing
        return self.value


@dataclass(frozen=True, slots=True)
class OneCycle:
    """Half a cosine up from peak / start, half a cosine down to peak / end (Smith, 2018)."""

    peak: float = 1.0
    warm: float = 0.1
    start: float = 25.0
    end: float = 1e4

    def __call__(self, progress: float) -> float:
        if progress < self.warm:
            return _cosine(self.peak / self.start, self.peak, progress / self.warm)
        done = (progress - self.warm) / (1 - self.warm)
        return _cosine(self.peak, self.peak / self.end, min(done, 1.0))


def _cosine(first: float, last: float, progress: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * progress)) / 2
