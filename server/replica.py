"""An engine in a process of its own on a Ray cluster. Knows no Ray, no door and no other replica.

`deploy/ray_app.py` makes it a deployment of Ray Serve, whose requests are calls of its methods.
"""

import asyncio
import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from fathom.card import Card
from server.engines.engine import Engine, EngineFault
from server.engines.ray import Described, Maps
from server.warm_up import measure_costs

# As in a door: three faults in a row are a broken engine, one or two a bad moment.
_FAULTS_TO_RESTART = 3


class Replica:
    """One version of one model, opened and warm; each of its threads is a lane.

    opens      makes the engine here, in the replica's process
    timeout_s  an engine that takes longer for one batch hangs
    at_most    how many replicas there may be of this, which is theirs to tell
    """

    def __init__(
        self,
        opens: Callable[[], tuple[Card, Engine]],
        *,
        timeout_s: float,
        at_most: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        _, self._engine = opens()
        curve, spec = measure_costs(self._engine, clock), self._engine.spec
        self._described = Described(
            precision=f"{spec.name} {spec.precision}",
            max_batch=spec.max_batch,
            batch_s=curve.cost_s(spec.max_batch),
            at_once=spec.lanes * at_most,
        )
        self._timeout_s = timeout_s
        self._clock = clock
        self._faults_in_a_row = 0
        self._busy_since_s: dict[int, float] = {}
        self._own = threading.local()
        # A request that is given up leaves its thread computing, and with it the lane.
        self._threads = ThreadPoolExecutor(spec.lanes, "lane", self._be_lane, (itertools.count(),))

    async def describe(self) -> Described:
        return self._described

    async def infer(self, frames: NDArray[np.uint8]) -> Maps:
        """Depth and labels of a batch, as soon as a lane is free; raises EngineFault."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._compute, frames)

    def check_health(self) -> None:
        """Serve asks every few seconds, and replaces a replica that raises here."""
        if self._faults_in_a_row >= _FAULTS_TO_RESTART:
            raise EngineFault(f"{self._faults_in_a_row} faults in a row")
        before_s = self._clock() - self._timeout_s
        if any(since_s < before_s for since_s in list(self._busy_since_s.values())):
            raise EngineFault(f"a lane hangs for more than {self._timeout_s:g} s")

    def _be_lane(self, numbers: "itertools.count[int]") -> None:
        self._own.lane = next(numbers)

    def _compute(self, frames: NDArray[np.uint8]) -> Maps:
        lane: int = self._own.lane
        self._busy_since_s[lane] = self._clock()
        try:
            # Engines read frames where a lane decodes them, and may ask for memory like that.
            outputs = self._engine.infer(np.require(frames, requirements="W"), lane)
        except EngineFault:
            self._faults_in_a_row += 1
            raise
        finally:
            del self._busy_since_s[lane]
        self._faults_in_a_row = 0
        # Ray reads the answer when this lane may be at its next batch.
        return outputs.depth_m.copy(), None if outputs.labels is None else outputs.labels.copy()
