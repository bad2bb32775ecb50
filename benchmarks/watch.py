"""A server as seen from outside while it works: memory each second, and its own count of frames."""

import re
import threading
import time
import urllib.request
from collections.abc import Sequence
from types import TracebackType
from typing import Self, TypeAlias

import numpy as np

from benchmarks.serving import Serving
from fathom import metrics

# Seconds since the watch began, and MiB held then.
Samples: TypeAlias = Sequence[tuple[float, float]]

_EVERY_S = 1.0
_TEN_MINUTES_S = 600.0
_LINE = re.compile(rf"^{metrics.FRAMES}{{(?P<labels>.*)}} (?P<value>\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


class MemoryWatch:
    """Samples a server's resident memory each second, within a `with`."""

    def __init__(self, server: Serving) -> None:
        self._server = server
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self.samples: list[tuple[float, float]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _sample(self) -> None:
        start_s = time.monotonic()
        for tick in range(1, 10**9):
            elapsed_s = time.monotonic() - start_s
            self.samples.append((elapsed_s, self._server.resident_mib))
            if self._over.wait(max(0.0, tick * _EVERY_S - elapsed_s)):
                return


def growth_mib(samples: Samples, after_s: float) -> float:
    """The most memory held from then on, less what was held then; 0 without samples."""
    later = [mib for elapsed_s, mib in samples if elapsed_s >= after_s]
    return max(later) - later[0] if later else 0.0


def slope_mib(samples: Samples, after_s: float) -> float:
    """Growth in ten minutes of the straight line that fits best from then on."""
    later = [sample for sample in samples if sample[0] >= after_s]
    if len(later) < 2:
        return 0.0
    at_s, mib = np.array(later).T
    off_s = at_s - at_s.mean()
    return float(off_s @ (mib - mib.mean()) / (off_s @ off_s)) * _TEN_MINUTES_S


def thinned(samples: Samples, most: int) -> Samples:
    """At most so many samples, evenly spread, the first and the last among them."""
    if len(samples) <= most:
        return samples
    return [samples[i] for i in np.linspace(0, len(samples) - 1, most).round().astype(int)]


def frames_by_outcome(page: str) -> dict[str, int]:
    """What a page of `/metrics` says became of all frames, named as a stream's last word does."""
    counts: dict[str, int] = {}
    for line in _LINE.finditer(page):
        labels = dict(_LABEL.findall(line["labels"]))
        name = "_".join(filter(None, (labels["outcome"], labels["reason"])))
        counts[name] = counts.get(name, 0) + int(float(line["value"]))
    return counts


def total(page: str, name: str) -> float:
    """The sum of one metric's samples over all its labels, of a page of `/metrics`; 0 for none."""
    lines = (line.rpartition(" ") for line in page.splitlines())
    return sum(float(value) for series, _, value in lines if series.partition("{")[0] == name)


def read_page(server: Serving) -> str:
    """`/metrics` of a running server."""
    with urllib.request.urlopen(f"http://{server.http}/metrics", timeout=10) as page:
        text: str = page.read().decode()
        return text


def read_frames(server: Serving) -> dict[str, int]:
    """`frames_by_outcome` of a running server."""
    return frames_by_outcome(read_page(server))
