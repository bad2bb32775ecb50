"""Spoiled messages over gRPC, to every method, and the bytes of HTTP/2 itself."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

import grpc
from numpy.random import Generator

from benchmarks.fuzz.over_http import converse
from benchmarks.fuzz.target import PATIENCE_S, Fault, Target, Visitor
from benchmarks.mutations import mutated, small_pictures
from fathom.errors import Code
from fathom.session.channel import CHANNEL_OPTIONS
from fathom.session.core import outcome
from fathom.values import Failed
from fathom.wire import depth_pb2 as pb
from fathom.wire import kserve_pb2 as kserve
from fathom.wire.convert import answer_from_wire

_DEPTH = "/fathom.v1.Depth/"
_V2 = "/inference.GRPCInferenceService/"
_FAULTS = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}
# What an HTTP/2 client says first: RFC 9113, section 3.4; then an empty SETTINGS frame.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)
# A server of HTTP/2 keeps a silent connection; whoever sent half a frame leaves.
_LEAVE_S = 0.3
_RAW = {"hung": "left", "closed": "closed"}


@asynccontextmanager
async def grpc_door(target: Target) -> AsyncIterator[Visitor]:
    """Visits `fathom.v1.Depth` and health."""
    options = pb.Options(intrinsics=pb.Intrinsics(fx=300.0), output_size=pb.OutputSize())
    images = [pb.Image(data=picture) for picture in small_pictures()]
    opening = pb.Open(model=target.model, stream_name="a", policy=pb.POLICY_ALL, options=options)
    frames = [
        pb.StreamRequest(frame=pb.Frame(seq=1, image=image, deadline_us=10**6)) for image in images
    ]
    pictures = [pb.PredictRequest(model=target.model, image=i, options=options) for i in images]
    opened = pb.StreamRequest(open=opening).SerializeToString()
    plan = {
        f"{_DEPTH}Describe": [b"", opened],
        f"{_DEPTH}Predict": [picture.SerializeToString() for picture in pictures],
        f"{_DEPTH}Stream": [frame.SerializeToString() for frame in frames],
        f"{_DEPTH}None": [opened],
        "/grpc.health.v1.Health/Check": [b"\x0a\x01a"],
    }
    async with _visitor(target, plan, {f"{_DEPTH}Stream": opened}) as visitor:
        yield visitor


@asynccontextmanager
async def v2_grpc_door(target: Target) -> AsyncIterator[Visitor]:
    """Visits the Open Inference Protocol."""
    height, width = target.input_size
    infer = kserve.ModelInferRequest(
        model_name=target.model, id="a", raw_input_contents=[bytes(height * width * 3)]
    )
    infer.inputs.add(name="frames", datatype="UINT8", shape=(1, height, width, 3))
    infer.outputs.add(name="depth_m")
    infer.parameters["timeout"].int64_param = 10**6
    small = kserve.ModelInferRequest(model_name=target.model)
    small.inputs.add(name="frames", datatype="UINT8", shape=(1, 1, 1, 3))
    small.inputs[0].contents.uint_contents.extend((1, 2, 300))
    named = kserve.ModelReadyRequest(name=target.model, version="1").SerializeToString()
    asked = (
        *("ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata"),
        *("ModelConfig", "ModelStatistics", "RepositoryIndex", "None"),
    )
    infers = [infer.SerializeToString(), small.SerializeToString()]
    plan = {f"{_V2}{method}": [named] for method in asked}
    plan |= {f"{_V2}ModelInfer": infers, f"{_V2}ModelStreamInfer": infers}
    async with _visitor(target, plan, {}) as visitor:
        yield visitor


@asynccontextmanager
async def _visitor(
    target: Target, plan: Mapping[str, Sequence[bytes]], openings: Mapping[str, bytes]
) -> AsyncIterator[Visitor]:
    # Not of `grpc.aio`: it makes an INTERNAL of its own where a call ends before all is sent.
    with grpc.insecure_channel(target.grpc, options=CHANNEL_OPTIONS) as channel:
        yield _GrpcVisitor(channel, target.grpc, plan, openings)


class _GrpcVisitor:
    """Calls with spoiled messages on one channel.

    plan      whole messages by method; those of several are asked more often
    openings  what a method wants to hear first
    """

    def __init__(
        self,
        channel: grpc.Channel,
        address: str,
        plan: Mapping[str, Sequence[bytes]],
        openings: Mapping[str, bytes],
    ) -> None:
        self._channel = channel
        self._address = address
        self._plan = [(method, message) for method in plan for message in plan[method]]
        self._openings = openings

    async def visit(self, rng: Generator, counts: Counter[str]) -> None:
        if not rng.integers(16):
            said = mutated(_PREFACE + rng.bytes(30), rng)
            heard = await converse(self._address, said, _LEAVE_S)
            counts[f"raw_{_RAW.get(heard, 'answered')}"] += 1
            return
        method, message = self._plan[int(rng.integers(len(self._plan)))]
        sent = [mutated(message, rng) if rng.integers(8) else message]
        if method in self._openings and rng.integers(8):
            opening = self._openings[method]
            sent.insert(0, opening if rng.integers(4) else mutated(opening, rng))
        call = self._channel.stream_stream(method, bytes, bytes)(iter(sent))
        told: list[str] = []

        def hear() -> None:
            with suppress(grpc.RpcError):
                for reply in call:
                    if method == f"{_DEPTH}Stream":
                        told.extend(_count_answer(reply, counts))

        try:
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.to_thread(hear)
        except TimeoutError:
            raise Fault(f"{method}: hung", b"".join(sent)) from None
        finally:
            call.cancel()  # type: ignore[no-untyped-call]  # of the stubs
        code = call.code()
        counts[code.name] += 1
        if code in _FAULTS or told:
            raise Fault(f"{method}: {code.name} {call.details()} {told}", b"".join(sent))


def _count_answer(reply: bytes, counts: Counter[str]) -> list[str]:
    """Count what a stream's reply answers; what it tells of a bug of the server."""
    said = pb.StreamReply.FromString(reply)
    if said.WhichOneof("message") == "closing":
        return [said.closing.reason] if said.closing.code == Code.INTERNAL else []
    if said.WhichOneof("message") != "answer":
        return []
    answer = answer_from_wire(said.answer)
    counts[outcome(answer)] += 1
    if isinstance(answer, Failed) and answer.code is Code.INTERNAL:
        return [str(answer.as_error())]
    return []
