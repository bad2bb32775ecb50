"""Scripted models behind both doors: HTTP is called as a function, gRPC over a real socket."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from typing import TypeVar

import grpc
import httpx
import pytest

from fathom.card import Card
from fathom.errors import Code, FathomError
from fathom.values import Limits
from fathom.wire.depth_pb2_grpc import DepthStub
from server.core.scheduler import Bounds, Scheduler
from server.dispatch import Dispatch
from server.doors.grpc import GrpcDoor
from server.doors.http import build_app
from server.keeper import Reloaded
from server.models import Models, ServedModel
from server.service import Service
from tests.server.conftest import (
    CARD,
    NO_COST,
    PATIENCE_S,
    ScriptedEngine,
    WatchedTelemetry,
    new_service,
    serve_model,
)

T = TypeVar("T")

LIMITS = Limits(image_bytes=100_000, image_pixels=1_000_000, streams=8, waiting_frames=4)
UNLABELLED = replace(CARD, name="plain", outputs=("depth_m",), classes=(), class_colours=())


class House:
    """Two models on one scripted engine: `ramp`, the default, and `plain`, without labels."""

    def __init__(self, telemetry: WatchedTelemetry) -> None:
        self.telemetry = telemetry
        self.engine = ScriptedEngine()
        self.ready = True
        self.models = Models([self._model(card) for card in (CARD, UNLABELLED)])
        for model in self.models:
            model.lanes.start()
        self.reloaded: list[Reloaded] = []
        self.service = new_service(
            self.models,
            telemetry,
            limits=LIMITS,
            ready=lambda: self.ready,
            reload=lambda: self.reloaded,
        )

    def _model(self, card: Card) -> ServedModel:
        scheduler = Scheduler(
            Bounds(streams=LIMITS.streams, queue_frames=LIMITS.waiting_frames), NO_COST
        )
        dispatch = Dispatch(card, LIMITS, scheduler, self.telemetry)
        return serve_model(self.engine, dispatch, self.telemetry)

    @property
    def dispatch(self) -> Dispatch:
        return self.models.get("").dispatch

    def close(self) -> None:
        for model in self.models:
            model.dispatch.stop()
        self.engine.release()
        for model in self.models:
            assert model.lanes.join(PATIENCE_S)


@pytest.fixture
def house(telemetry: WatchedTelemetry) -> Iterator[House]:
    house = House(telemetry)
    yield house
    house.close()


class Web:
    """The HTTP door, asked without a socket."""

    def __init__(self, service: Service) -> None:
        self._app = build_app(service)

    def ask(self, method: str, url: str, **request: object) -> httpx.Response:
        async def main() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://fathom") as client:
                return await client.request(method, url, **request)  # type: ignore[arg-type]

        return asyncio.run(main())

    def get(self, url: str) -> httpx.Response:
        return self.ask("GET", url)

    def predict(self, picture: bytes, **query: object) -> httpx.Response:
        return self.ask("POST", "/predict", content=picture, params=query)


@pytest.fixture
def web(house: House) -> Web:
    return Web(house.service)


class Wire:
    """The gRPC door in an event loop of its own."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.door = self.open_door("127.0.0.1:0")
        self.target = f"127.0.0.1:{self.door.port}"
        self.channel = grpc.insecure_channel(self.target)

    def open_door(self, address: str) -> GrpcDoor:
        async def main() -> GrpcDoor:
            door = GrpcDoor(self._house.service, address=address)
            await door.start()
            return door

        return self._run(main())

    def _run(self, coroutine: Coroutine[None, None, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE_S)

    def set_ready(self, *, ready: bool) -> None:
        self._run(self.door.set_ready(ready))

    def stop_door(self) -> None:
        """As the server's end does it: what waits is skipped, streams end, then the door closes."""
        reason = FathomError(Code.SHUTTING_DOWN, expected="e", got="g", repair="r")

        async def main() -> None:
            for model in self._house.models:
                model.dispatch.stop()
            self._house.service.end_streams(reason)
            await self.door.stop(PATIENCE_S)

        self._run(main())

    def close(self) -> None:
        self.channel.close()
        self.stop_door()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()


@pytest.fixture
def wire(house: House) -> Iterator[Wire]:
    wire = Wire(house)
    yield wire
    wire.close()


@pytest.fixture
def stub(wire: Wire) -> DepthStub:
    return DepthStub(wire.channel)
