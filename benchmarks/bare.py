"""Decode, infer, finish and encode behind the barest gRPC server there can be: no scheduler, no
limits, no numbers. What gRPC itself leaves of the rate in process; the ceiling for a real server.

python -m benchmarks.bare
"""

import asyncio
import queue
import sys
import threading
from typing import Any

import grpc
import uvloop
from grpc import aio

from benchmarks.in_process import path_of
from benchmarks.lean import SERVICE
from fathom.allocator import keep_freed_memory
from server.models import ServedModel, open_models
from server.settings import load
from server.telemetry import Telemetry

READY = "bare.ready"


def main(argv: list[str] | None = None) -> int:
    """Serve until ended."""
    keep_freed_memory()
    settings, _ = load(sys.argv[1:] if argv is None else argv)
    uvloop.run(_serve(next(iter(open_models(settings, Telemetry())))))
    return 0


async def _serve(model: ServedModel) -> None:
    loop = asyncio.get_running_loop()
    waiting: queue.SimpleQueue[tuple[bytes, asyncio.Queue[bytes]]] = queue.SimpleQueue()

    def work(lane: int) -> None:
        run = path_of(model, lane)
        while True:
            picture, answers = waiting.get()
            loop.call_soon_threadsafe(answers.put_nowait, run(picture).data)

    async def stream(requests: Any, context: Any) -> None:  # noqa: ARG001
        answers: asyncio.Queue[bytes] = asyncio.Queue()

        async def read() -> None:
            while (picture := await context.read()) is not aio.EOF:  # type: ignore[attr-defined]
                waiting.put((picture, answers))

        reader = asyncio.create_task(read())
        try:
            while True:
                await context.write(await answers.get())
        finally:
            reader.cancel()

    for lane in range(model.engine.spec.lanes):
        threading.Thread(target=work, args=(lane,), daemon=True).start()
    server = aio.server()
    handlers = {"Stream": grpc.stream_stream_rpc_method_handler(stream)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(READY, port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    sys.exit(main())
