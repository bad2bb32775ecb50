"""No stream waits more than one round longer than its fair share, whatever the others do."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.values import Policy
from server.core.batcher import CostCurve
from server.core.scheduler import Bounds, Scheduler, StreamTerms, Ticket, Verdict
from tests.server.conftest import BATCHES_OF_4, NO_COST, ticket
from tests.server.core.fairness import longest_wait

BOUNDS = Bounds(queue_frames=4, window_bytes=3)
SOON_S = 0.01
TERMS = st.builds(
    StreamTerms,
    policy=st.sampled_from([Policy.LATEST, Policy.LATEST, Policy.ALL]),
    weight=st.sampled_from([0.25, 0.5, 1.0, 2.0, 4.0]),
    one_at_a_time=st.booleans(),
)
CALLS = st.sampled_from(["load", "send", "take", "late", "settle", "read"])
# Of a spell of load: everybody sends whenever there is room, and a lane takes and answers.
LOAD_TURNS = 12


@dataclass
class Watch:
    """What one stream may hold against the scheduler."""

    terms: StreamTerms
    sent: int = 0
    waiting: list[int] = field(default_factory=list)
    computing: list[Ticket] = field(default_factory=list)
    unread: int = 0
    turns_of_others: int = 0

    @property
    def may_be_taken(self) -> bool:
        return bool(self.waiting) and not (self.terms.one_at_a_time and self.computing)


class Schedule:
    """Cameras, lanes, readers and clock in one, and what each stream has waited so far."""

    def __init__(self, terms: list[StreamTerms], urgent: int, curve: CostCurve) -> None:
        self.scheduler = Scheduler(BOUNDS, curve)
        self.now_s = 100.0
        self.urgent = urgent
        self.watches: dict[int, Watch] = {}
        for place, each in enumerate(terms):
            mine = StreamTerms(
                policy=each.policy,
                weight=each.weight,
                one_at_a_time=each.one_at_a_time,
                urgent=place < urgent,
            )
            self.watches[self.scheduler.open(mine)] = Watch(mine)

    def send(self, stream: int, due_s: float | None = None) -> None:
        if self.scheduler.has_room(stream):
            watch = self.watches[stream]
            watch.sent += 1
            watch.waiting.append(watch.sent)
            new = ticket(watch.sent, stream=stream, arrived_s=self.now_s, due_s=due_s)
            self.given_up(self.scheduler.offer(new))

    def take(self, free_lanes: int) -> None:
        taken = self.scheduler.take(free_lanes, self.now_s)
        for turn in (*taken.tickets, *(verdict.ticket for verdict in taken.verdicts)):
            for stream, watch in self.watches.items():
                watch.turns_of_others = 0 if stream == turn.stream else watch.turns_of_others + 1
        for turn in taken.tickets:
            self.watches[turn.stream].waiting.remove(turn.frame.seq)
            self.watches[turn.stream].computing.append(turn)
        self.given_up(taken.verdicts)

    def settle(self, stream: int) -> None:
        watch = self.watches[stream]
        if watch.computing:
            self.scheduler.answered(watch.computing.pop(0))
            watch.unread += self.scheduler.fits(stream, 1)

    def read(self, stream: int) -> None:
        watch = self.watches[stream]
        if watch.unread:
            watch.unread -= 1
            self.scheduler.handed_over(stream, 1)

    def late(self, stream: int) -> None:
        self.send(stream, self.now_s + SOON_S)
        self.now_s += 2 * SOON_S
        self.given_up(self.scheduler.expire(self.now_s))

    def load(self) -> None:
        for _ in range(LOAD_TURNS):
            for stream in self.watches:
                self.send(stream)
            self.take(1)
            self.check()
            for stream in self.watches:
                self.settle(stream)
                self.read(stream)

    def given_up(self, verdicts: list[Verdict]) -> None:
        for verdict in verdicts:
            self.watches[verdict.ticket.stream].waiting.remove(verdict.ticket.frame.seq)

    def check(self) -> None:
        weights = [watch.terms.weight for watch in self.watches.values()]
        for place, watch in enumerate(self.watches.values()):
            if not watch.may_be_taken:
                watch.turns_of_others = 0
            assert watch.turns_of_others <= longest_wait(weights, self.urgent, place)


@settings(max_examples=150, deadline=None)
@given(
    terms=st.lists(TERMS, min_size=2, max_size=5),
    urgent=st.integers(0, 3),
    curve=st.sampled_from([NO_COST, BATCHES_OF_4]),
    calls=st.lists(st.tuples(CALLS, st.integers(0, 4), st.integers(1, 3)), max_size=40),
)
def test_nobody_waits_longer_than_a_round_over_its_share(
    terms: list[StreamTerms], urgent: int, curve: CostCurve, calls: list[tuple[str, int, int]]
) -> None:
    """Arrivals, late frames, slow readers, engines that answer when they like, several lanes."""
    schedule = Schedule(terms, urgent, curve)
    streams = list(schedule.watches)
    for call, which, free_lanes in calls:
        stream = streams[which % len(streams)]
        match call:
            case "load":
                schedule.load()
            case "send":
                schedule.send(stream)
            case "take":
                schedule.take(free_lanes)
            case "settle":
                schedule.settle(stream)
            case "read":
                schedule.read(stream)
            case _:
                schedule.late(stream)
        schedule.check()
