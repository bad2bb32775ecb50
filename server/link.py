"""What a supervisor and a worker say to each other: an assignment, then a word now and then.

A socket pair that both hold and nobody else can reach. Its end is news as well: whichever process
is gone, and however it went, the other finds out at once.
"""

import json
import socket
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

from server.settings import Settings


class Word(StrEnum):
    """What a worker says."""

    READY = "ready"
    RELOAD = "reload"  # somebody asked this worker for new versions: let all of them look


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What a worker is to be.

    worker    its number, from 0
    settings  of all workers, with the ports that they share
    counts    the folder that all of them count in
    """

    worker: int
    settings: Settings
    counts: Path

    def to_line(self) -> bytes:
        told = {
            "worker": self.worker,
            "settings": self.settings.model_dump(mode="json"),
            "counts": str(self.counts),
        }
        return json.dumps(told).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Self:
        told = json.loads(line)
        return cls(
            worker=told["worker"],
            settings=Settings(**told["settings"]),
            counts=Path(told["counts"]),
        )


class Link:
    """The worker's end."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def fileno(self) -> int:
        """Readable once the supervisor is gone, for nothing follows the assignment."""
        return self._connection.fileno()

    def assignment(self) -> Assignment:
        """Wait for it; raises EOFError if the supervisor goes before."""
        with self._connection.makefile("rb") as lines:
            line = lines.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        return Assignment.from_line(line)

    def say(self, word: Word) -> None:
        """Tell the supervisor, if it is there."""
        with suppress(ConnectionError):
            self._connection.sendall(f"{word}\n".encode())

    @property
    def ended(self) -> bool:
        """Whether the supervisor is gone."""
        try:
            return self._connection.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except ConnectionError:
            return True
