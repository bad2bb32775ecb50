"""The client for asyncio programs. Same method names as `fathom.session.sync`.

async with Client("localhost:8001") as client:
    depth = await client.predict(Path("photo.jpg").read_bytes())
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from grpc import aio

from fathom.codecs.answer import decode_answer
from fathom.errors import FathomError
from fathom.session.channel import CHANNEL_OPTIONS, predict_request, reply_depth
from fathom.session.core import Received, StreamCore, stream_ended
from fathom.session.pictures import Picture, as_image
from fathom.values import Closing, DepthMap, Description, EncodedDepth, Opened, OpenStream, Options
from fathom.wire import depth_pb2 as pb
from fathom.wire.convert import (
    answer_from_wire,
    closing_from_wire,
    description_from_wire,
    frame_to_wire,
    open_to_wire,
    opened_from_wire,
)
from fathom.wire.depth_pb2_grpc import DepthStub
from fathom.wire.status import error_from_rpc

if TYPE_CHECKING:
    from fathom.wire.depth_pb2_grpc import DepthAsyncStub  # a name of the stubs alone


class Client:
    """A connection to one server, for one event loop."""

    def __init__(self, target: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._channel = aio.insecure_channel(target, options=CHANNEL_OPTIONS)
        self._stub = DepthStub(self._channel)
        self._clock = clock

    async def describe(self, *, timeout_s: float = 5.0) -> Description:
        """What the server is; waits for it to come up."""
        try:
            reply = await self._stub.Describe(
                pb.DescribeRequest(), timeout=timeout_s, wait_for_ready=True
            )
        except aio.AioRpcError as error:
            raise _error(error) from error
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
            return reply_depth(await self._stub.Predict(request, timeout=timeout_s))
        except aio.AioRpcError as error:
            raise _error(error) from error

    async def stream(self, opening: OpenStream | None = None) -> "Stream":
        """Open a stream; raises what the server answers if it refuses."""
        stream = Stream(self._stub, self._clock)
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
    """One camera's conversation. One task may send while another takes answers."""

    opened: Opened

    def __init__(self, stub: "DepthAsyncStub", clock: Callable[[], float]) -> None:
        self._clock = clock
        self._core = StreamCore()
        self._call = stub.Stream()  # type: ignore[call-arg]  # the stubs lag behind grpcio

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
        try:
            await self._call.write(pb.StreamRequest(open=open_to_wire(opening)))
            reply = await self._call.read()
        except aio.AioRpcError as error:
            raise _error(error) from error
        if not isinstance(reply, pb.StreamReply):
            raise error_from_rpc(
                await self._call.code(),
                await self._call.details(),
                await self._call.trailing_metadata() or (),
            )
        self.opened = opened_from_wire(reply.opened)
        self._core.receive_opened(self.opened)

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
        now_s = self._clock()
        frame = self._core.send(
            as_image(picture),
            captured_s=now_s if captured_s is None else captured_s,
            now_s=now_s,
            deadline_s=deadline_s,
        )
        try:
            request = pb.StreamRequest()
            frame_to_wire(frame, request.frame)
            await self._call.write(request)
        except aio.AioRpcError as error:
            raise _error(error) from error
        except asyncio.InvalidStateError as error:  # gRPC's word for a call that is over
            raise stream_ended() from error
        return frame.seq

    async def finish(self) -> None:
        """No more frames; the remaining answers still come."""
        self._core.finish()
        await self._call.done_writing()

    async def answers(self) -> AsyncIterator[Received]:
        """Every answer, in frame order, until the server closes the stream.

        Frames that the end leaves without an answer get a `Failed(connection_lost)` each; where the
        end is a broken connection, its reason is raised after them.
        """
        end: FathomError | None = None
        try:
            # Not `async for`: gRPC refuses it on a call that `open` has read from.
            while isinstance(reply := await self._call.read(), pb.StreamReply):
                if reply.WhichOneof("message") == "closing":
                    self._core.receive_closing(closing_from_wire(reply.closing))
                else:
                    yield self._core.receive(answer_from_wire(reply.answer), self._clock())
        except aio.AioRpcError as error:
            end = _error(error)
            end.__cause__ = error
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            end = stream_ended()  # by `close`: gRPC has one exception for a call and for a task
        reason = end.got if end else "the end of the stream"
        for received in self._core.lost(reason, self._clock()):
            yield received
        if end:
            raise end

    async def close(self) -> None:
        """End the stream now; answers that were not taken are gone."""
        self._call.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


def _error(error: aio.AioRpcError) -> FathomError:
    metadata = error.trailing_metadata() or ()
    return error_from_rpc(error.code(), error.details() or "", metadata)  # type: ignore[arg-type]
