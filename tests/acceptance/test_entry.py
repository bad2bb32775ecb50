"""With tokens on, nothing answers without one: every route of every door, asked of open doors.

The lists come from the doors as they run, HTTP's from its router and gRPC's from what was added to
its server, so that a new route cannot be forgotten. What stays open is `OPEN`, with its reasons.
"""

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import grpc
import httpx
import pytest
from fastapi import FastAPI
from grpc import aio
from grpc.aio import _server
from starlette.routing import BaseRoute, WebSocketRoute
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from fathom import metrics
from fathom.errors import Code
from fathom.wire.status import error_from_rpc
from server.core.rates import Rate
from server.doors.grpc import GrpcDoor
from server.doors.http import build_app
from server.doors.listen import HttpDoor
from server.security.entry import Entry
from server.security.gate import METRICS, OPEN, Gate
from server.security.tokens import Tokens
from tests.server.conftest import PATIENCE_S, PICTURE, WatchedTelemetry, total
from tests.server.doors.conftest import House

TOKEN = "correct-horse-battery-staple"  # noqa: S105 - of these tests
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"anybody:{password}".encode()).decode()


REFUSED = {"none": None, "wrong": f"Bearer {TOKEN}x", "wrong password": basic(TOKEN[:-1])}


@dataclass(frozen=True, slots=True)
class Guarded:
    """Open doors that ask for a token.

    methods  of gRPC, all that were added to the server
    """

    app: FastAPI
    methods: set[str]
    http_url: str
    grpc_target: str


@contextmanager
def recorded_methods() -> Iterator[set[str]]:
    """The names of all methods that are added to gRPC servers meanwhile."""
    names: set[str] = set()
    served = _server.Server
    add = served.add_generic_rpc_handlers

    def record(server: Any, handlers: Sequence[Any]) -> None:
        for handler in handlers:
            names.update(handler._method_handlers)
        add(server, handlers)

    with pytest.MonkeyPatch.context() as patch:  # of gRPC's class: it has no list to ask for
        patch.setattr(served, "add_generic_rpc_handlers", record)
        yield names


def guarded_methods() -> set[str]:
    """All gRPC methods of a server."""

    async def main(house: House) -> set[str]:
        async with guarded(house) as doors:
            return doors.methods

    house = House(WatchedTelemetry())
    try:
        return asyncio.run(main(house))
    finally:
        house.close()


@asynccontextmanager
async def guarded(house: House, *, failures: Rate | None = None) -> AsyncIterator[Guarded]:
    gate = Gate(lambda: Tokens([TOKEN]), failures=failures, refused=house.telemetry.refused)
    service = replace(house.service, entry=Entry(gate=gate))
    app = build_app(service)
    with recorded_methods() as methods:
        grpc_door = GrpcDoor(service, address="127.0.0.1:0")
    http_door = HttpDoor(app, host="127.0.0.1", port=0)
    await grpc_door.start()
    await http_door.start()
    try:
        http_url = f"http://127.0.0.1:{http_door.port}"
        yield Guarded(app, methods, http_url, f"127.0.0.1:{grpc_door.port}")
    finally:
        await asyncio.gather(grpc_door.stop(1.0), http_door.stop(1))


@pytest.fixture
def house() -> Iterator[House]:
    house = House(WatchedTelemetry())
    yield house
    house.close()


def run(house: House, case: Callable[[Guarded], Awaitable[None]]) -> None:
    async def main() -> None:
        async with guarded(house) as doors, asyncio.timeout(PATIENCE_S):
            await case(doors)

    asyncio.run(main())


def paths(routes: Iterable[BaseRoute], prefix: str = "") -> Iterator[tuple[str, bool]]:
    """Every path of a router, its parameters filled in, and whether it is a socket's."""
    for route in routes:
        path = prefix + getattr(route, "path", "")
        inner = getattr(route, "routes", None) or getattr(
            getattr(route, "original_router", None), "routes", None
        )
        if inner:
            yield from paths(inner, path)
        yield re.sub(r"\{[^}]*\}", "x", path) or "/", isinstance(route, WebSocketRoute)


async def call(channel: aio.Channel, method: str, authorization: str | None) -> grpc.StatusCode:
    """The status of a method that is given one empty message."""
    metadata = () if authorization is None else (("authorization", authorization),)
    asked = channel.stream_stream(method, bytes, bytes)(
        iter([b""]), metadata=metadata, timeout=PATIENCE_S
    )
    with suppress(aio.AioRpcError):
        async for _ in asked:  # a status comes behind the last answer
            pass
    code: grpc.StatusCode = await asked.code()
    if code is grpc.StatusCode.UNAUTHENTICATED:
        error = error_from_rpc(code, await asked.details(), await asked.trailing_metadata())
        assert error.code is Code.UNAUTHENTICATED and error.repair
    return code


@pytest.mark.parametrize("authorization", REFUSED.values(), ids=list(REFUSED))
def test_no_http_route_answers_without_a_token(house: House, authorization: str | None) -> None:
    async def case(doors: Guarded) -> None:
        headers = {} if authorization is None else {"Authorization": authorization}
        found = {path for path, socket in paths(doors.app.routes) if not socket}
        assert {"/predict", "/metrics", "/docs", "/", "/page", "/openapi.json", "/models"} <= found
        answered = set()
        async with httpx.AsyncClient(base_url=doors.http_url, headers=headers) as client:
            for path in sorted(found | {"/page/main.js", "/no/such/route"}):
                for method in METHODS:
                    response = await client.request(method, path)
                    if response.status_code != 401:
                        answered.add((method, path))
                        continue
                    # A line each: a browser that reads one challenge a line asks by the first.
                    challenges = response.headers.get_list("www-authenticate")
                    assert [challenge.split()[0] for challenge in challenges] == ["Basic", "Bearer"]
                    assert method == "HEAD" or response.json()["code"] == Code.UNAUTHENTICATED
        opened = {(method, path) for method in ("GET", "HEAD") for path in found & set(OPEN)}
        assert answered == opened

    run(house, case)


@pytest.mark.parametrize("authorization", REFUSED.values(), ids=list(REFUSED))
def test_no_socket_opens_without_a_token(house: House, authorization: str | None) -> None:
    async def case(doors: Guarded) -> None:
        headers = {} if authorization is None else {"Authorization": authorization}
        found = [path for path, socket in paths(doors.app.routes) if socket]
        assert "/stream" in found
        for path in [*found, "/no/such/socket", "/healthz"]:
            url = doors.http_url.replace("http", "ws", 1) + path
            with pytest.raises(InvalidStatus) as refused:
                await connect(url, additional_headers=headers, proxy=None).__aenter__()
            assert refused.value.response.status_code == 401

    run(house, case)


@pytest.mark.parametrize("authorization", REFUSED.values(), ids=list(REFUSED))
def test_no_grpc_method_answers_without_a_token(house: House, authorization: str | None) -> None:
    async def case(doors: Guarded) -> None:
        assert {"/fathom.v1.Depth/Stream", "/grpc.health.v1.Health/Check"} <= doors.methods
        answered = set()
        async with aio.insecure_channel(doors.grpc_target) as channel:
            for method in sorted(doors.methods | {"/no.Such/Method"}):
                code = await call(channel, method, authorization)
                if code is not grpc.StatusCode.UNAUTHENTICATED:
                    answered.add(method)
        assert answered == doors.methods & set(OPEN)

    run(house, case)


def test_every_open_route_is_one_that_tells_health() -> None:
    """The list itself: short, reasoned, and of nothing but health."""
    assert all(re.search(r"(?i)health|ready|live", route) for route in OPEN)
    assert all(OPEN.values()) and METRICS not in OPEN


def test_a_token_opens_every_door(house: House) -> None:
    async def case(doors: Guarded) -> None:
        async with httpx.AsyncClient(base_url=doors.http_url) as client:
            for authorization in (f"Bearer {TOKEN}", f"bearer  {TOKEN}", basic(TOKEN)):
                headers = {"Authorization": authorization}
                answer = await client.post("/predict", content=PICTURE.data, headers=headers)
                assert answer.status_code == 200
        url = doors.http_url.replace("http", "ws", 1) + "/stream"
        async with connect(
            url, additional_headers={"Authorization": f"Bearer {TOKEN}"}, proxy=None
        ) as socket:
            await socket.send('{"open": {}}')
            assert "opened" in str(await socket.recv())
        async with aio.insecure_channel(doors.grpc_target) as channel:
            code = await call(channel, "/fathom.v1.Depth/Describe", f"Bearer {TOKEN}")
            assert code is grpc.StatusCode.OK

    run(house, case)


def test_two_headers_are_none(house: House) -> None:
    """A proxy in front may have looked at the other one."""

    async def case(doors: Guarded) -> None:
        headers = [("Authorization", f"Bearer {TOKEN}"), ("Authorization", "Bearer no")]
        async with httpx.AsyncClient(base_url=doors.http_url) as client:
            assert (await client.get("/models", headers=headers)).status_code == 401
        async with aio.insecure_channel(doors.grpc_target) as channel:
            asked = channel.unary_unary("/fathom.v1.Depth/Describe", bytes, bytes)(
                b"", metadata=[(key.lower(), value) for key, value in headers]
            )
            assert await asked.code() is grpc.StatusCode.UNAUTHENTICATED

    run(house, case)


def test_past_the_rate_a_wrong_token_is_429_and_a_good_one_still_answers(house: House) -> None:
    """A good token is let in whatever its address has failed: behind a proxy many share one."""

    async def main() -> None:
        async with (
            guarded(house, failures=Rate(1e-9, burst=3)) as doors,
            httpx.AsyncClient(base_url=doors.http_url) as client,
            aio.insecure_channel(doors.grpc_target) as channel,
        ):
            wrong = {"Authorization": "Bearer no"}
            codes = [(await client.get("/models", headers=wrong)).status_code for _ in range(5)]
            assert codes == [401, 401, 401, 429, 429]
            # The same client at another door, for it is the same address.
            code = await call(channel, "/fathom.v1.Depth/Describe", "Bearer no")
            assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert (await client.get("/models")).status_code == 401
            good = {"Authorization": f"Bearer {TOKEN}"}
            assert (await client.get("/models", headers=good)).status_code == 200

    asyncio.run(main())
    refused = {
        r: total(house.telemetry, metrics.AUTH_REFUSALS, reason=r)
        for r in ("wrong", "limited", "missing")
    }
    assert refused == {"wrong": 3, "limited": 3, "missing": 1}
