"""Listing, comparing and checking a repository that a real export published."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from export.__main__ import main
from export.catalogue import compare, list_versions, verify
from export.repository import SUMS, publish, staged, sums_of
from export.triton.config import make_configs
from fathom.card import CARD_FILE, Card, Figure, ModelFile, read_card, sha256_of, verify_files
from fathom.errors import Code, FathomError
from tests.export.conftest import REPOSITORY
from tests.export.test_repository import CARD


@pytest.fixture
def repository(model_path: Path, tmp_path: Path) -> Path:
    """One model in two versions that differ in a figure."""
    root = tmp_path / "models"
    for version, delta1 in ((1, 0.70), (2, 0.72)):
        with staged(root, "tiny") as stage:
            shutil.copyfile(model_path, stage / "model.onnx")
            card = make_card(stage / "model.onnx", version, delta1)
            publish(root, card, make_configs(card), stage)
    return root


def make_card(path: Path, version: int, delta1: float) -> Card:
    figure = Figure(
        name="delta1",
        value=delta1,
        unit="share",
        protocol="nyu-eigen, val",
        machine="paper",
        date="2026-01-01",
    )
    file = ModelFile(
        path=f"{version}/{path.name}",
        target="onnx",
        precision="f32",
        bytes=path.stat().st_size,
        sha256=sha256_of(path),
    )
    return replace(CARD, version=version, figures=(figure,), files=(file,))


def wrong(repository: Path) -> list[str]:
    return [f"{finding.what}: {finding.wrong}" for finding in verify(repository) if finding.wrong]


def test_a_repository_as_it_was_published_is_right(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(repository)]) == 0
    assert "WRONG" not in capsys.readouterr().out


def test_the_committed_repository_is_right() -> None:
    assert wrong(REPOSITORY / "model_repository") == []


def test_one_flipped_bit_anywhere_is_found(repository: Path) -> None:
    rng = np.random.default_rng(0)
    for path in sorted(p for p in (repository / "tiny").rglob("*") if p.is_file()):
        whole = path.read_bytes()
        place = int(rng.integers(len(whole)))
        flipped = bytes([whole[place] ^ (1 << int(rng.integers(8)))])
        path.write_bytes(whole[:place] + flipped + whole[place + 1 :])
        assert wrong(repository), path
        path.write_bytes(whole)
    assert not wrong(repository)


def test_a_flipped_bit_makes_the_command_fail(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = repository / "tiny" / "1" / "model.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    assert main(["verify", str(repository)]) == 1
    assert "WRONG" in capsys.readouterr().out


def test_a_file_that_was_cut_short_is_told_from_one_that_was_changed(repository: Path) -> None:
    path = repository / "tiny" / "2" / "model.onnx"
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    [short] = wrong(repository)
    path.write_bytes(whole[::-1])
    [changed] = wrong(repository)
    assert "cut short" in short
    assert "sha256" in changed.partition("got")[2]


def test_a_stale_configuration_is_named(repository: Path) -> None:
    """One of an older form, published whole: no hash tells, the card does."""
    version = repository / "tiny" / "2"
    path = version / "configs" / "python.pbtxt"
    path.write_text(path.read_text().replace("96", "128"))
    (version / SUMS).write_text(sums_of(version))
    [told] = wrong(repository)
    assert "configs/python.pbtxt is stale" in told


def test_links_that_lead_elsewhere_are_found(repository: Path) -> None:
    link = repository / "tiny" / "config.pbtxt"
    link.unlink()
    link.symlink_to("1/config.pbtxt")
    [told] = wrong(repository)
    assert "config.pbtxt does not lead to version 2" in told


def test_a_list_shows_each_version_and_which_is_served(repository: Path) -> None:
    first, second = list_versions(repository).splitlines()[1:]
    assert "1 " in first and "0.700" in first and "*" not in first
    assert "2*" in second and "0.720" in second and "onnx f32" in second


def test_a_diff_shows_what_differs_and_nothing_else(repository: Path) -> None:
    lines = compare(repository, "tiny@1", "tiny").splitlines()
    assert len(lines) == 2
    assert lines[1].split()[-2:] == ["0.7", "0.72"]
    assert "the same" in compare(repository, "tiny@2", "tiny")


@pytest.mark.parametrize("verb", [["list"], ["verify"]])
def test_an_empty_repository_is_told_as_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: list[str]
) -> None:
    assert main([*verb, str(tmp_path)]) == 1
    assert "unknown_model" in capsys.readouterr().err


def test_a_rollback_by_the_command_is_seen_by_the_server(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rollback", "tiny", f"--repository={repository}"]) == 0
    assert "serves version 1" in capsys.readouterr().out
    assert read_card(repository / "tiny" / CARD_FILE).version == 1
    assert not wrong(repository)


def test_the_server_refuses_what_verify_refuses(repository: Path) -> None:
    folder = repository / "tiny"
    card = read_card(folder / CARD_FILE)
    assert [file.path for file in verify_files(card, folder)] == ["2/model.onnx"]
    path = folder / "2" / "model.onnx"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FathomError) as caught:
        list(verify_files(card, folder))  # what the server does before it opens an engine
    assert caught.value.code is Code.BAD_MODEL
