"""The promise: every frame that was numbered gets exactly one answer, in order, come what may."""

from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fathom.errors import Code, FathomError
from fathom.geometry import Intrinsics
from fathom.session.core import Received, State, StreamCore, outcome
from fathom.values import (
    Closing,
    DepthEncoding,
    DepthMap,
    EncodedDepth,
    Failed,
    Image,
    ImageEncoding,
    Limits,
    Opened,
    ServerAnswer,
    Skipped,
    SkipReason,
)

OPENED = Opened(stream_id=1, model="plane", version=1, limits=Limits())
DONE = Closing(code=None, reason="the client was done", counts={})


def picture(number: int = 0) -> Image:
    return Image(encoding=ImageEncoding.GRAY8, data=bytes([number % 256]), width_px=1, height_px=1)


def depth(seq: int, encoding: DepthEncoding = DepthEncoding.U16_MM) -> EncodedDepth:
    return EncodedDepth(
        seq=seq,
        encoding=encoding,
        width_px=1,
        height_px=1,
        data=b"\xe8\x03",  # 1000 mm
        camera=Intrinsics(1, 1, 0, 0),
        focal_given=False,
        model="plane",
        version=1,
    )


def skipped(seq: int) -> Skipped:
    return Skipped(seq=seq, reason=SkipReason.SUPERSEDED, superseded_by=seq + 1)


def failed(seq: int) -> Failed:
    return Failed(seq=seq, code=Code.BAD_IMAGE, expected="this", got="that", repair="do so")


def assert_refuses(error: pytest.ExceptionInfo[FathomError], code: Code) -> None:
    assert error.value.code is code


class Conversation(RuleBasedStateMachine):
    """Any interleaving of sending, answering, finishing, closing and losing, right or wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.sent: list[Image] = []
        self.waiting: deque[tuple[int, float]] = deque()
        self.received: list[Received] = []

    @initialize(first_seq=st.integers(0, 5))
    def begin(self, first_seq: int) -> None:
        self.first_seq = first_seq
        self.core = StreamCore(first_seq)

    @rule(seconds=st.integers(0, 3))
    def time_passes(self, seconds: int) -> None:
        self.now_s += seconds

    @precondition(lambda self: self.core.state is State.OPENING)
    @rule()
    def opened(self) -> None:
        self.core.receive_opened(OPENED)

    @rule(age=st.integers(-1, 3))
    def send(self, age: int) -> None:
        image = picture(len(self.sent))
        if self.core.state in {State.OPENING, State.OPEN}:
            frame = self.core.send(image, captured_s=self.now_s - age, now_s=self.now_s)
            assert frame.seq == self.first_seq + len(self.sent)
            assert frame.age_s == max(0, age)
            assert frame.image is image
            self.sent.append(image)
            self.waiting.append((frame.seq, self.now_s))
        else:
            with pytest.raises(FathomError) as error:
                self.core.send(image, captured_s=self.now_s, now_s=self.now_s)
            gone = self.core.state is State.CLOSED
            assert_refuses(error, Code.CONNECTION_LOST if gone else Code.BAD_SEQUENCE)

    @precondition(lambda self: self.waiting)
    @rule(make=st.sampled_from([depth, skipped, failed]))
    def answer(self, make: type[ServerAnswer]) -> None:
        seq, sent_s = self.waiting.popleft()
        received = self.core.receive(make(seq=seq), self.now_s)  # type: ignore[call-arg]
        assert received.round_trip_s == self.now_s - sent_s
        self.received.append(received)

    @rule(offset=st.integers(-3, 3))
    def answer_something_else(self, offset: int) -> None:
        oldest = self.waiting[0][0] if self.waiting else None
        seq = (self.first_seq if oldest is None else oldest) + offset
        if seq != oldest:
            with pytest.raises(FathomError) as error:
                self.core.receive(skipped(seq), self.now_s)
            assert_refuses(error, Code.BAD_SEQUENCE)

    @rule()
    def finish(self) -> None:
        self.core.finish()

    @precondition(lambda self: not self.waiting)
    @rule()
    def closing(self) -> None:
        self.core.receive_closing(DONE)
        assert self.core.closing is DONE

    @rule()
    def lost(self) -> None:
        rest = self.core.lost("a cut cable", self.now_s)
        assert [r.answer.seq for r in rest] == [seq for seq, _ in self.waiting]
        for received in rest:
            assert isinstance(received.answer, Failed)
            assert received.answer.code is Code.CONNECTION_LOST
            assert received.answer.got == "a cut cable"
        self.waiting.clear()
        self.received += rest

    @precondition(lambda self: self.core.state is State.OPEN)
    @rule()
    def interrupted(self) -> None:
        next_seq = self.first_seq + len(self.sent)
        self.first_lost = self.waiting[0][0] if self.waiting else next_seq
        rest = self.core.interrupted("a cut cable", self.now_s)
        assert [r.answer.seq for r in rest] == [seq for seq, _ in self.waiting]
        self.waiting.clear()
        self.received += rest

    @precondition(lambda self: self.core.state is State.INTERRUPTED)
    @rule()
    def refuse(self) -> None:
        image = picture(len(self.sent))
        received = self.core.refuse(image, captured_s=self.now_s, now_s=self.now_s)
        assert outcome(received.answer) == "failed_connection_lost"
        self.sent.append(image)
        self.received.append(received)

    @precondition(lambda self: self.core.state is State.INTERRUPTED)
    @rule()
    def opened_again(self) -> None:
        assert self.core.lost_frames == range(self.first_lost, self.first_seq + len(self.sent))
        self.core.receive_opened(OPENED)
        assert self.core.state is State.OPEN

    @invariant()
    def the_books_balance(self) -> None:
        assert self.core.in_flight == len(self.waiting)
        assert sum(self.core.counts.values()) == len(self.received)

    def teardown(self) -> None:
        self.lost()
        assert [r.answer.seq for r in self.received] == [
            self.first_seq + i for i in range(len(self.sent))
        ]
        assert all(r.image is image for r, image in zip(self.received, self.sent, strict=True))


TestConversation = Conversation.TestCase
TestConversation.settings = settings(deadline=None, max_examples=60, stateful_step_count=25)


def open_core() -> StreamCore:
    core = StreamCore()
    core.receive_opened(OPENED)
    return core


def test_frames_are_numbered_from_one() -> None:
    core = open_core()
    assert [core.send(picture(), captured_s=0, now_s=0).seq for _ in range(3)] == [1, 2, 3]


def test_ages_are_taken_on_this_machine_s_clock() -> None:
    core = open_core()
    frame = core.send(picture(), captured_s=9.5, now_s=10.0, deadline_s=0.25)
    assert (frame.age_s, frame.deadline_s) == (0.5, 0.25)
    received = core.receive(skipped(1), 10.75)
    assert (received.round_trip_s, received.age_s) == (0.75, 1.25)


def test_a_clock_that_runs_behind_the_camera_s_makes_no_negative_age() -> None:
    assert open_core().send(picture(), captured_s=5.0, now_s=4.0).age_s == 0.0


def test_frames_may_be_sent_before_the_server_s_yes() -> None:
    core = StreamCore()
    assert core.send(picture(), captured_s=0, now_s=0).seq == 1
    core.receive_opened(OPENED)
    assert (core.state, core.opened) == (State.OPEN, OPENED)


def test_a_stream_may_be_finished_before_the_server_s_yes() -> None:
    core = StreamCore()
    core.finish()
    core.receive_opened(OPENED)
    assert (core.state, core.opened) == (State.FINISHING, OPENED)


def test_a_second_yes_is_refused() -> None:
    core = open_core()
    with pytest.raises(FathomError) as error:
        core.receive_opened(OPENED)
    assert_refuses(error, Code.BAD_SEQUENCE)


def test_a_yes_after_the_end_is_refused() -> None:
    core = StreamCore()
    core.lost("a cut cable", 0)
    with pytest.raises(FathomError) as error:
        core.receive_opened(OPENED)
    assert_refuses(error, Code.BAD_SEQUENCE)


def test_finishing_twice_is_no_error() -> None:
    core = open_core()
    core.finish()
    core.finish()
    assert core.state is State.FINISHING


def test_finishing_what_is_closed_opens_nothing() -> None:
    core = open_core()
    core.receive_closing(DONE)
    core.finish()
    assert core.state is State.CLOSED


def test_frames_that_the_closing_left_behind_are_answered_by_lost() -> None:
    core = open_core()
    core.send(picture(), captured_s=0, now_s=0)
    core.receive_closing(DONE)
    (left,) = core.lost("the end of the stream", 1.0)
    assert outcome(left.answer) == "failed_connection_lost"
    assert core.in_flight == 0


def test_answers_are_counted_by_outcome() -> None:
    core = open_core()
    for _ in range(5):
        core.send(picture(), captured_s=0, now_s=0)
    for answer in (depth(1), depth(2), skipped(3), failed(4)):
        core.receive(answer, 0)
    core.lost("a cut cable", 0)
    assert core.counts == {
        "answered": 2,
        "skipped_superseded": 1,
        "failed_bad_image": 1,
        "failed_connection_lost": 1,
    }


def test_depth_is_decoded_only_when_asked_for() -> None:
    core = open_core()
    for _ in range(3):
        core.send(picture(), captured_s=0, now_s=0)
    decoded = core.receive(depth(1), 0).decoded()
    assert isinstance(decoded, DepthMap)
    assert decoded.depth_m.tolist() == [[1.0]]
    assert core.receive(skipped(2), 0).decoded() == skipped(2)
    with pytest.raises(FathomError) as error:
        core.receive(depth(3, DepthEncoding.JPEG_COLOUR), 0).decoded()
    assert_refuses(error, Code.BAD_REQUEST)
