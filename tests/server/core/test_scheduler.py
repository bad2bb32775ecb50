"""Every frame offered has exactly one fate, in every schedule of calls."""

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
)

from fathom.errors import Code, FathomError
from fathom.values import Policy, SkipReason
from server.core.scheduler import Scheduler, Ticket, Verdict
from tests.server.conftest import ticket

MAX_STREAMS = 3
QUEUE_FRAMES = 4


@dataclass
class Stream:
    """What the test knows of a stream: its promise, and the frames it owes an answer."""

    policy: Policy
    every_n: int
    offered: int = 0
    waiting: list[int] = field(default_factory=list)
    last_taken: int = 0


class Books(RuleBasedStateMachine):
    """Any schedule of calls, and a second set of books beside the scheduler's."""

    streams: Bundle[int] = Bundle("streams")

    def __init__(self) -> None:
        super().__init__()
        self.scheduler = Scheduler(max_streams=MAX_STREAMS, queue_frames=QUEUE_FRAMES)
        self.open: dict[int, Stream] = {}
        self.now_s = 100.0
        self.offered = 0
        self.fates: Counter[str] = Counter()

    @rule(target=streams, policy=st.sampled_from(Policy), every_n=st.integers(1, 3))
    def opens(self, policy: Policy, every_n: int) -> int | MultipleResults[int]:
        if len(self.open) == MAX_STREAMS:
            with pytest.raises(FathomError) as refused:
                self.scheduler.open(policy, every_n)
            assert refused.value.code is Code.QUEUE_FULL
            return multiple()
        stream = self.scheduler.open(policy, every_n)
        assert stream not in self.open
        self.open[stream] = Stream(policy, every_n)
        return stream

    @rule(stream=streams, left_s=st.none() | st.floats(0.0, 1.0))
    def offers(self, stream: int, left_s: float | None) -> None:
        known = self.open[stream]
        if not self.scheduler.has_room(stream):
            assert known.policy is Policy.ALL and len(known.waiting) == QUEUE_FRAMES
            return
        known.offered += 1
        self.offered += 1
        seq = known.offered
        self.scheduler.admit(stream, seq)
        due_s = None if left_s is None else self.now_s + left_s
        new = ticket(seq, stream=stream, arrived_s=self.now_s, due_s=due_s)
        known.waiting.append(seq)
        for verdict in self.scheduler.offer(new):
            self.skipped(verdict)
            if verdict.skipped.reason is SkipReason.POLICY:
                assert known.policy is Policy.EVERY_N and (seq - 1) % known.every_n
                assert verdict.skipped.seq == seq
            else:
                assert verdict.skipped.reason is SkipReason.SUPERSEDED
                assert known.policy is not Policy.ALL
                assert verdict.skipped.superseded_by == seq

    @rule(seconds=st.floats(0.0, 0.5))
    def time_passes(self, seconds: float) -> None:
        self.now_s += seconds

    @rule(most=st.integers(1, 4))
    def takes(self, most: int) -> None:
        taken = self.scheduler.take(most, self.now_s)
        assert len(taken.tickets) <= most
        for verdict in taken.verdicts:
            assert verdict.skipped.reason in {SkipReason.DEADLINE, SkipReason.PREDICTED_LATE}
            due_s = verdict.ticket.due_s
            assert due_s is not None
            passed = self.now_s > due_s
            assert passed is (verdict.skipped.reason is SkipReason.DEADLINE)
            self.skipped(verdict)
        for each in taken.tickets:
            assert each.due_s is None or self.now_s <= each.due_s
            self.settle(each, "taken")
            known = self.open[each.stream]
            assert each.frame.seq > known.last_taken
            known.last_taken = each.frame.seq

    @rule(cost_s=st.floats(0.0, 1.0))
    def a_batch_is_done(self, cost_s: float) -> None:
        self.scheduler.done(cost_s)

    @precondition(lambda self: self.open)
    @rule()
    def drains(self) -> None:
        for verdict in self.scheduler.drain(SkipReason.SHUTDOWN):
            assert verdict.skipped.reason is SkipReason.SHUTDOWN
            self.skipped(verdict)
        assert self.scheduler.waiting == 0

    @rule(stream=consumes(streams))
    def closes(self, stream: int) -> None:
        left = self.scheduler.close(stream)
        for each in left:
            self.settle(each, "left")
        assert not self.open[stream].waiting
        del self.open[stream]

    def skipped(self, verdict: Verdict) -> None:
        assert verdict.skipped.seq == verdict.ticket.frame.seq
        self.settle(verdict.ticket, "skipped")

    def settle(self, settled: Ticket, fate: str) -> None:
        """One fate, and the first one: a second would not find the frame waiting."""
        self.open[settled.stream].waiting.remove(settled.frame.seq)
        self.fates[fate] += 1

    @invariant()
    def every_frame_waits_or_has_one_fate(self) -> None:
        waiting = sum(len(stream.waiting) for stream in self.open.values())
        assert self.scheduler.waiting == waiting
        assert self.offered == waiting + self.fates.total()

    @invariant()
    def what_waits_is_bounded(self) -> None:
        assert self.scheduler.streams == len(self.open) <= MAX_STREAMS
        for stream in self.open.values():
            bound = QUEUE_FRAMES if stream.policy is Policy.ALL else 1
            assert len(stream.waiting) <= bound


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def opened(
    policy: Policy, every_n: int = 1, *, streams: int = 1, queue_frames: int = 8
) -> tuple[Scheduler, list[int]]:
    scheduler = Scheduler(max_streams=streams, queue_frames=queue_frames)
    return scheduler, [scheduler.open(policy, every_n) for _ in range(streams)]


def test_the_newest_frame_takes_the_slot_and_the_older_one_names_it() -> None:
    scheduler, [stream] = opened(Policy.LATEST)
    verdicts = [scheduler.offer(ticket(seq, stream=stream)) for seq in (1, 2, 3)]
    assert verdicts[0] == []
    assert [[(v.skipped.seq, v.skipped.superseded_by) for v in each] for each in verdicts[1:]] == [
        [(1, 2)],
        [(2, 3)],
    ]
    assert [t.frame.seq for t in scheduler.take(9, 0.0).tickets] == [3]


@given(n=st.integers(1, 7), count=st.integers(1, 30))
def test_every_n_keeps_the_first_then_every_nth_after_it(n: int, count: int) -> None:
    scheduler, [stream] = opened(Policy.EVERY_N, n)
    kept = []
    for seq in range(1, count + 1):
        verdicts = scheduler.offer(ticket(seq, stream=stream))
        taken = [t.frame.seq for t in scheduler.take(1, 0.0).tickets]
        assert [v.skipped.seq for v in verdicts] == ([] if taken else [seq])
        kept += taken
    assert kept == list(range(1, count + 1, n))


@given(
    waiting=st.lists(st.integers(0, 5), min_size=1, max_size=5),
    most=st.integers(1, 4),
)
def test_streams_take_turns(waiting: list[int], most: int) -> None:
    """Between two frames of a stream, every stream that waits has had exactly one."""
    scheduler, streams = opened(Policy.ALL, streams=len(waiting))
    for stream, count in zip(streams, waiting, strict=True):
        for seq in range(1, count + 1):
            scheduler.offer(ticket(seq, stream=stream))
    order: list[int] = []
    while scheduler.waiting:
        order += [t.stream for t in scheduler.take(most, 0.0).tickets]
    left = dict(zip(streams, waiting, strict=True))
    while order:
        turn = [stream for stream in streams if left[stream]]
        assert sorted(order[: len(turn)]) == turn
        order = order[len(turn) :]
        left = {stream: max(0, count - 1) for stream, count in left.items()}


def test_a_greedy_stream_cannot_put_off_a_quiet_one() -> None:
    scheduler, [greedy, quiet] = opened(Policy.ALL, streams=2)
    for seq in range(1, 9):
        scheduler.offer(ticket(seq, stream=greedy))
    scheduler.offer(ticket(1, stream=quiet))
    assert quiet in {t.stream for _ in range(2) for t in scheduler.take(1, 0.0).tickets}


def test_a_frame_past_its_deadline_is_skipped() -> None:
    scheduler, [stream] = opened(Policy.LATEST)
    scheduler.offer(ticket(1, stream=stream, due_s=5.0))
    taken = scheduler.take(1, 5.1)
    assert [v.skipped.reason for v in taken.verdicts] == [SkipReason.DEADLINE]
    assert not taken.tickets


@pytest.mark.parametrize(("cost_s", "late"), [(0.25, False), (0.75, True)])
def test_a_frame_that_would_be_late_is_skipped_before_work_is_spent_on_it(
    cost_s: float, *, late: bool
) -> None:
    scheduler, [stream] = opened(Policy.LATEST)
    scheduler.done(cost_s)
    scheduler.offer(ticket(1, stream=stream, due_s=10.5))
    taken = scheduler.take(1, 10.0)
    reasons = [v.skipped.reason for v in taken.verdicts]
    assert reasons == ([SkipReason.PREDICTED_LATE] if late else [])
    assert len(taken.tickets) == (not late)


def test_one_slow_batch_does_not_shut_a_stream_out_for_good() -> None:
    scheduler, [stream] = opened(Policy.LATEST)
    scheduler.done(2.0)
    for seq in range(1, 100):
        scheduler.offer(ticket(seq, stream=stream, due_s=0.5))
        if scheduler.take(1, 0.0).tickets:
            break
    else:
        pytest.fail("no frame was ever tried again")


def test_a_late_frame_does_not_use_up_a_place_in_the_batch() -> None:
    scheduler, [first, second] = opened(Policy.LATEST, streams=2)
    scheduler.offer(ticket(1, stream=first, due_s=1.0))
    scheduler.offer(ticket(1, stream=second))
    taken = scheduler.take(1, 2.0)
    assert [t.stream for t in taken.tickets] == [second]
    assert [v.ticket.stream for v in taken.verdicts] == [first]


@given(first=st.integers(0, 2**63), step=st.integers(-3, 3))
def test_numbers_follow_each_other_from_any_first_one(first: int, step: int) -> None:
    scheduler, [stream] = opened(Policy.LATEST)
    scheduler.admit(stream, first)
    if step == 1:
        scheduler.admit(stream, first + step)
        return
    with pytest.raises(FathomError) as refused:
        scheduler.admit(stream, first + step)
    assert refused.value.code is Code.BAD_SEQUENCE
    assert str(first + 1) in refused.value.expected
    scheduler.admit(stream, first + 1)  # a refused number is not a received frame


def test_a_closed_stream_makes_room_for_another() -> None:
    scheduler, [stream] = opened(Policy.ALL)
    scheduler.offer(ticket(1, stream=stream))
    with pytest.raises(FathomError):
        scheduler.open(Policy.ALL)
    assert [t.frame.seq for t in scheduler.close(stream)] == [1]
    assert scheduler.open(Policy.ALL) != stream
    assert scheduler.take(1, 0.0).tickets == []
