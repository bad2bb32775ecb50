"""What a process of the server sets before anything else is imported."""

import os
import subprocess
import sys

import pytest

from server.process import GRPC_ENVIRONMENT, poll_in_place

# How often gRPC's own threads had something to do while 200 messages went there and back.
EXCHANGES = """
import asyncio
from pathlib import Path
from server.process import poll_in_place

SET
import grpc
from grpc import aio


async def main():
    async def stream(requests, context):
        while await context.read() is not aio.EOF:
            await context.write(bytes(100_000))

    server = aio.server()
    handlers = {"Stream": grpc.stream_stream_rpc_method_handler(stream)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.stream_stream("/echo/Stream")()
        for _ in range(200):
            await call.write(bytes(100_000))
            await call.read()
        woken = 0
        for task in Path("/proc/self/task").iterdir():
            if (task / "comm").read_text().strip() == "event_engine":
                word = "\\nvoluntary_ctxt_switches:"
                woken += int((task / "status").read_text().partition(word)[2].split()[0])
        call.cancel()
    await server.stop(0)
    print(woken)


asyncio.run(main())
"""


def wakes(setting: str) -> int:
    command = [sys.executable, "-c", EXCHANGES.replace("SET", setting)]
    told = {name: value for name, value in os.environ.items() if name not in GRPC_ENVIRONMENT}
    done = subprocess.run(command, check=True, capture_output=True, timeout=60, text=True, env=told)
    assert "nknown experiment" not in done.stderr
    return int(done.stdout)


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="no /proc")  # noqa: PTH110
def test_messages_do_not_pass_through_threads_of_grpc() -> None:
    assert wakes("poll_in_place()") < 200 < wakes("")


def test_grpc_is_imported_after_it_was_set() -> None:
    """The server's entry point alone must not import gRPC, which reads the setting only once."""
    code = "import sys, server.__main__; sys.exit('grpc' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_what_an_operator_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRPC_EXPERIMENTS", "mine")
    poll_in_place()
    assert os.environ["GRPC_EXPERIMENTS"] == "mine"
