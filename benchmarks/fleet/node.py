"""One server in simulated time: the real scheduler, batcher, turns and reorder, no thread.

Stands where `server/dispatch.py` stands, between streams and lanes, and makes the same calls of the
same cores. Every frame is a whole picture, and every reader takes its answers at once.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from benchmarks.fleet.costs import Costs
from benchmarks.fleet.lane import Lane, Times, lane_of
from benchmarks.fleet.timeline import Timeline
from fathom.codecs.image import Header
from fathom.session.core import outcome
from fathom.values import Frame, Image, ImageEncoding, Options, SkipReason
from server.core.reorder import Reorder
from server.core.scheduler import Bounds, Scheduler, StreamTerms, Ticket, Verdict

ANSWERED = "answered"
# Enough for a p99.
_AGES = 4096
# Nobody looks into it, but it weighs what a camera's picture does.
_PICTURE = Image(encoding=ImageEncoding.JPEG, data=bytes(85_000))
_HEADER = Header(ImageEncoding.JPEG, (480, 640))
_OPTIONS = Options()

# An answer on its way out: what it is, when its frame was captured, when it was decided.
Leaving: TypeAlias = tuple[str, float, float]
# Takes each answer of one stream, with the moment at which the camera has it.
Deliver: TypeAlias = Callable[[str, float, float], None]


@dataclass(frozen=True, slots=True, eq=False)
class _Stream:
    deliver: Deliver
    reorder: Reorder[Leaving] = field(default_factory=Reorder)


class Node:
    """A server that others may open streams with, until it dies.

    number  of this node; with the seed it decides what its costs are drawn
    way_s   that a picture travels to it
    """

    def __init__(
        self, number: int, timeline: Timeline, costs: Costs, bounds: Bounds, seed: int
    ) -> None:
        self.number = number
        self.alive = True
        self.draining = False
        self.busy_s = 0.0
        self._busy_before_s = 0.0
        self._ages_s: deque[float] = deque(maxlen=_AGES)
        self._timeline = timeline
        self._costs = costs
        self._scheduler = Scheduler(bounds, costs.curve)
        self._streams: dict[int, _Stream] = {}
        rng = np.random.default_rng([seed, number])
        # Half of a frame's usual way; how the whole varies is put into the way back.
        self.way_s = costs.carry.median / 2
        self._carry = costs.carry.draws(rng)
        self._idle: deque[Lane] = deque()
        for _ in range(costs.lanes):
            lane_of(costs, timeline, self, Times.of(costs, rng)).start()

    @property
    def streams(self) -> int:
        """Streams that take frames here."""
        return 0 if self.draining else len(self._streams)

    def open(self, deliver: Deliver, client: str) -> int:
        """A new stream's number; raises QUEUE_FULL when there are too many."""
        stream = self._scheduler.open(StreamTerms(client=client))
        self._streams[stream] = _Stream(deliver)
        return stream

    def offer(self, stream: int, seq: int, captured_s: float) -> None:
        """A frame's last byte came now; what becomes of it arrives by the stream's `deliver`."""
        now_s = self._timeline.now_s
        self._scheduler.admit(stream, seq)
        self._streams[stream].reorder.expect(seq)
        ticket = Ticket(
            stream=stream,
            frame=Frame(seq=seq, image=_PICTURE, age_s=now_s - captured_s),
            header=_HEADER,
            options=_OPTIONS,
            arrived_s=now_s,
            due_s=None,
        )
        self._apply(self._scheduler.offer(ticket))
        self._serve()

    def close(self, stream: int) -> None:
        """The stream's client is gone; what it left behind is nobody's."""
        self._scheduler.close(stream)
        del self._streams[stream]

    def stop(self) -> None:
        """Skip what waits with `shutdown`; what runs is finished, and nothing else comes."""
        self.draining = True
        self._apply(self._scheduler.drain(SkipReason.SHUTDOWN))

    def die(self) -> None:
        """Nothing that it has will be answered."""
        self.alive = False
        self._streams.clear()

    def ask(self, lane: Lane) -> None:
        """See `lane.Host`."""
        self._idle.append(lane)
        self._serve()

    def settle(self, ticket: Ticket, answered_s: float) -> None:
        """See `lane.Host`."""
        self._ages_s.append(answered_s - ticket.captured_s)
        self._settle(ticket, ANSWERED, answered_s)
        self._scheduler.answered(ticket)

    def done(self, cost_s: float, busy_s: float) -> None:
        """See `lane.Host`."""
        self.busy_s += busy_s
        self._scheduler.done(cost_s)

    def busy_share(self, seconds: float) -> float:
        """Of so many seconds since this was asked last: the share that lanes had a batch."""
        busy_s, self._busy_before_s = self.busy_s - self._busy_before_s, self.busy_s
        return busy_s / (seconds * self._costs.lanes)

    def age_p99_s(self) -> float:
        """Of the last answers since this was asked last, when they left; 0 without any."""
        p99_s = float(np.percentile(self._ages_s, 99)) if self._ages_s else 0.0
        self._ages_s.clear()
        return p99_s

    def _serve(self) -> None:
        """Give batches to lanes that wait, the one that waits longest first."""
        while self._idle and self._scheduler.waiting and self.alive:
            taken = self._scheduler.take(len(self._idle), self._timeline.now_s)
            self._apply(taken.verdicts)
            if taken.tickets:
                self._idle.popleft().work(taken.tickets)

    def _apply(self, verdicts: list[Verdict]) -> None:
        for verdict in verdicts:
            self._settle(verdict.ticket, outcome(verdict.answer), self._timeline.now_s)

    def _settle(self, ticket: Ticket, name: str, at_s: float) -> None:
        stream = self._streams.get(ticket.stream)
        if stream is None:
            return  # its client left while the frame was being computed
        for leaving in stream.reorder.settle(ticket.frame.seq, (name, ticket.captured_s, at_s)):
            what, captured_s, decided_s = leaving
            # What was held back for an older frame leaves with it.
            back_s = max(0.0, next(self._carry) - self.way_s)
            stream.deliver(what, captured_s, max(decided_s, at_s) + back_s)
