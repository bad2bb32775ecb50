"""The books of a run, checked by hand."""

import json

import pytest

from client.summary import Accounts, Percentiles, Summary, lines, percentiles
from fathom.errors import Code, FathomError
from fathom.geometry import Intrinsics
from fathom.session.core import Received
from fathom.session.reconnect import Reconnected
from fathom.values import (
    DepthEncoding,
    EncodedDepth,
    Failed,
    Image,
    ImageEncoding,
    ServerAnswer,
    Skipped,
    SkipReason,
)

_IMAGE = Image(encoding=ImageEncoding.JPEG, data=b"")


def depth(seq: int) -> EncodedDepth:
    return EncodedDepth(
        seq=seq,
        encoding=DepthEncoding.U16_MM,
        width_px=1,
        height_px=1,
        data=b"\0\0",
        camera=Intrinsics.centred(1.0, (1, 1)),
        focal_given=False,
        model="plane",
        version=1,
    )


def received(answer: ServerAnswer, *, age_s: float = 0.0, round_trip_s: float = 0.0) -> Received:
    return Received(answer=answer, image=_IMAGE, round_trip_s=round_trip_s, age_s=age_s)


def failed(seq: int, code: Code) -> Failed:
    return Failed(seq=seq, code=code, expected="depth", got="none", repair="none")


def closed(accounts: Accounts, sent: int) -> Summary:
    return accounts.summary(source="clip", server="here:1", model="m 1", sent=sent, passed_over=2)


def test_percentiles_are_nearest_ranks() -> None:
    hundred = [n / 1000 for n in range(100, 0, -1)]
    assert percentiles(hundred) == Percentiles(0.050, 0.095, 0.099)
    # Of four: ranks ceil(2.0) = 2, ceil(3.8) = 4, ceil(3.96) = 4.
    assert percentiles([4.0, 1.0, 3.0, 2.0]) == Percentiles(2.0, 4.0, 4.0)
    assert percentiles([0.5]) == Percentiles(0.5, 0.5, 0.5)
    assert percentiles([]) is None


def mixed() -> Accounts:
    """Six frames: the first sent at 9.9 s, three depths, two skips, one failure, over at 11.9 s."""
    accounts = Accounts()
    accounts.note(received(depth(1), age_s=0.3, round_trip_s=0.1), 10.0)
    accounts.note(received(Skipped(seq=2, reason=SkipReason.SUPERSEDED), age_s=9.0), 10.1)
    accounts.note(received(Skipped(seq=3, reason=SkipReason.DEADLINE), age_s=9.0), 10.2)
    accounts.note(received(depth(4), age_s=0.1, round_trip_s=0.05), 10.5)
    accounts.note(received(failed(5, Code.ENGINE_FAULT), age_s=9.0), 10.6)
    accounts.note(received(depth(6), age_s=0.2, round_trip_s=0.2), 11.9)
    return accounts


def test_outcomes_sum_to_what_was_sent() -> None:
    summary = closed(mixed(), sent=6)
    assert summary.answered == 3
    assert summary.skipped == {"superseded": 1, "deadline": 1}
    assert summary.failed == {"engine_fault": 1}
    assert summary.unanswered == 0
    assert closed(mixed(), sent=8).unanswered == 2


def test_rate_and_times_count_answered_frames_only() -> None:
    summary = closed(mixed(), sent=6)
    assert summary.duration_s == pytest.approx(2.0)
    assert summary.fps == pytest.approx(1.5)
    assert summary.age_s == Percentiles(0.2, 0.3, 0.3)
    assert summary.round_trip_s == Percentiles(0.1, 0.2, 0.2)


def test_the_running_rate_is_that_of_the_last_answers() -> None:
    accounts = Accounts()
    assert accounts.fps == 0.0
    for n in range(100):  # ten per second first, then fifty
        accounts.note(received(depth(n)), n / 10 if n < 60 else 5.9 + (n - 59) / 50)
    assert accounts.fps == pytest.approx(50)


def test_good_means_answered_and_nothing_failed() -> None:
    accounts = Accounts()
    assert not closed(accounts, sent=0).good
    accounts.note(received(depth(1)), 1.0)
    accounts.note(received(Skipped(seq=2, reason=SkipReason.SUPERSEDED)), 1.0)
    assert closed(accounts, sent=2).good
    assert not closed(accounts, sent=3).good
    accounts.note(received(failed(3, Code.BAD_IMAGE)), 1.0)
    assert not closed(accounts, sent=3).good


def test_gaps_are_counted_and_only_then_told() -> None:
    accounts = mixed()
    assert not any("reconnects" in line for line in lines(closed(accounts, sent=6)))
    reason = FathomError(Code.NOT_READY, expected="a server", got="none", repair="wait")
    for gap_s in (1.5, 2.0):
        accounts.note_gap(Reconnected(lost=range(0), attempts=1, gap_s=gap_s, reason=reason))
    assert "reconnects  2 (3.5 s without)" in lines(closed(accounts, sent=6))


def test_the_terminal_and_the_file_say_the_same() -> None:
    summary = closed(mixed(), sent=6)
    printed = "\n".join(lines(summary))
    assert "clip -> here:1 (m 1)" in printed
    assert "2 (deadline 1, superseded 1)" in printed
    assert "p50 200.0 ms   p95 300.0 ms   p99 300.0 ms" in printed
    filed = json.loads(json.dumps(summary.as_json()))
    assert filed["skipped"] == {"superseded": 1, "deadline": 1}
    assert filed["age_s"] == {"p50_s": 0.2, "p95_s": 0.3, "p99_s": 0.3}
    assert filed["unanswered"] == 0
