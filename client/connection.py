"""What the client needs of a server: `fathom.session.sync` fits, and so does a scripted fake."""

from collections.abc import Iterator
from types import TracebackType
from typing import Protocol, Self

from fathom.errors import Code, FathomError
from fathom.session.core import Received
from fathom.session.pictures import Picture
from fathom.values import Closing, Description, Opened, OpenStream

_PATIENCE_S = 5.0


class Conversation(Protocol):
    """One stream: one thread sends, another takes the answers."""

    @property
    def opened(self) -> Opened: ...

    @property
    def closing(self) -> Closing | None: ...

    def send(self, picture: Picture, *, captured_s: float | None = None) -> int: ...

    def finish(self) -> None: ...

    def answers(self) -> Iterator[Received]: ...

    def close(self) -> None: ...


class Connection(Protocol):
    """One server."""

    def describe(self, *, timeout_s: float) -> Description: ...

    def stream(self, opening: OpenStream) -> Conversation: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def greet(connection: Connection, server: str) -> Description:
    """What the server is; raises CONNECTION_LOST within seconds if nobody answers at all."""
    try:
        return connection.describe(timeout_s=_PATIENCE_S)
    except FathomError as error:
        if error.code not in {Code.DEADLINE_PASSED, Code.CONNECTION_LOST}:
            raise
        raise FathomError(
            Code.CONNECTION_LOST,
            expected=f"a Fathom server at {server}",
            got=f"no answer within {_PATIENCE_S:g} s",
            repair="start one with `make serve`; --server takes its gRPC door, port 8001",
        ) from error
