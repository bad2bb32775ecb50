"""What the command line is told, and what it says to nonsense."""

from pathlib import Path

import pytest
from pydantic_settings import CliApp

from training.__main__ import main
from training.recipes import RECIPES
from training.settings import EvalSettings, TrainSettings

WORDS = ["--data", "nyu", "--out", "run"]


def test_a_recipes_preset_gives_way_to_a_flag() -> None:
    said = CliApp.run(TrainSettings, cli_args=[*WORDS, "--encoder-lr", "0.5"]).with_preset()
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
    "words", [["--recipe", "alchemy"], ["--epochs", "0"], ["--precision", "f8"], ["--epoch", "3"]]
)
def test_nonsense_is_misuse(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status = main([*WORDS, *words])
    except SystemExit as ended:  # argparse's own way
        status = int(ended.code or 0)
    assert status == 2
    assert capsys.readouterr().err
