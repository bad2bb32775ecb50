"""The client for asyncio programs. Same method names as `fathom.session.sync`.

async with Client("localhost:8001") as client:
    depth = await client.predict(Path("photo.jpg").read_bytes())
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from grpc import aio

from fathom.codecs.answer import decode_answer
from fathom.errors import FathomError
from fathom.session.aio_link import Link, rpc_error, task_cancelled
from fathom.session.channel import CHANNEL_OPTIONS, absent, predict_request, reply_depth
from fathom.session.core import Received, State, StreamCore, stream_ended
from fathom.session.credentials import Credentials, Metadata
from fathom.session.pictures import Picture, as_image
from fathom.session.reconnect import ATTEMPT_S, Backoff, Reconnect, Reconnected, ending
from fathom.values import (
    Closing,
    DepthMap,
    Description,
    EncodedDepth,
    Opened,
    OpenStream,
    Options,
    Policy,
)
from fathom.wire import depth_pb2 as pb
from fathom.wire.convert import (
    answer_from_wire,
    closing_from_wire,
    frame_to_wire,
)
from fathom.wire.depth_pb2_grpc import DepthStub
from fathom.wire.describe import description_from_wire

if TYPE_CHECKING:
    from fathom.wire.depth_pb2_grpc import DepthAsyncStub  # a name of the stubs alone


class Client:
    """A connection to one server, for one event loop."""

    def __init__(
        self,
        target: str,
        credentials: Credentials | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        credentials = credentials or Credentials()
        secure = credentials.channel_credentials()
        if secure is None:
            self._channel = aio.insecure_channel(target, options=CHANNEL_OPTIONS)
        else:
            self._channel = aio.secure_channel(target, secure, options=CHANNEL_OPTIONS)
        self._metadata = credentials.metadata
        self._stub = DepthStub(self._channel)
        self._target = target
        self._clock = clock

    async def describe(self, *, timeout_s: float = 5.0) -> Description:
        """What the server is; waits for it to come up, raises CONNECTION_LOST if it does not."""
        try:
            reply = await self._stub.Describe(
                pb.DescribeRequest(),
                timeout=timeout_s,
                metadata=self._metadata,
                wait_for_ready=True,
            )
        except aio.AioRpcError as error:
            raise absent(rpc_error(error), self._target, timeout_s) from error
        return description_from_wire(reply)

    async def predict(
        self,
        picture: Picture,
        options: Options | None = None,
        *,
        model: str = "",
        timeout_s: float = 10.0,
    ) -> DepthMap:
        """The depth of one picture; raises what the server answers, see `fathom.errors`."""
        encoded = await self.predict_encoded(picture, options, model=model, timeout_s=timeout_s)
        return decode_answer(encoded)

    async def predict_encoded(
        self,
        picture: Picture,
        options: Options | None = None,
        *,
        model: str = "",
        timeout_s: float = 10.0,
    ) -> EncodedDepth:
        """As `predict`, with the depth left in the encoding that was asked for."""
        request = predict_request(as_image(picture), options or Options(), model)
        try:
            reply = await self._stub.Predict(request, timeout=timeout_s, metadata=self._metadata)
            return reply_depth(reply)
        except aio.AioRpcError as error:
            raise rpc_error(error) from error

    async def stream(
        self,
        opening: OpenStream | None = None,
        *,
        reconnect: Reconnect | None = None,
        reconnected: Callable[[Reconnected], object] | None = None,
    ) -> "Stream":
        """Open a stream; raises what the server answers if it refuses.

        reconnect    terms of opening it again where its connection is lost; None ends it there
        reconnected  told of each gap, by `answers`, between the last lost frame and the next answer
        """
        stream = Stream(self._stub, self._clock, reconnect, reconnected, metadata=self._metadata)
        await stream.open(opening or OpenStream())
        return stream

    async def close(self) -> None:
        await self._channel.close(None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


class Stream:
    """One camera's conversation. One task may send while another takes answers.

    With terms to reconnect it outlives its connection: numbers go on, frames under way fail with
    `connection_lost`, and so do, at once, those sent before the server is back. Only where every
    frame counts (policy `all`) `send` waits instead. It is `answers` that finds the server again.
    """

    opened: Opened

    def __init__(
        self,
        stub: "DepthAsyncStub",
        clock: Callable[[], float],
        reconnect: Reconnect | None = None,
        reconnected: Callable[[Reconnected], object] | None = None,
        *,
        metadata: Metadata = (),
    ) -> None:
        self._stub, self._clock = stub, clock
        self._metadata = metadata
        self._backoff = None if reconnect is None else Backoff(reconnect)
        self._reconnected = reconnected
        self._core = StreamCore()
        self._changed = asyncio.Event()
        self._closed = False
        self._end: FathomError | None = None
        self._ready: deque[Received] = deque()  # answers made here, waiting for `answers`
        self._link = Link(stub, metadata)

    @property
    def in_flight(self) -> int:
        """Frames that have no answer yet."""
        return self._core.in_flight

    @property
    def closing(self) -> Closing | None:
        """The server's last word, once all answers were taken."""
        return self._core.closing

    async def open(self, opening: OpenStream) -> None:
        """The first exchange; `Client.stream` has done it."""
        self._opening = opening
        self.opened = await self._link.open(opening)
        self._core.receive_opened(self.opened)
        if self._backoff is not None:
            self._backoff.connected(self._clock())

    async def send(
        self,
        picture: Picture,
        *,
        captured_s: float | None = None,
        deadline_s: float | None = None,
    ) -> int:
        """Send a frame and return its number; waits while the connection takes no more.

        captured_s  when it was taken, on this client's clock; now if None
        raises      BAD_SEQUENCE after `finish`, CONNECTION_LOST once the stream is gone
        """
        image = as_image(picture)
        while self._searching and self._opening.policy is Policy.ALL:
            self._changed.clear()
            await self._changed.wait()
        now_s = self._clock()
        taken_s = now_s if captured_s is None else captured_s
        if self._searching:
            received = self._core.refuse(image, captured_s=taken_s, now_s=now_s)
            self._ready.append(received)
            self._changed.set()
            return received.answer.seq
        if self._closed:
            raise stream_ended()
        frame = self._core.send(image, captured_s=taken_s, now_s=now_s, deadline_s=deadline_s)
        request = pb.StreamRequest()
        frame_to_wire(frame, request.frame)
        try:
            await self._link.call.write(request)
        except aio.AioRpcError as error:
            if self._backoff is None or not rpc_error(error).status.retry:
                raise rpc_error(error) from error
        except asyncio.InvalidStateError as error:  # gRPC's word for a call that is over
            if self._backoff is None or self._closed:
                raise stream_ended() from error
        return frame.seq  # where the connection broke under it, `answers` has its failure

    async def finish(self) -> None:
        """No more frames; the remaining answers still come."""
        searching = self._searching
        self._core.finish()
        self._changed.set()
        if not searching:
            await self._link.call.done_writing()

    async def answers(self) -> AsyncIterator[Received]:
        """Every answer, in frame order, until the server closes the stream.

        Frames that the end leaves without an answer get a `Failed(connection_lost)` each; where the
        end is a broken connection, its reason is raised after them, unless it is found again.
        """
        while True:
            async for received in self._replies():
                yield received
            backoff = self._interrupted(self._end)
            if backoff is not None:
                async for received in self._find_again(backoff, self._end or stream_ended()):
                    yield received
                if self._core.state is not State.CLOSED:
                    continue
            for received in self._lost(self._end):
                yield received
            if self._end is not None:
                raise self._end
            return

    async def close(self) -> None:
        """End the stream now; answers that were not taken are gone."""
        self._closed = True
        self._changed.set()
        self._link.call.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def _searching(self) -> bool:
        return self._core.state is State.INTERRUPTED and not self._closed

    async def _replies(self) -> AsyncIterator[Received]:
        """What this connection brings; `_end` is then the error that ended it, if one did."""
        self._end = None
        try:
            # Not `async for`: gRPC refuses it on a call that `open` has read from.
            while isinstance(reply := await self._link.call.read(), pb.StreamReply):
                if reply.WhichOneof("message") != "closing":
                    yield self._core.receive(answer_from_wire(reply.answer), self._clock())
                elif (end := self._last_word(closing_from_wire(reply.closing))) is not None:
                    self._end = end
                    return
        except aio.AioRpcError as error:
            self._end = rpc_error(error)
            self._end.__cause__ = error
        except asyncio.CancelledError:
            if task_cancelled():
                raise
            self._end = stream_ended()  # by `close`

    def _last_word(self, closing: Closing) -> FathomError | None:
        """Take it as the stream's; or return its error, where only the connection ends by it."""
        end = ending(closing)
        if self._backoff is not None and end is not None and end.status.retry:
            return end
        self._core.receive_closing(closing)
        return None

    def _interrupted(self, end: FathomError | None) -> Backoff | None:
        """Enter the loss of a connection that is worth finding again; None where it is not."""
        if self._backoff is None or self._closed or (end is not None and not end.status.retry):
            return None
        if self._core.state not in {State.OPEN, State.INTERRUPTED}:
            return None
        now_s = self._clock()
        if self._core.state is State.OPEN:
            self._backoff.lost(now_s)
        reason = "the end of the connection" if end is None else end.got
        self._ready.extend(self._core.interrupted(reason, now_s))
        self._link.call.cancel()
        return self._backoff

    async def _find_again(self, backoff: Backoff, reason: FathomError) -> AsyncIterator[Received]:
        """Wait and try until the stream is open again; closed, and why in `_end`, if not."""
        end = reason
        for received in self._settled():
            yield received
        while (delay_s := backoff.next_s(self._clock())) is not None:
            until_s = self._clock() + delay_s
            while self._searching and (left_s := until_s - self._clock()) > 0:
                await self._wait(0 if self._ready else left_s)
                for received in self._settled():
                    yield received
            failure = await self._reopen() if self._searching else end
            for received in self._settled():
                yield received
            if failure is None:
                self._tell(backoff, reason)
                return
            end = failure
            if not self._searching or not end.status.retry:
                break
        self._end = end
        self._ready.extend(self._core.lost(end.got, self._clock()))
        self._changed.set()

    async def _wait(self, left_s: float) -> None:
        """Until something changes, at most so long."""
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(left_s):
                await self._changed.wait()

    async def _reopen(self) -> FathomError | None:
        """One attempt; None if the stream is open again."""
        self._link = Link(self._stub, self._metadata)  # so that `close` reaches it
        try:
            async with asyncio.timeout(ATTEMPT_S):
                opened = await self._link.open(self._opening)
        except FathomError as error:
            return error
        except TimeoutError:
            self._link.call.cancel()
            return stream_ended()
        self.opened = opened
        self._core.receive_opened(opened)
        self._changed.set()
        if self._core.state is State.FINISHING:  # finished while this was on its way
            await self._link.call.done_writing()
        return None

    def _tell(self, backoff: Backoff, reason: FathomError) -> None:
        gap = backoff.over(self._clock(), self._core.lost_frames, reason)
        if self._reconnected is not None:
            self._reconnected(gap)

    def _lost(self, end: FathomError | None) -> Iterator[Received]:
        reason = end.got if end else "the end of the stream"
        self._ready.extend(self._core.lost(reason, self._clock()))
        return self._settled()

    def _settled(self) -> Iterator[Received]:
        # Those of now: one who sends after each answer would otherwise never get beyond them.
        for _ in range(len(self._ready)):
            yield self._ready.popleft()
