"""A real gRPC server on a free port, whose every word the test writes."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import grpc
import numpy as np
import pytest

from fathom.codecs.depth import encode_depth
from fathom.errors import FathomError
from fathom.geometry import Intrinsics
from fathom.values import (
    Closing,
    DepthEncoding,
    Description,
    EncodedDepth,
    ImageEncoding,
    Limits,
    ModelInfo,
    Opened,
    ServerAnswer,
)
from fathom.wire import depth_pb2 as pb
from fathom.wire.convert import (
    answer_to_wire,
    closing_to_wire,
    opened_to_wire,
    options_from_wire,
)
from fathom.wire.depth_pb2_grpc import DepthServicer, add_DepthServicer_to_server
from fathom.wire.describe import description_to_wire
from fathom.wire.status import status_code, trailing_metadata

Requests: TypeAlias = Iterator[pb.StreamRequest]
Replies: TypeAlias = Iterator[pb.StreamReply]

DESCRIPTION = Description(
    server_version="1.2.3",
    models=(
        ModelInfo(
            name="plane",
            version=4,
            summary="answers a plane",
            input_size=(256, 320),
            outputs=("depth_m",),
            classes=(),
            focal_px=300.0,
            range_m=(0.25, 10.0),
        ),
    ),
    depth_encodings=tuple(DepthEncoding),
    image_encodings=tuple(ImageEncoding),
    limits=Limits(),
    engine="scripted",
    device="none",
    precision="f32",
)


class ScriptedServer(DepthServicer):
    """Polite until told otherwise: frame n is answered with a 4x6 plane at n metres.

    Put another function in `predict` or `stream` to change what it says. A `FathomError` that one
    raises becomes the error of the call. `predictions` are the requests that came.
    """

    def __init__(self) -> None:
        self.predict: Callable[[pb.PredictRequest], ServerAnswer] = self.plane_as_asked
        self.stream: Callable[[Requests], Replies] = self.answer_each
        self.predictions: list[pb.PredictRequest] = []
        self._server = grpc.server(ThreadPoolExecutor(4))
        add_DepthServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def stop(self) -> None:
        """Break every connection, now."""
        self._server.stop(None).wait()

    def plane_as_asked(self, request: pb.PredictRequest) -> ServerAnswer:
        return self.plane(
            0, depth_m=2.0, encoding=options_from_wire(request.options).depth_encoding
        )

    def answer_each(self, requests: Requests) -> Replies:
        next(requests)
        yield self.opened()
        for request in requests:
            yield self.answer(self.plane(request.frame.seq))
        yield self.closing("the client was done")

    @staticmethod
    def plane(
        seq: int, depth_m: float | None = None, encoding: DepthEncoding = DepthEncoding.F32_M
    ) -> EncodedDepth:
        metres = np.full((4, 6), seq if depth_m is None else depth_m, np.float32)
        return EncodedDepth(
            seq=seq,
            encoding=encoding,
            width_px=6,
            height_px=4,
            data=encode_depth(metres, encoding),
            camera=Intrinsics.centred(8.0, (4, 6)),
            focal_given=False,
            model="plane",
            version=4,
        )

    @staticmethod
    def opened() -> pb.StreamReply:
        opened = Opened(stream_id=7, model="plane", version=4, limits=Limits())
        return pb.StreamReply(opened=opened_to_wire(opened))

    @staticmethod
    def answer(answer: ServerAnswer) -> pb.StreamReply:
        return pb.StreamReply(answer=answer_to_wire(answer))

    @staticmethod
    def closing(reason: str) -> pb.StreamReply:
        return pb.StreamReply(closing=closing_to_wire(Closing(code=None, reason=reason, counts={})))

    def Describe(  # noqa: N802 - gRPC's name
        self, request: pb.DescribeRequest, context: grpc.ServicerContext
    ) -> pb.DescribeReply:
        del request, context
        return description_to_wire(DESCRIPTION)

    def Predict(  # noqa: N802 - gRPC's name
        self, request: pb.PredictRequest, context: grpc.ServicerContext
    ) -> pb.Answer:
        self.predictions.append(request)
        try:
            return answer_to_wire(self.predict(request))
        except FathomError as error:
            _abort(error, context)
            raise

    def Stream(  # noqa: N802 - gRPC's name
        self, request_iterator: Requests, context: grpc.ServicerContext
    ) -> Replies:
        try:
            yield from self.stream(request_iterator)
        except FathomError as error:
            _abort(error, context)


def _abort(error: FathomError, context: grpc.ServicerContext) -> None:
    context.set_trailing_metadata(trailing_metadata(error))
    context.abort(status_code(error), str(error))


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    scripted = ScriptedServer()
    yield scripted
    scripted.stop()


@pytest.fixture
def description() -> Description:
    """What the scripted server says of itself."""
    return DESCRIPTION
