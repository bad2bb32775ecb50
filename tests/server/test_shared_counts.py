"""Several workers' counts on one page: added up, never less than before, without the dead's gauges.

Workers are played by one process, one after the other: what a metric is kept in is chosen when it
is made.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client import values
from prometheus_client.parser import text_string_to_metric_families

from fathom import metrics
from server import shared_counts
from server.engines.null import NullEngine
from server.telemetry import Telemetry
from tests.server.conftest import depth

Worker = Callable[[int], Telemetry]


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    """Begins the worker of a number; one of the same number has died before."""
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)  # to be put back
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))

    def begin(number: int) -> Telemetry:
        shared_counts.keep(tmp_path, number)
        return Telemetry(shared_counts.AllCounts(tmp_path))

    yield begin
    values.close_all_multiprocess_files()  # type: ignore[no-untyped-call]


def samples(telemetry: Telemetry) -> dict[tuple[str, str], float]:
    """A page's figures by name and the first label's value."""
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(telemetry.page().decode())
        for sample in family.samples
    }


def test_every_worker_s_page_is_the_sum_over_all(worker: Worker) -> None:
    one, other = worker(0), worker(1)
    for telemetry, frames in ((one, 2), (other, 3)):
        for _ in range(frames):
            telemetry.received("ramp")
            telemetry.settled("ramp", depth(1))
            telemetry.handed_over(0.004)
        telemetry.load(streams=frames, waiting=10 * frames)
    for telemetry in (one, other):
        page = samples(telemetry)
        assert page[metrics.FRAMES_RECEIVED, "ramp"] == 5
        assert page[metrics.FRAMES, "ramp"] == 5
        assert page[f"{metrics.FRAME_AGE}_count", ""] == 5
        assert page[f"{metrics.FRAME_AGE}_sum", ""] == pytest.approx(0.020)
        assert page[f"{metrics.FRAME_AGE}_bucket", "0.003"] == 0
        assert page[f"{metrics.FRAME_AGE}_bucket", "0.004"] == 5
        assert page[f"{metrics.FRAME_AGE}_bucket", "+Inf"] == 5
        assert (page[metrics.STREAMS, ""], page[metrics.WAITING_FRAMES, ""]) == (5, 50)


def test_a_worker_that_dies_keeps_its_counts_and_loses_its_gauges(
    worker: Worker, tmp_path: Path
) -> None:
    one, other = worker(0), worker(1)
    other.fault()
    other.load(streams=7, waiting=0)
    one.load(streams=2, waiting=0)
    shared_counts.forget(tmp_path, 1)
    page = samples(one)
    assert (page[metrics.ENGINE_FAULTS, ""], page[metrics.STREAMS, ""]) == (1, 2)


def test_one_that_is_started_again_goes_on_where_the_last_was_in_the_same_files(
    worker: Worker, tmp_path: Path
) -> None:
    one, other = worker(0), worker(1)
    other.fault()
    files = set(tmp_path.iterdir())
    for _ in range(3):
        shared_counts.forget(tmp_path, 1)
        again = worker(1)
        again.fault()
        again.load(streams=1, waiting=0)
    page = samples(one)
    assert (page[metrics.ENGINE_FAULTS, ""], page[metrics.STREAMS, ""]) == (4, 1)
    assert set(tmp_path.iterdir()) == files


def test_what_runs_is_told_once_and_not_added_up(worker: Worker) -> None:
    one, other = worker(0), worker(1)
    for telemetry in (one, other):
        telemetry.started(NullEngine().spec)
    assert [v for (name, _), v in samples(one).items() if name == metrics.BUILD_INFO] == [1]


def test_processes_are_told_apart_and_a_dead_one_is_not_told_of(
    worker: Worker, tmp_path: Path
) -> None:
    one, _ = worker(0), worker(1)
    names = ("process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds")
    page = samples(one)
    assert all(page[name, number] > 0 for name in names for number in ("0", "1"))
    shared_counts.forget(tmp_path, 1)
    page = samples(one)
    assert all((name, "1") not in page and (name, "0") in page for name in names)


def test_a_worker_whose_process_is_gone_but_not_forgotten_spoils_no_page(
    worker: Worker, tmp_path: Path
) -> None:
    one = worker(0)
    (tmp_path / "1.process").symlink_to(str(2**22 + os.getpid()))  # beyond the largest there is
    (tmp_path / "gauge_livesum_1.db").touch()  # it begins, and has written nothing
    assert ("process_open_fds", "0") in samples(one)
