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


@dataclass(frozen=True, slots=True)
class Scaled:
    """Another schedule times a factor."""

    of: Schedule
    factor: float

    def __call__(self, progress: float) -> float:
        return self.factor * self.of(progress)


@dataclass(frozen=True, slots=True)
class Poly:
    """From `first` to `last` by (1 - progress)^power."""

    first: float = 1.0
    last: float = 0.1
    power: float = 0.5

    def __call__(self, progress: float) -> float:
        return self.last + (self.first - self.last) * math.pow(1 - min(progress, 1.0), self.power)


@dataclass(frozen=True, slots=True)
class Steps:
    """`value`, times `factor` from each of the points `at` on.

    A factor, not a rate: published code passes its rate where the factor belongs and ends at 1e-8.
    """

    value: float = 1.0
    at: tuple[float, ...] = (0.75,)
    factor: float = 0.1

    def __call__(self, progress: float) -> float:
        passed = sum(progress >= point for point in self.at)
        return self.value * math.pow(self.factor, passed)


@dataclass(frozen=True, slots=True)
class Ramp:
    """From 0 to `value` in a straight line until `until`, then flat; at once if `until` is 0."""

    value: float
    until: float

    def __call__(self, progress: float) -> float:
        return self.value * (min(1.0, progress / self.until) if self.until > 0 else 1.0)


def _cosine(first: float, last: float, progress: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * progress)) / 2
