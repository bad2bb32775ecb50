"""A bare gRPC server that reads bytes and answers as many as it was told: the floor of any other.

python -m benchmarks.echo 163840
"""

import asyncio
import sys
from typing import Any

import grpc
import uvloop
from grpc import aio

UNARY = "/echo/Unary"
STREAM = "/echo/Stream"
READY = "echo.ready"


def main(argv: list[str] | None = None) -> int:
    """Serve until ended."""
    (reply_bytes,) = sys.argv[1:] if argv is None else argv
    uvloop.run(_serve(bytes(int(reply_bytes))))
    return 0


async def _serve(reply: bytes) -> None:
    async def unary(request: bytes, context: Any) -> bytes:  # noqa: ARG001
        return reply

    async def stream(requests: Any, context: Any) -> None:  # noqa: ARG001
        while await context.read() is not aio.EOF:  # type: ignore[attr-defined]  # old stubs
            await context.write(reply)

    server = aio.server()
    handlers = {
        UNARY.rpartition("/")[2]: grpc.unary_unary_rpc_method_handler(unary),
        STREAM.rpartition("/")[2]: grpc.stream_stream_rpc_method_handler(stream),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(READY, port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    sys.exit(main())
