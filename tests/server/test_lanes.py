"""The threads between dispatch and engine: what they survive, and what they say of their health."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from fathom import metrics
from fathom.codecs.depth import decode_depth
from fathom.errors import Code
from fathom.values import (
    DepthEncoding,
    EncodedDepth,
    Failed,
    Image,
    OpenStream,
    Options,
    Output,
    Policy,
    ServerAnswer,
    Skipped,
    SkipReason,
)
from server.core.batcher import CostCurve
from server.dispatch import Dispatch
from server.engines.engine import EngineFault, Outputs, TooLate
from server.lanes import Lanes
from server.telemetry import Telemetry
from tests.server.conftest import (
    BATCHES_OF_4,
    INPUT_SIZE,
    NO_COST,
    PATIENCE_S,
    PICTURE,
    Inbox,
    ScriptedEngine,
    broken,
    frame,
    ramp,
    total,
)

ALL = OpenStream(policy=Policy.ALL)


class Server:
    """An engine, its lanes, and one stream that takes everything."""

    def __init__(
        self, engine: ScriptedEngine, curve: CostCurve, dispatch: Dispatch, telemetry: Telemetry
    ) -> None:
        self.engine = engine
        self.dispatch = dispatch
        self.lanes = Lanes(engine, dispatch.card, curve, dispatch, telemetry)
        self.inbox = Inbox()
        self.stream = dispatch.open(ALL, self.inbox)
        self._sent = 0

    def send(self, *images: Image | None) -> None:
        """Frames with these pictures, or with a good one for None."""
        for image in images:
            self._sent += 1
            self.dispatch.offer(self.stream, frame(self._sent, image or PICTURE))

    def answer(self, *fates: Exception | Outputs | None) -> ServerAnswer:
        """The answer to one more frame, of which the engine makes these."""
        self.engine.fates.extend(fates)
        self.send(None)
        return self.inbox.wait(self._sent)[-1]

    def stop(self) -> None:
        self.dispatch.stop()
        self.engine.release()
        assert self.lanes.join(PATIENCE_S)


@pytest.fixture(params=[False, True], ids=["in turn", "overlapping"])
def serve(
    request: pytest.FixtureRequest, new_dispatch: Callable[..., Dispatch], telemetry: Telemetry
) -> Iterator[Callable[..., Server]]:
    """Starts lanes over a scripted engine; keywords are the engine's. All stop with the test.

    What holds of lanes that do one thing after the other holds of those that decode ahead.
    """
    servers: list[Server] = []
    overlap: bool = request.param

    def start(*, max_batch: int = 1, lanes: int = 1) -> Server:
        engine = ScriptedEngine(max_batch=max_batch, lanes=lanes, overlap=overlap)
        curve = BATCHES_OF_4 if max_batch == 4 else NO_COST
        servers.append(Server(engine, curve, new_dispatch(curve), telemetry))
        servers[-1].lanes.start()
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def outcomes(answers: list[ServerAnswer]) -> list[str]:
    return [
        answer.code if isinstance(answer, Failed) else type(answer).__name__ for answer in answers
    ]


def test_frames_are_answered_in_order_by_as_many_lanes_as_there_are(
    serve: Callable[..., Server],
) -> None:
    server = serve(lanes=2)
    server.engine.hold()
    server.send(*[None] * 8)
    server.engine.wait_entered()
    server.engine.wait_entered()  # both lanes compute at once
    assert {lane for _, lane in server.engine.calls} == {0, 1}
    server.engine.release()
    assert [answer.seq for answer in server.inbox.wait(8)] == list(range(1, 9))
    assert outcomes(server.inbox.answers) == ["EncodedDepth"] * 8


def test_a_broken_picture_costs_nobody_else_their_depth(serve: Callable[..., Server]) -> None:
    server = serve(max_batch=4)
    server.send(None, broken(), None, broken(), None)
    good, bad = "EncodedDepth", Code.BAD_IMAGE
    assert outcomes(server.inbox.wait(5)) == [good, bad, good, bad, good]


def test_streams_that_wait_together_are_answered_together_or_not_but_all_are(
    serve: Callable[..., Server], telemetry: Telemetry
) -> None:
    server = serve(max_batch=4)
    inboxes = [Inbox() for _ in range(4)]
    for inbox in inboxes:
        stream = server.dispatch.open(ALL, inbox)
        server.dispatch.offer(stream, frame(1))
    for inbox in inboxes:
        [depth] = inbox.wait(1)
        assert isinstance(depth, EncodedDepth) and 1 <= depth.batch_size <= 4
    assert total(telemetry, metrics.BATCH_SIZE + "_sum") == 4


@pytest.mark.parametrize("error", [EngineFault("a bad moment"), RuntimeError("foreign")])
def test_an_engine_that_throws_fails_its_batch_and_serves_the_next(
    serve: Callable[..., Server], telemetry: Telemetry, error: Exception
) -> None:
    server = serve()
    assert outcomes([server.answer(error), server.answer(None)]) == [
        Code.ENGINE_FAULT,
        "EncodedDepth",
    ]
    assert total(telemetry, metrics.ENGINE_FAULTS) == 1


def test_a_batch_given_up_at_its_deadline_is_skipped_and_no_fault(
    serve: Callable[..., Server], telemetry: Telemetry
) -> None:
    server = serve()
    answers = [server.answer(TooLate("the servers took too long")) for _ in range(4)]
    assert {answer.reason for answer in answers if isinstance(answer, Skipped)} == {
        SkipReason.DEADLINE
    }
    assert server.lanes.healthy and total(telemetry, metrics.ENGINE_FAULTS) == 0


def test_three_faults_in_a_row_are_ill_and_a_success_is_well_again(
    serve: Callable[..., Server],
) -> None:
    server = serve()
    health = []
    for fate in (EngineFault(""), EngineFault(""), None, *[EngineFault("")] * 3, None):
        server.answer(fate)
        health.append(server.lanes.healthy)
    assert health == [True, True, True, True, True, False, True]


def test_a_broken_picture_is_no_sign_of_health(serve: Callable[..., Server]) -> None:
    server = serve()
    for _ in range(3):
        server.answer(EngineFault(""))
    server.send(broken())
    assert outcomes(server.inbox.wait(4))[-1] == Code.BAD_IMAGE
    assert not server.lanes.healthy


def test_a_bug_in_finishing_costs_one_frame_and_not_the_lane(serve: Callable[..., Server]) -> None:
    """A map without a pixel cannot be resized: what an engine that breaks its contract may give."""
    server = serve()
    nothing = Outputs(np.zeros((1, 0, 0), np.float32))
    assert outcomes([server.answer(nothing), server.answer(None)]) == [
        Code.INTERNAL,
        "EncodedDepth",
    ]
    assert server.lanes.healthy


def test_a_large_answer_is_not_overwritten_by_the_frame_after_it(
    serve: Callable[..., Server],
) -> None:
    """It is finished aside, from the engine's one buffer, while the lane goes on."""
    server = serve()
    large = Inbox()
    size = (1500, 1500)
    options = Options(depth_encoding=DepthEncoding.F32_M, output=size)
    stream = server.dispatch.open(OpenStream(policy=Policy.ALL, options=options), large)
    server.dispatch.offer(stream, frame(1))
    server.engine.wait_entered()
    server.answer(Outputs(np.full((1, *INPUT_SIZE), 99, np.float32)))
    [depth] = large.wait(1)
    assert isinstance(depth, EncodedDepth)
    depth_m = decode_depth(depth.data, depth.encoding, size)
    assert (depth_m[0, 0], depth_m[-1, -1]) == (ramp()[0, 0], ramp()[-1, -1])


def test_a_stop_finishes_what_runs_and_skips_what_waits(serve: Callable[..., Server]) -> None:
    """Of five frames one computes, and one may have been taken ahead of it."""
    server = serve()
    server.engine.hold()
    server.send(*[None] * 5)
    server.engine.wait_entered()
    server.stop()
    first, second, *others = server.inbox.wait(5)
    assert isinstance(first, EncodedDepth)
    assert isinstance(second, EncodedDepth | Skipped)
    assert [type(each) for each in others] == [Skipped] * 3
    reasons = {each.reason for each in server.inbox.answers if isinstance(each, Skipped)}
    assert reasons == {SkipReason.SHUTDOWN}


def test_a_lane_that_does_not_come_home_is_told(serve: Callable[..., Server]) -> None:
    server = serve()
    server.engine.hold()
    server.send(None)
    server.engine.wait_entered()
    server.dispatch.stop()
    assert not server.lanes.join(0.001)


def test_busy_lanes_are_counted(serve: Callable[..., Server], telemetry: Telemetry) -> None:
    server = serve()
    server.engine.hold()
    server.send(None)
    server.engine.wait_entered()
    assert total(telemetry, metrics.LANES_BUSY) == 1
    server.stop()
    assert total(telemetry, metrics.LANES_BUSY) == 0


def test_a_client_that_leaves_while_its_frame_is_computed_harms_nobody(
    serve: Callable[..., Server],
) -> None:
    server = serve()
    server.engine.hold()
    gone = Inbox()
    leaver = server.dispatch.open(OpenStream(options=Options(output=Output.SOURCE)), gone)
    server.dispatch.offer(leaver, frame(1))
    server.engine.wait_entered()
    server.dispatch.close(leaver)
    server.engine.release()
    assert isinstance(server.answer(), EncodedDepth)
    assert gone.answers == []
