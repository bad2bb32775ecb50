"""Every frame offered has exactly one fate, in every schedule of calls."""

from collections import Counter
from collections.abc import Iterable
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
from fathom.values import Failed, Policy, Skipped, SkipReason
from server.core.batcher import CostCurve
from server.core.scheduler import Bounds, Scheduler, StreamTerms, Taken, Ticket, Verdict
from tests.server.conftest import BATCHES_OF_4, NO_COST, ticket

# Small enough for a schedule of forty calls to meet every one of them.
FRAME_BYTES = ticket().waiting_bytes
BOUNDS = Bounds(
    streams=3,
    streams_per_client=2,
    queue_frames=4,
    waiting_bytes=6 * FRAME_BYTES,
    waiting_bytes_per_client=5 * FRAME_BYTES,
    window_bytes=3,
)


@dataclass
class Stream:
    """What the test knows of a stream: its terms, and the frames it owes an answer."""

    terms: StreamTerms
    offered: int = 0
    waiting: list[int] = field(default_factory=list)
    last_taken: int = 0
    unsent: int = 0

    @property
    def keeps_all(self) -> bool:
        return self.terms.policy is Policy.ALL


class Books(RuleBasedStateMachine):
    """Any schedule of calls, and a second set of books beside the scheduler's."""

    streams: Bundle[int] = Bundle("streams")

    def __init__(self) -> None:
        super().__init__()
        self.scheduler = Scheduler(BOUNDS, BATCHES_OF_4)
        self.open: dict[int, Stream] = {}
        self.now_s = 100.0
        self.offered = 0
        self.fates: Counter[str] = Counter()

    def of_client(self, client: str) -> list[Stream]:
        return [known for known in self.open.values() if known.terms.client == client]

    def waiting(self, streams: Iterable[Stream]) -> int:
        return sum(len(known.waiting) for known in streams)

    @rule(
        target=streams,
        terms=st.builds(
            StreamTerms,
            policy=st.sampled_from(Policy),
            every_n=st.integers(1, 3),
            client=st.sampled_from(["a", "b"]),
            weight=st.sampled_from([0.5, 1.0, 3.0]),
            urgent=st.booleans(),
        ),
    )
    def opens(self, terms: StreamTerms) -> int | MultipleResults[int]:
        full = len(self.open) == BOUNDS.streams
        if full or len(self.of_client(terms.client)) == BOUNDS.streams_per_client:
            with pytest.raises(FathomError) as refused:
                self.scheduler.open(terms)
            assert refused.value.code is Code.QUEUE_FULL
            return multiple()
        stream = self.scheduler.open(terms)
        assert stream not in self.open
        self.open[stream] = Stream(terms)
        return stream

    @rule(stream=streams, left_s=st.none() | st.floats(0.0, 1.0))
    def offers(self, stream: int, left_s: float | None) -> None:
        known = self.open[stream]
        if not self.scheduler.has_room(stream):
            assert known.keeps_all
            return
        known.offered += 1
        self.offered += 1
        seq = known.offered
        self.scheduler.admit(stream, seq)
        due_s = None if left_s is None else self.now_s + left_s
        known.waiting.append(seq)
        new = ticket(seq, stream=stream, arrived_s=self.now_s, due_s=due_s)
        for verdict in self.scheduler.offer(new):
            self.given_up(verdict)
            self.check_offer(known, verdict.answer, seq)

    def check_offer(self, known: Stream, answer: Skipped | Failed, seq: int) -> None:
        """A frame is given up on arrival for one of four reasons, each of which must hold."""
        if isinstance(answer, Failed):
            assert answer.code is Code.QUEUE_FULL and answer.seq == seq
            mine = self.waiting(self.of_client(known.terms.client))
            assert mine == 5 or self.waiting(self.open.values()) == 6
        elif answer.reason is SkipReason.POLICY:
            assert known.terms.policy is Policy.EVERY_N and (seq - 1) % known.terms.every_n
            assert answer.seq == seq
        elif answer.reason is SkipReason.SLOW_READER:
            assert not known.keeps_all and known.unsent >= BOUNDS.window_bytes
        else:
            assert answer.reason is SkipReason.SUPERSEDED and not known.keeps_all
            assert answer.superseded_by == seq

    @rule(seconds=st.floats(0.0, 0.5))
    def time_passes(self, seconds: float) -> None:
        self.now_s += seconds

    @rule(free_lanes=st.integers(1, 3))
    def takes(self, free_lanes: int) -> None:
        waiting = self.waiting(self.open.values())
        taken = self.scheduler.take(free_lanes, self.now_s)
        assert len(taken.tickets) <= BATCHES_OF_4.largest
        assert bool(taken.tickets or taken.verdicts) is bool(waiting)
        for verdict in taken.verdicts:
            assert isinstance(verdict.answer, Skipped)
            due_s = verdict.ticket.due_s
            assert due_s is not None
            late = self.now_s > due_s
            reason = SkipReason.DEADLINE if late else SkipReason.PREDICTED_LATE
            assert verdict.answer.reason is reason
            self.given_up(verdict)
        for each in taken.tickets:
            assert each.due_s is None or self.now_s <= each.due_s
            self.settle(each, "taken")
            known = self.open[each.stream]
            assert each.frame.seq > known.last_taken
            known.last_taken = each.frame.seq

    @rule()
    def expires(self) -> None:
        for verdict in self.scheduler.expire(self.now_s):
            assert verdict.ticket.due_s is not None and verdict.ticket.due_s < self.now_s
            assert isinstance(verdict.answer, Skipped)
            assert verdict.answer.reason is SkipReason.DEADLINE
            self.given_up(verdict)

    @rule(stream=streams)
    def an_answer_waits_for_its_reader(self, stream: int) -> None:
        known = self.open[stream]
        fits = self.scheduler.fits(stream, 1)
        assert fits is (known.keeps_all or known.unsent < BOUNDS.window_bytes)
        known.unsent += fits

    @rule(stream=streams)
    def a_reader_takes_an_answer(self, stream: int) -> None:
        known = self.open[stream]
        if known.unsent:
            self.scheduler.handed_over(stream, 1)
            known.unsent -= 1

    @rule(cost_s=st.floats(0.0, 1.0))
    def a_batch_is_done(self, cost_s: float) -> None:
        self.scheduler.done(cost_s)

    @precondition(lambda self: self.open)
    @rule()
    def drains(self) -> None:
        for verdict in self.scheduler.drain(SkipReason.SHUTDOWN):
            assert isinstance(verdict.answer, Skipped)
            assert verdict.answer.reason is SkipReason.SHUTDOWN
            self.given_up(verdict)
        assert self.scheduler.waiting == 0

    @rule(stream=consumes(streams))
    def closes(self, stream: int) -> None:
        left = self.scheduler.close(stream)
        for each in left:
            self.settle(each, "left")
        assert not self.open[stream].waiting
        del self.open[stream]

    def given_up(self, verdict: Verdict) -> None:
        assert verdict.answer.seq == verdict.ticket.frame.seq
        self.settle(verdict.ticket, "given up")

    def settle(self, settled: Ticket, fate: str) -> None:
        """One fate, and the first one: a second would not find the frame waiting."""
        self.open[settled.stream].waiting.remove(settled.frame.seq)
        self.fates[fate] += 1

    @invariant()
    def every_frame_waits_or_has_one_fate(self) -> None:
        waiting = self.waiting(self.open.values())
        assert self.scheduler.waiting == waiting
        assert self.offered == waiting + self.fates.total()

    @invariant()
    def what_waits_is_bounded(self) -> None:
        assert self.scheduler.streams == len(self.open) <= BOUNDS.streams
        assert self.scheduler.waiting * FRAME_BYTES <= BOUNDS.waiting_bytes
        for client in ("a", "b"):
            mine = self.waiting(self.of_client(client))
            assert mine * FRAME_BYTES <= BOUNDS.waiting_bytes_per_client
        for known in self.open.values():
            assert len(known.waiting) <= (BOUNDS.queue_frames if known.keeps_all else 1)


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=60, stateful_step_count=40)


def opened(
    policy: Policy, every_n: int = 1, *, streams: int = 1, curve: CostCurve = NO_COST
) -> tuple[Scheduler, list[int]]:
    scheduler = Scheduler(Bounds(streams=streams), curve)
    terms = StreamTerms(policy=policy, every_n=every_n)
    return scheduler, [scheduler.open(terms) for _ in range(streams)]


def reasons(taken: Taken) -> list[SkipReason]:
    return [v.answer.reason for v in taken.verdicts if isinstance(v.answer, Skipped)]


def test_the_newest_frame_takes_the_slot_and_the_older_one_names_it() -> None:
    scheduler, [stream] = opened(Policy.LATEST)
    verdicts = [scheduler.offer(ticket(seq, stream=stream)) for seq in (1, 2, 3)]
    assert verdicts[0] == []
    for seq, [verdict] in zip((1, 2), verdicts[1:], strict=True):
        assert verdict.answer == Skipped(
            seq=seq, reason=SkipReason.SUPERSEDED, superseded_by=seq + 1
        )
    assert [t.frame.seq for t in scheduler.take(1, 0.0).tickets] == [3]


@given(n=st.integers(1, 7), count=st.integers(1, 30))
def test_every_n_keeps_the_first_then_every_nth_after_it(n: int, count: int) -> None:
    scheduler, [stream] = opened(Policy.EVERY_N, n)
    kept = []
    for seq in range(1, count + 1):
        verdicts = scheduler.offer(ticket(seq, stream=stream))
        taken = [t.frame.seq for t in scheduler.take(1, 0.0).tickets]
        assert [v.answer.seq for v in verdicts] == ([] if taken else [seq])
        kept += taken
    assert kept == list(range(1, count + 1, n))


@given(
    waiting=st.lists(st.integers(0, 5), min_size=1, max_size=5),
    curve=st.sampled_from([NO_COST, BATCHES_OF_4]),
)
def test_streams_take_turns(waiting: list[int], curve: CostCurve) -> None:
    """Between two frames of a stream, every stream that waits has had exactly one."""
    scheduler, streams = opened(Policy.ALL, streams=len(waiting), curve=curve)
    for stream, count in zip(streams, waiting, strict=True):
        for seq in range(1, count + 1):
            scheduler.offer(ticket(seq, stream=stream))
    order: list[int] = []
    while scheduler.waiting:
        order += [t.stream for t in scheduler.take(1, 0.0).tickets]
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
    assert reasons(taken) == [SkipReason.DEADLINE]
    assert not taken.tickets


@pytest.mark.parametrize(("cost_s", "late"), [(0.25, False), (0.75, True)])
def test_a_frame_that_would_be_late_is_skipped_before_work_is_spent_on_it(
    cost_s: float, *, late: bool
) -> None:
    scheduler, [stream] = opened(Policy.LATEST, curve=CostCurve({1: cost_s}))
    scheduler.offer(ticket(1, stream=stream, due_s=10.5))
    taken = scheduler.take(1, 10.0)
    assert reasons(taken) == ([SkipReason.PREDICTED_LATE] if late else [])
    assert len(taken.tickets) == (not late)


def test_what_batches_really_take_is_learned() -> None:
    """Measured at nothing before anyone is served, and at one second each since."""
    scheduler, [stream] = opened(Policy.LATEST)
    for _ in range(50):
        scheduler.done(1.0)
    scheduler.offer(ticket(1, stream=stream, due_s=0.9))
    assert reasons(scheduler.take(1, 0.0)) == [SkipReason.PREDICTED_LATE]


def test_one_slow_batch_does_not_shut_a_stream_out_for_good() -> None:
    scheduler, [stream] = opened(Policy.LATEST, curve=CostCurve({1: 2.0}))
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
        scheduler.open(StreamTerms())
    assert [t.frame.seq for t in scheduler.close(stream)] == [1]
    assert scheduler.open(StreamTerms()) != stream
    assert scheduler.take(1, 0.0).tickets == []
