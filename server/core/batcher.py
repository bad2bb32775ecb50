"""How many waiting frames the next batch takes, from what the engine was measured to cost.

Knows no thread and no clock. It never waits: while a lane is free and a frame waits, the answer is
at least one. A larger batch is taken only where the cost curve shows that it serves more frames; on
a CPU it does not, and the curve says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass

# A larger batch makes every frame in it as late as the last one, so it must win by more than noise.
_LEAST_GAIN = 1.05


@dataclass(frozen=True, slots=True)
class CostCurve:
    """Measured seconds of one `infer` call by batch size; sizes between are interpolated."""

    seconds: Mapping[int, float]

    def __post_init__(self) -> None:
        assert 1 in self.seconds
        assert all(cost_s >= 0 for cost_s in self.seconds.values())

    @property
    def largest(self) -> int:
        return max(self.seconds)

    def cost_s(self, frames: int) -> float:
        """Seconds a batch of `frames` takes, 1 up to the largest measured."""
        below = max(size for size in self.seconds if size <= frames)
        above = min(size for size in self.seconds if size >= frames)
        if below == above:
            return self.seconds[below]
        share = (frames - below) / (above - below)
        return self.seconds[below] + share * (self.seconds[above] - self.seconds[below])

    def frames_per_s(self, frames: int) -> float:
        return frames / max(self.cost_s(frames), 1e-9)


def batch_size(waiting: int, free_lanes: int, curve: CostCurve) -> int:
    """Frames for a lane that is free now.

    waiting     frames that could be taken, each of another stream
    free_lanes  lanes without a batch, the asking one included; the others get their share
    returns     0 only if nothing waits
    """
    share = -(-waiting // max(1, free_lanes))
    best = min(1, waiting)
    for frames in range(2, min(share, curve.largest) + 1):
        if curve.frames_per_s(frames) >= _LEAST_GAIN * curve.frames_per_s(best):
            best = frames
    return best
