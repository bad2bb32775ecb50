"""What a node's work takes, as it was measured: medians by batch size, and how they spread."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from server.core.batcher import CostCurve

# Of a spread that is kept: enough for its p99, and a line of JSON.
_KNOTS = np.concatenate([np.linspace(0, 0.98, 50), [0.985, 0.99, 0.995, 0.999, 1.0]])
_DRAWN_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class Spread:
    """Measured values by the share of all that are below them; shares between are interpolated."""

    shares: tuple[float, ...]
    values: tuple[float, ...]

    @classmethod
    def of(cls, samples: Sequence[float]) -> "Spread":
        values = np.quantile(samples, _KNOTS)
        return cls(tuple(_KNOTS.tolist()), tuple(round(float(value), 9) for value in values))

    @classmethod
    def of_percentiles(cls, p50: float, p95: float, p99: float) -> "Spread":
        """From what a summary keeps: nothing is known of the faster half, nor of the last 1 %."""
        return cls((0.0, 0.5, 0.95, 0.99, 1.0), (p50, p50, p95, p99, p99))

    @classmethod
    def fixed(cls, value: float) -> "Spread":
        return cls((0.0, 1.0), (value, value))

    @property
    def median(self) -> float:
        return float(np.interp(0.5, self.shares, self.values))

    @property
    def mean(self) -> float:
        return float(np.trapezoid(self.values, self.shares))

    def draws(self, rng: np.random.Generator) -> Iterator[float]:
        """Values as they were measured to come, without end."""
        while True:
            drawn = np.interp(rng.random(_DRAWN_AT_ONCE), self.shares, self.values)
            yield from drawn.tolist()


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """One node, in seconds.

    source   what was measured, on what
    curve    one `infer` by batch size, which the scheduler is told as well
    infer    what one took, as a share of the curve's
    decode   of a frame
    finish   of a frame, with encoding
    carry    of a frame: the picture's way to the server and the answer's way back, together
    pause_s  between two batches of a lane that always has one waiting
    lanes    batches computed at once
    overlap  whether a lane decodes and finishes while its device computes
    """

    source: str
    curve: CostCurve
    infer: Spread
    decode: Spread
    finish: Spread
    carry: Spread
    pause_s: float = 0.0
    lanes: int = 1
    overlap: bool = False

    @property
    def capacity_fps(self) -> float:
        """Frames a second of a node whose lanes always have full batches waiting."""
        return max(self._fps(frames) for frames in self.curve.seconds)

    def _fps(self, frames: int) -> float:
        infer_s = self.curve.cost_s(frames) * self.infer.mean + self.pause_s
        decode_s, finish_s = frames * self.decode.mean, frames * self.finish.mean
        parts = (infer_s, decode_s, finish_s)
        return self.lanes * frames / max(1e-9, max(parts) if self.overlap else sum(parts))


def fixed_costs(
    infer_s: Mapping[int, float], *, carry_s: float = 0.0, lanes: int = 1, overlap: bool = False
) -> Costs:
    """A node without spread, for what can be computed by hand."""
    return Costs(
        source="given",
        curve=CostCurve(infer_s),
        infer=Spread.fixed(1.0),
        decode=Spread.fixed(0.0),
        finish=Spread.fixed(0.0),
        carry=Spread.fixed(carry_s),
        lanes=lanes,
        overlap=overlap,
    )


def to_json(costs: Costs) -> dict[str, object]:
    """The costs as figures of a result."""
    seconds = {str(frames): cost_s for frames, cost_s in costs.curve.seconds.items()}
    return asdict(costs) | {"curve": seconds}


def read_costs(path: Path) -> Costs:
    """Costs from a result of `--measure`, or from one of `benchmarks/fps.py`."""
    result = json.loads(path.read_text(encoding="utf-8"))
    figures = result["figures"]
    if "curve" in figures:
        return _from_json(figures)
    return _from_fps(figures, f"{path.name}: {figures['engine']} on {result['machine']}")


def _from_json(figures: Mapping[str, Any]) -> Costs:
    spreads = {
        name: Spread(tuple(figures[name]["shares"]), tuple(figures[name]["values"]))
        for name in ("infer", "decode", "finish", "carry")
    }
    curve = CostCurve({int(size): cost_s for size, cost_s in figures["curve"].items()})
    return Costs(**{**figures, **spreads, "curve": curve})


def _from_fps(figures: Mapping[str, Any], source: str) -> Costs:
    """One lane of all cores that decodes, infers and finishes in turn, as `in_server` does.

    What a lone frame's round trip took beyond that is its way there and back.
    """
    path, trip = figures["in_server"], figures["closed_loop_1"]
    median_s = path["p50_ms"] / 1e3
    shares = [path[name] / path["p50_ms"] for name in ("p50_ms", "p95_ms", "p99_ms")]
    carry_s = [trip[name] / 1e3 - median_s for name in ("p50_ms", "p95_ms", "p99_ms")]
    return Costs(
        source=source,
        curve=CostCurve({1: median_s}),
        infer=Spread.of_percentiles(*shares),
        decode=Spread.fixed(0.0),
        finish=Spread.fixed(0.0),
        carry=Spread.of_percentiles(*carry_s),
    )
