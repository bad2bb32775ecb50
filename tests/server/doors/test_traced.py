"""Of which trace a request says to be a part, heard at every door."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace

import httpx
import pytest
from grpc import aio
from websockets.asyncio.client import connect

from fathom.values import ServerAnswer
from fathom.wire import depth_pb2 as pb
from fathom.wire.depth_pb2_grpc import DepthStub
from server.doors.grpc import GrpcDoor
from server.doors.http import build_app
from server.doors.listen import HttpDoor
from server.tracing import PARENT
from tests.server.conftest import PATIENCE_S, PICTURE, WatchedTelemetry
from tests.server.doors.conftest import House

HEADER = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")


class HeardSpans:
    """Remembers of each answer its stream, its number and the headers of its request."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, int, Mapping[str, str]]] = []

    def of_stream(self, model: str, stream: str) -> Callable[[ServerAnswer], None]:
        assert model == "ramp"
        headers = PARENT.get()
        return lambda answer: self.heard.append((stream, answer.seq, headers))

    def close(self) -> None:
        pass


@pytest.fixture
def house() -> Iterator[House]:
    house = House(WatchedTelemetry())
    yield house
    house.close()


def heard(house: House, case: Callable[[str, str], Awaitable[None]]) -> list[object]:
    """What spans are told while a case asks the HTTP and the gRPC door."""
    spans = HeardSpans()
    service = replace(house.service, spans=spans)

    async def main() -> None:
        http_door = HttpDoor(build_app(service), host="127.0.0.1", port=0)
        grpc_door = GrpcDoor(service, address="127.0.0.1:0")
        await asyncio.gather(http_door.start(), grpc_door.start())
        try:
            async with asyncio.timeout(PATIENCE_S):
                await case(f"127.0.0.1:{http_door.port}", f"127.0.0.1:{grpc_door.port}")
        finally:
            await asyncio.gather(http_door.stop(1), grpc_door.stop(1.0))

    asyncio.run(main())
    return list(spans.heard)


def test_a_picture_over_http(house: House) -> None:
    async def case(http: str, _: str) -> None:
        async with httpx.AsyncClient(base_url=f"http://{http}") as client:
            for headers in ([HEADER], []):
                answer = await client.post("/predict", content=PICTURE.data, headers=headers)
                assert answer.status_code == 200

    assert heard(house, case) == [("", 0, dict([HEADER])), ("", 0, {})]


def test_a_picture_and_a_stream_over_grpc(house: House) -> None:
    async def case(_: str, grpc: str) -> None:
        async with aio.insecure_channel(grpc) as channel:
            stub = DepthStub(channel)
            image = pb.Image(data=PICTURE.data)
            await stub.Predict(pb.PredictRequest(image=image), metadata=(HEADER,))
            opening = pb.Open(stream_name="yard", policy=pb.POLICY_ALL)
            sent = [pb.StreamRequest(frame=pb.Frame(seq=n, image=image)) for n in (1, 2)]
            requests = iter([pb.StreamRequest(open=opening), *sent])
            async for _reply in stub.Stream(requests, metadata=(HEADER,)):
                pass

    said = dict([HEADER])
    assert heard(house, case) == [("", 0, said), ("yard", 1, said), ("yard", 2, said)]


def test_a_stream_over_a_socket(house: House) -> None:
    async def case(http: str, _: str) -> None:
        async with connect(
            f"ws://{http}/stream", additional_headers=[HEADER], proxy=None
        ) as socket:
            await socket.send('{"open": {"stream_name": "gate", "policy": "POLICY_ALL"}}')
            header = b'{"seq": 1, "image": {"encoding": "IMAGE_ENCODING_JPEG"}}'
            await socket.send(len(header).to_bytes(4, "little") + header + PICTURE.data)
            await socket.send('{"finish": {}}')
            async for _message in socket:
                pass

    assert heard(house, case) == [("gate", 1, dict([HEADER]))]
