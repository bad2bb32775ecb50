"""What is fuzzed, and what a door's visitors say of it: names of what came back, or a fault."""

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from numpy.random import Generator

from fathom.geometry import Size

# A visit that waits so long found a server that hangs.
PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A server's doors as host:port, and the model that whole requests name."""

    http: str
    grpc: str
    model: str
    input_size: Size


class Fault(Exception):  # noqa: N818 - the server's, told to whoever watches
    """The server did what no input may make it do.

    sent  by which it can be asked again
    """

    def __init__(self, what: str, sent: bytes) -> None:
        super().__init__(what)
        self.sent = sent


class Visitor(Protocol):
    """Comes to one door again and again, over connections of its own."""

    async def visit(self, rng: Generator, counts: Counter[str]) -> None:
        """One conversation of what chance says; counts what came back; raises Fault."""


# Opens a visitor of one door.
Door: TypeAlias = Callable[[Target], AbstractAsyncContextManager[Visitor]]
