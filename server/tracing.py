"""Who wants to be told of each frame as a span of a trace, and of which trace it is a part.

Knows nothing of OpenTelemetry, which is imported where an address for its spans is set. A door puts
the `traceparent` of a request into `PARENT`; it goes wherever the request goes, as its own do.
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Protocol

from fathom.values import ServerAnswer

# W3C Trace Context, sections 3.2 and 3.3.
HEADERS = ("traceparent", "tracestate")
PARENT: ContextVar[Mapping[str, str]] = ContextVar("parent", default=MappingProxyType({}))


class Spans(Protocol):
    """Whoever makes spans of frames."""

    def of_stream(self, model: str, stream: str) -> Callable[[ServerAnswer], None]:
        """What is to be told of each answer of a stream that opens now, when it is handed over."""

    def close(self) -> None:
        """Send what is still here."""
