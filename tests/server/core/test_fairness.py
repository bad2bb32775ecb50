"""No stream waits more than one round longer than its fair share, whatever the others do."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.values import Policy
from server.core.scheduler import Bounds, Scheduler, StreamTerms, Ticket
from tests.server.conftest import BATCHES_OF_4, ticket
from tests.server.core.fairness import longest_wait

BOUNDS = Bounds(queue_frames=4, window_bytes=3)
WEIGHTS = st.sampled_from([0.25, 0.5, 1.0, 2.0, 4.0])
POLICIES = st.sampled_from([Policy.LATEST, Policy.LATEST, Policy.ALL])
CALLS = st.sampled_from(["offer", "offer", "offer late", "take", "settle", "read", "expire"])


@dataclass
class Watch:
    """What one stream may hold against the scheduler."""

    terms: StreamTerms
    offered: int = 0
    waiting: list[int] = field(default_factory=list)
    computing: list[Ticket] = field(default_factory=list)
    unread: int = 0
    turns_of_others: int = 0

    @property
    def may_be_taken(self) -> bool:
        return bool(self.waiting) and not (self.terms.one_at_a_time and self.computing)


@settings(max_examples=300, deadline=None)
@given(
    weights=st.lists(st.tuples(WEIGHTS, POLICIES, st.booleans()), min_size=1, max_size=5),
    urgent=st.integers(0, 3),
    calls=st.lists(st.tuples(CALLS, st.integers(0, 4), st.integers(1, 3)), max_size=80),
)
def test_nobody_waits_longer_than_a_round_over_its_share(
    weights: list[tuple[float, Policy, bool]], urgent: int, calls: list[tuple[str, int, int]]
) -> None:
    """Arrivals, late frames, slow readers, engines that answer when they like, several lanes."""
    scheduler = Scheduler(BOUNDS, BATCHES_OF_4)
    shares = [weight for weight, _, _ in weights]
    watches: dict[int, Watch] = {}
    for place, (weight, policy, smoothed) in enumerate(weights):
        terms = StreamTerms(
            policy=policy, weight=weight, urgent=place < urgent, one_at_a_time=smoothed
        )
        watches[scheduler.open(terms)] = Watch(terms)
    streams = list(watches)
    now_s = 100.0
    for call, which, lanes in calls:
        stream = streams[which % len(streams)]
        watch = watches[stream]
        gone: list[tuple[int, int]] = []
        match call:
            case "offer" | "offer late" if scheduler.has_room(stream):
                watch.offered += 1
                watch.waiting.append(watch.offered)
                due_s = now_s + 0.01 if call == "offer late" else None
                verdicts = scheduler.offer(
                    ticket(watch.offered, stream=stream, arrived_s=now_s, due_s=due_s)
                )
                gone = [(v.ticket.stream, v.ticket.frame.seq) for v in verdicts]
            case "take":
                taken = scheduler.take(lanes, now_s)
                assert taken.tickets or taken.verdicts or not any_may_be_taken(watches)
                gone = [(v.ticket.stream, v.ticket.frame.seq) for v in taken.verdicts]
                # A batch's frames come in the order of their turns, and so do those given up.
                for each in taken.tickets:
                    watches[each.stream].computing.append(each)
                    gone.append((each.stream, each.frame.seq))
                count_turns(watches, gone)
            case "settle" if watch.computing:
                scheduler.answered(watch.computing.pop(0))
                watch.unread += scheduler.fits(stream, 1)
            case "read" if watch.unread:
                watch.unread -= 1
                scheduler.handed_over(stream, 1)
            case "expire":
                now_s += 0.02
                late = scheduler.expire(now_s)
                gone = [(v.ticket.stream, v.ticket.frame.seq) for v in late]
        for left, seq in gone:
            watches[left].waiting.remove(seq)
        for place, each_stream in enumerate(streams):
            each = watches[each_stream]
            if not each.may_be_taken:
                each.turns_of_others = 0
            assert each.turns_of_others <= longest_wait(shares, urgent, place)


def any_may_be_taken(watches: dict[int, Watch]) -> bool:
    return any(watch.may_be_taken for watch in watches.values())


def count_turns(watches: dict[int, Watch], turns: list[tuple[int, int]]) -> None:
    """Each turn starts the served one's wait anew and lengthens everybody else's."""
    for served, _ in turns:
        for stream, watch in watches.items():
            watch.turns_of_others = 0 if stream == served else watch.turns_of_others + 1
