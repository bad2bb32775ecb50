"""Which frame is next, and which frames never will be.

Owns every waiting frame and every verdict about one. Knows no thread, socket or clock: time arrives
as an argument, verdicts leave as values.

A `latest` stream has one slot, and a newer frame takes it over. An `all` stream has a bounded
queue, and its sender is slowed before the bound is met. `every_n` thins before the slot. Streams
take turns. A frame that cannot be done by its deadline is skipped before any work is spent on it.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from fathom.codecs.image import Header
from fathom.errors import Code, FathomError
from fathom.values import Frame, Options, Policy, Skipped, SkipReason

# The engine's cost follows the last dozen frames; a glitch is forgotten as fast.
_COST_WEIGHT = 0.1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ticket:
    """A frame that waits, with all that a lane needs to answer it.

    arrived_s  when its last byte came
    due_s      when its answer is worthless, or None
    """

    stream: int
    frame: Frame
    header: Header
    options: Options
    arrived_s: float
    due_s: float | None

    @property
    def captured_s(self) -> float:
        """When it was taken, on this machine's clock."""
        return self.arrived_s - self.frame.age_s


@dataclass(frozen=True, slots=True)
class Verdict:
    """A frame that will not be computed, and why."""

    ticket: Ticket
    skipped: Skipped


@dataclass(frozen=True, slots=True)
class Taken:
    """What a lane got: frames to compute now, and those that were given up on the way."""

    tickets: list[Ticket]
    verdicts: list[Verdict]


@dataclass(slots=True)
class _Stream:
    policy: Policy
    every_n: int
    offered: int = 0
    last_seq: int | None = None
    waiting: deque[Ticket] = field(default_factory=deque)


class Scheduler:
    """All streams of one model.

    max_streams    streams at once; more are refused with QUEUE_FULL
    queue_frames   waiting frames of one `all` stream
    """

    def __init__(self, *, max_streams: int, queue_frames: int) -> None:
        self._max_streams = max_streams
        self._queue_frames = queue_frames
        self._streams: dict[int, _Stream] = {}
        self._turns: OrderedDict[int, None] = OrderedDict()  # streams that wait, next first
        self._next_id = 1
        self._cost_s = 0.0

    @property
    def streams(self) -> int:
        return len(self._streams)

    @property
    def waiting(self) -> int:
        """Frames that wait, over all streams."""
        return sum(len(self._streams[stream].waiting) for stream in self._turns)

    def open(self, policy: Policy, every_n: int = 1) -> int:
        """A new stream's number; raises QUEUE_FULL when there are too many."""
        if len(self._streams) >= self._max_streams:
            raise FathomError(
                Code.QUEUE_FULL,
                expected=f"at most {self._max_streams} streams and pending pictures",
                got="one more",
                repair="close a stream, or try again when others have",
            )
        stream = self._next_id
        self._next_id += 1
        self._streams[stream] = _Stream(policy, every_n)
        return stream

    def has_room(self, stream: int) -> bool:
        """Whether the stream takes a frame now; a sender that waits for this loses nothing."""
        state = self._streams[stream]
        return state.policy is not Policy.ALL or len(state.waiting) < self._queue_frames

    def admit(self, stream: int, seq: int) -> None:
        """Hold a frame's number against the stream's; raises BAD_SEQUENCE at a gap or repeat."""
        state = self._streams[stream]
        if state.last_seq is not None and seq != state.last_seq + 1:
            raise FathomError(
                Code.BAD_SEQUENCE,
                expected=f"frame {state.last_seq + 1}",
                got=f"frame {seq}",
                repair="number frames without gaps; open a new stream to start again",
            )
        state.last_seq = seq

    def offer(self, ticket: Ticket) -> list[Verdict]:
        """A frame arrived: it waits, or a verdict says which frame will not be computed."""
        state = self._streams[ticket.stream]
        position = state.offered
        state.offered += 1
        if state.policy is Policy.EVERY_N and position % state.every_n:
            return [_skip(ticket, SkipReason.POLICY)]
        verdicts: list[Verdict] = []
        if state.policy is not Policy.ALL and state.waiting:
            older = state.waiting.popleft()
            verdicts.append(_skip(older, SkipReason.SUPERSEDED, ticket.frame.seq))
        state.waiting.append(ticket)
        self._turns.setdefault(ticket.stream)
        return verdicts

    def take(self, most: int, now_s: float) -> Taken:
        """Up to `most` frames, one per stream and turn, leaving out those that would be late."""
        taken = Taken([], [])
        while self._turns and len(taken.tickets) < most:
            stream, _ = self._turns.popitem(last=False)
            waiting = self._streams[stream].waiting
            ticket = waiting.popleft()
            if waiting:
                self._turns[stream] = None
            reason = self._late(ticket, now_s)
            if reason is None:
                taken.tickets.append(ticket)
            else:
                taken.verdicts.append(_skip(ticket, reason))
        return taken

    def done(self, cost_s: float) -> None:
        """A frame took `cost_s` from take to answer: what the next one is expected to take."""
        known = self._cost_s or cost_s
        self._cost_s = known + _COST_WEIGHT * (cost_s - known)

    def drain(self, reason: SkipReason) -> list[Verdict]:
        """Give up everything that waits, in all streams."""
        return [
            _skip(ticket, reason) for stream in list(self._turns) for ticket in self._empty(stream)
        ]

    def close(self, stream: int) -> list[Ticket]:
        """Forget a stream whose client is gone or done; the frames it leaves behind."""
        left = self._empty(stream)
        del self._streams[stream]
        return left

    def _empty(self, stream: int) -> list[Ticket]:
        self._turns.pop(stream, None)
        waiting = self._streams[stream].waiting
        tickets = list(waiting)
        waiting.clear()
        return tickets

    def _late(self, ticket: Ticket, now_s: float) -> SkipReason | None:
        if ticket.due_s is None or now_s + self._cost_s <= ticket.due_s:
            return None
        if now_s > ticket.due_s:
            return SkipReason.DEADLINE
        # Skipping measures nothing: without this, one slow frame could shut a stream out for good.
        self._cost_s *= 1 - _COST_WEIGHT
        return SkipReason.PREDICTED_LATE


def _skip(ticket: Ticket, reason: SkipReason, newer: int | None = None) -> Verdict:
    return Verdict(ticket, Skipped(seq=ticket.frame.seq, reason=reason, superseded_by=newer))
