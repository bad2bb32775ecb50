"""How a gRPC call is ended by an error of the table, and lets go of all that it held."""

from typing import Any

from grpc import aio

from fathom.errors import FathomError
from fathom.wire.status import status_code, trailing_metadata


async def abort(context: Any, error: FathomError) -> None:
    """End the call; gRPC remembers the abort, and does so once the handler returns."""
    try:
        await context.abort(status_code(error), str(error), trailing_metadata(error))
    except aio.InternalError:
        pass  # a client that left before it was told is its own affair, and no bug for the log
    except aio.AbortError as remembered:
        # It would hold the frames that it came through, and they the call, with all that a frozen
        # reader sent and nobody read: megabytes, until cycles are collected.
        remembered.__traceback__ = remembered.__context__ = None
