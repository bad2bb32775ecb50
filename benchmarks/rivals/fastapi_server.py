"""A rival: the endpoint that a capable engineer writes in an afternoon.

FastAPI on uvicorn with uvloop and httptools, raw bytes in and out, and two worker threads round one
infer request: while one waits for the engine the other decodes, and the event loop waits for
neither. One thread was measured to serve a third less, three no more. Its queue is the executor's:
first in, first out, unbounded.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response

from benchmarks.rivals.student import Student
from fathom.errors import FathomError


def build_app(answer: Callable[[bytes], bytes], *, workers: int = 2) -> FastAPI:
    """`POST /predict` with a JPEG as the body, `GET /health`."""
    app = FastAPI()
    pool = ThreadPoolExecutor(workers)

    @app.post("/predict")
    async def predict(request: Request) -> Response:
        jpeg = await request.body()
        loop = asyncio.get_running_loop()
        try:
            depth_mm = await loop.run_in_executor(pool, answer, jpeg)
        except FathomError as error:
            raise HTTPException(400, str(error)) from error
        return Response(depth_mm, media_type="application/octet-stream")

    @app.get("/health")
    async def health() -> str:
        return "ok"

    return app


def main(argv: list[str] | None = None) -> int:
    """Serve the student of the environment until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="HTTP port")
    parser.add_argument("--workers", type=int, default=2, help="threads (%(default)s)")
    arguments = parser.parse_args(argv)
    app = build_app(Student.from_environment().answer, workers=arguments.workers)
    uvicorn.run(app, port=arguments.port, log_level="warning", access_log=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
