import json
from pathlib import Path

import pytest

from export.__main__ import main
from fathom.card import CARD_FILE, read_card, verify_files


def test_one_command_leads_from_a_checkpoint_to_a_verified_model(
    checkpoint: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "eval.json"
    mean = {"delta1": 0.71, "abs_rel": 0.2, "rmse": 0.6, "log10": 0.08}
    report.write_text(
        json.dumps({"protocol": "nyu-eigen", "part": "test", "pictures": 654, "mean": mean})
    )
    arguments = [str(checkpoint), "--name=tiny", f"--repository={tmp_path}", f"--images={photos}"]
    assert main([*arguments, f"--figures={report}"]) == 0
    folder = tmp_path / "tiny"
    card = read_card(folder / CARD_FILE)
    assert card.recipe == "supervised"
    assert card.input_size == (64, 96)
    figure = card.figure("delta1")
    assert figure is not None and (figure.value, figure.protocol) == (
        0.71,
        "nyu-eigen, test, 654 images",
    )
    assert len(list(verify_files(card, folder))) == 1
    assert "published" in capsys.readouterr().out


def test_a_broken_checkpoint_publishes_nothing(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"not a checkpoint")
    repository = tmp_path / "repository"
    arguments = [str(bad), "--name=tiny", f"--repository={repository}", f"--images={photos}"]
    assert main(arguments) == 1
    assert not repository.exists()
    assert "bad_model" in capsys.readouterr().err


def test_a_bad_name_is_refused_in_words(
    checkpoint: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(checkpoint), "--name=../up", f"--repository={tmp_path}", f"--images={photos}"]
    assert main(arguments) == 1
    assert "bad_option" in capsys.readouterr().err
