"""What the command line is told, and what it says to nonsense."""

import re
from pathlib import Path

import pytest

from training.__main__ import main
from training.flags import parse
from training.recipes import RECIPES
from training.settings import EvalSettings, TrainSettings

WORDS = ["--data", "nyu", "--out", "run"]


def test_a_recipes_preset_gives_way_to_a_flag() -> None:
    said = parse(TrainSettings, [*WORDS, "--encoder-lr", "0.5"]).with_preset()
    preset = RECIPES["supervised"].preset
    assert said.encoder_lr == 0.5
    assert said.epochs == preset["epochs"] and said.decoder_lr == preset["decoder_lr"]


def test_presets_name_settings_that_exist_and_are_allowed() -> None:
    for recipe in RECIPES.values():
        TrainSettings.model_validate({"data": Path(), "out": Path(), **recipe.preset})


@pytest.mark.parametrize("settings", [TrainSettings, EvalSettings])
def test_every_setting_is_explained(settings: type[TrainSettings | EvalSettings]) -> None:
    assert all(field.description for field in settings.model_fields.values())


def test_a_folder_that_is_not_there_fails_in_plain_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--data", str(tmp_path / "nowhere"), "--out", str(tmp_path / "run")]) == 1
    assert "expected an NYU folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["--recipe", "alchemy"],
            "expected recipe: .*one of supervised, auxiliary-kd, .*; got 'alchemy'",
        ),
        (["--epochs", "0"], "expected epochs: .*greater than or equal to 1; got '0'"),
        (["--precision", "f8"], "expected precision: .*'bf16' or 'f32'"),
        (["--epoch", "3"], "got --epoch; did you mean --epochs?"),
        (["--learning-rate=3"], "got --learning-rate;"),
    ],
)
def test_nonsense_is_misuse(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*WORDS, *words]) == 2
    assert re.search(told, capsys.readouterr().err)


def test_what_is_required_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "--checkpoint", "a.safetensors"]) == 2
    assert "expected data: Field required; got nothing" in capsys.readouterr().err


def test_the_environment_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEED", "7")
    assert parse(TrainSettings, WORDS).seed == 0
