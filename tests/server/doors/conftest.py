"""Scripted models behind both doors: HTTP is called as a function, gRPC over a real socket."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from typing import TypeVar

import grpc
import httpx
import pytest

from fathom.errors import Code, FathomError
from fathom.values import DepthEncoding, Description, ImageEncoding, Limits
from server.dispatch import Dispatch
from server.doors.grpc import GrpcDoor
from server.doors.http import build_app
from server.lanes import Lanes
from server.models import Models, ServedModel
from tests.server.conftest import CARD, PATIENCE_S, ScriptedEngine, WatchedTelemetry

T = TypeVar("T")

LIMITS = Limits(image_bytes=100_000, image_pixels=1_000_000, streams=8, waiting_frames=4)
UNLABELLED = replace(CARD, name="plain", outputs=("depth_m",), classes=())


class House:
    """Two models on one scripted engine: `ramp`, the default, and `plain`, without labels."""

    def __init__(self, telemetry: WatchedTelemetry) -> None:
        self.telemetry = telemetry
        self.engine = ScriptedEngine()
        self.ready = True
        served = []
        for card in (CARD, UNLABELLED):
            dispatch = Dispatch(card, LIMITS, telemetry)
            lanes = Lanes(self.engine, dispatch, telemetry)
            lanes.start()
            served.append(ServedModel(card, self.engine, dispatch, lanes))
        self.models = Models(served)
        self.description = Description(
            server_version="1.2.3",
            models=tuple(model.info for model in self.models),
            depth_encodings=tuple(DepthEncoding),
            image_encodings=tuple(ImageEncoding),
            limits=LIMITS,
            engine="scripted",
            device="none",
            precision="f32",
        )

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

    def __init__(self, house: House, ready: Callable[[], bool] | None = None) -> None:
        self._app = build_app(
            house.models,
            house.description,
            house.telemetry,
            ready=ready or (lambda: house.ready),
            predict_timeout_s=PATIENCE_S,
        )

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
    return Web(house)


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
            door = GrpcDoor(
                self._house.models,
                self._house.description,
                self._house.telemetry,
                address=address,
                predict_timeout_s=PATIENCE_S,
            )
            await door.start()
            return door

        return self._run(main())

    def _run(self, coroutine: Coroutine[None, None, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE_S)

    def set_ready(self, *, ready: bool) -> None:
        self._run(self.door.set_ready(ready))

    def stop_door(self) -> None:
        """As the server's end does it: what waits is skipped, then the door closes."""
        for model in self._house.models:
            model.dispatch.stop()
        reason = FathomError(Code.SHUTTING_DOWN, expected="e", got="g", repair="r")
        self._run(self.door.stop(reason, PATIENCE_S))

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
