"""Frames from a file, folder or camera through a running server; depth beside the picture.

    python -m client --source samples/desk.mp4 --server localhost:8001 --save out.mp4

WHAT is one of
    a video or photo        every frame is answered
    a folder                of JPEG, PNG or WebP, in natural order, sent as their own bytes
    0, /dev/video0          a webcam; always its newest frame
    rtsp://, http://        a network camera; found again by itself when it is lost
    synthetic               a drawn scene, for trying things out

A recording with another --policy than all is played at its own rate, as by a camera.
Ctrl-C ends in order: what is under way is answered, the video is whole. Again: at once.
Exit status: 0 every frame answered or skipped for a reason, 1 something failed, 2 misuse.
"""

import json
import sys
from collections.abc import Sequence

from client.connection import Connect
from client.run import Outcome, run
from client.settings import Settings, parse
from client.summary import lines
from fathom.allocator import keep_freed_memory
from fathom.errors import Code, FathomError
from fathom.session.sync import Client


def main(argv: Sequence[str] | None = None, *, connect: Connect = Client) -> int:
    """Run the command; 0 good, 1 failed, 2 misuse."""
    keep_freed_memory()
    try:
        settings = parse(argv, help_text=__doc__)
        outcome = run(settings, connect=connect)
        _report(outcome, settings)
    except FathomError as error:
        _complain(error)
        return 2 if error.code is Code.BAD_OPTION else 1
    except OSError as error:
        print(f"client: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("client: interrupted", file=sys.stderr)
        return 1
    return 0 if outcome.good else 1


def _report(outcome: Outcome, settings: Settings) -> None:
    print(*lines(outcome.summary), sep="\n")
    for path in (settings.save, settings.save_depth, settings.save_ply, settings.rerun):
        if path is not None:
            print(f"{'saved':<12}{path}")
    if settings.json is not None:
        settings.json.write_text(json.dumps(outcome.summary.as_json(), indent=2) + "\n")
    if outcome.error is not None:
        _complain(outcome.error)


def _complain(error: FathomError) -> None:
    print(f"client: {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
