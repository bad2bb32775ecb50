"""One of several workers: a whole server, but for its ports and its metrics page, which all share.

Started by `server.supervisor`, with the number of its link's file descriptor; never by hand.
"""

import shutil
import socket
import sys

from fathom.errors import FathomError
from server import shared_counts
from server.lifecycle import serve
from server.link import Link
from server.process import begin_log
from server.telemetry import Telemetry


def main(argv: list[str]) -> str | int:
    """Serve as assigned; 0 after a clean stop, else what to say of why it cannot start."""
    link = Link(socket.socket(fileno=int(argv[0])))
    try:
        assignment = link.assignment()
    except EOFError:
        return "server: a worker whose supervisor is gone"
    begin_log(assignment.settings, f"worker-{assignment.worker} ")
    shared_counts.keep(assignment.counts, assignment.worker)
    try:
        serve(assignment.settings, Telemetry(shared_counts.AllCounts(assignment.counts)), link)
    except FathomError as error:
        return f"server: {error}"
    if link.ended:  # then nobody else is left to do it
        shutil.rmtree(assignment.counts, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
