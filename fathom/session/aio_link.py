"""One connection of a stream, for asyncio: gRPC's own exceptions and cancellations in our terms.

Knows one connection only; what outlives it is `fathom.session.aio.Stream`.
"""

import asyncio
from typing import TYPE_CHECKING

from grpc import StatusCode, aio

from fathom.errors import FathomError
from fathom.session.core import stream_ended
from fathom.session.credentials import Metadata
from fathom.values import Opened, OpenStream
from fathom.wire import depth_pb2 as pb
from fathom.wire.convert import open_to_wire, opened_from_wire
from fathom.wire.status import error_from_rpc

if TYPE_CHECKING:
    from fathom.wire.depth_pb2_grpc import DepthAsyncStub


class Link:
    """One connection of a stream."""

    def __init__(self, stub: "DepthAsyncStub", metadata: Metadata) -> None:
        self.call = stub.Stream(metadata=metadata)  # type: ignore[call-arg]  # the stubs lag behind grpcio

    async def open(self, opening: OpenStream) -> Opened:
        """Ask for the stream and wait for the server's yes; raises its no."""
        try:
            await self.call.write(pb.StreamRequest(open=open_to_wire(opening)))
            reply = await self.call.read()
        except aio.AioRpcError as error:
            raise rpc_error(error) from error
        except asyncio.CancelledError:
            if task_cancelled():
                raise
            raise stream_ended() from None
        if not isinstance(reply, pb.StreamReply):
            raise error_from_rpc(
                await self.call.code(),
                await self.call.details(),
                await self.call.trailing_metadata() or (),
            )
        return opened_from_wire(reply.opened)


def task_cancelled() -> bool:
    """Whether a CancelledError is for this task; gRPC raises the same for a call that was."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


# gRPC's details where a write met a connection that had just broken; the status it gives is
# INTERNAL, which from a server would mean a bug.
_BROKEN_WRITE = "Internal error from Core"


def rpc_error(error: aio.AioRpcError) -> FathomError:
    """The table's error of a failed call."""
    details = error.details() or ""
    if details == _BROKEN_WRITE:
        return error_from_rpc(StatusCode.UNAVAILABLE, "the connection broke", ())
    metadata = error.trailing_metadata() or ()
    return error_from_rpc(error.code(), details, metadata)  # type: ignore[arg-type]
