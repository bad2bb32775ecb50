"""Between wire messages and values, both ways, in one place for client and server.

Whatever a message can hold that a value cannot is refused here with BAD_OPTION or BAD_REQUEST.
"""

from fathom.codecs.image import sniff
from fathom.errors import Code, FathomError
from fathom.geometry import Camera, FieldOfView, FocalLength, Intrinsics, Size
from fathom.values import (
    Closing,
    ColourMap,
    Colours,
    DepthEncoding,
    EncodedDepth,
    Failed,
    Frame,
    Image,
    Opened,
    OpenStream,
    Options,
    Output,
    Policy,
    ServerAnswer,
    Skipped,
    StageTimes,
)
from fathom.wire import depth_pb2 as pb
from fathom.wire.describe import limits_from_wire, limits_to_wire
from fathom.wire.numbers import (
    DEPTH_ENCODING,
    IMAGE_ENCODING,
    LABEL_ENCODING,
    POLICY,
    SKIP_REASON,
    member,
    to_s,
    to_us,
)

_OUTPUT = {Output.NETWORK: pb.OutputSize.KIND_NETWORK, Output.SOURCE: pb.OutputSize.KIND_SOURCE}


def image_to_wire(image: Image, message: pb.Image | None = None) -> pb.Image:
    """Fill a message, a new one if None: protobuf copies what is put into another message, so
    those that hold a picture or a map are filled where they are to be.
    """
    message = pb.Image() if message is None else message
    message.encoding = IMAGE_ENCODING[image.encoding]
    message.width = image.width_px
    message.height = image.height_px
    message.row_stride = image.row_stride
    message.data = image.data
    return message


def image_from_wire(message: pb.Image) -> Image:
    encoding = (
        member(IMAGE_ENCODING, message.encoding, "an image encoding")
        if message.encoding
        else sniff(message.data)
    )
    return Image(
        encoding=encoding,
        data=message.data,
        width_px=message.width,
        height_px=message.height,
        row_stride=message.row_stride,
    )


def camera_to_wire(camera: Intrinsics) -> pb.Intrinsics:
    return pb.Intrinsics(fx=camera.fx, fy=camera.fy, cx=camera.cx, cy=camera.cy)


def camera_from_wire(message: pb.Intrinsics) -> Intrinsics:
    return Intrinsics(message.fx, message.fy, message.cx, message.cy)


def options_to_wire(options: Options) -> pb.Options:
    message = pb.Options(
        depth_encoding=DEPTH_ENCODING[options.depth_encoding],
        smoothing=options.smoothing,
        colours=pb.Colours(
            map=options.colours.map,
            near_m=options.colours.near_m,
            far_m=options.colours.far_m,
        ),
    )
    if isinstance(options.output, Output):
        message.output_size.kind = _OUTPUT[options.output]
    else:
        message.output_size.explicit.height, message.output_size.explicit.width = options.output
    if options.labels is not None:
        message.labels = LABEL_ENCODING[options.labels]
    match options.camera:
        case Intrinsics():
            message.intrinsics.CopyFrom(camera_to_wire(options.camera))
        case FocalLength():
            message.intrinsics.fx = options.camera.fx
        case FieldOfView():
            message.hfov_deg = options.camera.hfov_deg
        case None:
            pass
    return message


def options_from_wire(message: pb.Options) -> Options:
    return Options(
        depth_encoding=(
            member(DEPTH_ENCODING, message.depth_encoding, "a depth encoding")
            if message.depth_encoding
            else DepthEncoding.U16_MM
        ),
        output=_output_from_wire(message.output_size),
        labels=(
            member(LABEL_ENCODING, message.labels, "a label encoding") if message.labels else None
        ),
        smoothing=message.smoothing,
        camera=_camera_option(message),
        colours=_colours_from_wire(message.colours),
    )


def _camera_option(message: pb.Options) -> Camera | None:
    match message.WhichOneof("camera"):
        case "intrinsics":
            given = message.intrinsics
            if not (given.fy or given.cx or given.cy):
                return FocalLength(given.fx)
            return camera_from_wire(given)
        case "hfov_deg":
            return FieldOfView(message.hfov_deg)
        case _:
            return None


def _output_from_wire(message: pb.OutputSize) -> Output | Size:
    if message.WhichOneof("size") == "explicit":
        return message.explicit.height, message.explicit.width
    return member(_OUTPUT, message.kind, "an output size") if message.kind else Output.NETWORK


def _colours_from_wire(message: pb.Colours) -> Colours:
    defaults = Colours()
    if message.map and message.map not in set(ColourMap):
        raise FathomError(
            Code.BAD_OPTION,
            expected=f"a colour map: {', '.join(ColourMap)}",
            got=repr(message.map[:40]),
            repair="use one of these names",
        )
    return Colours(
        map=ColourMap(message.map) if message.map else defaults.map,
        near_m=message.near_m if message.far_m else defaults.near_m,
        far_m=message.far_m or defaults.far_m,
    )


def frame_to_wire(frame: Frame, message: pb.Frame | None = None) -> pb.Frame:
    """Fill a message, a new one if None."""
    message = pb.Frame() if message is None else message
    message.seq = frame.seq
    message.age_us = to_us(frame.age_s)
    if frame.deadline_s is not None:
        message.deadline_us = max(1, to_us(frame.deadline_s))
    image_to_wire(frame.image, message.image)
    return message


def open_to_wire(opening: OpenStream) -> pb.Open:
    return pb.Open(
        model=opening.model,
        stream_name=opening.name,
        policy=POLICY[opening.policy],
        every_n=opening.every_n,
        options=options_to_wire(opening.options),
        deadline_us=0 if opening.deadline_s is None else max(1, to_us(opening.deadline_s)),
        priority=opening.priority,
    )


def open_from_wire(message: pb.Open) -> OpenStream:
    policy = member(POLICY, message.policy, "a policy") if message.policy else Policy.LATEST
    if policy is Policy.EVERY_N and message.every_n < 1:
        raise FathomError(
            Code.BAD_OPTION,
            expected="every_n of at least 1 with the policy every_n",
            got=str(message.every_n),
            repair="every_n=2 keeps every second frame",
        )
    return OpenStream(
        model=message.model,
        name=message.stream_name,
        policy=policy,
        every_n=max(1, message.every_n),
        options=options_from_wire(message.options),
        deadline_s=to_s(message.deadline_us) or None,
        priority=message.priority,
    )


def opened_to_wire(opened: Opened) -> pb.Opened:
    return pb.Opened(
        stream_id=opened.stream_id,
        limits=limits_to_wire(opened.limits),
        model=opened.model,
        version=opened.version,
    )


def opened_from_wire(message: pb.Opened) -> Opened:
    return Opened(
        stream_id=message.stream_id,
        model=message.model,
        version=message.version,
        limits=limits_from_wire(message.limits),
    )


def answer_to_wire(answer: ServerAnswer, message: pb.Answer | None = None) -> pb.Answer:
    """Fill a message, a new one if None."""
    message = pb.Answer() if message is None else message
    message.seq = answer.seq
    message.age_us = to_us(answer.age_s)
    match answer:
        case EncodedDepth():
            _stages_to_wire(answer.stages, message.stages)
            message.batch_size = answer.batch_size
            _depth_to_wire(answer, message.depth)
        case Skipped():
            message.skipped.reason = SKIP_REASON[answer.reason]
            if answer.superseded_by is not None:
                message.skipped.superseded_by = answer.superseded_by
        case Failed():
            message.failed.CopyFrom(failed_to_wire(answer))
    return message


def _stages_to_wire(stages: StageTimes, message: pb.StageTimes) -> None:
    message.wait_us = to_us(stages.wait_s)
    message.decode_us = to_us(stages.decode_s)
    message.infer_us = to_us(stages.infer_s)
    message.finish_us = to_us(stages.finish_s)
    message.encode_us = to_us(stages.encode_s)


def _depth_to_wire(depth: EncodedDepth, message: pb.DepthMap) -> None:
    message.encoding = DEPTH_ENCODING[depth.encoding]
    message.width = depth.width_px
    message.height = depth.height_px
    message.data = depth.data
    message.camera.CopyFrom(camera_to_wire(depth.camera))
    message.focal_given = depth.focal_given
    message.model = depth.model
    message.version = depth.version
    message.labels = depth.labels
    if depth.label_encoding is not None:
        message.label_encoding = LABEL_ENCODING[depth.label_encoding]


def failed_to_wire(failed: Failed) -> pb.Failed:
    return pb.Failed(
        code=failed.code, expected=failed.expected, got=failed.got, repair=failed.repair
    )


def failed_from_wire(message: pb.Failed, seq: int = 0, age_s: float = 0.0) -> Failed:
    known = message.code in set(Code)
    return Failed(
        seq=seq,
        code=Code(message.code) if known else Code.INTERNAL,
        expected=message.expected,
        got=message.got if known else f"{message.code}: {message.got}",
        repair=message.repair,
        age_s=age_s,
    )


def answer_from_wire(message: pb.Answer) -> ServerAnswer:
    """An answer with its depth still encoded; raises BAD_REQUEST for one without an outcome."""
    age_s = to_s(message.age_us)
    match message.WhichOneof("outcome"):
        case "depth":
            return _depth_from_wire(message, age_s)
        case "skipped":
            skipped = message.skipped
            newer = skipped.superseded_by if skipped.HasField("superseded_by") else None
            reason = member(SKIP_REASON, skipped.reason, "a reason")
            return Skipped(seq=message.seq, reason=reason, superseded_by=newer, age_s=age_s)
        case "failed":
            return failed_from_wire(message.failed, message.seq, age_s)
        case _:
            raise FathomError(
                Code.BAD_REQUEST,
                expected="an answer with depth, skipped or failed",
                got="an answer without an outcome",
                repair="use a client of the server's version",
            )


def _depth_from_wire(message: pb.Answer, age_s: float) -> EncodedDepth:
    depth, stages = message.depth, message.stages
    label_encoding = (
        member(LABEL_ENCODING, depth.label_encoding, "a label encoding")
        if depth.label_encoding
        else None
    )
    return EncodedDepth(
        seq=message.seq,
        encoding=member(DEPTH_ENCODING, depth.encoding, "a depth encoding"),
        width_px=depth.width,
        height_px=depth.height,
        data=depth.data,
        camera=camera_from_wire(depth.camera),
        focal_given=depth.focal_given,
        model=depth.model,
        version=depth.version,
        labels=depth.labels,
        label_encoding=label_encoding,
        stages=StageTimes(
            wait_s=to_s(stages.wait_us),
            decode_s=to_s(stages.decode_us),
            infer_s=to_s(stages.infer_us),
            finish_s=to_s(stages.finish_us),
            encode_s=to_s(stages.encode_us),
        ),
        batch_size=message.batch_size,
        age_s=age_s,
    )


def closing_to_wire(closing: Closing) -> pb.Closing:
    return pb.Closing(code=closing.code or "", reason=closing.reason, counts=closing.counts)


def closing_from_wire(message: pb.Closing) -> Closing:
    code = Code(message.code) if message.code in set(Code) else None
    if message.code and code is None:
        code = Code.INTERNAL
    return Closing(code=code, reason=message.reason, counts=dict(message.counts))
