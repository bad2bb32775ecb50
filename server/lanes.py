"""The threads that decode, infer, finish and encode; one set per lane of the engine.

A lane on the CPU does one thing after the other, for decoding beside a computing CPU engine takes
cores from it (118-122 frames/s against 131, two cores). A lane whose device is elsewhere decodes
the next batch while one computes, and finishes the last one meanwhile. It takes that next batch as
late as it can: a frame taken early is a frame that a newer one could have replaced.

An engine that hangs holds its lane's thread for good, but not the frames: see `custody`.

Answers at a large photo's own size are finished in one thread aside, so that a 50-megapixel PNG
does not hold up a camera.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from fathom.card import Card
from fathom.errors import Code
from fathom.values import Failed, Skipped, SkipReason
from server.core.batcher import CostCurve
from server.core.scheduler import Ticket
from server.custody import Custody
from server.dispatch import Dispatch
from server.engines.engine import Engine, EngineFault, TooLate
from server.handoff import Handoff
from server.pipeline import Batch, Inferred, Pipeline, engine_failed, finish
from server.telemetry import Telemetry

_log = logging.getLogger("fathom.server.lanes")

# 16-bit PNG costs about 35 ns a pixel: past this a lane would lose a camera frame's time.
_ASIDE_PIXELS = 1_000_000
# Three faults in a row are a broken engine, one or two a bad moment.
_FAULTS_TO_UNREADY = 3


@dataclass(frozen=True, slots=True, eq=False)
class _Lane:
    pipeline: Pipeline
    custody: Custody


class Lanes:
    """All lanes of one engine, which runs one version of a model."""

    def __init__(
        self,
        engine: Engine,
        card: Card,
        curve: CostCurve,
        dispatch: Dispatch,
        telemetry: Telemetry,
    ) -> None:
        self.engine = engine
        self.card = card
        self._curve = curve
        self._dispatch = dispatch
        self._telemetry = telemetry
        self._faults_in_a_row = 0
        self._aside = ThreadPoolExecutor(1, thread_name_prefix="finish-aside")
        self._lanes = [
            _Lane(
                Pipeline(engine, lane, slots=1 + engine.spec.overlap, clock=dispatch.clock),
                Custody(dispatch.clock),
            )
            for lane in range(engine.spec.lanes)
        ]
        self._threads = [
            threading.Thread(target=target, args=arguments, name=f"lane-{number}", daemon=True)
            for number, lane in enumerate(self._lanes)
            for target, arguments in self._work(lane)
        ]

    @property
    def healthy(self) -> bool:
        """False after three engine faults in a row, until a batch succeeds; and once one hung."""
        return not self.hangs and self._faults_in_a_row < _FAULTS_TO_UNREADY

    @property
    def hangs(self) -> bool:
        """Whether some lane's engine has not come back."""
        return any(lane.custody.lost for lane in self._lanes)

    def start(self) -> None:
        """Take over all frames of the dispatch, from the next one on."""
        self._dispatch.employ(self, self.card, self._curve)
        for thread in self._threads:
            thread.start()

    def join(self, timeout_s: float) -> bool:
        """Wait for the lanes to finish what runs; False if one did not in time."""
        for thread in self._threads:
            thread.join(timeout_s)
        self._aside.shutdown()
        return not any(thread.is_alive() for thread in self._threads)

    def fail_overdue(self, limit_s: float) -> None:
        """Answer for the frames of every lane whose engine has been busy for longer than this."""
        for number, lane in enumerate(self._lanes):
            for batch in lane.custody.take_overdue(limit_s):
                fault = EngineFault(f"lane {number} hangs for more than {limit_s:g} s")
                self._failed([frame.ticket for frame in batch.decoded], fault)

    def _work(self, lane: _Lane) -> list[tuple[Callable[..., None], tuple[object, ...]]]:
        clock = self._dispatch.clock
        if not self.engine.spec.overlap:
            return [(self._in_turn, (lane,))]
        to_compute, to_finish = Handoff[Batch](clock), Handoff[list[Inferred]](clock)
        return [
            (self._decode_ahead, (lane, to_compute)),
            (self._compute, (lane, to_compute, to_finish)),
            (self._finish_behind, (to_finish,)),
        ]

    def _in_turn(self, lane: _Lane) -> None:
        while (tickets := self._dispatch.take(self)) is not None:
            started_s = self._dispatch.clock()
            batch = self._decode(lane, tickets, 0)
            for inferred in self._infer(lane, batch):
                self._finish(inferred)
            self._dispatch.cost(self._dispatch.clock() - started_s)

    def _decode_ahead(self, lane: _Lane, to_compute: Handoff[Batch]) -> None:
        slot = 0
        while True:
            to_compute.wait_until_wanted()
            tickets = self._dispatch.take(self)
            if tickets is None:
                to_compute.close()
                return
            started_s = self._dispatch.clock()
            batch = self._decode(lane, tickets, slot)
            to_compute.lead(self._dispatch.clock() - started_s)
            to_compute.put(batch)
            slot = 1 - slot

    def _compute(
        self, lane: _Lane, to_compute: Handoff[Batch], to_finish: Handoff[list[Inferred]]
    ) -> None:
        while (batch := to_compute.get()) is not None:
            to_compute.expect(self._curve.cost_s(max(1, len(batch.decoded))))
            inferred = self._infer(lane, batch)
            # The engine's memory is the next batch's: what is finished behind needs its own.
            to_finish.put([frame.detached() for frame in inferred])
            self._dispatch.cost(self._dispatch.clock() - batch.taken_s)
        to_finish.close()

    def _finish_behind(self, to_finish: Handoff[list[Inferred]]) -> None:
        while (inferred := to_finish.get()) is not None:
            for frame in inferred:
                self._finish(frame)

    def _decode(self, lane: _Lane, tickets: list[Ticket], slot: int) -> Batch:
        self._telemetry.batch(len(tickets))
        batch = lane.pipeline.decode(tickets, slot)
        for broken in batch.refused:
            self._dispatch.settle(broken.ticket, broken.failed)
        if not lane.custody.hold(batch):
            fault = EngineFault("taken just before the lane was found to hang")
            self._failed([frame.ticket for frame in batch.decoded], fault)
        return batch

    def _infer(self, lane: _Lane, batch: Batch) -> list[Inferred]:
        if not lane.custody.computing(batch):
            return []
        self._telemetry.lane_busy(1)
        outcome: list[Inferred] | EngineFault | TooLate
        try:
            outcome = lane.pipeline.infer(batch)
        except (EngineFault, TooLate) as error:
            outcome = error
        finally:
            self._telemetry.lane_busy(-1)
        if not lane.custody.release(batch):
            return []  # it came back too late: its frames have their answers
        if isinstance(outcome, EngineFault):
            self._failed([frame.ticket for frame in batch.decoded], outcome)
            return []
        if isinstance(outcome, TooLate):
            for frame in batch.decoded:
                late = Skipped(seq=frame.ticket.frame.seq, reason=SkipReason.DEADLINE)
                self._dispatch.settle(frame.ticket, late)
            return []
        if outcome:  # else the engine was not asked
            self._faults_in_a_row = 0
        return outcome

    def _finish(self, inferred: Inferred) -> None:
        height, width = inferred.output_size
        if height * width > _ASIDE_PIXELS:
            self._aside.submit(self._finish_now, inferred.detached())
        else:
            self._finish_now(inferred)

    def _finish_now(self, inferred: Inferred) -> None:
        ticket = inferred.ticket
        try:
            self._dispatch.settle(ticket, finish(inferred, self.card))
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
