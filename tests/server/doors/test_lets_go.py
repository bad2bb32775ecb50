"""A stream that ended is freed as it ends. Left to the collector of cycles, which may not come by
for an hour, each would hold what its client sent and nobody read: megabytes, of a frozen reader."""

import gc
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import grpc
import pytest

from fathom.values import OpenStream, Options, Policy
from fathom.wire import depth_pb2 as pb
from fathom.wire.convert import frame_to_wire, open_to_wire
from fathom.wire.depth_pb2_grpc import DepthStub
from tests.server.conftest import PICTURE, frame
from tests.server.doors.conftest import House, Wire
from tests.server.doors.websocket_talk import BIG, Port, call_bare, framed, say_bare

HASTY_S = 0.05
# A stream of ours, and what gRPC keeps of a call.
HOLD = {"Stream", "RPCState", "_ServicerContext"}


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def in_cycles() -> set[str]:
    """What only the collector would have freed, by type."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    gc.set_debug(0)
    found = {type(one).__name__ for one in gc.garbage}
    gc.garbage.clear()
    return found


def asked(opening: OpenStream, frames: int) -> Iterator[pb.StreamRequest]:
    yield pb.StreamRequest(open=open_to_wire(opening))
    for seq in range(1, frames + 1):
        yield pb.StreamRequest(frame=frame_to_wire(frame(seq)))


def test_over_grpc_after_a_refusal(house: House) -> None:
    with closing(Wire(house)) as wire, pytest.raises(grpc.RpcError):
        list(DepthStub(wire.channel).Stream(asked(OpenStream(model="none"), 0)))
    assert not HOLD & in_cycles()


def test_over_grpc_after_a_broken_rule(house: House) -> None:
    def requests() -> Iterator[pb.StreamRequest]:
        yield from asked(OpenStream(), 1)
        yield pb.StreamRequest(frame=frame_to_wire(frame(9)))

    with closing(Wire(house)) as wire:
        assert list(DepthStub(wire.channel).Stream(requests()))[-1].closing.code
    assert not HOLD & in_cycles()


def test_over_grpc_after_a_client_that_left(house: House) -> None:
    with closing(Wire(house)) as wire:
        call = DepthStub(wire.channel).Stream(asked(OpenStream(), 1))
        assert next(iter(call)).opened.model
        call.cancel()  # type: ignore[no-untyped-call]  # the stubs lag behind grpcio
    assert not HOLD & in_cycles()


def test_over_grpc_after_a_reader_that_takes_nothing(house: House) -> None:
    house.service = replace(house.service, slow_reader_s=HASTY_S)
    with closing(Wire(house)) as wire:
        big = Options(output=(BIG["height"], BIG["width"]))
        call = DepthStub(wire.channel).Stream(asked(OpenStream(policy=Policy.ALL, options=big), 6))
        house.telemetry.wait("received", 1)
        assert call.is_active()
    assert not HOLD & in_cycles()


def test_over_a_websocket_after_a_reader_that_takes_nothing(house: House) -> None:
    with closing(Port(house, replace(house.service, slow_reader_s=HASTY_S))) as port:
        opening = {"policy": "POLICY_ALL", "options": {"output_size": {"explicit": BIG}}}
        with call_bare(port) as bare:
            say_bare(bare, json.dumps({"open": opening}).encode(), opcode=1)
            for seq in range(1, 7):
                say_bare(bare, framed({"seq": seq}, PICTURE.data))
            house.telemetry.wait("received", 1)
            port.wait_no_streams()
    assert not HOLD & in_cycles()
