"""Which frame is next, and which frames never will be.

Owns every waiting frame and every verdict about one. Knows no thread, socket or clock: time arrives
as an argument, verdicts leave as values.

- A `latest` stream has one slot, and a newer frame takes it over. `every_n` thins before the slot.
- An `all` stream has a bounded queue, and its sender is slowed before the bound is met.
- Streams take turns by weight (`turns`), and a batch takes what the cost curve says (`batcher`).
- A frame that cannot be done by its deadline is skipped before any work is spent on it; one whose
  deadline passes while it waits is skipped then, not when a lane comes free.
- A stream whose reader does not keep up gets skips once its send window is full.

Everything is bounded: streams, waiting frames and bytes, by client and in all.
"""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from fathom.codecs.image import Header
from fathom.errors import Code, FathomError
from fathom.values import Failed, Frame, Options, Policy, Skipped, SkipReason
from server.core.batcher import CostCurve, batch_size
from server.core.smoothing import Smoother
from server.core.turns import Turns

# A lane's cost follows the last dozen batches; a glitch is forgotten as fast.
_COST_WEIGHT = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What may be open and waiting at once.

    window_bytes  depth that one stream's reader has not taken; others hold themselves to 64 MiB
                  (NATS), but those are messages and these grow old
    """

    streams: int = 64
    streams_per_client: int = 64
    queue_frames: int = 8
    waiting_bytes: int = 512 * 2**20
    waiting_bytes_per_client: int = 256 * 2**20
    window_bytes: int = 4 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ticket:
    """A frame that waits, with all that a lane needs to answer it.

    arrived_s  when its last byte came
    due_s      when its answer is worthless, or None
    smoother   the stream's running depth, for streams that asked for smoothing
    """

    stream: int
    frame: Frame
    header: Header
    options: Options
    arrived_s: float
    due_s: float | None
    smoother: Smoother | None = None

    @property
    def captured_s(self) -> float:
        """When it was taken, on this machine's clock."""
        return self.arrived_s - self.frame.age_s

    @property
    def waiting_bytes(self) -> int:
        return len(self.frame.image.data)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A frame that will not be computed, and why."""

    ticket: Ticket
    answer: Skipped | Failed


@dataclass(frozen=True, slots=True)
class Taken:
    """What a lane got: frames to compute now, and those that were given up on the way."""

    tickets: list[Ticket]
    verdicts: list[Verdict]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamTerms:
    """What a stream was opened with.

    client        who opened it, for the limits on one client
    weight        its share of the engine against other streams
    urgent        goes before the others
    one_at_a_time  its next frame is taken when the last one is answered, for what must be computed
                  in frame order
    """

    policy: Policy = Policy.LATEST
    every_n: int = 1
    client: str = ""
    weight: float = 1.0
    urgent: bool = False
    one_at_a_time: bool = False


@dataclass(slots=True)
class _Stream:
    terms: StreamTerms
    offered: int = 0
    under_way: int = 0
    last_seq: int | None = None
    unsent_bytes: int = 0
    waiting: deque[Ticket] = field(default_factory=deque)


class Scheduler:
    """All streams of one model."""

    def __init__(self, bounds: Bounds, curve: CostCurve) -> None:
        self._bounds = bounds
        self._curve = curve
        self._turns = Turns()
        self._streams: dict[int, _Stream] = {}
        self._open_by_client: Counter[str] = Counter()
        self._bytes_by_client: Counter[str] = Counter()
        self._next_id = 1
        self._waiting = 0
        self._cost_s = curve.cost_s(1)

    @property
    def streams(self) -> int:
        return len(self._streams)

    @property
    def waiting(self) -> int:
        """Frames that wait, over all streams."""
        return self._waiting

    def open(self, terms: StreamTerms) -> int:
        """A new stream's number; raises QUEUE_FULL when there are too many."""
        mine = self._open_by_client[terms.client]
        if len(self._streams) >= self._bounds.streams or mine >= self._bounds.streams_per_client:
            raise FathomError(
                Code.QUEUE_FULL,
                expected=f"at most {self._bounds.streams} streams and pending pictures, "
                f"{self._bounds.streams_per_client} of one client",
                got="one more",
                repair="close a stream, or try again when others have",
            )
        stream = self._next_id
        self._next_id += 1
        self._streams[stream] = _Stream(terms)
        self._open_by_client[terms.client] += 1
        self._turns.join(stream, weight=terms.weight, urgent=terms.urgent)
        return stream

    def has_room(self, stream: int) -> bool:
        """Whether the stream takes a frame now.

        A sender that waits for this loses nothing, but for a picture larger than the bytes left.
        """
        state = self._streams[stream]
        if state.terms.policy is not Policy.ALL:
            return True
        return (
            len(state.waiting) < self._bounds.queue_frames
            and not self._window_full(state)
            and not self._bytes_full(state.terms.client, 0)
        )

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
        terms = state.terms
        position = state.offered
        state.offered += 1
        if terms.policy is Policy.EVERY_N and position % terms.every_n:
            return [_skip(ticket, SkipReason.POLICY)]
        if terms.policy is not Policy.ALL and self._window_full(state):
            return [_skip(ticket, SkipReason.SLOW_READER)]
        verdicts: list[Verdict] = []
        if terms.policy is not Policy.ALL and state.waiting:
            older = self._remove(state, state.waiting[0])
            verdicts.append(_skip(older, SkipReason.SUPERSEDED, ticket.frame.seq))
        if self._bytes_full(terms.client, ticket.waiting_bytes):
            self._give_turn(ticket.stream)
            return [*verdicts, Verdict(ticket, _too_many_bytes(ticket.frame.seq))]
        state.waiting.append(ticket)
        self._waiting += 1
        self._bytes_by_client[terms.client] += ticket.waiting_bytes
        self._give_turn(ticket.stream)
        return verdicts

    def take(self, free_lanes: int, now_s: float) -> Taken:
        """A batch for a lane that is free now, leaving out frames that would be late.

        free_lanes  lanes without a batch, the asking one included
        """
        taken = Taken([], [])
        wanted = batch_size(self._waiting, free_lanes, self._curve)
        while len(taken.tickets) < wanted and (stream := self._turns.next()) is not None:
            state = self._streams[stream]
            ticket = self._remove(state, state.waiting[0])
            reason = self._late(ticket, now_s)
            if reason is None:
                taken.tickets.append(ticket)
                state.under_way += 1
            else:
                taken.verdicts.append(_skip(ticket, reason))
            self._give_turn(stream)
        return taken

    def expire(self, now_s: float) -> list[Verdict]:
        """Skip every waiting frame whose deadline has passed."""
        late = [t for t in self._all_waiting() if t.due_s is not None and t.due_s < now_s]
        for ticket in late:
            self._remove(self._streams[ticket.stream], ticket)
            self._give_turn(ticket.stream)
        return [_skip(ticket, SkipReason.DEADLINE) for ticket in late]

    def answered(self, ticket: Ticket) -> None:
        """A frame that was taken has its answer."""
        state = self._streams.get(ticket.stream)
        if state is not None:
            state.under_way -= 1
            self._give_turn(ticket.stream)

    def recost(self, curve: CostCurve) -> None:
        """Another engine takes over, which costs this."""
        self._curve = curve
        self._cost_s = curve.cost_s(1)

    def done(self, cost_s: float) -> None:
        """A batch took `cost_s` from take to answer: what the next one is expected to take."""
        self._cost_s += _COST_WEIGHT * (cost_s - self._cost_s)

    def fits(self, stream: int, answer_bytes: int) -> bool:
        """Whether a computed answer may wait for the stream's reader; it is counted if so."""
        state = self._streams[stream]
        if state.terms.policy is not Policy.ALL and self._window_full(state):
            return False
        state.unsent_bytes += answer_bytes
        return True

    def handed_over(self, stream: int, answer_bytes: int) -> None:
        """The stream's reader took an answer."""
        self._streams[stream].unsent_bytes -= answer_bytes

    def drain(self, reason: SkipReason) -> list[Verdict]:
        """Give up everything that waits, in all streams."""
        return [_skip(ticket, reason) for stream in self._streams for ticket in self._empty(stream)]

    def close(self, stream: int) -> list[Ticket]:
        """Forget a stream whose client is gone or done; the frames it leaves behind."""
        left = self._empty(stream)
        client = self._streams.pop(stream).terms.client
        self._turns.leave(stream)
        self._open_by_client[client] -= 1
        if not self._open_by_client[client]:
            del self._open_by_client[client], self._bytes_by_client[client]
        return left

    def _give_turn(self, stream: int) -> None:
        """Let a stream wait for its turn, or not, as its frames say."""
        state = self._streams[stream]
        held = state.terms.one_at_a_time and state.under_way
        if state.waiting and not held:
            self._turns.wait(stream)
        else:
            self._turns.rest(stream)

    def _all_waiting(self) -> Iterator[Ticket]:
        for state in self._streams.values():
            yield from state.waiting

    def _remove(self, state: _Stream, ticket: Ticket) -> Ticket:
        state.waiting.remove(ticket)
        self._waiting -= 1
        self._bytes_by_client[state.terms.client] -= ticket.waiting_bytes
        return ticket

    def _empty(self, stream: int) -> list[Ticket]:
        state = self._streams[stream]
        self._turns.rest(stream)
        return [self._remove(state, ticket) for ticket in list(state.waiting)]

    def _window_full(self, state: _Stream) -> bool:
        return state.unsent_bytes >= self._bounds.window_bytes

    def _bytes_full(self, client: str, more: int) -> bool:
        mine = self._bytes_by_client[client] + more
        everyones = self._bytes_by_client.total() + more
        return (
            mine > self._bounds.waiting_bytes_per_client or everyones > self._bounds.waiting_bytes
        )

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


def _too_many_bytes(seq: int) -> Failed:
    return Failed(
        seq=seq,
        code=Code.QUEUE_FULL,
        expected="pictures that fit into what may wait at once",
        got="one that does not",
        repair="send smaller pictures, or fewer at a time",
    )
