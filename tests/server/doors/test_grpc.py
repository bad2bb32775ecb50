"""The gRPC door over a real socket, asked by generated stubs: what the messages themselves say."""

import threading
from collections.abc import Iterable, Iterator

import grpc
import numpy as np
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from fathom.codecs.depth import decode_depth
from fathom.errors import STATUS, Code, FathomError
from fathom.geometry import FieldOfView
from fathom.values import (
    Colours,
    DepthEncoding,
    Frame,
    Image,
    ImageEncoding,
    LabelEncoding,
    OpenStream,
    Options,
    Output,
    Policy,
)
from fathom.wire import depth_pb2 as pb
from fathom.wire.convert import frame_to_wire, image_to_wire, open_to_wire, options_to_wire
from fathom.wire.depth_pb2_grpc import DepthStub
from fathom.wire.numbers import DEPTH_ENCODING
from fathom.wire.status import FAILED_KEY
from server.doors.grpc import SERVICE
from server.engines.engine import EngineFault
from tests.server.conftest import (
    CARD,
    PATIENCE_S,
    PICTURE,
    Inbox,
    broken,
    frame,
    jpeg,
    plain,
    ramp,
)
from tests.server.doors.conftest import LIMITS, House, Wire

NOTHING = Image(encoding=ImageEncoding.JPEG, data=b"no picture at all")


@pytest.fixture
def stub(wire: Wire) -> DepthStub:
    return DepthStub(wire.channel)


def request(
    image: Image = PICTURE, options: Options | None = None, model: str = ""
) -> pb.PredictRequest:
    options = options or Options()
    return pb.PredictRequest(
        model=model, image=image_to_wire(image), options=options_to_wire(options)
    )


def predict(stub: DepthStub, asked: pb.PredictRequest) -> pb.Answer:
    return stub.Predict(asked, timeout=PATIENCE_S)


def refused(call: object, code: Code) -> pb.Failed:
    """The error of a call: the table's status, and expected, got and repair beside it."""
    assert isinstance(call, grpc.RpcError) and isinstance(call, grpc.Call)
    assert call.code() is getattr(grpc.StatusCode, STATUS[code].grpc)
    metadata = {entry.key: entry.value for entry in call.trailing_metadata()}
    failed = pb.Failed.FromString(bytes(metadata[FAILED_KEY]))
    assert failed.code == code and failed.expected and failed.got and failed.repair
    return failed


def test_the_server_says_what_it_is(stub: DepthStub) -> None:
    reply = stub.Describe(pb.DescribeRequest(), timeout=PATIENCE_S)
    assert [model.name for model in reply.models] == ["ramp", "plain"]
    assert (reply.models[0].input_size.height, reply.models[0].input_size.width) == (24, 32)
    assert list(reply.models[0].classes) == list(CARD.classes)
    assert list(reply.models[0].class_colours) == list(CARD.class_colours)
    assert len(reply.depth_encodings) == len(DepthEncoding)
    assert reply.limits.image_bytes == LIMITS.image_bytes
    assert (reply.server_version, reply.engine) == ("1.2.3", "scripted")


@pytest.mark.parametrize("encoding", set(DepthEncoding) - {DepthEncoding.JPEG_COLOUR})
def test_depth_comes_in_every_encoding(stub: DepthStub, encoding: DepthEncoding) -> None:
    answer = predict(stub, request(options=Options(depth_encoding=encoding)))
    assert answer.depth.encoding == DEPTH_ENCODING[encoding]
    size = (answer.depth.height, answer.depth.width)
    assert np.array_equal(decode_depth(answer.depth.data, encoding, size), ramp())
    assert (answer.depth.model, answer.depth.version, answer.batch_size) == ("ramp", 3, 1)
    assert not answer.depth.focal_given and answer.depth.camera.fx == pytest.approx(40)


def test_a_colour_picture_is_a_jpeg(stub: DepthStub) -> None:
    options = Options(depth_encoding=DepthEncoding.JPEG_COLOUR, colours=Colours(far_m=24))
    assert predict(stub, request(options=options)).depth.data[:3] == b"\xff\xd8\xff"


def test_labels_size_and_camera_are_as_asked_for(stub: DepthStub) -> None:
    options = Options(output=Output.SOURCE, labels=LabelEncoding.RAW8, camera=FieldOfView(90.0))
    depth = predict(stub, request(options=options)).depth
    assert (depth.width, depth.height, len(depth.labels)) == (64, 48, 64 * 48)
    assert depth.focal_given and depth.camera.fx == pytest.approx(32)


@pytest.mark.parametrize("encoding", [ImageEncoding.RGB8, ImageEncoding.BGR8, ImageEncoding.GRAY8])
def test_raw_pixels_need_no_file(stub: DepthStub, house: House, encoding: ImageEncoding) -> None:
    """Rows of 70 bytes where fewer are used: the stride is obeyed."""
    channels = 1 if encoding is ImageEncoding.GRAY8 else 3
    rows = np.zeros((24, 100), np.uint8)
    rows[:, : 32 * channels] = np.tile([10, 20, 30][:channels], 32)
    image = Image(encoding=encoding, data=rows.tobytes(), width_px=32, height_px=24, row_stride=100)
    assert predict(stub, request(image)).depth.width == 32
    expected = {"rgb8": (10, 20, 30), "bgr8": (30, 20, 10), "gray8": (10, 10, 10)}[encoding]
    assert (house.engine.seen[0] == expected).all()


def test_the_age_of_a_picture_counts_from_its_capture(stub: DepthStub) -> None:
    asked = request()
    asked.age_us = 3_000_000
    assert predict(stub, asked).age_us >= 3_000_000


def test_an_age_without_end_is_no_bug(stub: DepthStub) -> None:
    asked = request()
    asked.age_us = 2**64 - 1
    assert predict(stub, asked).age_us == 2**64 - 1


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (request(Image(encoding=ImageEncoding.JPEG, data=b"")), Code.BAD_IMAGE),
        (request(NOTHING), Code.BAD_IMAGE),
        (request(broken()), Code.BAD_IMAGE),
        (pb.PredictRequest(), Code.BAD_IMAGE),
        (request(Image(encoding=ImageEncoding.RGB8, data=b"x")), Code.BAD_IMAGE),
        (request(jpeg(plain((1000, 1001)))), Code.IMAGE_TOO_LARGE),
        (
            request(Image(encoding=ImageEncoding.JPEG, data=bytes(LIMITS.image_bytes + 1))),
            Code.IMAGE_TOO_LARGE,
        ),
        (request(model="none"), Code.UNKNOWN_MODEL),
        (request(options=Options(labels=LabelEncoding.RAW8), model="plain"), Code.NOT_AVAILABLE),
        (
            pb.PredictRequest(
                image=image_to_wire(PICTURE), options=pb.Options(intrinsics=pb.Intrinsics())
            ),
            Code.BAD_OPTION,
        ),
        (
            pb.PredictRequest(
                image=image_to_wire(PICTURE),
                options=pb.Options(depth_encoding=99),  # type: ignore[arg-type]  # no such number
            ),
            Code.BAD_OPTION,
        ),
    ],
    ids=[
        *("empty", "no image", "broken", "nothing", "raw too short", "pixels", "bytes"),
        *("model", "labels", "focal zero", "encoding"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(
    stub: DepthStub, asked: pb.PredictRequest, code: Code
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        predict(stub, asked)
    refused(caught.value, code)


@pytest.mark.parametrize("size", [(1, 50_000_000), (50_000_000, 1), (1, 70_000)], ids=str)
@pytest.mark.parametrize("encoding", [DepthEncoding.PNG16_MM, DepthEncoding.JPEG_COLOUR])
def test_a_size_that_no_picture_has_is_refused_and_is_no_bug(
    stub: DepthStub, size: tuple[int, int], encoding: DepthEncoding
) -> None:
    asked = request(options=Options(depth_encoding=encoding))
    asked.options.output_size.explicit.CopyFrom(pb.Size(height=size[0], width=size[1]))
    with pytest.raises(grpc.RpcError) as caught:
        predict(stub, asked)
    refused(caught.value, Code.BAD_OPTION)


def test_a_message_past_every_limit_is_refused_by_the_transport(stub: DepthStub) -> None:
    image = Image(encoding=ImageEncoding.JPEG, data=bytes(2 * LIMITS.image_bytes))
    with pytest.raises(grpc.RpcError) as caught:
        predict(stub, request(image))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_fault_and_a_full_house_are_statuses_too(stub: DepthStub, house: House) -> None:
    house.engine.fates.append(EngineFault("a moment"))
    with pytest.raises(grpc.RpcError) as caught:
        predict(stub, request())
    refused(caught.value, Code.ENGINE_FAULT)
    streams = [house.dispatch.open(OpenStream(), Inbox()) for _ in range(LIMITS.streams)]
    with pytest.raises(grpc.RpcError) as caught:
        predict(stub, request())
    refused(caught.value, Code.QUEUE_FULL)
    for stream in streams:
        house.dispatch.close(stream)
    predict(stub, request())


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


@pytest.fixture
def talk(stub: DepthStub) -> Iterator[Talk]:
    talk = Talk(stub)
    yield talk
    talk.finish()
    talk.leave()


def outcomes(answers: Iterable[pb.Answer]) -> list[str | None]:
    return [answer.WhichOneof("outcome") for answer in answers]


def test_a_stream_opens_answers_in_order_and_closes_with_its_counts(talk: Talk) -> None:
    opened = talk.open(OpenStream(policy=Policy.ALL, name="front door"))
    assert (opened.model, opened.version) == ("ramp", 3)
    assert opened.limits.waiting_frames == LIMITS.waiting_frames
    talk.send(*(frame(seq) for seq in range(10, 30)))
    talk.finish()
    answers, closing = talk.rest()
    assert [answer.seq for answer in answers] == list(range(10, 30))
    assert outcomes(answers) == ["depth"] * 20
    assert (closing.code, dict(closing.counts)) == ("", {"answered": 20})


def test_latest_answers_the_newest_and_names_it_in_what_it_skips(talk: Talk, house: House) -> None:
    """The engine is held on the first frame until the whole burst has arrived."""
    talk.open()
    house.engine.hold()
    talk.send(frame(1))
    house.engine.wait_entered()
    talk.send(*(frame(seq) for seq in (2, 3, 4)))
    talk.finish()
    house.telemetry.wait("settled", 2)  # frame 4 waits, 2 and 3 were skipped for newer ones
    house.engine.release()
    answers, closing = talk.rest()
    assert outcomes(answers) == ["depth", "skipped", "skipped", "depth"]
    assert [answer.skipped.superseded_by for answer in answers[1:3]] == [3, 4]
    assert dict(closing.counts) == {"answered": 2, "skipped_superseded": 2}


def test_every_n_keeps_every_nth(talk: Talk) -> None:
    talk.open(OpenStream(policy=Policy.EVERY_N, every_n=3))
    kinds: list[str | None] = []
    for seq in range(1, 8):
        talk.send(frame(seq))
        answer = talk.answer()
        kinds.append(answer.WhichOneof("outcome"))
        assert answer.skipped.reason in {0, pb.SKIP_REASON_POLICY}
    talk.finish()
    talk.rest()
    keeps = ["depth", "skipped", "skipped"]
    assert kinds == [*keeps, *keeps, "depth"]


def test_a_bad_picture_fails_its_frame_and_the_stream_goes_on(talk: Talk) -> None:
    talk.open(OpenStream(policy=Policy.ALL))
    unknown = pb.Image(encoding=99, data=b"x")  # type: ignore[arg-type]  # no such number
    talk.send(frame(1), frame(2, NOTHING), frame(3, broken()))
    talk.say(
        pb.StreamRequest(frame=pb.Frame(seq=4)),
        pb.StreamRequest(frame=pb.Frame(seq=5, image=unknown)),
    )
    talk.send(frame(6))
    talk.finish()
    answers, closing = talk.rest()
    assert outcomes(answers) == ["depth", *["failed"] * 4, "depth"]
    codes = [answer.failed.code for answer in answers[1:5]]
    assert codes == [Code.BAD_IMAGE, Code.BAD_IMAGE, Code.BAD_IMAGE, Code.BAD_OPTION]
    assert all(answer.failed.repair for answer in answers[1:5])
    assert closing.code == ""
    assert sum(closing.counts.values()) == 6


@pytest.mark.parametrize(
    "wrong",
    [
        pb.StreamRequest(frame=frame_to_wire(frame(9))),
        pb.StreamRequest(frame=frame_to_wire(frame(2))),
        pb.StreamRequest(open=open_to_wire(OpenStream())),
        pb.StreamRequest(),
    ],
    ids=["gap", "repeat", "second Open", "nothing"],
)
def test_a_broken_rule_ends_the_stream_after_the_answers_it_owes(
    talk: Talk, wrong: pb.StreamRequest
) -> None:
    talk.open(OpenStream(policy=Policy.ALL))
    talk.send(frame(1), frame(2))
    talk.say(wrong)
    answers, closing = talk.rest()
    assert outcomes(answers) == ["depth", "depth"]
    assert closing.code == Code.BAD_SEQUENCE and closing.reason
    assert dict(closing.counts) == {"answered": 2}


@pytest.mark.parametrize(
    ("first", "code"),
    [
        (pb.StreamRequest(frame=frame_to_wire(frame(1))), Code.BAD_SEQUENCE),
        (None, Code.BAD_SEQUENCE),
        (pb.StreamRequest(open=pb.Open(model="none")), Code.UNKNOWN_MODEL),
        (
            pb.StreamRequest(
                open=pb.Open(model="plain", options=pb.Options(labels=pb.LABEL_ENCODING_RAW8))
            ),
            Code.NOT_AVAILABLE,
        ),
        (pb.StreamRequest(open=pb.Open(policy=pb.POLICY_EVERY_N)), Code.BAD_OPTION),
        (pb.StreamRequest(open=pb.Open(options=pb.Options(hfov_deg=500))), Code.BAD_OPTION),
    ],
    ids=["no Open", "no word", "model", "labels", "every 0", "hfov"],
)
def test_a_stream_that_cannot_open_is_refused(
    talk: Talk, first: pb.StreamRequest | None, code: Code
) -> None:
    if first is not None:
        talk.say(first)
    talk.finish()
    with pytest.raises(grpc.RpcError) as caught:
        talk.reply()
    refused(caught.value, code)


def test_a_client_that_leaves_costs_its_own_frames_only(
    stub: DepthStub, talk: Talk, house: House
) -> None:
    talk.open(OpenStream(policy=Policy.ALL))
    house.engine.hold()
    talk.send(frame(1), frame(2))
    house.engine.wait_entered()
    house.telemetry.wait("received", 2)
    talk.leave()
    asked = stub.Predict.future(request(), timeout=PATIENCE_S)
    house.telemetry.wait("received", 3)
    house.engine.release()
    assert asked.result(PATIENCE_S).WhichOneof("outcome") == "depth"


def test_a_stop_ends_an_open_stream_with_the_reason(talk: Talk, wire: Wire) -> None:
    talk.open(OpenStream(policy=Policy.ALL))
    talk.send(frame(1))
    assert talk.answer().WhichOneof("outcome") == "depth"
    wire.stop_door()
    answers, closing = talk.rest()
    assert not answers
    assert closing.code == Code.SHUTTING_DOWN and dict(closing.counts) == {"answered": 1}


def test_health_follows_readiness(wire: Wire) -> None:
    stub = health_pb2_grpc.HealthStub(wire.channel)
    for ready in (True, False, True):
        wire.set_ready(ready=ready)
        for name in ("", SERVICE):
            asked = health_pb2.HealthCheckRequest(service=name)
            said = stub.Check(asked, timeout=PATIENCE_S).status
            assert said == (1 if ready else 2)  # SERVING, NOT_SERVING


def test_reflection_lists_the_service_and_its_messages(wire: Wire) -> None:
    database = ProtoReflectionDescriptorDatabase(wire.channel)
    assert {SERVICE, "grpc.health.v1.Health"} <= set(database.get_services())
    file = database.FindFileContainingSymbol(SERVICE)
    assert "StreamRequest" in {message.name for message in file.message_type}


def test_reflection_tells_of_the_inference_protocol_by_its_published_names(wire: Wire) -> None:
    database = ProtoReflectionDescriptorDatabase(wire.channel)
    service = "inference.GRPCInferenceService"
    assert service in set(database.get_services())
    pool = DescriptorPool(database)
    methods = pool.FindServiceByName(service).methods_by_name
    assert len(methods) == 10
    infer, streamed = methods["ModelInfer"], methods["ModelStreamInfer"]
    assert (infer.input_type.full_name, infer.client_streaming) == (
        "inference.ModelInferRequest",
        False,
    )
    assert streamed.client_streaming and streamed.server_streaming
    tensors = infer.input_type.fields_by_name["inputs"].message_type
    assert tensors is not None and tensors.full_name.startswith("inference.ModelInferRequest.")
    live = methods["ServerLive"]
    call = wire.channel.unary_unary(
        f"/{service}/ServerLive",
        request_serializer=GetMessageClass(live.input_type).SerializeToString,
        response_deserializer=GetMessageClass(live.output_type).FromString,
    )
    assert call(GetMessageClass(live.input_type)(), timeout=PATIENCE_S).live


def test_two_doors_cannot_share_a_port(wire: Wire) -> None:
    with pytest.raises(FathomError) as caught:
        wire.open_door(wire.target)
    assert caught.value.code is Code.BAD_SETTING and wire.target in caught.value.expected
