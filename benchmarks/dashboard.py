"""The dashboard's lines over an overload, drawn from what a real Prometheus answers to its queries.

    python benchmarks/dashboard.py

One camera, then in bad company, then sixteen, then one again, against a null engine that takes
40 ms a frame and fails now and then. Grafana is not part of it: the queries are the dashboard's
own, the drawing is ours.
"""

import argparse
import asyncio
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import uvloop

from benchmarks.monitoring import ROOT, SCRAPE_S, Prometheus, Series, find_tools, watching
from benchmarks.pictures import camera_jpeg
from benchmarks.plot import Chart, Line, grid, shades, write_png
from benchmarks.results import FOLDER
from benchmarks.serving import Serving, serving
from benchmarks.visitors import Astray, Visitors
from fathom.errors import FathomError

DASHBOARD = ROOT / "deploy" / "grafana" / "dashboards" / "fathom.json"
SERVER = (
    *("--engine=null", "--null-cost-ms=40", "--null-fault-every=60"),
    *("--window-mib=0.3", "--slow-reader-s=1"),
)
# Slow cameras grow old in their slots: a frame waits for up to 200 ms before a newer one comes.
CALM, CROWD, CAMERA_FPS = 1, 16, 5.0
BAD_COMPANY = ("malformed", "frozen")
HASTE = ("impatient",)
_COMES_AGAIN_S = 1.0
# Far longer than anything here runs; whoever starts cameras ends them.
_LONGEST_S = 600.0
# Grafana's own rule: a rate needs four scrapes.
_RATE_INTERVAL = f"{4 * SCRAPE_S * 1e3:.0f}ms"
_COLUMNS, _SIZE_PX = 3, (280, 600)
_UNITS = {"s": (1e3, "ms"), "percentunit": (100.0, "%"), "bytes": (2**-20, "MiB"), "ops": (1, "/s")}


@dataclass(frozen=True, slots=True)
class Query:
    """One line of a panel, as the dashboard's file writes it."""

    expression: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel of the dashboard.

    kind  Grafana's: timeseries, stat, heatmap, table
    """

    title: str
    kind: str
    unit: str
    queries: Sequence[Query]


def main(argv: list[str] | None = None) -> int:
    """Run it, draw it."""
    parser = argparse.ArgumentParser(
        "python benchmarks/dashboard.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=15, help="of each part (%(default)s)")
    parser.add_argument("--picture", type=Path, default=FOLDER / "dashboard.png")
    arguments = parser.parse_args(argv)
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(SERVER) as server,
        watching(find_tools(), server.http, Path(folder)) as prometheus,
    ):
        start_s = prometheus.now_s()
        for cameras, company in ((CALM, ()), (CALM, BAD_COMPANY), (CROWD, HASTE), (CALM, ())):
            with load(server, cameras, company):
                time.sleep(arguments.seconds)
        write_png(arguments.picture, picture(prometheus, start_s))
    print(f"written to {arguments.picture}")
    return 0


def read_panels(path: Path = DASHBOARD) -> list[Panel]:
    """Every panel that asks for something, in the order of the page."""
    panels = json.loads(path.read_text(encoding="utf-8"))["panels"]
    return [
        Panel(
            title=panel["title"],
            kind=panel["type"],
            unit=panel["fieldConfig"]["defaults"]["unit"],
            queries=[Query(each["expr"], each["legendFormat"]) for each in panel["targets"]],
        )
        for panel in panels
        if panel["type"] != "row"
    ]


def expand(expression: str) -> str:
    """What Grafana would send, with every variable at All."""
    text = expression.replace("$__rate_interval", _RATE_INTERVAL)
    return re.sub(r"\$(instance|model)\b", ".*", text)


@contextmanager
def load(server: Serving, cameras: int, company: Sequence[str] = ()) -> Iterator[None]:
    """So many cameras for the `with` block, and visitors of these kinds beside them."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(sys.executable, "-m", "benchmarks.generator", server.grpc, f"{folder}/run.npz"),
            *(f"--cameras={cameras}", f"--fps={CAMERA_FPS}", f"--seconds={_LONGEST_S}"),
        ]
        with subprocess.Popen(command, cwd=ROOT) as process, _company(server, company):
            try:
                yield
            finally:
                process.kill()


@contextmanager
def _company(server: Serving, kinds: Sequence[str]) -> Iterator[None]:
    visitors = Visitors(grpc=server.grpc, http=server.http, picture=camera_jpeg())
    over = threading.Event()

    async def come_again(kind: str) -> None:
        while not over.is_set():
            with suppress(Astray, FathomError, OSError):  # it is load here; soak.py judges
                await getattr(visitors, kind)()
            await asyncio.sleep(_COMES_AGAIN_S)

    async def all_of_them() -> None:
        coming = asyncio.gather(*(come_again(kind) for kind in kinds))
        await asyncio.to_thread(over.wait)
        coming.cancel()
        with suppress(asyncio.CancelledError):
            await coming

    thread = threading.Thread(target=uvloop.run, args=(all_of_them(),))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def picture(
    prometheus: Prometheus, start_s: float
) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    """Every panel of lines since then, (H, W, 3) uint8 RGB."""
    end_s = prometheus.now_s()
    drawn = [panel for panel in read_panels() if panel.kind in {"timeseries", "stat"}]
    return grid(
        [chart(panel, answers(prometheus, panel, start_s, end_s)) for panel in drawn], _COLUMNS
    )


def answers(
    prometheus: Prometheus, panel: Panel, start_s: float, end_s: float
) -> list[tuple[str, Series]]:
    """A panel's series by their names, times from the start."""
    return [
        (legend(query.legend, series), series.since(start_s))
        for query in panel.queries
        for series in prometheus.query_range(expand(query.expression), start_s, end_s)
    ]


def legend(form: str, series: Series) -> str:
    """A series' name as Grafana makes it, but for the address of the one server."""
    text = form.replace("{{instance}}", "").strip()
    return re.sub(r"{{(\w+)}}", lambda label: series.labels.get(label[1], ""), text)


def chart(panel: Panel, named: Sequence[tuple[str, Series]]) -> Chart:
    """One panel; its series in shades of one scale."""
    factor, unit = _UNITS.get(panel.unit, (1, ""))
    colours = shades(max(1, len(named)))
    return Chart(
        title=panel.title,
        x_label="s",
        y_label=unit,
        lines=[
            Line(
                x=np.array([at_s for at_s, _ in series.points]),
                y=np.array([value * factor for _, value in series.points]),
                colour=colour,
                name=name,
            )
            for (name, series), colour in zip(named, colours, strict=False)
        ],
        size_px=_SIZE_PX,
    )


if __name__ == "__main__":
    sys.exit(main())
