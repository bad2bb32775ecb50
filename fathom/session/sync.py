"""The client for programs with threads. Same method names as `fathom.session.aio`.

with Client("localhost:8001") as client:
    depth = client.predict(Path("photo.jpg").read_bytes())
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from types import TracebackType
from typing import Self

import grpc

from fathom.codecs.answer import decode_answer
from fathom.errors import FathomError
from fathom.session.channel import CHANNEL_OPTIONS, absent, predict_request, reply_depth
from fathom.session.core import Received, State, StreamCore, stream_ended
from fathom.session.credentials import Credentials, Metadata
from fathom.session.pictures import Picture, as_image
from fathom.session.reconnect import ATTEMPT_S, Backoff, Reconnect, Reconnected, ending
from fathom.session.sync_link import Link, rpc_error
from fathom.values import (
    Closing,
    DepthMap,
    Description,
    EncodedDepth,
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


class Client:
    """A connection to one server; safe to use from several threads."""

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
            self._channel = grpc.insecure_channel(target, options=CHANNEL_OPTIONS)
        else:
            self._channel = grpc.secure_channel(target, secure, options=CHANNEL_OPTIONS)
        self._metadata = credentials.metadata
        self._stub = DepthStub(self._channel)
        self._target = target
        self._clock = clock

    def describe(self, *, timeout_s: float = 5.0) -> Description:
        """What the server is; waits for it to come up, raises CONNECTION_LOST if it does not."""
        try:
            reply = self._stub.Describe(
                pb.DescribeRequest(),
                timeout=timeout_s,
                metadata=self._metadata,
                wait_for_ready=True,
            )
        except grpc.RpcError as error:
            raise absent(rpc_error(error), self._target, timeout_s) from error
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
            reply = self._stub.Predict(request, timeout=timeout_s, metadata=self._metadata)
            return reply_depth(reply)
        except grpc.RpcError as error:
            raise rpc_error(error) from error

    def stream(
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
        opening = opening or OpenStream()
        return Stream(
            self._stub, opening, self._clock, reconnect, reconnected, metadata=self._metadata
        )

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
    """One camera's conversation. One thread may send while another takes answers.

    With terms to reconnect it outlives its connection: numbers go on, frames under way fail with
    `connection_lost`, and so do, at once, those sent before the server is back. Only where every
    frame counts (policy `all`) `send` waits instead. It is `answers` that finds the server again.
    """

    def __init__(
        self,
        stub: DepthStub,
        opening: OpenStream,
        clock: Callable[[], float],
        reconnect: Reconnect | None = None,
        reconnected: Callable[[Reconnected], object] | None = None,
        *,
        metadata: Metadata = (),
    ) -> None:
        self._stub, self._opening, self._clock = stub, opening, clock
        self._metadata = metadata
        self._backoff = None if reconnect is None else Backoff(reconnect)
        self._reconnected = reconnected
        self._core = StreamCore()
        self._changed = threading.Condition()  # guards the books and everything below
        self._closed = False
        self._ready: deque[Received] = deque()  # answers made here, waiting for `answers`
        self._link = Link(stub, opening, metadata)
        self.opened = self._link.receive_opened()
        self._core.receive_opened(self.opened)
        if self._backoff is not None:
            self._backoff.connected(clock())

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
        while True:
            roomy = self._link.outbox.wait_for_room()
            with self._changed:
                if self._core.state is State.INTERRUPTED and self._opening.policy is Policy.ALL:
                    self._changed.wait_for(lambda: not self._searching)
                if not roomy and self._core.state in {State.OPEN, State.INTERRUPTED}:
                    if self._closed:
                        raise stream_ended()
                    if self._core.state is State.OPEN:
                        continue  # on the next connection, once that has room
                now_s = self._clock()
                taken_s = now_s if captured_s is None else captured_s
                if self._core.state is State.INTERRUPTED:
                    received = self._core.refuse(image, captured_s=taken_s, now_s=now_s)
                    self._ready.append(received)
                    self._changed.notify_all()
                    return received.answer.seq
                frame = self._core.send(
                    image, captured_s=taken_s, now_s=now_s, deadline_s=deadline_s
                )
                request = pb.StreamRequest()
                frame_to_wire(frame, request.frame)
                self._link.outbox.put(request)
            return frame.seq

    def finish(self) -> None:
        """No more frames; the remaining answers still come."""
        with self._changed:
            self._core.finish()
            self._changed.notify_all()
            self._link.outbox.close()

    def answers(self) -> Iterator[Received]:
        """Every answer, in frame order, until the server closes the stream.

        Frames that the end leaves without an answer get a `Failed(connection_lost)` each; where the
        end is a broken connection, its reason is raised after them, unless it is found again.
        """
        while True:
            end = yield from self._replies()
            backoff = self._interrupted(end)
            if backoff is not None:
                end = yield from self._find_again(backoff, end or stream_ended())
                if end is None:
                    continue
            self._lost(end)
            yield from self._settled()
            if end is not None:
                raise end
            return

    def close(self) -> None:
        """End the stream now; answers that were not taken are gone."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            link = self._link
        link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def _searching(self) -> bool:
        return self._core.state is State.INTERRUPTED and not self._closed

    def _replies(self) -> Generator[Received, None, FathomError | None]:
        """What this connection brings; returns the error that ended it, if one did."""
        try:
            for reply in self._link.replies:
                if reply.WhichOneof("message") == "closing":
                    closing = closing_from_wire(reply.closing)
                    end = ending(closing)
                    if self._backoff is not None and end is not None and end.status.retry:
                        return end  # the last word of this connection, not of the stream
                    with self._changed:
                        self._core.receive_closing(closing)
                    continue
                answer = answer_from_wire(reply.answer)
                with self._changed:
                    received = self._core.receive(answer, self._clock())
                yield received
        except grpc.RpcError as error:
            end = rpc_error(error)
            end.__cause__ = error
            return end
        return None

    def _interrupted(self, end: FathomError | None) -> Backoff | None:
        """Enter the loss of a connection that is worth finding again; None where it is not."""
        with self._changed:
            if self._backoff is None or self._closed or (end is not None and not end.status.retry):
                return None
            if self._core.state not in {State.OPEN, State.INTERRUPTED}:
                return None
            now_s = self._clock()
            if self._core.state is State.OPEN:
                self._backoff.lost(now_s)
            reason = "the end of the connection" if end is None else end.got
            self._ready.extend(self._core.interrupted(reason, now_s))
            self._link.close()
            return self._backoff

    def _find_again(
        self, backoff: Backoff, reason: FathomError
    ) -> Generator[Received, None, FathomError | None]:
        """Wait and try until the stream is open again; returns the error that ends it if not."""
        end = reason
        yield from self._settled()
        while (delay_s := backoff.next_s(self._clock())) is not None:
            until_s = self._clock() + delay_s
            while self._searching and (left_s := until_s - self._clock()) > 0:
                with self._changed:
                    self._changed.wait_for(lambda: self._ready or not self._searching, left_s)
                yield from self._settled()
            if not self._searching:
                return end
            failure = self._reopen()
            yield from self._settled()
            if failure is None:
                self._tell(backoff, reason)
                return None
            end = failure
            if not end.status.retry:
                return end
        return end

    def _reopen(self) -> FathomError | None:
        """One attempt; None if the stream is open again."""
        link = Link(self._stub, self._opening, self._metadata)
        with self._changed:
            self._link = link  # so that `close` reaches it
            if self._closed:
                link.close()
        bound = threading.Timer(ATTEMPT_S, link.close)
        bound.daemon = True
        bound.start()
        try:
            opened = link.receive_opened()
        except FathomError as error:
            link.close()
            return error
        finally:
            bound.cancel()
        with self._changed:
            self.opened = opened
            self._core.receive_opened(opened)
            if self._core.state is State.FINISHING:  # finished while this was on its way
                link.outbox.close()
            self._changed.notify_all()
        return None

    def _tell(self, backoff: Backoff, reason: FathomError) -> None:
        gap = backoff.over(self._clock(), self._core.lost_frames, reason)
        if self._reconnected is not None:
            self._reconnected(gap)

    def _lost(self, end: FathomError | None) -> None:
        with self._changed:
            reason = "the end of the stream" if end is None else end.got
            self._ready.extend(self._core.lost(reason, self._clock()))
            self._changed.notify_all()
            self._link.outbox.close()

    def _settled(self) -> Iterator[Received]:
        # Those of now: one who sends after each answer would otherwise never get beyond them.
        for _ in range(len(self._ready)):
            yield self._ready.popleft()
