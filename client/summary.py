"""What became of the frames, counted from the answers. Knows no clock and no file."""

import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from fathom.session.core import Received
from fathom.session.reconnect import Reconnected
from fathom.values import EncodedDepth, Failed, Skipped

# Times are kept for the last answers only: a camera runs for weeks. An hour at 30 per second.
_KEPT = 108_000
# The rate on the picture is that of the last answers: one second's worth at a camera's rate.
_RATE_OVER = 30


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Seconds that 50, 95 and 99 % of the frames did not exceed."""

    p50_s: float
    p95_s: float
    p99_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The books of a run: sent = answered + skipped + failed + unanswered.

    passed_over   pictures that the camera gave and a newer one replaced before sending
    reconnects    how often the connection was lost and found again
    away_s        seconds of that, in all
    duration_s    from sending the first frame to receiving the last answer
    fps           answered frames per second of that time
    age_s         from capture to receiving, answered frames only
    round_trip_s  from sending to receiving, answered frames only
    """

    source: str
    server: str
    model: str
    sent: int
    answered: int
    skipped: Mapping[str, int]
    failed: Mapping[str, int]
    passed_over: int
    reconnects: int
    away_s: float
    duration_s: float
    fps: float
    age_s: Percentiles | None
    round_trip_s: Percentiles | None

    @property
    def unanswered(self) -> int:
        """Frames without any answer; not 0 only where server or connection broke its promise."""
        return self.sent - self.answered - sum(self.skipped.values()) - sum(self.failed.values())

    @property
    def good(self) -> bool:
        """Something was answered and nothing failed; a skip is no failure."""
        return self.answered > 0 and not self.failed and not self.unanswered

    def as_json(self) -> dict[str, object]:
        """For `json.dump`: seconds, counts by reason and code."""
        return {**asdict(self), "unanswered": self.unanswered}


class Accounts:
    """Takes every answer once, in the order of receipt."""

    def __init__(self) -> None:
        self.answered = 0
        self.skipped: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.reconnects = 0
        self._away_s = 0.0
        self._ages_s: deque[float] = deque(maxlen=_KEPT)
        self._round_trips_s: deque[float] = deque(maxlen=_KEPT)
        self._latest_s: deque[float] = deque(maxlen=_RATE_OVER + 1)
        self._began_s: float | None = None
        self._ended_s = 0.0

    def note(self, received: Received, now_s: float) -> None:
        """Enter one answer, received now."""
        if self._began_s is None:
            self._began_s = now_s - received.round_trip_s
        self._ended_s = now_s
        match received.answer:
            case EncodedDepth():
                self.answered += 1
                self._ages_s.append(received.age_s)
                self._round_trips_s.append(received.round_trip_s)
                self._latest_s.append(now_s)
            case Skipped(reason=reason):
                self.skipped[reason.value] += 1
            case Failed(code=code):
                self.failed[code.value] += 1

    def note_gap(self, gap: Reconnected) -> None:
        """Enter a connection that was lost and found again."""
        self.reconnects += 1
        self._away_s += gap.gap_s

    @property
    def answers(self) -> int:
        """Answers so far, of every kind."""
        return self.answered + self.skipped.total() + self.failed.total()

    @property
    def fps(self) -> float:
        """Answered frames per second, over the last of them; 0 before the second."""
        if len(self._latest_s) < 2:
            return 0.0
        elapsed_s = self._latest_s[-1] - self._latest_s[0]
        return (len(self._latest_s) - 1) / elapsed_s if elapsed_s > 0 else 0.0

    def summary(
        self, *, source: str, server: str, model: str, sent: int, passed_over: int
    ) -> Summary:
        duration_s = 0.0 if self._began_s is None else self._ended_s - self._began_s
        return Summary(
            source=source,
            server=server,
            model=model,
            sent=sent,
            answered=self.answered,
            skipped=dict(self.skipped),
            failed=dict(self.failed),
            passed_over=passed_over,
            reconnects=self.reconnects,
            away_s=self._away_s,
            duration_s=duration_s,
            fps=self.answered / duration_s if duration_s > 0 else 0.0,
            age_s=percentiles(self._ages_s),
            round_trip_s=percentiles(self._round_trips_s),
        )


def percentiles(values_s: Iterable[float]) -> Percentiles | None:
    """By nearest rank: the smallest value that p % do not exceed. Always one that was measured."""
    ranked = sorted(values_s)
    if not ranked:
        return None
    p50, p95, p99 = (ranked[math.ceil(len(ranked) * p / 100) - 1] for p in (50, 95, 99))
    return Percentiles(p50, p95, p99)


def lines(summary: Summary) -> list[str]:
    """The summary for a terminal."""
    rows = [
        f"{summary.source} -> {summary.server} ({summary.model})",
        f"{'sent':<12}{summary.sent}",
        f"{'answered':<12}{summary.answered}",
        f"{'skipped':<12}{_counted(summary.skipped)}",
        f"{'failed':<12}{_counted(summary.failed)}",
    ]
    if summary.unanswered:
        rows.append(f"{'unanswered':<12}{summary.unanswered}")
    if summary.passed_over:
        rows.append(f"{'passed over':<12}{summary.passed_over} (newer ones were sent instead)")
    if summary.reconnects:
        rows.append(f"{'reconnects':<12}{summary.reconnects} ({summary.away_s:.1f} s without)")
    rows.append(f"{'rate':<12}{summary.fps:.1f} answers/s over {summary.duration_s:.2f} s")
    for name, times in (("age", summary.age_s), ("round trip", summary.round_trip_s)):
        if times is not None:
            p50, p95, p99 = (1e3 * t for t in (times.p50_s, times.p95_s, times.p99_s))
            rows.append(f"{name:<12}p50 {p50:.1f} ms   p95 {p95:.1f} ms   p99 {p99:.1f} ms")
    return rows


def _counted(counts: Mapping[str, int]) -> str:
    total = sum(counts.values())
    by_name = ", ".join(f"{name} {n}" for name, n in sorted(counts.items()))
    return f"{total} ({by_name})" if counts else "0"
