"""What every door stands on: the models, and the frames and streams of whoever came in.

A door turns its own protocol into these calls and back. What a frame's fate is, is decided further
in, so that all doors treat it alike.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from fathom.errors import Code, FathomError
from fathom.values import (
    Closing,
    Description,
    EncodedDepth,
    Failed,
    Frame,
    Limits,
    Opened,
    OpenStream,
    Policy,
    ServerAnswer,
    Skipped,
    SkipReason,
)
from server.keeper import Reloaded
from server.models import Models
from server.security.entry import Entry
from server.statistics import Statistics
from server.streams import Stream
from server.telemetry import Telemetry
from server.tracing import Spans


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Service:
    """One server, as its doors see it.

    offers             what it says of itself; the models in it are those of the start
    ready              whether it can answer now
    reload             takes up new versions of the models; None if nobody may ask for it here
    predict_timeout_s  longest wait for one picture where the caller names none
    slow_reader_s      a reader that takes nothing for so long is cut
    entry              who is let in, and how much a client may send
    spans              makes a span of every frame; None makes none
    """

    models: Models
    offers: Description
    telemetry: Telemetry
    ready: Callable[[], bool]
    predict_timeout_s: float
    slow_reader_s: float
    reload: Callable[[], list[Reloaded]] | None = None
    entry: Entry = field(default_factory=Entry)
    spans: Spans | None = None
    streams: set[Stream] = field(default_factory=set)
    statistics: dict[str, Statistics] = field(default_factory=dict)

    @property
    def description(self) -> Description:
        """What the server offers now: versions change while it runs."""
        return replace(self.offers, models=tuple(model.info for model in self.models))

    @property
    def limits(self) -> Limits:
        return self.offers.limits

    def tell_load(self) -> None:
        """Let the metrics say how much is open and waiting now, over all models."""
        self.telemetry.load(
            streams=sum(model.dispatch.streams for model in self.models),
            waiting=sum(model.dispatch.waiting for model in self.models),
        )

    async def predict(
        self, frame: Frame, opening: OpenStream, *, client: str, timeout_s: float | None = None
    ) -> EncodedDepth:
        """One picture through the same path as a stream's frames.

        raises  what the frame failed with, UNKNOWN_MODEL, QUEUE_FULL, RATE_LIMITED, DEADLINE_PASSED
        """
        self._check_rate(opening.model, client)
        patience_s = self.predict_timeout_s if timeout_s is None else timeout_s
        async with self.stream(replace(opening, policy=Policy.ALL), client=client) as stream:
            stream.offer(frame)
            stream.end()
            try:
                async with asyncio.timeout(patience_s):
                    async for answer in stream.answers():
                        return _depth(answer)
            except TimeoutError:
                pass
        raise FathomError(
            Code.DEADLINE_PASSED,
            expected=f"an answer within {patience_s:g} s",
            got="none yet",
            repair="give it more time, or send fewer pictures at once",
        )

    @asynccontextmanager
    async def stream(self, opening: OpenStream, *, client: str) -> AsyncIterator[Stream]:
        """A stream that is gone, with all it holds, when the door leaves it.

        raises  UNKNOWN_MODEL, QUEUE_FULL, SHUTTING_DOWN, NOT_AVAILABLE
        """
        model = self.models.get(opening.model)
        stream = Stream(model.dispatch, opening, self.telemetry, client=client, entry=self.entry)
        if self.spans is not None:
            stream.tell = self.spans.of_stream(model.card.name, opening.name)
        self.streams.add(stream)
        try:
            yield stream
        finally:
            self.streams.discard(stream)
            stream.close()

    def _check_rate(self, model: str, client: str) -> None:
        if not self.entry.has_room(client, self.models.get(model).dispatch.clock()):
            raise FathomError(
                Code.RATE_LIMITED,
                expected="no more pictures a second than a client may send",
                got="one more",
                repair="wait a second between pictures, or ask whoever runs this server for more",
            )

    def opened(self, stream: Stream) -> Opened:
        """The yes to a stream."""
        card = stream.card
        return Opened(
            stream_id=stream.id, model=card.name, version=card.version, limits=self.limits
        )

    def end_streams(self, reason: FathomError) -> None:
        """Tell every stream why it ends; answers under way still leave."""
        for stream in self.streams:
            stream.end(reason)

    def slow_reader(self) -> FathomError:
        """Why a stream is cut whose reader takes nothing."""
        return FathomError(
            Code.SLOW_READER,
            expected=f"a reader that takes an answer within {self.slow_reader_s:g} s",
            got="one that does not",
            repair="read answers in a thread or task of their own, then open the stream again",
        )

    def idle(self) -> FathomError:
        """Why a stream is ended whose sender is silent."""
        return FathomError(
            Code.IDLE,
            expected=f"a frame within {self.entry.idle_stream_s:g} s",
            got="none",
            repair="open the stream again when there is something to send",
        )


def client_left() -> FathomError:
    """Why an answer goes nowhere; told to nobody, and no bug for the log."""
    return FathomError(
        Code.CONNECTION_LOST,
        expected="a client that waits for the answer",
        got="one that left",
        repair="keep the connection open until the answer",
    )


def closing(stream: Stream) -> Closing:
    """The last word of a stream."""
    if stream.reason is None:
        return Closing(code=None, reason="all frames answered", counts=stream.counts)
    return Closing(code=stream.reason.code, reason=str(stream.reason), counts=stream.counts)


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
