"""What an engine costs, measured before anyone is served: every lane, every size, steady times."""

import numpy as np
import pytest
from numpy.typing import NDArray

from server.engines.engine import Outputs
from server.warm_up import measure_costs
from tests.server.conftest import FakeClock, ScriptedEngine


class PricedEngine(ScriptedEngine):
    """Costs 2 s a batch and 1 s a frame; its first two runs of a size cost a minute."""

    def __init__(self, clock: FakeClock, *, max_batch: int, lanes: int = 1) -> None:
        super().__init__(max_batch=max_batch, lanes=lanes)
        self._clock = clock
        self._runs: dict[tuple[int, int], int] = {}

    def infer(self, frames: NDArray[np.uint8], lane: int, due_s: float | None = None) -> Outputs:
        key = len(frames), lane
        self._runs[key] = self._runs.get(key, 0) + 1
        self._clock.advance(60.0 if self._runs[key] <= 2 else 2.0 + len(frames))
        return super().infer(frames, lane, due_s)


def test_the_curve_is_what_steady_batches_take(clock: FakeClock) -> None:
    curve = measure_costs(PricedEngine(clock, max_batch=4), clock)
    assert curve.seconds == {1: pytest.approx(3), 2: pytest.approx(4), 4: pytest.approx(6)}


@pytest.mark.parametrize(
    ("max_batch", "sizes"), [(1, {1}), (2, {1, 2}), (6, {1, 2, 4, 6}), (8, {1, 2, 4, 8})]
)
def test_sizes_double_up_to_the_largest(clock: FakeClock, max_batch: int, sizes: set[int]) -> None:
    curve = measure_costs(PricedEngine(clock, max_batch=max_batch), clock)
    assert set(curve.seconds) == sizes and curve.largest == max_batch


def test_every_lane_is_warm_at_every_size(clock: FakeClock) -> None:
    engine = ScriptedEngine(max_batch=4, lanes=2)
    measure_costs(engine, clock)
    assert set(engine.calls) == {(size, lane) for size in (1, 2, 4) for lane in (0, 1)}
