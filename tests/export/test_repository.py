from dataclasses import replace
from pathlib import Path

import pytest

from export.repository import check_name, describe_file, next_version, publish, staged
from fathom.card import CARD_FILE, Card, read_card, verify_files
from fathom.errors import Code, FathomError

CARD = Card(
    name="tiny",
    version=1,
    summary="",
    recipe="none",
    data="none",
    data_licence="none",
    parameters=0,
    input_size=(64, 96),
    outputs=("depth_m",),
    classes=(),
    focal_px=80.0,
    range_m=(0.2, 12.0),
    figures=(),
    files=(),
)


def publish_bytes(repository: Path, content: bytes) -> Card:
    with staged(repository, CARD.name) as stage:
        version = next_version(repository, CARD.name)
        path = stage / "model.onnx"
        path.write_bytes(content)
        file = describe_file(path, version, target="onnx", precision="f32")
        card = replace(CARD, version=version, files=(file,))
        publish(repository, card, "config", stage)
    return card


def test_a_published_card_leads_to_its_files(tmp_path: Path) -> None:
    card = publish_bytes(tmp_path, b"graph")
    folder = tmp_path / "tiny"
    assert read_card(folder / CARD_FILE) == card
    assert [file.path for file in verify_files(card, folder)] == ["1/model.onnx"]
    assert (folder / "1" / "model.onnx").read_bytes() == b"graph"


def test_versions_only_grow_and_the_card_points_to_the_newest(tmp_path: Path) -> None:
    publish_bytes(tmp_path, b"old")
    publish_bytes(tmp_path, b"new")
    assert read_card(tmp_path / "tiny" / CARD_FILE).version == 2
    assert (tmp_path / "tiny" / "1" / "model.onnx").read_bytes() == b"old"
    assert next_version(tmp_path, "tiny") == 3


def test_a_version_that_was_not_published_leaves_nothing(tmp_path: Path) -> None:
    with staged(tmp_path, "tiny") as stage:
        (stage / "model.onnx").write_bytes(b"half")
    assert list((tmp_path / "tiny").iterdir()) == []


def test_a_version_that_failed_on_the_way_leaves_the_old_one_whole(tmp_path: Path) -> None:
    old = publish_bytes(tmp_path, b"old")
    with pytest.raises(IsADirectoryError), staged(tmp_path, "tiny") as stage:
        stage.write_bytes(b"a folder is no file, so this fails half-way")
    assert read_card(tmp_path / "tiny" / CARD_FILE) == old
    assert sorted(path.name for path in (tmp_path / "tiny").iterdir()) == [
        "1",
        CARD_FILE,
        "config.pbtxt",
    ]


@pytest.mark.parametrize(
    "name", ["", "..", "../up", "a/b", "Upper", "-flag", "a" * 64, "a..b", "."]
)
def test_names_that_could_lead_elsewhere_are_refused(name: str) -> None:
    with pytest.raises(FathomError) as caught:
        check_name(name)
    assert caught.value.code is Code.BAD_OPTION


@pytest.mark.parametrize("name", ["a", "indoor-mnv2", "v1.2_x", "0"])
def test_plain_names_are_taken(name: str) -> None:
    check_name(name)
