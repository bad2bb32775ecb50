"""What became of each of one camera's frames. Knows no clock and no connection."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from benchmarks.results import Summary
from benchmarks.tallies import Schedule


@dataclass(slots=True)
class Books:
    """One camera's frames: due = held back + sent, sent = answered + skipped + failed + unanswered.

    ages_s      of answers with depth, from the frame's own due time to the answer's last byte
    received_s  when those answers came, from the start of the run
    """

    schedule: Schedule
    sent: int = 0
    skipped: int = 0
    failed: int = 0
    ages_s: list[float] = field(default_factory=list)
    received_s: list[float] = field(default_factory=list)

    def answer(self, due_s: float, received_s: float) -> None:
        """Depth came of the frame that was due then."""
        self.ages_s.append(received_s - due_s)
        self.received_s.append(received_s)

    @property
    def due(self) -> int:
        return self.schedule.frames

    @property
    def held_back(self) -> int:
        """Frames that the camera kept to itself because a request was under way."""
        return self.due - self.sent

    @property
    def answered(self) -> int:
        return len(self.ages_s)

    @property
    def unanswered(self) -> int:
        """Frames whose answer had not come when the benchmark stopped to wait."""
        return self.sent - self.answered - self.skipped - self.failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What all cameras of one run got.

    fps          answers with depth that came within the run, a second
    slowest_fps  the same of the camera that got fewest
    age_*_ms     over all answers with depth, late ones included
    """

    fps: float
    slowest_fps: float
    age_p50_ms: float
    age_p95_ms: float
    age_p99_ms: float
    due: int
    held_back: int
    sent: int
    answered: int
    skipped: int
    failed: int
    unanswered: int

    @classmethod
    def of(cls, cameras: Sequence[Books], seconds: float) -> "Figures":
        """Add the cameras up; an age is NaN if there was no answer at all."""
        in_time = [sum(s <= seconds for s in books.received_s) for books in cameras]
        ages_s = [age_s for books in cameras for age_s in books.ages_s] or [math.nan]
        ages = Summary.of(ages_s)
        return cls(
            fps=sum(in_time) / seconds,
            slowest_fps=min(in_time) / seconds,
            age_p50_ms=ages.p50_ms,
            age_p95_ms=ages.p95_ms,
            age_p99_ms=ages.p99_ms,
            due=sum(books.due for books in cameras),
            held_back=sum(books.held_back for books in cameras),
            sent=sum(books.sent for books in cameras),
            answered=sum(books.answered for books in cameras),
            skipped=sum(books.skipped for books in cameras),
            failed=sum(books.failed for books in cameras),
            unanswered=sum(books.unanswered for books in cameras),
        )

    def as_dict(self) -> dict[str, float]:
        return asdict(self)
