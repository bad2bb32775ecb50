"""One stream as the client sees it: numbers frames, matches answers, keeps the books.

Sans-IO: it takes values and the time, and gives values back. It knows no socket, clock or thread;
the shells beside it (`sync`, `aio`) move messages between it and a connection, and call `lost` when
it ends, however it ends.

    opening --Opened--> open --finish()--> finishing --Closing--> closed
       |                 | ^                   |
       |   interrupted() | | Opened            |
       |                 v |                   |
       |             interrupted --finish()--> |
       |                 |                     |
       +-----------------+----- lost() --------+----------------> closed

Every frame that was numbered gets exactly one answer: the server's, or, where the connection ended
first, a `Failed(connection_lost)` made here. Numbers go on over any number of connections.
"""

from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from fathom.codecs.answer import decode_answer
from fathom.errors import Code, FathomError
from fathom.values import (
    Answer,
    Closing,
    EncodedDepth,
    Failed,
    Frame,
    Image,
    Opened,
    ServerAnswer,
    Skipped,
)


class State(StrEnum):
    OPENING = "opening"
    OPEN = "open"
    INTERRUPTED = "interrupted"
    FINISHING = "finishing"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Received:
    """An answer with what only the client can know of it.

    image         the picture that was sent
    round_trip_s  from sending to receiving
    age_s         from capture to receiving, on this machine's clock
    """

    answer: ServerAnswer
    image: Image
    round_trip_s: float
    age_s: float

    def decoded(self) -> Answer:
        """The answer with its depth as an array; raises BAD_REQUEST if it is a colour picture."""
        return decode_answer(self.answer) if isinstance(self.answer, EncodedDepth) else self.answer


@dataclass(frozen=True, slots=True)
class _InFlight:
    image: Image
    captured_s: float
    sent_s: float


class StreamCore:
    """The books of one stream."""

    def __init__(self, first_seq: int = 1) -> None:
        self._next_seq = first_seq
        self._in_flight: OrderedDict[int, _InFlight] = OrderedDict()
        self._counts: Counter[str] = Counter()
        self.state = State.OPENING
        self.opened: Opened | None = None
        self.closing: Closing | None = None
        self.lost_frames = range(0)  # numbers that the last interruption cost

    @property
    def in_flight(self) -> int:
        """Frames that have no answer yet."""
        return len(self._in_flight)

    @property
    def counts(self) -> Mapping[str, int]:
        """Answers so far by outcome: `answered`, `skipped_<reason>`, `failed_<code>`."""
        return MappingProxyType(self._counts)

    def receive_opened(self, opened: Opened) -> None:
        """Take the server's yes."""
        self._expect(
            {State.OPENING, State.INTERRUPTED, State.FINISHING}, "a stream that is being opened"
        )
        self.opened = opened
        if self.state is not State.FINISHING:
            self.state = State.OPEN

    def send(
        self, image: Image, *, captured_s: float, now_s: float, deadline_s: float | None = None
    ) -> Frame:
        """Number a picture and note it as in flight.

        captured_s  when it was taken, on the clock of `now_s`
        raises      BAD_SEQUENCE after `finish`, CONNECTION_LOST once the stream is closed
        """
        if self.state is State.CLOSED:
            raise stream_ended()
        self._expect({State.OPENING, State.OPEN}, "a stream that still takes frames")
        seq = self._number(image, captured_s, now_s)
        age_s = max(0.0, now_s - captured_s)
        return Frame(seq=seq, image=image, age_s=age_s, deadline_s=deadline_s)

    def refuse(self, image: Image, *, captured_s: float, now_s: float) -> Received:
        """Number a picture that no connection can take, and answer it at once."""
        self._expect({State.INTERRUPTED}, "a stream that is interrupted")
        seq = self._number(image, captured_s, now_s)
        self.lost_frames = range(self.lost_frames.start, self._next_seq)
        return self.receive(_lost(seq, "no connection to send it over"), now_s)

    def receive(self, answer: ServerAnswer, now_s: float) -> Received:
        """Match an answer with its frame.

        raises  BAD_SEQUENCE for an answer to no frame, a second answer, or one out of order
        """
        oldest = next(iter(self._in_flight), None)
        if answer.seq != oldest:
            raise FathomError(
                Code.BAD_SEQUENCE,
                expected=f"the answer to frame {oldest}" if oldest else "no answer",
                got=f"an answer to frame {answer.seq}",
                repair="report it: a server answers each frame once, in order",
            )
        sent = self._in_flight.pop(answer.seq)
        self._counts[outcome(answer)] += 1
        return Received(
            answer=answer,
            image=sent.image,
            round_trip_s=now_s - sent.sent_s,
            age_s=now_s - sent.captured_s,
        )

    def finish(self) -> None:
        """No more frames; answers are still to come. Again is no error."""
        if self.state is not State.CLOSED:
            self.state = State.FINISHING

    def receive_closing(self, closing: Closing) -> None:
        """Take the server's last word."""
        self.closing = closing
        self.state = State.CLOSED

    def interrupted(self, reason: str, now_s: float) -> list[Received]:
        """The connection is gone, the stream is not: one `Failed` for each frame under way.

        Until the next `receive_opened` frames are for `refuse`.
        """
        self._expect({State.OPEN, State.INTERRUPTED}, "a stream that is open")
        if self.state is State.OPEN:
            oldest = next(iter(self._in_flight), self._next_seq)
            self.lost_frames = range(oldest, self._next_seq)
            self.state = State.INTERRUPTED
        return self._fail_all(reason, now_s)

    def lost(self, reason: str, now_s: float) -> list[Received]:
        """The stream is over: one `Failed` for each frame that has no answer, oldest first."""
        self.state = State.CLOSED
        return self._fail_all(reason, now_s)

    def _number(self, image: Image, captured_s: float, now_s: float) -> int:
        seq = self._next_seq
        self._next_seq += 1
        self._in_flight[seq] = _InFlight(image, captured_s, now_s)
        return seq

    def _fail_all(self, reason: str, now_s: float) -> list[Received]:
        return [self.receive(_lost(seq, reason), now_s) for seq in list(self._in_flight)]

    def _expect(self, states: set[State], wanted: str) -> None:
        if self.state not in states:
            raise FathomError(
                Code.BAD_SEQUENCE,
                expected=wanted,
                got=f"a stream that is {self.state}",
                repair="open a new stream",
            )


def _lost(seq: int, reason: str) -> Failed:
    return Failed(
        seq=seq,
        code=Code.CONNECTION_LOST,
        expected="an answer",
        got=reason,
        repair="open the stream again; send the newest frame, not this one",
    )


def stream_ended() -> FathomError:
    """What a sender is told once the stream takes no more frames."""
    return FathomError(
        Code.CONNECTION_LOST,
        expected="an open stream",
        got="a stream that has ended",
        repair="open a new stream",
    )


def outcome(answer: ServerAnswer) -> str:
    """The name an answer is counted under."""
    match answer:
        case EncodedDepth():
            return "answered"
        case Skipped():
            return f"skipped_{answer.reason}"
        case Failed():
            return f"failed_{answer.code}"
