"""How busy others keep the cores, by hand-written ticks; nothing sleeps."""

from pathlib import Path

import pytest

from fathom.machine import busy_share


def test_busy_is_what_was_not_idle_meanwhile(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu 1000 0 500 9000 100 0 0 0 77 77\ncpu0 1 2 3 4\n")
    waited: list[float] = []

    def sleep(over_s: float) -> None:
        # Of 200 ticks 110 idle and 40 waiting for a disk; guests count in what users did.
        waited.append(over_s)
        stat.write_text("cpu 1030 0 515 9110 140 0 5 0 99 99\ncpu0 1 2 3 4\n")

    assert busy_share(0.5, stat=stat, sleep=sleep) == pytest.approx(50 / 200)
    assert waited == [0.5]


def test_no_tick_meanwhile_is_no_work(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu 1 0 0 9 0 0 0 0 0 0\n")
    assert busy_share(stat=stat, sleep=lambda _: None) == 0


def test_without_ticks_the_load_average_stands_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (1.0, 0.0, 0.0))
    monkeypatch.setattr("fathom.machine.usable_cores", lambda: 4)
    assert busy_share(stat=tmp_path / "none") == 0.25
