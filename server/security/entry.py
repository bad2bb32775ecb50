"""What a client must bring, and how much it may take: one value that every door reads."""

from dataclasses import dataclass, field

from server.core.rates import Rate
from server.security.gate import Gate


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entry:
    """The terms of entry; the default ones let everybody in without bounds.

    frames, wire_bytes  what one client may send a second, over all its streams
    origins             other sites whose pages may use this server
    idle_stream_s       a stream that sends nothing for so long is ended
    """

    gate: Gate = field(default_factory=Gate)
    frames: Rate = field(default_factory=Rate)
    wire_bytes: Rate = field(default_factory=Rate)
    origins: frozenset[str] = frozenset()
    idle_stream_s: float = 60.0

    def has_room(self, client: str, now_s: float) -> bool:
        """Whether this client may send a frame now."""
        return self.frames.has_room(client, now_s) and self.wire_bytes.has_room(client, now_s)

    def spend(self, client: str, frame_bytes: int, now_s: float) -> None:
        """Count a frame of so many bytes."""
        self.frames.spend(client, 1, now_s)
        self.wire_bytes.spend(client, frame_bytes, now_s)
