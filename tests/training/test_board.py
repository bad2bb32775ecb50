"""Figures for TensorBoard, read back by TensorBoard."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from fathom.errors import FathomError
from training.board import Board

accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def scalars(folder: Path, name: str) -> list[tuple[int, float]]:
    events = accumulator.EventAccumulator(str(folder))
    events.Reload()
    return [(event.step, round(event.value, 4)) for event in events.Scalars(name)]


def test_an_epoch_s_figures_and_sheet(tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    cv2.imwrite(str(sheet), np.zeros((4, 6, 3), np.uint8))
    board = Board(tmp_path / "board", epochs=0)
    for epoch in (0, 1):
        val = {"delta1": 0.5 + epoch / 4, "edge": None}
        board.note(epoch, {"epoch": epoch, "silog": 3.0 - epoch, "val": val}, sheet)
    assert scalars(tmp_path / "board", "silog") == [(0, 3.0), (1, 2.0)]
    assert scalars(tmp_path / "board", "val/delta1") == [(0, 0.5), (1, 0.75)]
    events = accumulator.EventAccumulator(str(tmp_path / "board"))
    assert events.Reload().Images("sheet")[1].width == 6


def test_without_it_the_flag_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(FathomError, match=r"fathom-depth\[tensorboard\]"):
        Board(tmp_path, epochs=0)
