"""What the client needs of a server: `fathom.session.sync` fits, and so does a scripted fake."""

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Protocol, Self, TypeAlias

from fathom.session.core import Received
from fathom.session.credentials import Credentials
from fathom.session.pictures import Picture
from fathom.session.reconnect import Reconnect, Reconnected
from fathom.values import Closing, Description, Opened, OpenStream


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

    def describe(self) -> Description: ...

    def stream(
        self,
        opening: OpenStream,
        *,
        reconnect: Reconnect | None,
        reconnected: Callable[[Reconnected], object],
    ) -> Conversation: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


Connect: TypeAlias = Callable[[str, Credentials], Connection]
