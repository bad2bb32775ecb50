"""One connection of a stream, for threads: requests out through a bounded outbox, replies in.

Knows one connection only; what outlives it is `fathom.session.sync.Stream`.
"""

import threading
from collections import deque
from collections.abc import Iterator

import grpc

from fathom.errors import FathomError
from fathom.session.credentials import Metadata
from fathom.values import Opened, OpenStream
from fathom.wire import depth_pb2 as pb
from fathom.wire.convert import open_to_wire, opened_from_wire
from fathom.wire.depth_pb2_grpc import DepthStub
from fathom.wire.status import error_from_rpc

# Requests between `send` and the transport. Past this `send` waits: what queues here only ages.
_OUTBOX_FRAMES = 2


class Link:
    """One connection of a stream: requests out, replies in."""

    def __init__(self, stub: DepthStub, opening: OpenStream, metadata: Metadata) -> None:
        self.outbox = Outbox()
        self.outbox.put(pb.StreamRequest(open=open_to_wire(opening)))
        self._call = stub.Stream(iter(self.outbox), metadata=metadata)
        self.replies = iter(self._call)

    def receive_opened(self) -> Opened:
        """Wait for the server's yes; raises its no."""
        try:
            reply = next(self.replies, None)
        except grpc.RpcError as error:
            self.outbox.close()
            raise rpc_error(error) from error
        if reply is None:
            self.outbox.close()
            raise error_from_rpc(grpc.StatusCode.OK, "a stream that ended before it opened", ())
        return opened_from_wire(reply.opened)

    def close(self) -> None:
        self.outbox.close()
        self._call.cancel()  # type: ignore[no-untyped-call]  # the stubs lag behind grpcio


class Outbox:
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


def rpc_error(error: grpc.RpcError) -> FathomError:
    """The table's error of a failed call."""
    metadata = error.trailing_metadata() or ()
    return error_from_rpc(error.code(), error.details() or "", metadata)  # type: ignore[arg-type]
