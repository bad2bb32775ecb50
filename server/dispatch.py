"""Where doors leave frames and lanes find them: one model's scheduler under one lock.

Doors call `open`, `offer` and `close` from the event loop; lanes call `take` and `settle` from
their threads. Every frame that was offered is settled once, and answers leave in frame order.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

from fathom.card import Card
from fathom.codecs.image import inspect
from fathom.errors import Code, FathomError
from fathom.values import (
    EncodedDepth,
    Failed,
    Frame,
    Limits,
    OpenStream,
    Options,
    ServerAnswer,
    Skipped,
    SkipReason,
)
from server.core.batcher import CostCurve
from server.core.reorder import Reorder
from server.core.scheduler import Scheduler, StreamTerms, Ticket, Verdict
from server.core.smoothing import Smoother
from server.telemetry import Telemetry


@dataclass(frozen=True, slots=True, eq=False)
class Settled:
    """A decided answer and when its frame was captured, so that its age can be told on leaving."""

    answer: ServerAnswer
    captured_s: float


Deliver: TypeAlias = Callable[[list[Settled]], None]


@dataclass(frozen=True, slots=True, eq=False)
class _Stream:
    options: Options
    deadline_s: float | None
    deliver: Deliver
    smoother: Smoother | None
    reorder: Reorder[Settled] = field(default_factory=Reorder)


class Dispatch:
    """One model's frames, from admission to their one answer.

    weights  shares of the engine by stream name; 1 for every other name
    """

    def __init__(
        self,
        card: Card,
        limits: Limits,
        scheduler: Scheduler,
        telemetry: Telemetry,
        *,
        weights: Mapping[str, float] = MappingProxyType({}),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.card = card
        self.limits = limits
        self.clock = clock
        self._scheduler = scheduler
        self._telemetry = telemetry
        self._weights = weights
        self._streams: dict[int, _Stream] = {}
        self._changed = threading.Condition()
        self._crew: object = None
        self._free_lanes = 0
        self._stopping = False

    @property
    def streams(self) -> int:
        return self._scheduler.streams

    @property
    def waiting(self) -> int:
        return self._scheduler.waiting

    def open(self, opening: OpenStream, deliver: Deliver, client: str = "") -> int:
        """A new stream's number.

        deliver  called from any thread, with answers in frame order; must not block
        client   who asks, for the limits on one client
        raises   QUEUE_FULL, SHUTTING_DOWN, NOT_AVAILABLE for what this model cannot give
        """
        self._check_available(opening)
        terms = StreamTerms(
            policy=opening.policy,
            every_n=opening.every_n,
            client=client,
            weight=self._weights.get(opening.name, 1.0),
            urgent=opening.priority > 0,
            one_at_a_time=opening.options.smoothing > 0,
        )
        strength = opening.options.smoothing
        smoother = Smoother(strength) if strength else None
        with self._changed:
            if self._stopping:
                raise _shutting_down()
            stream = self._scheduler.open(terms)
            self._streams[stream] = _Stream(opening.options, opening.deadline_s, deliver, smoother)
        return stream

    def has_room(self, stream: int) -> bool:
        """Whether a stream takes a frame now, see `Scheduler.has_room`."""
        with self._changed:
            return self._scheduler.has_room(stream)

    def offer(self, stream: int, frame: Frame) -> None:
        """Take a frame in; what becomes of it arrives through the stream's `deliver`.

        raises  BAD_SEQUENCE for a gap or repeat in the numbering: that frame was not received
        """
        arrived_s = self.clock()
        self._receive(stream, frame.seq)
        state = self._streams[stream]
        try:
            header = inspect(frame.image, self.limits)
        except FathomError as error:
            self._settle(stream, Failed.from_error(frame.seq, error), arrived_s - frame.age_s)
            return
        deadline_s = state.deadline_s if frame.deadline_s is None else frame.deadline_s
        ticket = Ticket(
            stream=stream,
            frame=frame,
            header=header,
            options=state.options,
            arrived_s=arrived_s,
            due_s=None if deadline_s is None else arrived_s + deadline_s,
            smoother=state.smoother,
        )
        with self._changed:
            self._apply(self._scheduler.offer(ticket))
            if self._stopping:
                self._apply(self._scheduler.drain(SkipReason.SHUTDOWN))
            self._changed.notify()

    def pass_over(self, stream: int, frame: Frame, reason: SkipReason) -> None:
        """Take in a frame and skip it at once; raises BAD_SEQUENCE."""
        self._receive(stream, frame.seq)
        skipped = Skipped(seq=frame.seq, reason=reason)
        self._settle(stream, skipped, self.clock() - frame.age_s)

    def refuse(self, stream: int, seq: int, error: FathomError) -> None:
        """Take in a frame that is wrong before it is looked at; raises BAD_SEQUENCE."""
        self._receive(stream, seq)
        self._settle(stream, Failed.from_error(seq, error), self.clock())

    def expire(self) -> None:
        """Skip waiting frames whose deadline has passed; call it when one falls due."""
        with self._changed:
            self._apply(self._scheduler.expire(self.clock()))

    def handed_over(self, stream: int, answer_bytes: int) -> None:
        """The transport took an answer: the stream's send window has that much more room."""
        with self._changed:
            self._scheduler.handed_over(stream, answer_bytes)

    def close(self, stream: int) -> None:
        """The stream's client is gone or done; frames it left behind fail as `connection_lost`."""
        with self._changed:
            left = self._scheduler.close(stream)
            del self._streams[stream]
        for ticket in left:
            self._telemetry.settled(self.card.name, _abandoned(ticket.frame.seq))

    def employ(self, crew: object, card: Card, curve: CostCurve) -> None:
        """Give every batch from the next one on to this crew's lanes; the last crew's go home."""
        with self._changed:
            self._crew, self.card = crew, card
            self._scheduler.recost(curve)
            self._changed.notify_all()

    def take(self, crew: object = None) -> list[Ticket] | None:
        """The next batch for a lane of this crew; waits for one.

        returns  None when there will be none for it: end the lane
        """
        with self._changed:
            self._free_lanes += 1
            try:
                while not self._stopping and crew is self._crew:
                    taken = self._scheduler.take(self._free_lanes, self.clock())
                    self._apply(taken.verdicts)
                    if taken.tickets:
                        return taken.tickets
                    if not taken.verdicts:
                        self._changed.wait()
            finally:
                self._free_lanes -= 1
        return None

    def settle(self, ticket: Ticket, answer: ServerAnswer) -> None:
        """A lane decided the answer to a frame that it took."""
        self._settle(ticket.stream, answer, ticket.captured_s)
        with self._changed:
            self._scheduler.answered(ticket)
            if ticket.smoother is not None:
                self._changed.notify()  # its stream's next frame was held back for this

    def cost(self, cost_s: float) -> None:
        """How long a lane was busy with one batch."""
        with self._changed:
            self._scheduler.done(cost_s)

    def stop(self) -> None:
        """Skip what waits with `shutdown` and send the lanes home; what runs is finished."""
        with self._changed:
            self._stopping = True
            self._apply(self._scheduler.drain(SkipReason.SHUTDOWN))
            self._changed.notify_all()

    def _receive(self, stream: int, seq: int) -> None:
        with self._changed:
            self._scheduler.admit(stream, seq)
            self._streams[stream].reorder.expect(seq)
        self._telemetry.received(self.card.name)

    def _apply(self, verdicts: list[Verdict]) -> None:
        for verdict in verdicts:
            self._settle(verdict.ticket.stream, verdict.answer, verdict.ticket.captured_s)

    def _settle(self, stream: int, answer: ServerAnswer, captured_s: float) -> None:
        with self._changed:
            state = self._streams.get(stream)
            if state is not None:
                if isinstance(answer, EncodedDepth) and not self._scheduler.fits(
                    stream, answer.wire_bytes
                ):
                    answer = Skipped(seq=answer.seq, reason=SkipReason.SLOW_READER)
                due = state.reorder.settle(answer.seq, Settled(answer, captured_s))
                if due:
                    # Under the lock: two lanes must not hand over in the wrong order.
                    state.deliver(due)
        # A stream may be gone: its client left while the frame was being computed.
        self._telemetry.settled(self.card.name, answer)

    def _check_available(self, opening: OpenStream) -> None:
        if opening.options.labels is not None and "labels" not in self.card.outputs:
            raise FathomError(
                Code.NOT_AVAILABLE,
                expected="a model with a segmentation head",
                got=f"the model {self.card.name}",
                repair="ask /models or Describe for what this server offers",
            )


def _abandoned(seq: int) -> Failed:
    return Failed(
        seq=seq,
        code=Code.CONNECTION_LOST,
        expected="a client that takes the answer",
        got="a client that left",
        repair="keep the stream open until the last answer",
    )


def _shutting_down() -> FathomError:
    return FathomError(
        Code.SHUTTING_DOWN,
        expected="a server that stays",
        got="one that is being stopped",
        repair="try again; another instance answers soon",
    )
