"""Batch sizes, lanes and shares by a fake engine; nothing is timed but that it was."""

import argparse
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import engine as benchmark
from benchmarks.roofline import Ceilings, layers_of
from fathom.card import CARD_FILE, read_card
from fathom.geometry import RGB
from server.engines.engine import EngineSpec, Outputs
from server.engines.null import NullEngine

FOLDER = Path(__file__).parents[2] / "model_repository" / "indoor-mnv2"


class Recorded:
    """A null engine of an own spec that keeps what it is asked."""

    def __init__(self, lanes: int, max_batch: int) -> None:
        self._inner = NullEngine(max_batch=max_batch, lanes=lanes)
        self.asked: list[tuple[int, int]] = []

    @property
    def spec(self) -> EngineSpec:
        return replace(self._inner.spec, precision="f32")

    def infer(self, frames: RGB, lane: int, due_s: float | None = None) -> Outputs:
        self.asked.append((len(frames), lane))
        return self._inner.infer(frames, lane, due_s)

    def close(self) -> None:
        self._inner.close()


def test_every_batch_size_is_timed_on_one_lane_and_then_on_all() -> None:
    card, engine = read_card(FOLDER / CARD_FILE), Recorded(lanes=2, max_batch=3)
    ceilings = Ceilings(operations_per_s=1e12, bytes_per_s={2**20: 1e12})
    arguments = argparse.Namespace(rounds=2, calls=3)
    rows = list(benchmark.measure(card, FOLDER, engine, ceilings, arguments))
    assert [(row.batch, row.latency.count, row.eager_ms) for row in rows] == [
        (batch, 6, None) for batch in (1, 2, 3)
    ]
    for row in rows:
        alone = 10 + 6  # warm-up, and what is told
        assert engine.asked.count((row.batch, 0)) == 2 * alone
        assert engine.asked.count((row.batch, 1)) == alone
        least_s = ceilings.seconds(layers_of(FOLDER / "current/model.onnx", row.batch, "f32"))
        assert row.roofline_ms == pytest.approx(1e3 * least_s, abs=1e-4)
        assert row.share_of_roofline == pytest.approx(
            row.frames_per_s * least_s / row.batch, abs=1e-3
        )


def test_a_precision_that_the_engine_lacks_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ["--precisions", "f16", "--engine", "onnxruntime", "--json", str(tmp_path / "a.json")]
    assert benchmark.main(told) == 2
    assert "f16" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
