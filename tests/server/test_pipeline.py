"""A lane's work on a batch, with figures worked out by hand.

The network sees 24 rows of 32 and row r of its input is r + 1 metres away, so a depth tells which
row of the network it came from. A 64x48 picture fills the input at exactly one half.
"""

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fathom.codecs.depth import decode_depth
from fathom.errors import Code
from fathom.geometry import F32, PAD_RGB, Camera, FieldOfView, FocalLength, Intrinsics
from fathom.values import (
    ColourMap,
    Colours,
    DepthEncoding,
    EncodedDepth,
    Image,
    LabelEncoding,
    Options,
    Output,
)
from server.core.scheduler import Ticket
from server.engines.engine import EngineFault, Outputs
from server.pipeline import Inferred, Pipeline, engine_failed, finish
from tests.server.conftest import (
    CARD,
    FOCAL_PX,
    INPUT_SIZE,
    FakeClock,
    ScriptedEngine,
    broken,
    jpeg,
    plain,
    png,
    ramp,
    ticket,
    turned,
)

RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine(max_batch=4)


def answer(engine: ScriptedEngine, asked: Ticket) -> EncodedDepth:
    """One frame through a lane."""
    [inferred] = compute(Pipeline(engine, 0), asked)
    return finish(inferred, CARD)


def compute(pipeline: Pipeline, *tickets: Ticket) -> list[Inferred]:
    batch = pipeline.decode(list(tickets))
    assert not batch.refused
    return pipeline.infer(batch)


def metres(encoded: EncodedDepth) -> F32:
    return decode_depth(encoded.data, encoded.encoding, (encoded.height_px, encoded.width_px))


def exact(
    output: Output | tuple[int, int] = Output.NETWORK, camera: Camera | None = None
) -> Options:
    return Options(depth_encoding=DepthEncoding.F32_M, output=output, camera=camera)


def test_a_picture_of_the_networks_shape_is_answered_row_by_row(engine: ScriptedEngine) -> None:
    encoded = answer(engine, ticket(5, options=exact()))
    assert (encoded.seq, encoded.width_px, encoded.height_px) == (5, 32, 24)
    assert (encoded.model, encoded.version, encoded.batch_size) == ("ramp", 3, 1)
    assert np.array_equal(metres(encoded), ramp())


def test_padding_is_cut_off(engine: ScriptedEngine) -> None:
    """64x32 is 32x16 in the network, rows 4 to 19: 5 to 20 metres."""
    depth_m = metres(answer(engine, ticket(image=jpeg(plain((32, 64))), options=exact())))
    assert depth_m.shape == (16, 32)
    assert depth_m[:, 0].tolist() == list(range(5, 21))


def test_source_size_is_interpolated_between_rows(engine: ScriptedEngine) -> None:
    """Row y of the picture lies at (y + 0.5) / 2 - 0.5 of the network's, which begin at 5 m."""
    options = exact(Output.SOURCE)
    depth_m = metres(answer(engine, ticket(image=jpeg(plain((32, 64))), options=options)))
    assert depth_m.shape == (32, 64)
    assert depth_m[:5, 7].tolist() == [5.0, 5.25, 5.75, 6.25, 6.75]
    assert depth_m[-1, 7] == 20.0


def test_an_explicit_size_is_what_is_answered(engine: ScriptedEngine) -> None:
    encoded = answer(engine, ticket(options=exact((6, 64))))
    assert (encoded.height_px, encoded.width_px) == (6, 64)
    # The same camera at another size: 80 px over 64 columns stays, fy shrinks from 80 by 6 / 48.
    assert (encoded.camera.fx, encoded.camera.fy) == pytest.approx((80.0, 10.0))
    assert metres(encoded).shape == (6, 64)


@pytest.mark.parametrize(
    ("output", "fx", "cx"),
    [(Output.NETWORK, 40.0, 15.5), (Output.SOURCE, 80.0, 31.5)],
)
def test_without_a_camera_the_networks_own_is_assumed_and_said(
    engine: ScriptedEngine, output: Output, fx: float, cx: float
) -> None:
    encoded = answer(engine, ticket(options=exact(output)))
    assert not encoded.focal_given
    assert (encoded.camera.fx, encoded.camera.cx) == pytest.approx((fx, cx))
    assert metres(encoded)[0, 0] == 1.0


@pytest.mark.parametrize(
    ("camera", "factor"),
    [
        (FocalLength(160.0), 2.0),  # 160 px over 64 columns is 80 over 32, the network learned 40
        (FocalLength(80.0), 1.0),
        (FieldOfView(90.0), 0.4),  # 64 / 2 / tan(45 degrees) = 32 px, 16 over 32 columns
        (Intrinsics(40.0, 44.0, 30.0, 20.0), 0.5),
    ],
)
def test_metres_follow_the_focal_length_that_is_given(
    engine: ScriptedEngine, camera: Camera, factor: float
) -> None:
    encoded = answer(engine, ticket(options=exact(camera=camera)))
    assert encoded.focal_given
    assert encoded.camera.fx == pytest.approx(factor * FOCAL_PX)
    np.testing.assert_allclose(metres(encoded), factor * ramp(), rtol=1e-6)


def test_a_given_camera_keeps_its_principal_point_at_every_size(engine: ScriptedEngine) -> None:
    """cx 30 of 64 columns is (30 + 0.5) / 2 - 0.5 = 14.75 of 32."""
    camera = Intrinsics(40.0, 44.0, 30.0, 20.0)
    small = answer(engine, ticket(options=exact(camera=camera))).camera
    large = answer(engine, ticket(options=exact(Output.SOURCE, camera))).camera
    assert (small.fx, small.fy, small.cx, small.cy) == pytest.approx((20, 22, 14.75, 9.75))
    assert large == camera


def test_the_network_sees_the_picture_and_padding_in_their_places(engine: ScriptedEngine) -> None:
    pixels = plain((32, 64))
    pixels[:, :32], pixels[:, 32:] = RED, BLUE
    answer(engine, ticket(image=png(pixels)))
    [seen] = engine.seen
    assert (seen[:4] == PAD_RGB).all() and (seen[20:] == PAD_RGB).all()
    assert (seen[4:20, :16] == RED).all() and (seen[4:20, 16:] == BLUE).all()


@pytest.mark.parametrize("make", [jpeg, png])
def test_what_a_batch_before_left_in_the_buffer_is_painted_over(
    engine: ScriptedEngine, make: Callable[..., Image]
) -> None:
    pipeline = Pipeline(engine, 0)
    compute(pipeline, ticket(image=png(np.full((48, 64, 3), 255, np.uint8))))
    compute(pipeline, ticket(image=make(plain((48, 16)))))
    [seen] = engine.seen
    assert (seen[:, :12] == PAD_RGB).all() and (seen[:, 20:] == PAD_RGB).all()
    assert np.abs(seen[:, 12:20].astype(int) - 128).max() <= 2  # JPEG rounds


def test_a_turned_photo_is_seen_and_answered_upright(engine: ScriptedEngine) -> None:
    """Orientation 6: the first stored row is the right side of what a person sees."""
    pixels = plain((48, 64))
    pixels[:24], pixels[24:] = RED, BLUE
    encoded = answer(engine, ticket(image=turned(jpeg(pixels), 6), options=exact(Output.SOURCE)))
    assert (encoded.width_px, encoded.height_px) == (48, 64)
    # 48x64 is 18x24 in the network, from column 7.
    [seen] = engine.seen
    left, right = seen[:, 7:15].reshape(-1, 3), seen[:, 17:25].reshape(-1, 3)
    assert np.abs(left.astype(int) - BLUE).max() <= 4
    assert np.abs(right.astype(int) - RED).max() <= 4
    assert (seen[:, :7] == PAD_RGB).all() and (seen[:, 25:] == PAD_RGB).all()


@pytest.mark.parametrize("encoding", LabelEncoding)
def test_labels_come_along_where_they_are_asked_for(
    engine: ScriptedEngine, encoding: LabelEncoding
) -> None:
    options = replace(exact(Output.SOURCE), labels=encoding)
    encoded = answer(engine, ticket(options=options))
    assert encoded.label_encoding is encoding and encoded.labels
    if encoding is LabelEncoding.RAW8:
        labels = np.frombuffer(encoded.labels, np.uint8).reshape(48, 64)
        assert (labels[:, :32] == 1).all() and (labels[:, 32:] == 2).all()


def test_labels_that_nobody_asked_for_stay_here(engine: ScriptedEngine) -> None:
    encoded = answer(engine, ticket())
    assert encoded.labels == b"" and encoded.label_encoding is None


@pytest.mark.parametrize("encoding", set(DepthEncoding) - {DepthEncoding.JPEG_COLOUR})
def test_every_encoding_of_metres_says_the_same(
    engine: ScriptedEngine, encoding: DepthEncoding
) -> None:
    encoded = answer(engine, ticket(options=Options(depth_encoding=encoding)))
    assert encoded.encoding is encoding
    assert np.array_equal(metres(encoded), ramp())


def test_a_colour_picture_uses_the_map_and_range_that_were_asked_for(
    engine: ScriptedEngine,
) -> None:
    """Grey from 1 to 24 metres: the nearest row is white, the farthest black."""
    options = Options(
        depth_encoding=DepthEncoding.JPEG_COLOUR,
        colours=Colours(ColourMap.GREY, near_m=1.0, far_m=24.0),
    )
    encoded = answer(engine, ticket(options=options))
    picture = cv2.imdecode(np.frombuffer(encoded.data, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture is not None and picture.shape == INPUT_SIZE
    assert picture[0].min() >= 250 and picture[-1].max() <= 5


def test_a_broken_picture_fails_alone(engine: ScriptedEngine) -> None:
    tickets = [ticket(1), ticket(2, broken()), ticket(3, jpeg(plain((32, 64))))]
    pipeline = Pipeline(engine, 0)
    batch = pipeline.decode(tickets)
    [refused], inferred = batch.refused, pipeline.infer(batch)
    assert refused.ticket is tickets[1]
    assert (refused.failed.seq, refused.failed.code) == (2, Code.BAD_IMAGE)
    assert [each.ticket.frame.seq for each in inferred] == [1, 3]
    assert [each.batch_size for each in inferred] == [2, 2]
    assert [metres(finish(each, CARD)).shape for each in inferred] == [(24, 32), (16, 32)]


def test_a_batch_of_broken_pictures_does_not_trouble_the_engine(engine: ScriptedEngine) -> None:
    pipeline = Pipeline(engine, 0)
    batch = pipeline.decode([ticket(1, broken())])
    assert len(batch.refused) == 1
    assert pipeline.infer(batch) == [] and not engine.calls


def test_whatever_an_engine_throws_is_a_fault(engine: ScriptedEngine) -> None:
    engine.fates.extend([EngineFault("known"), MemoryError("unknown"), None])
    pipeline = Pipeline(engine, 0)
    for expected in ("known", "unknown"):
        with pytest.raises(EngineFault, match=expected):
            compute(pipeline, ticket(1))
    assert len(compute(pipeline, ticket(1))) == 1


@pytest.mark.parametrize(
    ("due_s", "last_s"), [((5.0, 9.0), 9.0), ((5.0, None), None), ((None,), None), ((3.0,), 3.0)]
)
def test_a_batch_is_due_when_its_last_frame_is(
    due_s: tuple[float | None, ...], last_s: float | None
) -> None:
    engine = ScriptedEngine(max_batch=2)
    compute(Pipeline(engine, 0), *(ticket(seq, due_s=at_s) for seq, at_s in enumerate(due_s)))
    assert engine.due_s == last_s


def test_a_fault_is_told_without_its_insides() -> None:
    failed = engine_failed(ticket(9))
    assert (failed.seq, failed.code) == (9, Code.ENGINE_FAULT)
    assert failed.expected and failed.got and failed.repair


def test_stages_are_timed_on_the_clock_that_was_given(clock: FakeClock) -> None:
    class SlowEngine(ScriptedEngine):
        def infer(
            self, frames: NDArray[np.uint8], lane: int, due_s: float | None = None
        ) -> Outputs:
            clock.advance(0.25)
            return super().infer(frames, lane, due_s)

    pipeline = Pipeline(SlowEngine(), 0, clock=clock)
    [inferred] = compute(pipeline, ticket(arrived_s=99.0))
    assert (inferred.stages.wait_s, inferred.stages.infer_s) == (1.0, 0.25)
    encoded = finish(inferred, CARD, clock)
    assert encoded.stages == inferred.stages  # nothing else passed


def test_a_batch_can_be_decoded_while_another_waits_to_be_computed(engine: ScriptedEngine) -> None:
    pipeline = Pipeline(engine, 0, slots=2)
    white, black = (png(np.full((48, 64, 3), level, np.uint8)) for level in (255, 0))
    first, second = (
        pipeline.decode([ticket(image=image)], slot) for slot, image in enumerate((white, black))
    )
    for batch, level in ((first, 255), (second, 0)):
        pipeline.infer(batch)
        assert (engine.seen == level).all()


def test_a_detached_frame_outlives_the_engines_next_batch(engine: ScriptedEngine) -> None:
    pipeline = Pipeline(engine, 0)
    [kept] = compute(pipeline, ticket(options=exact()))
    kept = kept.detached()
    engine.fates.append(Outputs(np.full((1, *INPUT_SIZE), 99, np.float32)))
    compute(pipeline, ticket())
    assert np.array_equal(metres(finish(kept, CARD)), ramp())
