"""One setting decides which engine runs a model, and a missing package is told with its repair."""

import os
import sys
from pathlib import Path

import pytest

from fathom.errors import Code, FathomError
from server.engines.opening import open_engine
from server.settings import Settings, load
from tests.server.tiny_model import write_model


def given(*flags: str) -> Settings:
    return load(flags, {})[0]


@pytest.mark.parametrize(
    ("engine", "name"),
    [("auto", "openvino"), ("openvino", "openvino"), ("onnxruntime", "onnxruntime")],
)
def test_the_setting_names_the_engine(tmp_path: Path, engine: str, name: str) -> None:
    card = write_model(tmp_path)
    settings = given(
        f"--engine={engine}", "--lanes=1", "--threads=1", f"--cache-folder={tmp_path / 'cache'}"
    )
    opened = open_engine(card, tmp_path / "tiny", settings)
    assert opened.spec.name == name and opened.spec.lanes == 1
    opened.close()


@pytest.mark.parametrize(("workers", "lanes"), [(1, 2), (2, 1)])
def test_workers_share_the_cores_that_lanes_are_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int, lanes: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    card = write_model(tmp_path)
    settings = given(f"--workers={workers}", f"--cache-folder={tmp_path / 'cache'}")
    opened = open_engine(card, tmp_path / "tiny", settings)
    assert opened.spec.lanes == lanes
    opened.close()


def test_a_model_without_a_file_for_the_engine_is_refused(tmp_path: Path) -> None:
    card = write_model(tmp_path)
    with pytest.raises(FathomError) as refused:
        open_engine(card, tmp_path / "tiny", given("--engine=torch"))
    assert refused.value.code is Code.BAD_MODEL and "onnx" in refused.value.got


def test_an_engine_that_is_not_installed_is_told_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # what an absent package looks like
    monkeypatch.delitem(sys.modules, "server.engines.onnxruntime", raising=False)
    card = write_model(tmp_path)
    with pytest.raises(FathomError) as refused:
        open_engine(card, tmp_path / "tiny", given("--engine=onnxruntime"))
    error = refused.value
    assert error.code is Code.BAD_SETTING
    assert "onnxruntime" in error.expected and ".[onnxruntime]" in error.repair
