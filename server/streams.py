"""A stream as a door holds it: frames in, answers out, on the event loop."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import replace

from fathom.errors import Code, FathomError
from fathom.session.core import outcome
from fathom.values import (
    EncodedDepth,
    Failed,
    Frame,
    OpenStream,
    Policy,
    ServerAnswer,
    Skipped,
    SkipReason,
)
from server.dispatch import Dispatch, Settled
from server.telemetry import Telemetry

# Depth that its reader has not taken: past this the stream's own sender is slowed, nobody else.
_UNSENT_DEPTHS = 4
# Skips are small, but a reader that never reads must not collect them for ever.
_UNSENT_ANSWERS = 256


class Stream:
    """One client's frames and their answers. Close it, whatever happens."""

    def __init__(self, dispatch: Dispatch, opening: OpenStream, telemetry: Telemetry) -> None:
        self._dispatch = dispatch
        self._telemetry = telemetry
        self._loop = asyncio.get_running_loop()
        self._outbox: deque[Settled] = deque()
        self._unanswered = 0
        self._answered = asyncio.Event()
        self._roomier = asyncio.Event()
        self._ended = False
        self.reason: FathomError | None = None
        self.counts: dict[str, int] = {}
        self.id = dispatch.open(opening, self._deliver)

    async def room(self) -> None:
        """Return when the stream takes another frame; until then let flow control hold it."""
        while not self._ended and not self._has_room():
            self._roomier.clear()
            await self._roomier.wait()

    def offer(self, frame: Frame) -> None:
        """Take a frame in; raises BAD_SEQUENCE."""
        self._dispatch.offer(self.id, frame)
        self._unanswered += 1

    def refuse(self, seq: int, error: FathomError) -> None:
        """Take in a frame that is wrong before it is looked at; raises BAD_SEQUENCE."""
        self._dispatch.refuse(self.id, seq, error)
        self._unanswered += 1

    def end(self, reason: FathomError | None = None) -> None:
        """No more frames: the client is done, or the reason it may send no more."""
        if not self._ended:
            self._ended = True
            self.reason = reason
        self._answered.set()
        self._roomier.set()

    @property
    def ended(self) -> bool:
        return self._ended

    async def answers(self) -> AsyncIterator[ServerAnswer]:
        """Every answer in frame order, with its age at this moment, until ended and all are out."""
        while True:
            while self._outbox:
                settled = self._outbox.popleft()
                self._unanswered -= 1
                self._roomier.set()
                yield self._hand_over(settled)
            if self._ended and not self._unanswered:
                return
            self._answered.clear()
            await self._answered.wait()

    def close(self) -> None:
        """Let go of everything; answers still to come are dropped."""
        self._dispatch.close(self.id)

    def _hand_over(self, settled: Settled) -> ServerAnswer:
        age_s = self._dispatch.clock() - settled.captured_s
        answer = replace(settled.answer, age_s=age_s)
        name = outcome(answer)
        self.counts[name] = self.counts.get(name, 0) + 1
        if isinstance(answer, EncodedDepth):
            self._telemetry.handed_over(age_s)
        return answer

    def _has_room(self) -> bool:
        depths = sum(isinstance(settled.answer, EncodedDepth) for settled in self._outbox)
        return (
            depths < _UNSENT_DEPTHS
            and self._unanswered < _UNSENT_ANSWERS
            and self._dispatch.has_room(self.id)
        )

    def _deliver(self, settled: list[Settled]) -> None:
        self._loop.call_soon_threadsafe(self._arrive, settled)

    def _arrive(self, settled: list[Settled]) -> None:
        self._outbox.extend(settled)
        self._answered.set()
        self._roomier.set()


async def predict(
    dispatch: Dispatch,
    frame: Frame,
    opening: OpenStream,
    telemetry: Telemetry,
    timeout_s: float,
) -> EncodedDepth:
    """One picture through the same path as a stream's frames.

    raises  what the frame failed with, or DEADLINE_PASSED
    """
    stream = Stream(dispatch, replace(opening, policy=Policy.ALL), telemetry)
    try:
        stream.offer(frame)
        stream.end()
        async with asyncio.timeout(timeout_s):
            async for answer in stream.answers():
                return _depth(answer)
    except TimeoutError:
        pass
    finally:
        stream.close()
    raise FathomError(
        Code.DEADLINE_PASSED,
        expected=f"an answer within {timeout_s:g} s",
        got="none yet",
        repair="give it more time, or send fewer pictures at once",
    )


def _depth(answer: ServerAnswer) -> EncodedDepth:
    match answer:
        case EncodedDepth():
            return answer
        case Failed():
            raise answer.as_error()
        case Skipped(reason=SkipReason.DEADLINE | SkipReason.PREDICTED_LATE):
            raise FathomError(
                Code.DEADLINE_PASSED,
                expected="depth before the deadline",
                got=f"a skip: {answer.reason}",
                repair="give it more time, or send fewer pictures at once",
            )
        case Skipped():
            raise FathomError(
                Code.SHUTTING_DOWN,
                expected="depth",
                got=f"a skip: {answer.reason}",
                repair="try again; another instance answers soon",
            )
