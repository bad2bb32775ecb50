"""A stream as a door holds it: frames in, answers out, on the event loop."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace

from fathom.card import Card
from fathom.errors import FathomError
from fathom.session.core import outcome
from fathom.values import EncodedDepth, Frame, OpenStream, Policy, ServerAnswer, SkipReason
from server.core.pace import Pace
from server.dispatch import Dispatch, Settled
from server.security.entry import Entry
from server.telemetry import Telemetry

# Skips are small, but a reader that never reads must not collect them for ever.
_UNSENT_ANSWERS = 256
# Room can also come from another stream of the same client, which nobody tells this one about.
_LOOK_AGAIN_S = 0.05
# A deadline is looked at just after it fell due, not just before.
_AFTER_DUE_S = 0.0005


class Stream:
    """One client's frames and their answers. Close it, whatever happens.

    tell  is told of each answer when it is handed over; None tells nobody
    """

    def __init__(
        self,
        dispatch: Dispatch,
        opening: OpenStream,
        telemetry: Telemetry,
        *,
        client: str = "",
        entry: Entry | None = None,
    ) -> None:
        self._dispatch = dispatch
        self._client = client
        self._entry = entry or Entry()
        self._waits = opening.policy is Policy.ALL
        self._pace = Pace()
        self._deadline_s = opening.deadline_s
        self._telemetry = telemetry
        self._loop = asyncio.get_running_loop()
        self._outbox: deque[Settled] = deque()
        self._unanswered = 0
        self._answered = asyncio.Event()
        self._roomier = asyncio.Event()
        self._ended = False
        self.reason: FathomError | None = None
        self.counts: dict[str, int] = {}
        self.tell: Callable[[ServerAnswer], None] | None = None
        self.id = dispatch.open(opening, self._deliver, client)

    async def room(self) -> None:
        """Return when the stream takes another frame; until then let flow control hold it."""
        if not self._waits and (ahead_s := self._pace.wait_s(self._dispatch.clock())):
            await asyncio.sleep(ahead_s)
        while not self._ended and not self._has_room():
            self._roomier.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_AGAIN_S):
                    await self._roomier.wait()

    def offer(self, frame: Frame) -> None:
        """Take a frame in; raises BAD_SEQUENCE."""
        # Where every frame counts the sender was slowed; elsewhere one past the rate is a skip.
        if not self._waits and self._over_rate():
            self._dispatch.pass_over(self.id, frame, SkipReason.OVER_RATE)
            self._unanswered += 1
            return
        self._entry.spend(self._client, len(frame.image.data), self._dispatch.clock())
        self._dispatch.offer(self.id, frame)
        self._unanswered += 1
        deadline_s = self._deadline_s if frame.deadline_s is None else frame.deadline_s
        if deadline_s is not None:
            self._loop.call_later(deadline_s + _AFTER_DUE_S, self._dispatch.expire)

    def refuse(self, seq: int, error: FathomError) -> None:
        """Take in a frame that is wrong before it is looked at; raises BAD_SEQUENCE."""
        self._dispatch.refuse(self.id, seq, error)
        self._unanswered += 1

    def end(self, reason: FathomError | None = None) -> None:
        """No more frames: the client is done, or the reason it may send no more."""
        if not self._ended:
            self._ended = True
            # The frames that it came through hold this stream.
            self.reason = reason and reason.with_traceback(None)
        self._answered.set()
        self._roomier.set()

    @property
    def card(self) -> Card:
        """The model that answers."""
        return self._dispatch.card

    @property
    def ended(self) -> bool:
        return self._ended

    async def answers(self) -> AsyncIterator[ServerAnswer]:
        """Every answer in frame order, with its age at this moment, until ended and all are out."""
        while True:
            while self._outbox:
                settled = self._outbox.popleft()
                self._unanswered -= 1
                yield self._hand_over(settled)
                # Resumed: the transport has taken it.
                if isinstance(settled.answer, EncodedDepth):
                    self._dispatch.handed_over(self.id, settled.answer.wire_bytes)
                self._roomier.set()
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
        if self.tell is not None:
            self.tell(answer)
        return answer

    def _has_room(self) -> bool:
        return (
            self._unanswered < _UNSENT_ANSWERS
            and self._dispatch.has_room(self.id)
            and not (self._waits and self._over_rate())
        )

    def _over_rate(self) -> bool:
        return not self._entry.has_room(self._client, self._dispatch.clock())

    def _deliver(self, settled: list[Settled]) -> None:
        self._loop.call_soon_threadsafe(self._arrive, settled)

    def _arrive(self, settled: list[Settled]) -> None:
        self._outbox.extend(settled)
        self._answered.set()
        self._roomier.set()
