"""The client for programs with threads. Same method names as `fathom.session.aio`.

with Client("localhost:8001") as client:
    depth = client.predict(Path("photo.jpg").read_bytes())
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

import grpc

from fathom.codecs.answer import decode_answer
from fathom.errors import FathomError
from fathom.session.channel import CHANNEL_OPTIONS, predict_request, reply_depth
from fathom.session.core import Received, State, StreamCore, stream_ended
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

# Requests between `send` and the transport. Past this `send` waits: what queues here only ages.
_OUTBOX_FRAMES = 2


class Client:
    """A connection to one server; safe to use from several threads."""

    def __init__(self, target: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._channel = grpc.insecure_channel(target, options=CHANNEL_OPTIONS)
        self._stub = DepthStub(self._channel)
        self._clock = clock

    def describe(self, *, timeout_s: float = 5.0) -> Description:
        """What the server is; waits for it to come up."""
        try:
            reply = self._stub.Describe(
                pb.DescribeRequest(), timeout=timeout_s, wait_for_ready=True
            )
        except grpc.RpcError as error:
            raise _error(error) from error
        return description_from_wire(reply)

    def predict(
        self,
        picture: Picture,
        options: Options | None = None,
        *,
        model: str = "",
        timeout_s: float = 10.0,
    ) -> DepthMap:
        """The depth of one picture; raises what the server answers, see `fathom.errors`."""
        encoded = self.predict_encoded(picture, options, model=model, timeout_s=timeout_s)
        return decode_answer(encoded)

    def predict_encoded(
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
            return reply_depth(self._stub.Predict(request, timeout=timeout_s))
        except grpc.RpcError as error:
            raise _error(error) from error

    def stream(self, opening: OpenStream | None = None) -> "Stream":
        """Open a stream; raises what the server answers if it refuses."""
        return Stream(self._stub, opening or OpenStream(), self._clock)

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Stream:
    """One camera's conversation. One thread may send while another takes answers."""

    def __init__(self, stub: DepthStub, opening: OpenStream, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._core = StreamCore()
        self._lock = threading.Lock()
        self._outbox = _Outbox()
        self._outbox.put(pb.StreamRequest(open=open_to_wire(opening)))
        self._call = stub.Stream(iter(self._outbox))
        self._replies = iter(self._call)
        self.opened = self._receive_opened()

    @property
    def in_flight(self) -> int:
        """Frames that have no answer yet."""
        return self._core.in_flight

    @property
    def closing(self) -> Closing | None:
        """The server's last word, once all answers were taken."""
        return self._core.closing

    def send(
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
        if not self._outbox.wait_for_room() and self._core.state is not State.FINISHING:
            raise stream_ended()
        with self._lock:
            now_s = self._clock()
            frame = self._core.send(
                image,
                captured_s=now_s if captured_s is None else captured_s,
                now_s=now_s,
                deadline_s=deadline_s,
            )
            request = pb.StreamRequest()
            frame_to_wire(frame, request.frame)
            self._outbox.put(request)
        return frame.seq

    def finish(self) -> None:
        """No more frames; the remaining answers still come."""
        with self._lock:
            self._core.finish()
        self._outbox.close()

    def answers(self) -> Iterator[Received]:
        """Every answer, in frame order, until the server closes the stream.

        Frames that the end leaves without an answer get a `Failed(connection_lost)` each; where the
        end is a broken connection, its reason is raised after them.
        """
        try:
            for reply in self._replies:
                if reply.WhichOneof("message") == "closing":
                    with self._lock:
                        self._core.receive_closing(closing_from_wire(reply.closing))
                    continue
                answer = answer_from_wire(reply.answer)
                with self._lock:
                    received = self._core.receive(answer, self._clock())
                yield received
        except grpc.RpcError as error:
            yield from self._lost(str(error.code()))
            raise _error(error) from error
        yield from self._lost("the end of the stream")

    def close(self) -> None:
        """End the stream now; answers that were not taken are gone."""
        self._outbox.close()
        self._call.cancel()  # type: ignore[no-untyped-call]  # the stubs lag behind grpcio

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _lost(self, reason: str) -> list[Received]:
        self._outbox.close()  # before the books close, so that no sender waits for room for ever
        with self._lock:
            return self._core.lost(reason, self._clock())

    def _receive_opened(self) -> Opened:
        try:
            reply = next(self._replies, None)
        except grpc.RpcError as error:
            self._outbox.close()
            raise _error(error) from error
        if reply is None:
            self._outbox.close()
            raise error_from_rpc(grpc.StatusCode.OK, "a stream that ended before it opened", ())
        opened = opened_from_wire(reply.opened)
        self._core.receive_opened(opened)
        return opened


class _Outbox:
    """Requests on their way to the transport, bounded; ends when closed and empty."""

    def __init__(self) -> None:
        self._requests: deque[pb.StreamRequest] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, request: pb.StreamRequest) -> None:
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()

    def wait_for_room(self) -> bool:
        """True when another request may be put, False once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._requests) < _OUTBOX_FRAMES)
            return not self._closed

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[pb.StreamRequest]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._requests)
                if not self._requests:
                    return
                request = self._requests.popleft()
                self._changed.notify_all()
            yield request


def _error(error: grpc.RpcError) -> FathomError:
    metadata = error.trailing_metadata() or ()
    return error_from_rpc(error.code(), error.details() or "", metadata)  # type: ignore[arg-type]
