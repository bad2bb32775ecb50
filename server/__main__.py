"""Serve depth over HTTP and gRPC.

python -m server --http-port 8000 --grpc-port 8001
"""

import logging
import sys

import cv2

from fathom.errors import FathomError
from server.lifecycle import serve
from server.security.log import RedactingFormatter
from server.settings import load


def main(argv: list[str] | None = None) -> int:
    """Run the server; 0 after a clean stop, 1 if it cannot start, 2 for a bad setting."""
    try:
        settings, origins = load(sys.argv[1:] if argv is None else argv)
    except FathomError as error:
        print(f"server: {error}", file=sys.stderr)
        return 2
    log = logging.StreamHandler(sys.stderr)
    log.setFormatter(RedactingFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[log])
    # Broken pictures are the client's news, told in its answer; the log is for the server's own.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    # More threads would fight the engine for its cores over pictures of a few hundred pixels.
    cv2.setNumThreads(1)
    try:
        serve(settings, origins)
    except FathomError as error:
        print(f"server: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("server: interrupted before it was ready", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
