"""What a process of the server does before anything else, and how it says what it is."""

import logging
import sys
from pathlib import Path

from server.security.log import RedactingFormatter
from server.settings import Settings

_log = logging.getLogger("fathom.server")


def begin_log(settings: Settings, who: str = "") -> None:
    """Log to standard error from here on.

    who  of several processes
    """
    log = logging.StreamHandler(sys.stderr)
    log.setFormatter(RedactingFormatter(f"%(asctime)s %(levelname)s {who}%(name)s %(message)s"))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[log])


def bound_opencv() -> None:
    """Keep OpenCV's own threads and log out of the way."""
    import cv2

    # Broken pictures are the client's news, told in its answer; the log is for the server's own.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    # More threads would fight the engine for its cores over pictures of a few hundred pixels.
    cv2.setNumThreads(1)


def log_settings(settings: Settings, origins: dict[str, str]) -> None:
    """What was set, and where from; defaults are no news."""
    for name, value in settings.model_dump().items():
        level = logging.INFO if name in origins else logging.DEBUG
        shown = str(value) if isinstance(value, Path) else repr(value)
        _log.log(level, "setting %s=%s from=%s", name, shown, origins.get(name, "default"))


def log_ready(settings: Settings, *, http_port: int, grpc_port: int, after_s: float) -> None:
    """The line that whoever starts a server waits for."""
    _log.info(
        "server.ready http=%s:%d grpc=%s:%d after_s=%.2f",
        *(settings.host, http_port, settings.host, grpc_port, after_s),
    )
