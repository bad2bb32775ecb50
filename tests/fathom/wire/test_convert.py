from collections.abc import Callable
from dataclasses import asdict

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.errors import Code, FathomError
from fathom.geometry import FieldOfView, FocalLength, Intrinsics
from fathom.values import (
    Closing,
    ColourMap,
    Colours,
    DepthEncoding,
    Description,
    EncodedDepth,
    Failed,
    Frame,
    Image,
    ImageEncoding,
    LabelEncoding,
    Limits,
    ModelInfo,
    Opened,
    OpenStream,
    Options,
    Output,
    Policy,
    ServerAnswer,
    Skipped,
    SkipReason,
    StageTimes,
)
from fathom.wire import convert, describe, numbers
from fathom.wire import depth_pb2 as pb

few = settings(deadline=None, max_examples=50)

u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)
words = st.text(max_size=12)
a_day_s = st.integers(0, 86_400_000_000).map(lambda us: us / 1e6)
pixels = st.floats(-1e4, 1e4)
focals = st.floats(1e-3, 1e4)
intrinsics = st.builds(Intrinsics, focals, focals, pixels, pixels)
cameras = (
    st.none()
    | intrinsics
    | st.builds(FocalLength, focals)
    | st.builds(FieldOfView, st.floats(1, 179))
)
colours = st.builds(
    Colours, st.sampled_from(ColourMap), st.floats(0, 5), st.floats(5, 100, exclude_min=True)
)
options = st.builds(
    Options,
    depth_encoding=st.sampled_from(DepthEncoding),
    output=st.sampled_from(Output) | st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    labels=st.none() | st.sampled_from(LabelEncoding),
    smoothing=st.floats(0, 1, width=32),
    camera=cameras,
    colours=colours,
)
limits = st.builds(
    Limits, image_bytes=u64, image_pixels=u64, side_px=u32, waiting_frames=u32, streams=u32
)
openings = st.builds(
    OpenStream,
    model=words,
    name=words,
    policy=st.sampled_from(Policy),
    every_n=st.integers(1, 2**32 - 1),
    options=options,
    deadline_s=st.none() | a_day_s.filter(bool),
    priority=u32,
)
stages = st.builds(
    StageTimes,
    wait_s=a_day_s,
    decode_s=a_day_s,
    infer_s=a_day_s,
    finish_s=a_day_s,
    encode_s=a_day_s,
)
depths = st.builds(
    EncodedDepth,
    seq=u64,
    encoding=st.sampled_from(DepthEncoding),
    width_px=u32,
    height_px=u32,
    data=st.binary(max_size=20),
    camera=intrinsics,
    focal_given=st.booleans(),
    model=words,
    version=u32,
    labels=st.binary(max_size=20),
    label_encoding=st.none() | st.sampled_from(LabelEncoding),
    stages=stages,
    batch_size=u32,
    age_s=a_day_s,
)
skips = st.builds(
    Skipped,
    seq=u64,
    reason=st.sampled_from(SkipReason),
    superseded_by=st.none() | u64,
    age_s=a_day_s,
)
failures = st.builds(
    Failed,
    seq=u64,
    code=st.sampled_from(Code),
    expected=words,
    got=words,
    repair=words,
    age_s=a_day_s,
)
answers: st.SearchStrategy[ServerAnswer] = depths | skips | failures
closings = st.builds(
    Closing,
    code=st.none() | st.sampled_from(Code),
    reason=words,
    counts=st.dictionaries(words, u64, max_size=3),
)
models = st.builds(
    ModelInfo,
    name=words,
    version=u32,
    summary=words,
    input_size=st.tuples(u32, u32),
    outputs=st.lists(words, max_size=2).map(tuple),
    classes=st.lists(words, max_size=2).map(tuple),
    class_colours=st.lists(words, max_size=2).map(tuple),
    focal_px=focals,
    range_m=st.tuples(focals, focals),
)
descriptions = st.builds(
    Description,
    server_version=words,
    models=st.lists(models, max_size=2).map(tuple),
    depth_encodings=st.just(tuple(DepthEncoding)) | st.just((DepthEncoding.F32_M,)),
    image_encodings=st.just(tuple(ImageEncoding)) | st.just((ImageEncoding.JPEG,)),
    limits=limits,
    engine=words,
    device=words,
    precision=words,
)
images = st.builds(
    Image,
    encoding=st.sampled_from(ImageEncoding),
    data=st.binary(max_size=20),
    width_px=u32,
    height_px=u32,
    row_stride=u32,
)


def refusal(convert_it: Callable[[], object]) -> Code:
    with pytest.raises(FathomError) as error:
        convert_it()
    return error.value.code


# There and back


@few
@given(st.integers(0, 10**13))
def test_microseconds_survive_being_seconds(us: int) -> None:
    assert numbers.to_us(numbers.to_s(us)) == us


@few
@given(options)
def test_options_there_and_back(value: Options) -> None:
    message = convert.options_to_wire(value)
    assert convert.options_from_wire(pb.Options.FromString(message.SerializeToString())) == value


@few
@given(openings)
def test_an_opening_there_and_back(value: OpenStream) -> None:
    assert convert.open_from_wire(convert.open_to_wire(value)) == value


@few
@given(limits, u64, words, u32)
def test_the_server_s_yes_there_and_back(
    bounds: Limits, stream_id: int, model: str, version: int
) -> None:
    value = Opened(stream_id=stream_id, model=model, version=version, limits=bounds)
    assert convert.opened_from_wire(convert.opened_to_wire(value)) == value


@few
@given(images)
def test_an_image_there_and_back(value: Image) -> None:
    assert asdict(convert.image_from_wire(convert.image_to_wire(value))) == asdict(value)


@settings(deadline=None, max_examples=150)
@given(answers)
def test_an_answer_of_every_kind_there_and_back(value: ServerAnswer) -> None:
    message = pb.Answer.FromString(convert.answer_to_wire(value).SerializeToString())
    back = convert.answer_from_wire(message)
    assert type(back) is type(value)
    assert asdict(back) == asdict(value)


@few
@given(closings)
def test_a_closing_there_and_back(value: Closing) -> None:
    assert convert.closing_from_wire(convert.closing_to_wire(value)) == value


@few
@given(descriptions)
def test_a_description_there_and_back(value: Description) -> None:
    assert describe.description_from_wire(describe.description_to_wire(value)) == value


# By hand


def test_heights_and_widths_do_not_change_places() -> None:
    message = convert.options_to_wire(Options(output=(240, 320)))
    assert (message.output_size.explicit.width, message.output_size.explicit.height) == (320, 240)


def test_every_member_has_the_wire_number_of_its_name() -> None:
    assert numbers.DEPTH_ENCODING[DepthEncoding.ZSTD_U16_MM] == pb.DEPTH_ENCODING_ZSTD_U16_MM
    for table, known in (
        (numbers.IMAGE_ENCODING, pb.ImageEncoding.values()),
        (numbers.DEPTH_ENCODING, pb.DepthEncoding.values()),
        (numbers.LABEL_ENCODING, pb.LabelEncoding.values()),
        (numbers.POLICY, pb.Policy.values()),
        (numbers.SKIP_REASON, pb.SkipReason.values()),
    ):
        assert {0, *table.values()} == set(known)


def test_a_frame_states_durations_in_microseconds() -> None:
    image = Image(encoding=ImageEncoding.GRAY8, data=b"x", width_px=1, height_px=1)
    message = convert.frame_to_wire(Frame(seq=3, image=image, age_s=0.0125, deadline_s=0.05))
    assert (message.seq, message.age_us, message.deadline_us) == (3, 12_500, 50_000)
    assert message.image.data == b"x"


def test_no_time_left_is_not_the_same_as_all_the_time() -> None:
    image = Image(encoding=ImageEncoding.GRAY8, data=b"x", width_px=1, height_px=1)
    for_ever = convert.frame_to_wire(Frame(seq=1, image=image))
    too_late = convert.frame_to_wire(Frame(seq=1, image=image, deadline_s=0.0))
    assert (for_ever.deadline_us, too_late.deadline_us) == (0, 1)


def test_a_duration_is_never_negative_on_the_wire() -> None:
    assert numbers.to_us(-1.0) == 0


def test_an_empty_message_means_the_defaults() -> None:
    assert convert.options_from_wire(pb.Options()) == Options()
    assert convert.open_from_wire(pb.Open()) == OpenStream()


def test_a_focal_length_alone_is_a_centred_camera() -> None:
    message = pb.Options(intrinsics=pb.Intrinsics(fx=500.0))
    assert convert.options_from_wire(message).camera == FocalLength(500.0)


def test_an_image_that_does_not_say_what_it_is_is_told_by_its_first_bytes() -> None:
    _, png = cv2.imencode(".png", np.zeros((2, 2), np.uint8))
    assert convert.image_from_wire(pb.Image(data=png.tobytes())).encoding is ImageEncoding.PNG
    assert refusal(lambda: convert.image_from_wire(pb.Image(data=b"poem"))) is Code.BAD_IMAGE


def test_an_encoding_of_a_newer_server_is_left_out() -> None:
    message = pb.DescribeReply(
        depth_encodings=[pb.DepthEncoding.ValueType(99), pb.DEPTH_ENCODING_F16_M]
    )
    assert describe.description_from_wire(message).depth_encodings == (DepthEncoding.F16_M,)


def test_an_error_code_of_a_newer_server_keeps_its_name_for_people() -> None:
    failed = convert.failed_from_wire(pb.Failed(code="bad_mood", got="a frown"))
    assert (failed.code, failed.got) == (Code.INTERNAL, "bad_mood: a frown")
    assert convert.closing_from_wire(pb.Closing(code="bad_mood")).code is Code.INTERNAL


# What a message can hold and a value cannot


@pytest.mark.parametrize(
    "message",
    [
        pb.Options(depth_encoding=pb.DepthEncoding.ValueType(99)),
        pb.Options(labels=pb.LabelEncoding.ValueType(99)),
        pb.Options(output_size=pb.OutputSize(kind=pb.OutputSize.Kind.ValueType(99))),
        pb.Options(output_size=pb.OutputSize(explicit=pb.Size(width=0, height=5))),
        pb.Options(output_size=pb.OutputSize(explicit=pb.Size(width=2**31, height=2**31))),
        pb.Options(smoothing=1.5),
        pb.Options(smoothing=float("nan")),
        pb.Options(intrinsics=pb.Intrinsics()),
        pb.Options(intrinsics=pb.Intrinsics(fx=float("nan"))),
        pb.Options(intrinsics=pb.Intrinsics(fx=500, cx=1)),
        pb.Options(hfov_deg=0),
        pb.Options(hfov_deg=5e-324),
        pb.Options(hfov_deg=float("nan")),
        pb.Options(colours=pb.Colours(map="mud")),
        pb.Options(colours=pb.Colours(near_m=3, far_m=2)),
        pb.Options(colours=pb.Colours(far_m=float("inf"))),
    ],
    ids=lambda message: " ".join(str(message).split()),
)
def test_options_that_mean_nothing_are_refused(message: pb.Options) -> None:
    assert refusal(lambda: convert.options_from_wire(message)) is Code.BAD_OPTION


@pytest.mark.parametrize(
    "message",
    [
        pb.Open(policy=pb.Policy.ValueType(99)),
        pb.Open(policy=pb.POLICY_EVERY_N, every_n=0),
        pb.Open(options=pb.Options(smoothing=2)),
    ],
    ids=["an unknown policy", "every zeroth frame", "bad options"],
)
def test_an_opening_that_means_nothing_is_refused(message: pb.Open) -> None:
    assert refusal(lambda: convert.open_from_wire(message)) is Code.BAD_OPTION


def test_unknown_numbers_are_refused_wherever_they_stand() -> None:
    image = pb.Image(encoding=pb.ImageEncoding.ValueType(99), data=b"x")
    skipped = pb.Answer(skipped=pb.Skipped(reason=pb.SkipReason.ValueType(99)))
    camera = pb.Intrinsics(fx=1, fy=1)
    depth = pb.Answer(depth=pb.DepthMap(encoding=pb.DepthEncoding.ValueType(99), camera=camera))
    labels = pb.Answer(
        depth=pb.DepthMap(
            encoding=pb.DEPTH_ENCODING_F16_M,
            camera=camera,
            label_encoding=pb.LabelEncoding.ValueType(99),
        )
    )
    assert refusal(lambda: convert.image_from_wire(image)) is Code.BAD_OPTION
    assert refusal(lambda: convert.answer_from_wire(skipped)) is Code.BAD_OPTION
    assert refusal(lambda: convert.answer_from_wire(depth)) is Code.BAD_OPTION
    assert refusal(lambda: convert.answer_from_wire(labels)) is Code.BAD_OPTION


def test_an_answer_without_an_outcome_is_refused() -> None:
    assert refusal(lambda: convert.answer_from_wire(pb.Answer(seq=1))) is Code.BAD_REQUEST
