"""The error table on gRPC, both ways: what a server aborts with and what a client makes of it."""

from collections.abc import Iterable
from contextlib import suppress

import grpc
from google.protobuf.message import DecodeError

from fathom.errors import Code, FathomError
from fathom.values import Failed
from fathom.wire import depth_pb2 as pb
from fathom.wire.convert import failed_from_wire, failed_to_wire

FAILED_KEY = "fathom-failed-bin"

# For statuses that did not come from the table: transport, proxies, other servers.
_FOREIGN = {
    grpc.StatusCode.UNAVAILABLE: (Code.CONNECTION_LOST, "see that the server runs at this address"),
    grpc.StatusCode.CANCELLED: (Code.CONNECTION_LOST, "open the call again"),
    grpc.StatusCode.DEADLINE_EXCEEDED: (Code.DEADLINE_PASSED, "give the answer more time"),
    grpc.StatusCode.UNIMPLEMENTED: (Code.NOT_AVAILABLE, "use a server of the client's version"),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (Code.IMAGE_TOO_LARGE, "send a smaller picture"),
}


def status_code(error: FathomError) -> grpc.StatusCode:
    """The table's gRPC status."""
    code: grpc.StatusCode = getattr(grpc.StatusCode, error.status.grpc)
    return code


def trailing_metadata(error: FathomError) -> tuple[tuple[str, bytes], ...]:
    """Metadata that carries expected, got and repair beside the status."""
    message = failed_to_wire(Failed.from_error(0, error))
    return ((FAILED_KEY, message.SerializeToString()),)


def error_from_rpc(
    status: grpc.StatusCode, details: str, metadata: Iterable[tuple[str, str | bytes]]
) -> FathomError:
    """The error of a failed call: the server's own words, or the status in the table's terms."""
    for key, value in metadata:
        if key == FAILED_KEY and isinstance(value, bytes):
            with suppress(DecodeError):  # not ours after all
                return failed_from_wire(pb.Failed.FromString(value)).as_error()
    code, repair = _FOREIGN.get(status, (Code.INTERNAL, "look into the server's log"))
    return FathomError(code, expected="an answer", got=f"{status.name}: {details}", repair=repair)
