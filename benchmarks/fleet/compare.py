"""The simulation beside a real server: the same cameras, with costs measured in the same run.

What is fitted is a node's costs, from two runs of their own (`measure`). Nothing is fitted to the
cells that are compared.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks import generator
from benchmarks.fleet.costs import Costs
from benchmarks.fleet.fleet import Scene, simulate
from benchmarks.fleet.measure import engine_costs, measure
from benchmarks.fleet.report import Figures, Seen, seen, seen_of
from benchmarks.serving import Serving, serving
from benchmarks.tallies import read_run

# Slow against what a busy machine adds to a sleep, fast enough for a p99 in half a minute.
_SERVER = ("--engine=null", "--null-cost-ms=20")
_BAR = 0.15


@dataclass(frozen=True, slots=True)
class Load:
    """What all cameras together send, over the capacity: at the start, and at the end of a run."""

    start: float
    end: float

    @classmethod
    def of(cls, text: str) -> "Load":
        """`0.5`, or `0.95:1.05` for a load that grows."""
        start, _, end = text.partition(":")
        return cls(float(start), float(end or start))

    def __str__(self) -> str:
        return f"{self.start:g}" if self.end == self.start else f"{self.start:g}-{self.end:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """What is compared: each number of cameras at each load, for so many seconds."""

    cameras: Sequence[int]
    loads: Sequence[Load]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One of them, as it was and as it was simulated.

    fps  of each camera at the start
    """

    cameras: int
    load: Load
    fps: float
    real: Seen
    simulated: Seen

    @property
    def ratios(self) -> dict[str, float]:
        """Simulated over real."""
        names = ("served_fps", "p50_ms", "p99_ms")
        return {name: getattr(self.simulated, name) / getattr(self.real, name) for name in names}

    @property
    def agrees(self) -> bool:
        return all(abs(ratio - 1) <= _BAR for ratio in self.ratios.values())


def compare(
    cells: Cells, server_arguments: Sequence[str], measure_s: float
) -> tuple[Costs, list[Cell]]:
    """The costs that were measured, and every cell."""
    told = server_arguments or _SERVER
    spec, curve = engine_costs(told)
    with serving(told) as server:
        costs = measure(server, spec, curve, measure_s)
        done = [
            _cell(server, costs, cameras, load, cells.seconds)
            for cameras in cells.cameras
            for load in cells.loads
        ]
    return costs, done


def _cell(server: Serving, costs: Costs, cameras: int, load: Load, seconds: float) -> Cell:
    each_fps = costs.capacity_fps / cameras
    scene = Scene(
        cameras=cameras,
        fps=load.start * each_fps,
        fps_per_s=(load.end - load.start) * each_fps / seconds,
        nodes=1,
        seconds=seconds,
        spread=False,
    )
    real = _real(server, scene)
    simulated = seen_of(simulate(scene, costs))
    return Cell(cameras=cameras, load=load, fps=scene.fps, real=real, simulated=simulated)


def _real(server: Serving, scene: Scene) -> Seen:
    """What the scene's cameras get from a server."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run.npz"
        options = {
            name: getattr(scene, name) for name in ("cameras", "fps", "fps_per_s", "seconds")
        }
        given = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        generator.main([server.grpc, str(out), *given])
        run = read_run(out)
    captured_s = np.concatenate([camera.due_s for camera in run.cameras]).astype(np.float64)
    ages_s = np.concatenate([camera.ages_s for camera in run.cameras]).astype(np.float64)
    return seen(captured_s, ages_s, frames=run.sent, seconds=scene.seconds)


def figures(cell: Cell) -> Figures:
    return {
        "cameras": cell.cameras,
        "load": [cell.load.start, cell.load.end],
        "fps_each": round(cell.fps, 3),
        "real": _rounded(cell.real),
        "simulated": _rounded(cell.simulated),
        "simulated_over_real": {name: round(ratio, 3) for name, ratio in cell.ratios.items()},
        "agrees": cell.agrees,
    }


def table(cells: Sequence[Cell]) -> str:
    """A row for each cell: real, simulated, and their ratio."""
    lines = [
        f"{'cameras':>7}{'load':>11}  {'served/s real, sim, ratio':^26}"
        f"{'age p50 ms':^28}{'age p99 ms':^28}"
    ]
    for cell in cells:
        parts = [
            f"{getattr(cell.real, name):>9.1f}{getattr(cell.simulated, name):>9.1f}{ratio:>8.3f}  "
            for name, ratio in cell.ratios.items()
        ]
        mark = "" if cell.agrees else f"more than {_BAR:.0%} apart"
        lines.append(f"{cell.cameras:>7}{cell.load!s:>11}{''.join(parts)}{mark}")
    return "\n".join(lines)


def _rounded(each: Seen) -> Figures:
    return {name: round(value, 3) for name, value in asdict(each).items()}
