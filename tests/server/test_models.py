"""From a folder to models that serve: whole, by name, and nothing from outside the folder."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fathom.card import CARD_FILE
from fathom.errors import Code, FathomError
from fathom.values import OpenStream
from server.models import Models, open_models
from server.settings import Settings
from server.telemetry import Telemetry
from tests.server.conftest import Inbox, frame
from tests.server.tiny_model import write_card, write_model


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return tmp_path / "repository"


@pytest.fixture
def opened(
    repository: Path, tmp_path: Path, telemetry: Telemetry
) -> Iterator[Callable[..., Models]]:
    """Opens the repository; keywords are settings."""
    models: list[Models] = []

    def open_(**given: object) -> Models:
        settings = {
            "engine": "openvino",
            "model_repository": repository,
            "cache_folder": tmp_path / "cache",
            "precision": "f32",
            "threads": 1,
        }
        models.append(open_models(Settings(**(settings | given)), telemetry))  # type: ignore[arg-type]
        return models[-1]

    yield open_
    for model in (model for each in models for model in each):
        model.dispatch.stop()
        model.engine.close()


def refused(open_: Callable[..., Models], **given: object) -> FathomError:
    with pytest.raises(FathomError) as caught:
        open_(**given)
    assert caught.value.repair
    return caught.value


def test_every_model_of_the_folder_is_served_and_the_first_is_the_default(
    repository: Path, opened: Callable[..., Models]
) -> None:
    write_model(repository, "second")
    write_model(repository, "first", labels=True)
    models = opened()
    assert [model.card.name for model in models] == ["first", "second"]
    assert models.get("").card.name == "first"
    assert models.get("second").card.name == "second"
    assert models.get("first").info.classes == ("red", "green", "blue")
    assert models.healthy


def test_models_are_chosen_and_ordered_by_name(
    repository: Path, opened: Callable[..., Models]
) -> None:
    for name in ("a", "b", "c"):
        write_model(repository, name)
    assert [model.card.name for model in opened(models="c,a")] == ["c", "a"]


def test_an_unknown_name_is_told_the_known_ones(
    repository: Path, opened: Callable[..., Models]
) -> None:
    write_model(repository, "tiny")
    error = refused(opened, models="tinny")
    assert error.code is Code.UNKNOWN_MODEL and "tiny" in error.expected
    with pytest.raises(FathomError) as caught:
        opened().get("tinny")
    assert caught.value.code is Code.UNKNOWN_MODEL and "tiny" in caught.value.expected


def test_a_file_that_is_not_the_one_that_was_measured_is_refused(
    repository: Path, opened: Callable[..., Models]
) -> None:
    write_model(repository)
    path = repository / "tiny" / "1" / "model.onnx"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    error = refused(opened)
    assert error.code is Code.BAD_MODEL and "model.onnx" in error.expected


def test_a_missing_file_is_refused(repository: Path, opened: Callable[..., Models]) -> None:
    write_model(repository)
    (repository / "tiny" / "1" / "model.onnx").unlink()
    error = refused(opened)
    assert error.code is Code.BAD_MODEL and "no such file" in error.got


@pytest.mark.parametrize("path", ["../outside.onnx", "1/../../outside.onnx", "ABSOLUTE"])
def test_a_path_that_leads_out_of_the_folder_is_refused(
    repository: Path, opened: Callable[..., Models], path: str
) -> None:
    """Even to a file that is there, with the hash that the card says."""
    card = write_model(repository)
    outside = repository / "outside.onnx"
    outside.write_bytes((repository / "tiny" / "1" / "model.onnx").read_bytes())
    escaped = str(outside) if path == "ABSOLUTE" else path
    write_card(repository, "tiny", files=[replace(card.files[0], path=escaped)])
    error = refused(opened)
    assert error.code is Code.BAD_MODEL and "out of" in error.got


def test_a_link_that_leads_out_of_the_folder_is_refused(
    repository: Path, opened: Callable[..., Models]
) -> None:
    write_model(repository)
    path = repository / "tiny" / "1" / "model.onnx"
    path.rename(repository / "elsewhere.onnx")
    path.symlink_to(repository / "elsewhere.onnx")
    assert refused(opened).code is Code.BAD_MODEL


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"name": "tiny"}'])
def test_a_card_that_is_none_is_refused(
    repository: Path, opened: Callable[..., Models], text: str
) -> None:
    write_model(repository)
    (repository / "tiny" / CARD_FILE).write_text(text)
    assert refused(opened).code is Code.BAD_MODEL


def test_an_empty_folder_is_refused_with_the_way_out(
    repository: Path, opened: Callable[..., Models]
) -> None:
    assert "--model-repository" in refused(opened).repair
    repository.mkdir()
    assert refused(opened).code is Code.BAD_MODEL


def test_the_null_engine_needs_no_repository(opened: Callable[..., Models]) -> None:
    [model] = opened(engine="null", lanes=2)
    assert model.card.name == "null" and model.engine.spec.lanes == 2


def test_warm_up_measures_what_a_frame_costs(opened: Callable[..., Models]) -> None:
    """With a cost of 20 ms known beforehand, a frame with 1 ms left is not even tried."""
    [model] = opened(engine="null", null_cost_ms=20)
    inbox = Inbox()
    stream = model.dispatch.open(OpenStream(deadline_s=1e-3), inbox)
    model.dispatch.offer(stream, frame(1))
    model.lanes.start()
    [answer] = inbox.wait(1)
    assert getattr(answer, "reason", None) in {"predicted_late", "deadline"}
    model.dispatch.stop()
    assert model.lanes.join(5.0)
