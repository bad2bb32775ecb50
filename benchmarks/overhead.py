"""What the server adds to a connection: the null engine beside a bare echo of the same bytes.

A raw picture of the network's own size goes in, `U16_MM` comes out, one at a time. Three clients
take turns, all of asyncio on uvloop:

session  `fathom.session.aio`, as programs use it
lean     messages built before the clock starts and not read after: the server's part alone
echo     the same number of bytes both ways with a server that does nothing, and gRPC as it comes
echo_in_place  the same with gRPC set as the server sets it, see `server.process.poll_in_place`
"""

import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeAlias

import numpy as np
import uvloop
from grpc import aio

from benchmarks import lean
from benchmarks.echo import STREAM, UNARY
from benchmarks.serving import Serving, announced, serving
from fathom.session.aio import Client
from fathom.session.channel import CHANNEL_OPTIONS, predict_request
from fathom.session.pictures import as_image
from fathom.values import EncodedDepth, Image, OpenStream, Options, Policy
from server.process import GRPC_ENVIRONMENT

# Does one exchange, and says how long it took.
Exchange: TypeAlias = Callable[[], Awaitable[float]]

SIZE = (256, 320)
_REPLY_BYTES = SIZE[0] * SIZE[1] * 2
_WARM_UP = 50
_STOP_S = 10


def overhead(arguments: Sequence[str], *, frames: int, rounds: int) -> dict[str, object]:
    """The p50 of each exchange, in milliseconds, and its ratio to the echo's."""
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    with (
        serving(["--engine=null", *arguments]) as server,
        announced("benchmarks.echo", str(_REPLY_BYTES)) as echo,
        announced("benchmarks.echo", str(_REPLY_BYTES), environment=GRPC_ENVIRONMENT) as in_place,
    ):
        echoes = {"echo": echo.target, "echo_in_place": in_place.target}
        p50s_ms = uvloop.run(_turns(server, echoes, as_image(pixels), frames, rounds))
    return compared(p50s_ms)


def compared(p50s_ms: dict[str, list[float]]) -> dict[str, object]:
    """Medians over the rounds; names are `<stream or unary>_<client>`."""
    medians = {name: statistics.median(values) for name, values in p50s_ms.items()}
    ratios = {
        name: round(ms / medians[f"{name.partition('_')[0]}_echo"], 2)
        for name, ms in medians.items()
    }
    return {
        "p50_ms": {name: round(ms, 3) for name, ms in medians.items()},
        "p50_ms_of_rounds": {k: [round(v, 3) for v in values] for k, values in p50s_ms.items()},
        "ratio_to_echo": ratios,
    }


async def _turns(
    server: Serving, echoes: Mapping[str, str], image: Image, frames: int, rounds: int
) -> dict[str, list[float]]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        bare = await enter(aio.insecure_channel(server.grpc, options=CHANNEL_OPTIONS))
        client = await enter(Client(server.grpc))
        request = predict_request(image, Options(), "").SerializeToString()
        exchanges: dict[str, Exchange] = {
            "stream_session": await enter(_session_stream(client, image)),
            "stream_lean": await enter(_lean_stream(bare, image)),
            "unary_session": _session_unary(client, image),
            "unary_lean": _bytes_unary(bare, f"/{lean.SERVICE}/Predict", request),
        }
        for name, echo in echoes.items():
            channel = await enter(aio.insecure_channel(echo))
            exchanges[f"stream_{name}"] = await enter(_echo_stream(channel, image.data))
            exchanges[f"unary_{name}"] = _bytes_unary(channel, UNARY, image.data)
        p50s_ms: dict[str, list[float]] = {name: [] for name in exchanges}
        for exchange in exchanges.values():
            for _ in range(_WARM_UP):
                await exchange()
        for _ in range(rounds):
            for name, exchange in exchanges.items():
                took_s = [await exchange() for _ in range(frames)]
                p50s_ms[name].append(statistics.median(took_s) * 1e3)
        return p50s_ms


@asynccontextmanager
async def _session_stream(client: Client, image: Image) -> AsyncIterator[Exchange]:
    stream = await client.stream(OpenStream(policy=Policy.ALL))
    async with stream:
        answers = stream.answers()

        async def exchange() -> float:
            before_s = time.perf_counter()
            await stream.send(image)
            received = await anext(answers)
            took_s = time.perf_counter() - before_s
            _expect_depth(isinstance(received.answer, EncodedDepth))
            return took_s

        yield exchange


@asynccontextmanager
async def _lean_stream(channel: Any, image: Image) -> AsyncIterator[Exchange]:
    call = channel.stream_stream(f"/{lean.SERVICE}/Stream")()
    await call.write(lean.opening())
    await call.read()
    seq = 0

    async def exchange() -> float:
        nonlocal seq
        seq += 1
        request = lean.frame(seq, image)
        before_s = time.perf_counter()
        await call.write(request)
        reply = await call.read()
        took_s = time.perf_counter() - before_s
        _expect_depth(len(reply) > _REPLY_BYTES)
        return took_s

    try:
        yield exchange
    finally:
        call.cancel()


@asynccontextmanager
async def _echo_stream(channel: Any, request: bytes) -> AsyncIterator[Exchange]:
    call = channel.stream_stream(STREAM)()

    async def exchange() -> float:
        before_s = time.perf_counter()
        await call.write(request)
        reply = await call.read()
        took_s = time.perf_counter() - before_s
        _expect_depth(len(reply) == _REPLY_BYTES)
        return took_s

    try:
        yield exchange
    finally:
        call.cancel()


def _session_unary(client: Client, image: Image) -> Exchange:
    async def exchange() -> float:
        before_s = time.perf_counter()
        await client.predict_encoded(image)
        return time.perf_counter() - before_s

    return exchange


def _bytes_unary(channel: Any, method: str, request: bytes) -> Exchange:
    call = channel.unary_unary(method)

    async def exchange() -> float:
        before_s = time.perf_counter()
        reply = await call(request)
        took_s = time.perf_counter() - before_s
        _expect_depth(len(reply) >= _REPLY_BYTES)
        return took_s

    return exchange


def _expect_depth(came: bool) -> None:
    if not came:
        raise SystemExit("an exchange gave no depth: its time means nothing")
