"""Costs on the card: measured where nobody else computes, left out in words where somebody does."""

from pathlib import Path

import numpy as np
import pytest

from export.networks import Maps
from export.pictures import Pictures
from export.pipeline import costs_if_calm
from export.targets import Made
from fathom.geometry import RGB


def network(frames: RGB) -> Maps:
    return Maps(np.ones(frames.shape[:3], np.float32), None)


@pytest.fixture
def made() -> list[Made]:
    return [Made("onnx", "f32", (Path("model.onnx"),), {"f32": network, "bf16": network})]


@pytest.fixture
def pictures() -> Pictures:
    return Pictures(np.zeros((1, 4, 6, 3), np.uint8), np.ones((1, 4, 6), np.bool_))


def test_a_calm_machine_costs_every_form_that_runs(
    made: list[Made], pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.pipeline.busy_share", lambda: 0.05)
    costs = costs_if_calm(made, pictures, lambda _: None)
    assert [(cost.name, cost.unit) for cost in costs] == [
        ("onnx f32 cost", "ms"),
        ("onnx bf16 cost", "ms"),
    ]
    assert all(cost.value > 0 for cost in costs)


def test_a_busy_machine_says_why_there_are_none(
    made: list[Made], pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.pipeline.busy_share", lambda: 0.5)
    said: list[str] = []
    assert costs_if_calm(made, pictures, said.append) == ()
    assert said == ["no costs on the card: others keep 50% of the cores busy"]
