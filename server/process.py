"""What a process of the server does before anything else, and how it says what it is."""

import logging
import os
import sys
from pathlib import Path

from server.security.log import RedactingFormatter
from server.settings import Settings

_log = logging.getLogger("fathom.server")

# What gRPC takes from the environment when it is first imported, and at no other time.
GRPC_ENVIRONMENT = {"GRPC_EXPERIMENTS": "-event_engine_listener,-event_engine_client"}


def poll_in_place() -> None:
    """Let gRPC read its sockets in the thread that waits for them; call it before the first import.

    From 1.80 on Python's gRPC has threads of their own for that (grpc/grpc#41432). That is one
    hand-over more for each message: 0.2 ms of 0.8 for a frame and its depth. What an operator has
    set stays; workers inherit it.
    """
    for name, value in GRPC_ENVIRONMENT.items():
        os.environ.setdefault(name, value)


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
