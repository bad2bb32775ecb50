"""One lane in simulated time: when it takes a batch, and when each frame of it is answered.

As `server/lanes.py` and `server/handoff.py` do with threads: a lane without overlap does one thing
after the other; one whose device is elsewhere decodes a batch just before the device will be free,
and finishes the last one meanwhile. What they share is the processor, which is not simulated: a
core that is short shows only in costs that were measured on it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from benchmarks.fleet.costs import Costs
from benchmarks.fleet.timeline import Timeline
from server.core.scheduler import Ticket

# As in `server/handoff.py`.
MARGIN_S = 0.001
LEAD_WEIGHT = 0.1


class Host(Protocol):
    """The node around a lane."""

    def ask(self, lane: "Lane") -> None:
        """The lane takes the next batch, now or when there is one: `Lane.work`."""

    def settle(self, ticket: Ticket, answered_s: float) -> None:
        """A frame has its answer."""

    def done(self, cost_s: float, busy_s: float) -> None:
        """A batch is through: how long it took since it was taken, and the lane's own time."""


class Lane(Protocol):
    def start(self) -> None:
        """Ask for the first batch."""

    def work(self, tickets: list[Ticket]) -> None:
        """A batch was taken for this lane, now."""


@dataclass(frozen=True, slots=True, eq=False)
class Times:
    """What each step takes: drawn anew each time, as it was measured."""

    infer: Callable[[int], float]
    decode: Iterator[float]
    finish: Iterator[float]

    @classmethod
    def of(cls, costs: Costs, rng: np.random.Generator) -> "Times":
        factor = costs.infer.draws(rng)
        return cls(
            lambda frames: costs.curve.cost_s(frames) * next(factor),
            costs.decode.draws(rng),
            costs.finish.draws(rng),
        )


def lane_of(costs: Costs, timeline: Timeline, host: Host, times: Times) -> Lane:
    kind = Overlapping if costs.overlap else InTurn
    return kind(costs, timeline, host, times)


class InTurn:
    """Decodes, computes and finishes a batch, then takes the next."""

    def __init__(self, costs: Costs, timeline: Timeline, host: Host, times: Times) -> None:
        self._costs, self._timeline, self._host, self._times = costs, timeline, host, times

    def start(self) -> None:
        self._host.ask(self)

    def work(self, tickets: list[Ticket]) -> None:
        taken_s = self._timeline.now_s
        at_s = taken_s + sum(next(self._times.decode) for _ in tickets)
        at_s += self._times.infer(len(tickets))
        answered_s = []
        for _ in tickets:
            at_s += next(self._times.finish)
            answered_s.append(at_s)
        self._timeline.at(at_s, self._through, taken_s, tickets, answered_s)

    def _through(self, taken_s: float, tickets: list[Ticket], answered_s: list[float]) -> None:
        now_s = self._timeline.now_s
        for ticket, at_s in zip(tickets, answered_s, strict=True):
            self._host.settle(ticket, at_s)
        self._host.done(now_s - taken_s, now_s - taken_s)
        self._timeline.at(now_s + self._costs.pause_s, self._host.ask, self)


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    taken_s: float
    tickets: list[Ticket]


class Overlapping:
    """Decodes ahead, computes, and finishes behind."""

    def __init__(self, costs: Costs, timeline: Timeline, host: Host, times: Times) -> None:
        self._costs, self._timeline, self._host, self._times = costs, timeline, host, times
        self._ahead: _Batch | None = None
        self._computing = False
        self._asked = False
        self._turn = 0
        self._lead_s = 0.0
        self._finish_began_s = self._finish_ended_s = 0.0

    def start(self) -> None:
        self._want(self._turn)

    def work(self, tickets: list[Ticket]) -> None:
        now_s = self._timeline.now_s
        decoded_s = now_s + sum(next(self._times.decode) for _ in tickets)
        self._timeline.at(decoded_s, self._decoded, _Batch(now_s, tickets))

    def _want(self, turn: int) -> None:
        """Ask for the batch after this turn's, once."""
        if turn == self._turn and not self._asked:
            self._asked = True
            self._host.ask(self)

    def _decoded(self, batch: _Batch) -> None:
        self._lead_s += LEAD_WEIGHT * (self._timeline.now_s - batch.taken_s - self._lead_s)
        self._ahead = batch
        if not self._computing:
            self._compute(batch)

    def _compute(self, batch: _Batch) -> None:
        now_s, frames = self._timeline.now_s, len(batch.tickets)
        self._ahead, self._computing, self._asked = None, True, False
        self._turn += 1
        infer_s = self._times.infer(frames)
        self._timeline.at(now_s + infer_s, self._computed, batch, infer_s)
        wanted_s = now_s + self._costs.curve.cost_s(frames) - self._lead_s - MARGIN_S
        self._timeline.at(max(now_s, wanted_s), self._want, self._turn)

    def _computed(self, batch: _Batch, infer_s: float) -> None:
        # Handed over when the finishing thread has taken the last batch, which may be later.
        handed_s = max(self._timeline.now_s, self._finish_began_s)
        self._finish_began_s = at_s = max(handed_s, self._finish_ended_s)
        answered_s = []
        for _ in batch.tickets:
            at_s += next(self._times.finish)
            answered_s.append(at_s)
        self._finish_ended_s = at_s
        self._timeline.at(at_s, self._finished, batch, answered_s)
        self._host.done(handed_s - batch.taken_s, infer_s)
        self._timeline.at(handed_s + self._costs.pause_s, self._free)

    def _finished(self, batch: _Batch, answered_s: list[float]) -> None:
        for ticket, at_s in zip(batch.tickets, answered_s, strict=True):
            self._host.settle(ticket, at_s)

    def _free(self) -> None:
        self._computing = False
        self._want(self._turn)
        if self._ahead is not None:
            self._compute(self._ahead)
