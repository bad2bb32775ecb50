"""Serve depth over HTTP and gRPC.

python -m server --http-port 8000 --grpc-port 8001
"""

import sys

from fathom.errors import FathomError
from server.process import begin_log, log_settings, poll_in_place
from server.settings import load


def main(argv: list[str] | None = None) -> int:
    """Run the server; 0 after a clean stop, 1 if it cannot start, 2 for a bad setting."""
    try:
        settings, origins = load(sys.argv[1:] if argv is None else argv)
    except FathomError as error:
        print(f"server: {error}", file=sys.stderr)
        return 2
    begin_log(settings)
    log_settings(settings, origins)
    poll_in_place()
    # Imported by whoever needs it: a supervisor has no doors and no engine, and is small.
    try:
        if settings.workers > 1:
            from server.supervisor import supervise

            return supervise(settings)
        from server.lifecycle import serve
        from server.telemetry import Telemetry

        serve(settings, Telemetry())
    except FathomError as error:
        print(f"server: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("server: interrupted before it was ready", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
