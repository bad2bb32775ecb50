"""One metrics page for several workers: each keeps its counts in files, and any adds up all.

prometheus-client's multiprocess mode, with files named by the worker's number and not by its
process. So a worker that is started again goes on where the last one was: no counter goes back when
one dies, not even by SIGKILL, and there are never more files than workers. Gauges, such as streams
that are open, go with their process.

A worker's process (`process_cpu_seconds_total` and its like) is told apart by the label `worker`: a
sum would go back when one of them dies, and a rate would take that for a burst.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path

from prometheus_client import Metric, ProcessCollector, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

_PROCESS = "*.process"


def keep(folder: Path, worker: int) -> None:
    """From here on this process counts in the folder; to be called before it makes a metric."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    # Its documented switch is an environment variable, and names files by their processes.
    by_worker = values.MultiProcessValue(lambda: worker)  # type: ignore[no-untyped-call]
    values.ValueClass = by_worker
    # A link, that is there whole or not at all; it leads nowhere.
    (folder / f"{worker}.process").symlink_to(str(os.getpid()))


def forget(folder: Path, worker: int) -> None:
    """Take away what was true of a worker's process only; what it counted stays."""
    mark_process_dead(worker, str(folder))  # type: ignore[no-untyped-call]
    (folder / f"{worker}.process").unlink(missing_ok=True)


class AllCounts:
    """What all workers of a folder counted, added up, as a collector of prometheus-client."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        # One that begins has made its file and written nothing yet.
        files = [str(file) for file in self._folder.glob("*.db") if _size(file)]
        yield from MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]
        yield from self._processes()

    def _processes(self) -> Iterable[Metric]:
        all_of: dict[str, Metric] = {}
        for file in sorted(self._folder.glob(_PROCESS)):
            collector = ProcessCollector(pid=partial(os.readlink, file), registry=None)
            with suppress(FileNotFoundError):  # it went meanwhile
                for metric in collector.collect():
                    told = Metric(metric.name, metric.documentation, metric.type)
                    told = all_of.setdefault(metric.name, told)
                    for sample in metric.samples:
                        told.add_sample(sample.name, {"worker": file.stem}, sample.value)
        return all_of.values()


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:  # one that died took its gauges along
        return 0
