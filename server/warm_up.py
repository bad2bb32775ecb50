"""What an engine costs by batch size, measured before anyone is served."""

import statistics
from collections.abc import Callable

import numpy as np

from server.core.batcher import CostCurve
from server.engines.engine import Engine

# The first runs allocate and compile; of those after, the median is what a frame will meet.
_RUNS = 7
_DISCARDED = 2


def measure_costs(engine: Engine, clock: Callable[[], float]) -> CostCurve:
    """Run every lane at batch sizes 1, 2, 4 and so on; the curve is the first lane's."""
    spec = engine.spec
    sizes = [2**k for k in range(spec.max_batch.bit_length()) if 2**k < spec.max_batch]
    curve = {}
    for size in [*sizes, spec.max_batch]:
        frames = np.zeros((size, *spec.input_size, 3), np.uint8)
        for lane in reversed(range(spec.lanes)):
            seconds = []
            for _ in range(_RUNS):
                before_s = clock()
                engine.infer(frames, lane)
                seconds.append(clock() - before_s)
            curve[size] = statistics.median(seconds[_DISCARDED:])
    return CostCurve(curve)
