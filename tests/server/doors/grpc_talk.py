"""The gRPC door, spoken message by message, and how it refuses."""

import threading
from collections.abc import Iterator

import grpc

from fathom.errors import STATUS, Code
from fathom.values import Frame, Image, OpenStream, Options
from fathom.wire import depth_pb2 as pb
from fathom.wire.convert import frame_to_wire, image_to_wire, open_to_wire, options_to_wire
from fathom.wire.depth_pb2_grpc import DepthStub
from fathom.wire.status import FAILED_KEY
from tests.server.conftest import PATIENCE_S, PICTURE


def request(
    image: Image = PICTURE, options: Options | None = None, model: str = ""
) -> pb.PredictRequest:
    options = options or Options()
    return pb.PredictRequest(
        model=model, image=image_to_wire(image), options=options_to_wire(options)
    )


def refused(call: object, code: Code) -> pb.Failed:
    """The error of a call: the table's status, and expected, got and repair beside it."""
    assert isinstance(call, grpc.RpcError) and isinstance(call, grpc.Call)
    assert call.code() is getattr(grpc.StatusCode, STATUS[code].grpc)
    metadata = {entry.key: entry.value for entry in call.trailing_metadata()}
    failed = pb.Failed.FromString(bytes(metadata[FAILED_KEY]))
    assert failed.code == code and failed.expected and failed.got and failed.repair
    return failed


class Talk:
    """One stream, spoken message by message."""

    def __init__(self, stub: DepthStub) -> None:
        self._requests: list[pb.StreamRequest] = []
        self._changed = threading.Condition()
        self._done = False
        self._call = stub.Stream(self._outgoing(), timeout=PATIENCE_S)
        self._replies = iter(self._call)

    def open(self, opening: OpenStream = OpenStream()) -> pb.Opened:  # noqa: B008 - frozen
        self.say(pb.StreamRequest(open=open_to_wire(opening)))
        return self.reply().opened

    def say(self, *messages: pb.StreamRequest) -> None:
        with self._changed:
            self._requests.extend(messages)
            self._changed.notify_all()

    def send(self, *frames: Frame) -> None:
        self.say(*(pb.StreamRequest(frame=frame_to_wire(each)) for each in frames))

    def finish(self) -> None:
        with self._changed:
            self._done = True
            self._changed.notify_all()

    def leave(self) -> None:
        self._call.cancel()  # type: ignore[no-untyped-call]  # the stubs lag behind grpcio

    def reply(self) -> pb.StreamReply:
        return next(self._replies)

    def answer(self) -> pb.Answer:
        reply = self.reply()
        assert reply.WhichOneof("message") == "answer"
        return reply.answer

    def rest(self) -> tuple[list[pb.Answer], pb.Closing]:
        """What still comes: answers, and the last word."""
        *answers, last = list(self._replies)
        assert {reply.WhichOneof("message") for reply in answers} <= {"answer"}
        assert last.WhichOneof("message") == "closing"
        return [reply.answer for reply in answers], last.closing

    def _outgoing(self) -> Iterator[pb.StreamRequest]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._requests or self._done, PATIENCE_S)
                if not self._requests:
                    return
                message = self._requests.pop(0)
            yield message
