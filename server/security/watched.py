"""A value read from files, read again when they change: certificates and tokens are renewed while
the server runs.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from fathom.errors import FathomError

T = TypeVar("T")

_log = logging.getLogger("fathom.server.security")

# Between two looks: soon enough for a person, and a handshake or request pays no more than a clock.
_LOOK_EVERY_S = 1.0

_Seen = tuple[tuple[int, int, int] | None, ...]


class Watched(Generic[T]):
    """The value of some files; safe to ask from several threads.

    read  makes it; raises FathomError or OSError where it cannot

    New files that cannot be read are told in the log once and looked at again: until they can, the
    last good value holds. Half a renewal, a certificate whose key is still to come, is such a case.
    """

    def __init__(
        self,
        files: Sequence[Path],
        read: Callable[[], T],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._files = tuple(files)
        self._read = read
        self._clock = clock
        self._lock = threading.Lock()
        self._seen = self._look()
        self._value = read()
        self._looked_s = clock()
        self._complained: _Seen | None = None

    def current(self) -> T:
        """The newest value that could be read."""
        with self._lock:
            now_s = self._clock()
            if now_s - self._looked_s >= _LOOK_EVERY_S:
                self._looked_s = now_s
                self._renew()
            return self._value

    def _renew(self) -> None:
        seen = self._look()
        if seen == self._seen:
            return
        names = ",".join(file.name for file in self._files)
        try:
            self._value = self._read()
        except (FathomError, OSError) as error:
            if seen != self._complained:
                self._complained = seen
                _log.error("files.kept_old files=%s error=%s", names, error)
            return
        self._seen = seen
        _log.info("files.renewed files=%s", names)

    def _look(self) -> _Seen:
        return tuple(_identity(file) for file in self._files)


def _identity(file: Path) -> tuple[int, int, int] | None:
    """What changes when a file is written or replaced, also behind a link; None if it is away."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
