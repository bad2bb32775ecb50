"""From offer to answer: lanes are faked by calling `take` and `settle`, readers by a list."""

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from fathom import metrics
from fathom.errors import Code, FathomError
from fathom.values import (
    EncodedDepth,
    Failed,
    Image,
    ImageEncoding,
    LabelEncoding,
    OpenStream,
    Options,
    Policy,
    ServerAnswer,
    Skipped,
    SkipReason,
)
from server.core.batcher import CostCurve
from server.core.scheduler import Ticket
from server.dispatch import Dispatch
from server.telemetry import Telemetry
from tests.server.conftest import CARD, PATIENCE_S, FakeClock, Inbox, depth, frame, total

ALL = OpenStream(policy=Policy.ALL)
LATEST = OpenStream(policy=Policy.LATEST)
NO_IMAGE = Image(encoding=ImageEncoding.JPEG, data=b"no picture at all")


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


def take(dispatch: Dispatch) -> list[Ticket]:
    """A batch, where one waits: with none this would block, so that is checked first."""
    assert dispatch.waiting
    tickets = dispatch.take()
    assert tickets is not None
    return tickets


def compute(dispatch: Dispatch) -> list[int]:
    """One batch as a lane does it; the numbers of its frames."""
    tickets = take(dispatch)
    for ticket in tickets:
        dispatch.settle(ticket, depth(ticket.frame.seq))
    return [ticket.frame.seq for ticket in tickets]


def kinds(answers: list[ServerAnswer]) -> list[str]:
    return [type(answer).__name__ for answer in answers]


def test_a_frame_that_waits_is_answered_by_a_lane(dispatch: Dispatch, inbox: Inbox) -> None:
    stream = dispatch.open(ALL, inbox)
    dispatch.offer(stream, frame(1))
    assert inbox.answers == []
    assert compute(dispatch) == [1]
    assert inbox.seqs == [1]
    assert dispatch.waiting == 0


def test_answers_leave_in_frame_order_with_the_skips_between(
    dispatch: Dispatch, inbox: Inbox
) -> None:
    stream = dispatch.open(LATEST, inbox)
    dispatch.offer(stream, frame(1))
    [computing] = take(dispatch)
    for seq in (2, 3, 4):
        dispatch.offer(stream, frame(seq))
    assert inbox.answers == []  # 2 and 3 are decided, and wait for their elder
    dispatch.settle(computing, depth(1))
    assert kinds(inbox.answers) == ["EncodedDepth", "Skipped", "Skipped"]
    assert compute(dispatch) == [4]
    assert inbox.seqs == [1, 2, 3, 4]


def test_lanes_that_overtake_each_other_do_not_reorder_a_stream(
    dispatch: Dispatch, inbox: Inbox
) -> None:
    stream = dispatch.open(ALL, inbox)
    for seq in (7, 8, 9):
        dispatch.offer(stream, frame(seq))
    tickets = [take(dispatch)[0] for _ in range(3)]
    for ticket in reversed(tickets):
        dispatch.settle(ticket, depth(ticket.frame.seq))
    assert inbox.seqs == [7, 8, 9]


def test_a_picture_that_is_none_fails_at_once_and_in_its_place(
    dispatch: Dispatch, inbox: Inbox
) -> None:
    stream = dispatch.open(ALL, inbox)
    dispatch.offer(stream, frame(1))
    dispatch.offer(stream, frame(2, NO_IMAGE))
    dispatch.offer(stream, frame(3))
    assert compute(dispatch) == [1]
    assert compute(dispatch) == [3]
    assert kinds(inbox.answers) == ["EncodedDepth", "Failed", "EncodedDepth"]
    [failed] = [answer for answer in inbox.answers if isinstance(answer, Failed)]
    assert failed.code is Code.BAD_IMAGE and failed.seq == 2


def test_a_frame_refused_by_its_door_is_answered_like_any_other(
    dispatch: Dispatch, inbox: Inbox
) -> None:
    stream = dispatch.open(ALL, inbox)
    dispatch.refuse(stream, 1, FathomError(Code.BAD_OPTION, expected="e", got="g", repair="r"))
    [answer] = inbox.answers
    assert isinstance(answer, Failed)
    assert (answer.code, answer.expected, answer.got, answer.repair) == (
        *(Code.BAD_OPTION, "e"),
        *("g", "r"),
    )


@pytest.mark.parametrize("seq", [1, 3], ids=["repeat", "gap"])
def test_a_wrong_number_is_refused_and_not_received(
    dispatch: Dispatch, inbox: Inbox, telemetry: Telemetry, seq: int
) -> None:
    stream = dispatch.open(ALL, inbox)
    dispatch.offer(stream, frame(1))
    with pytest.raises(FathomError) as refused:
        dispatch.offer(stream, frame(seq))
    assert refused.value.code is Code.BAD_SEQUENCE
    assert total(telemetry, metrics.FRAMES_RECEIVED) == 1
    compute(dispatch)


def test_a_frames_own_deadline_comes_before_its_streams(
    dispatch: Dispatch, clock: FakeClock, inbox: Inbox
) -> None:
    stream = dispatch.open(OpenStream(policy=Policy.ALL, deadline_s=0.1), inbox)
    dispatch.offer(stream, frame(1))
    dispatch.offer(stream, frame(2, deadline_s=9.0))
    clock.advance(1.0)
    assert compute(dispatch) == [2]
    skipped = inbox.answers[0]
    assert isinstance(skipped, Skipped) and skipped.reason is SkipReason.DEADLINE


def test_the_measured_cost_predicts_what_would_be_late(
    new_dispatch: Callable[..., Dispatch], clock: FakeClock, inbox: Inbox
) -> None:
    dispatch = new_dispatch(CostCurve({1: 0.5}))
    stream = dispatch.open(ALL, inbox)
    dispatch.offer(stream, frame(1, deadline_s=0.4))
    dispatch.offer(stream, frame(2))
    assert compute(dispatch) == [2]
    skipped = inbox.answers[0]
    assert isinstance(skipped, Skipped) and skipped.reason is SkipReason.PREDICTED_LATE
    assert clock.now_s == 100.0


def test_a_deadline_that_falls_due_while_a_frame_waits_is_told_then(
    dispatch: Dispatch, clock: FakeClock, inbox: Inbox
) -> None:
    """Not when a lane comes free: there may be none for long."""
    stream = dispatch.open(ALL, inbox)
    for seq, deadline_s in ((1, 1.0), (2, None), (3, 3.0)):
        dispatch.offer(stream, frame(seq, deadline_s=deadline_s))
    clock.advance(2.0)
    dispatch.expire()
    assert inbox.seqs == [1] and kinds(inbox.answers) == ["Skipped"]
    assert [compute(dispatch), compute(dispatch)] == [[2], [3]]


def test_depth_that_a_slow_reader_leaves_lying_is_bounded(
    new_dispatch: Callable[..., Dispatch], inbox: Inbox
) -> None:
    """Each depth here weighs two bytes: past the window a `latest` stream gets skips."""
    dispatch = new_dispatch(window_bytes=4)
    stream = dispatch.open(LATEST, inbox)
    for seq in (1, 2):
        dispatch.offer(stream, frame(seq))
        compute(dispatch)
    dispatch.offer(stream, frame(3))
    assert dispatch.waiting == 0
    skipped = inbox.answers[-1]
    assert isinstance(skipped, Skipped) and skipped.reason is SkipReason.SLOW_READER
    dispatch.handed_over(stream, 2)
    dispatch.offer(stream, frame(4))
    assert compute(dispatch) == [4]
    assert kinds(inbox.answers) == ["EncodedDepth", "EncodedDepth", "Skipped", "EncodedDepth"]


def test_one_client_cannot_take_the_place_of_all(
    new_dispatch: Callable[..., Dispatch], inbox: Inbox
) -> None:
    dispatch = new_dispatch(streams_per_client=1)
    dispatch.open(ALL, inbox, "greedy")
    with pytest.raises(FathomError) as refused:
        dispatch.open(ALL, inbox, "greedy")
    assert refused.value.code is Code.QUEUE_FULL
    dispatch.open(ALL, inbox, "modest")


def test_an_urgent_stream_goes_first(dispatch: Dispatch) -> None:
    slow, urgent = Inbox(), Inbox()
    streams = [dispatch.open(ALL, slow), dispatch.open(OpenStream(priority=1), urgent)]
    for stream in streams:
        dispatch.offer(stream, frame(1))
    compute(dispatch)
    assert (len(slow.answers), len(urgent.answers)) == (0, 1)
    compute(dispatch)


def test_capture_times_follow_the_age_that_the_sender_states(
    dispatch: Dispatch, clock: FakeClock
) -> None:
    settled: list[float] = []
    stream = dispatch.open(ALL, lambda due: settled.extend(s.captured_s for s in due))
    dispatch.offer(stream, frame(1, age_s=0.75))
    dispatch.offer(stream, frame(2, NO_IMAGE, age_s=0.25))
    clock.advance(3.0)
    compute(dispatch)
    assert settled == [99.25, 99.75]


def test_a_client_that_leaves_costs_its_waiting_frames_and_harms_nobody(
    dispatch: Dispatch, inbox: Inbox, telemetry: Telemetry
) -> None:
    gone = Inbox()
    leaver, stayer = dispatch.open(ALL, gone), dispatch.open(ALL, inbox)
    dispatch.offer(leaver, frame(1))
    [computing] = take(dispatch)
    for seq in (2, 3):
        dispatch.offer(leaver, frame(seq))
    dispatch.offer(stayer, frame(1))
    dispatch.close(leaver)
    assert total(telemetry, metrics.FRAMES, reason=Code.CONNECTION_LOST) == 2
    dispatch.settle(computing, depth(1))
    assert gone.answers == []
    assert compute(dispatch) == [1]
    assert inbox.seqs == [1]
    assert dispatch.streams == 1


def test_stopping_skips_what_waits_finishes_what_runs_and_takes_no_more(
    dispatch: Dispatch, inbox: Inbox
) -> None:
    stream = dispatch.open(ALL, inbox)
    for seq in (1, 2, 3):
        dispatch.offer(stream, frame(seq))
    [computing] = take(dispatch)
    dispatch.stop()
    dispatch.offer(stream, frame(4))
    dispatch.settle(computing, depth(1))
    assert kinds(inbox.answers) == ["EncodedDepth", "Skipped", "Skipped", "Skipped"]
    reasons = {answer.reason for answer in inbox.answers if isinstance(answer, Skipped)}
    assert reasons == {SkipReason.SHUTDOWN}
    assert dispatch.take() is None
    with pytest.raises(FathomError) as refused:
        dispatch.open(ALL, inbox)
    assert refused.value.code is Code.SHUTTING_DOWN


def test_a_lane_that_waits_wakes_for_a_frame_and_goes_home_at_the_end(
    dispatch: Dispatch, inbox: Inbox
) -> None:
    def lane() -> None:
        while (tickets := dispatch.take()) is not None:
            for ticket in tickets:
                dispatch.settle(ticket, depth(ticket.frame.seq))

    thread = threading.Thread(target=lane, daemon=True)
    thread.start()
    stream = dispatch.open(ALL, inbox)
    dispatch.offer(stream, frame(1))
    assert [isinstance(answer, EncodedDepth) for answer in inbox.wait(1)] == [True]
    dispatch.stop()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def test_streams_past_the_limit_are_refused_until_one_closes(
    new_dispatch: Callable[..., Dispatch], inbox: Inbox
) -> None:
    dispatch = new_dispatch(streams=1)
    first = dispatch.open(ALL, inbox)
    with pytest.raises(FathomError) as refused:
        dispatch.open(ALL, inbox)
    assert refused.value.code is Code.QUEUE_FULL
    dispatch.close(first)
    dispatch.open(ALL, inbox)


def test_a_stream_that_takes_everything_is_full_at_its_bound(
    new_dispatch: Callable[..., Dispatch], inbox: Inbox
) -> None:
    dispatch = new_dispatch(queue_frames=2)
    stream = dispatch.open(ALL, inbox)
    rooms = []
    for seq in (1, 2):
        rooms.append(dispatch.has_room(stream))
        dispatch.offer(stream, frame(seq))
    rooms.append(dispatch.has_room(stream))
    compute(dispatch)
    rooms.append(dispatch.has_room(stream))
    assert rooms == [True, True, False, True]
    compute(dispatch)


def test_what_the_model_does_not_give_is_refused_by_name(
    new_dispatch: Callable[..., Dispatch], inbox: Inbox
) -> None:
    dispatch = new_dispatch(card=replace(CARD, outputs=("depth_m",)))
    with pytest.raises(FathomError) as refused:
        dispatch.open(OpenStream(options=Options(labels=LabelEncoding.RAW8)), inbox)
    assert refused.value.code is Code.NOT_AVAILABLE
    assert dispatch.streams == 0


def test_a_model_with_labels_gives_labels(dispatch: Dispatch, inbox: Inbox) -> None:
    dispatch.open(OpenStream(options=Options(labels=LabelEncoding.RAW8)), inbox)
    assert dispatch.streams == 1
