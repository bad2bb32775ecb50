"""A rival: LitServe, in its own environment.

Raw bytes in and out instead of its usual JSON or form, ZeroMQ for the answers (`fast_queue`, which
its documentation advises past 100 requests a second), one worker because the engine takes both
cores and two were measured to serve less, no batches because on a CPU they gain nothing. Its
request queue is unbounded; a request older than its default of 30 s is answered 504.
"""

import argparse
import sys
from typing import Annotated

import litserve  # type: ignore[import-not-found, unused-ignore]  # lives in its own environment
from fastapi import Body, Response

from benchmarks.rivals.student import Student


class DepthApi(litserve.LitAPI):  # type: ignore[misc, unused-ignore]  # as above
    """JPEG in, millimetres out; LitServe reads these signatures."""

    def setup(self, device: str) -> None:
        del device
        self._student = Student.from_environment()

    def decode_request(self, request: Annotated[bytes, Body(media_type="image/jpeg")]) -> bytes:
        return request

    def predict(self, jpeg: bytes) -> bytes:
        return self._student.answer(jpeg)

    def encode_response(self, output: bytes) -> Response:
        return Response(output, media_type="application/octet-stream")


def main(argv: list[str] | None = None) -> int:
    """Serve the student of the environment until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="HTTP port")
    parser.add_argument("--workers", type=int, default=1, help="processes (%(default)s)")
    arguments = parser.parse_args(argv)
    server = litserve.LitServer(
        DepthApi(), accelerator="cpu", workers_per_device=arguments.workers, fast_queue=True
    )
    server.run(
        host="127.0.0.1",
        port=arguments.port,
        log_level="warning",
        generate_client_file=False,
        access_log=False,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
