"""The gRPC door over a real socket, asked by generated stubs: what the messages themselves say."""

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
from fathom.errors import Code, FathomError
from fathom.geometry import FieldOfView
from fathom.values import (
    Colours,
    DepthEncoding,
    Image,
    ImageEncoding,
    LabelEncoding,
    OpenStream,
    Options,
    Output,
)
from fathom.wire import depth_pb2 as pb
from fathom.wire.convert import image_to_wire
from fathom.wire.depth_pb2_grpc import DepthStub
from fathom.wire.numbers import DEPTH_ENCODING
from server.doors.grpc import SERVICE
from server.engines.engine import EngineFault
from tests.server.conftest import (
    CARD,
    PATIENCE_S,
    PICTURE,
    Inbox,
    broken,
    jpeg,
    plain,
    ramp,
)
from tests.server.doors.conftest import LIMITS, House, Wire
from tests.server.doors.grpc_talk import refused, request

NOTHING = Image(encoding=ImageEncoding.JPEG, data=b"no picture at all")


def predict(stub: DepthStub, asked: pb.PredictRequest) -> pb.Answer:
    return stub.Predict(asked, timeout=PATIENCE_S)


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
