"""The threads that decode, infer, finish and encode; one per lane of the engine.

A lane takes a batch whenever it is free. Answers at a large photo's own size are finished in one
thread aside, so that a 50-megapixel PNG does not hold up a camera.
"""

import logging
import statistics
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from fathom.errors import Code
from fathom.values import Failed
from server.core.scheduler import Ticket
from server.dispatch import Dispatch
from server.engines.engine import Engine, EngineFault
from server.pipeline import Inferred, Pipeline, engine_failed, finish
from server.telemetry import Telemetry

_log = logging.getLogger("fathom.server.lanes")

# 16-bit PNG costs about 35 ns a pixel: past this a lane would lose a camera frame's time.
_ASIDE_PIXELS = 1_000_000
# Three faults in a row are a broken engine, one or two a bad moment.
_FAULTS_TO_UNREADY = 3
_WARM_UP_RUNS = 5


class Lanes:
    """All lanes of one engine."""

    def __init__(self, engine: Engine, dispatch: Dispatch, telemetry: Telemetry) -> None:
        self._engine = engine
        self._dispatch = dispatch
        self._telemetry = telemetry
        self._faults_in_a_row = 0
        self._aside = ThreadPoolExecutor(1, thread_name_prefix="finish-aside")
        self._threads = [
            threading.Thread(target=self._run, args=(lane,), name=f"lane-{lane}", daemon=True)
            for lane in range(engine.spec.lanes)
        ]

    @property
    def healthy(self) -> bool:
        """False after three engine faults in a row, until a batch succeeds."""
        return self._faults_in_a_row < _FAULTS_TO_UNREADY

    def warm_up(self) -> float:
        """Run the engine until its time is steady; the median seconds of one batch of one."""
        spec = self._engine.spec
        clock = self._dispatch.clock
        times = []
        for lane in range(spec.lanes):
            for frames in (spec.max_batch, 1):
                pixels = np.zeros((frames, *spec.input_size, 3), np.uint8)
                for _ in range(_WARM_UP_RUNS):
                    before_s = clock()
                    self._engine.infer(pixels, lane)
                    times.append(clock() - before_s)
        cost_s = statistics.median(times[-_WARM_UP_RUNS:])
        self._dispatch.cost(cost_s)
        return cost_s

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self, timeout_s: float) -> bool:
        """Wait for the lanes to finish what runs; False if one did not in time."""
        for thread in self._threads:
            thread.join(timeout_s)
        self._aside.shutdown()
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self, lane: int) -> None:
        pipeline = Pipeline(self._engine, lane, self._dispatch.clock)
        while (tickets := self._dispatch.take(self._engine.spec.max_batch)) is not None:
            self._telemetry.lane_busy(1)
            self._batch(pipeline, tickets)
            self._telemetry.lane_busy(-1)

    def _batch(self, pipeline: Pipeline, tickets: list[Ticket]) -> None:
        started_s = self._dispatch.clock()
        self._telemetry.batch(len(tickets))
        try:
            inferred, refused = pipeline.infer(tickets, started_s)
        except EngineFault as fault:
            self._failed(tickets, fault)
            return
        if inferred:  # else the engine was not asked
            self._faults_in_a_row = 0
        for frame in inferred:
            self._finish(frame)
        for broken in refused:
            self._dispatch.settle(broken.ticket, broken.failed)
        self._dispatch.cost(self._dispatch.clock() - started_s)

    def _finish(self, inferred: Inferred) -> None:
        height, width = inferred.output_size
        if height * width > _ASIDE_PIXELS:
            self._aside.submit(self._finish_now, inferred.detached())
        else:
            self._finish_now(inferred)

    def _finish_now(self, inferred: Inferred) -> None:
        ticket = inferred.ticket
        try:
            self._dispatch.settle(ticket, finish(inferred, self._dispatch.card))
        except Exception:  # noqa: BLE001
            # The one catch-all of a lane: a bug here costs one frame its depth, not the lane.
            _log.exception("lane.finish failed")
            self._dispatch.settle(
                ticket,
                Failed(
                    seq=ticket.frame.seq,
                    code=Code.INTERNAL,
                    expected="a finished answer",
                    got="a bug of the server",
                    repair="report it with the server's log",
                ),
            )

    def _failed(self, tickets: list[Ticket], fault: EngineFault) -> None:
        self._faults_in_a_row += 1
        self._telemetry.fault()
        _log.error(
            "engine.fault frames=%d in_a_row=%d %s", len(tickets), self._faults_in_a_row, fault
        )
        for ticket in tickets:
            self._dispatch.settle(ticket, engine_failed(ticket))
