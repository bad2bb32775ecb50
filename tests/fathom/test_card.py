import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from fathom.card import CARD_FILE, Card, Figure, ModelFile, read_card, sha256_of, verify_files
from fathom.errors import Code, FathomError

WEIGHTS = b"not really weights"


def make_card(*files: ModelFile) -> Card:
    return Card(
        name="plane",
        version=3,
        summary="answers a plane; é is fine",
        recipe="recipes/plane.toml",
        data="none",
        data_licence="CC0",
        parameters=12,
        input_size=(256, 320),
        outputs=("depth_m",),
        classes=("floor", "wall"),
        focal_px=300.0,
        range_m=(0.25, 10.0),
        figures=(
            Figure(
                name="abs_rel",
                value=0.125,
                unit="1",
                protocol="by hand",
                machine="paper",
                date="2026-01-01",
            ),
        ),
        files=files,
    )


def file_of(path: str, content: bytes = WEIGHTS) -> ModelFile:
    return ModelFile(
        path=path,
        target="onnx",
        precision="f32",
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def test_a_card_reads_back_as_it_was_written() -> None:
    card = make_card(file_of("3/model.onnx"))
    assert Card.from_json(card.to_json()) == card


def test_a_card_is_found_in_its_folder(tmp_path: Path) -> None:
    card = make_card()
    (tmp_path / CARD_FILE).write_text(card.to_json(), encoding="utf-8")
    assert read_card(tmp_path / CARD_FILE) == card


def test_a_whole_number_of_pixels_is_a_focal_length_too() -> None:
    raw = json.loads(make_card().to_json()) | {"focal_px": 300}
    assert Card.from_json(json.dumps(raw)) == make_card()


def test_a_figure_is_found_by_name() -> None:
    figure = make_card().figure("abs_rel")
    assert figure is not None
    assert figure.value == 0.125
    assert make_card().figure("delta1") is None


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(Card)])
def test_a_card_without_one_of_its_fields_is_refused(field: str) -> None:
    raw = json.loads(make_card().to_json())
    del raw[field]
    with pytest.raises(FathomError) as error:
        Card.from_json(json.dumps(raw))
    assert error.value.code is Code.BAD_MODEL
    assert field in error.value.got


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(Card)])
@pytest.mark.parametrize("wrong", [None, {"a": 1}, "wrong", True, [1, 2, 3]])
def test_a_field_of_the_wrong_type_is_refused(field: str, wrong: Any) -> None:
    if wrong == "wrong" and field in {"name", "summary", "recipe", "data", "data_licence"}:
        return  # a string is what these are
    raw = json.loads(make_card().to_json()) | {field: wrong}
    with pytest.raises(FathomError) as error:
        Card.from_json(json.dumps(raw))
    assert error.value.code is Code.BAD_MODEL


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "3", '"card"', '{"figures": 3}', '{"focal_px": 1e999}']
)
def test_what_is_no_card_is_refused(text: str) -> None:
    with pytest.raises(FathomError) as error:
        Card.from_json(text)
    assert error.value.code is Code.BAD_MODEL


def test_an_unknown_field_is_named() -> None:
    raw = json.loads(make_card().to_json()) | {"colour": "red"}
    with pytest.raises(FathomError, match="colour"):
        Card.from_json(json.dumps(raw))


@pytest.mark.parametrize(
    ("colours", "good"),
    [
        ([], True),
        (["#1f77b4", "#ff7f0e"], True),
        (["#1f77b4"], False),
        (["#1f77b4", "#FF7F0E"], False),
        (["#1f77b4", "orange"], False),
        (["#1f77b4", "#ff7f0e00"], False),
    ],
)
def test_colours_are_one_a_class_or_none(colours: list[str], good: bool) -> None:
    text = json.dumps(json.loads(make_card().to_json()) | {"class_colours": colours})
    if good:
        assert Card.from_json(text).class_colours == tuple(colours)
    else:
        with pytest.raises(FathomError, match="2 colours like #1f77b4"):
            Card.from_json(text)


def test_a_number_beyond_floating_point_is_refused() -> None:
    raw = json.loads(make_card().to_json()) | {"focal_px": 10**400}
    with pytest.raises(FathomError) as error:
        Card.from_json(json.dumps(raw))
    assert error.value.code is Code.BAD_MODEL


def test_a_missing_card_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(FathomError, match=CARD_FILE) as error:
        read_card(tmp_path / CARD_FILE)
    assert error.value.code is Code.BAD_MODEL


def test_the_hash_is_sha256_over_blocks_of_any_number(tmp_path: Path) -> None:
    for size in (0, 1, 2**20, 2**20 + 1):
        content = bytes(size)
        (tmp_path / "file").write_bytes(content)
        assert sha256_of(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_files_that_were_measured_pass(tmp_path: Path) -> None:
    (tmp_path / "3").mkdir()
    (tmp_path / "3" / "model.onnx").write_bytes(WEIGHTS)
    (tmp_path / "3" / "model.bin").write_bytes(b"more")
    files = (file_of("3/model.onnx"), file_of("3/model.bin", b"more"))
    assert tuple(verify_files(make_card(*files), tmp_path)) == files


def test_a_file_that_differs_by_one_bit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(bytes([WEIGHTS[0] ^ 1]) + WEIGHTS[1:])
    with pytest.raises(FathomError) as error:
        list(verify_files(make_card(file_of("model.onnx")), tmp_path))
    assert error.value.code is Code.BAD_MODEL
    assert "model.onnx" in error.value.expected


def test_a_missing_file_is_refused_after_the_good_ones(tmp_path: Path) -> None:
    (tmp_path / "good").write_bytes(WEIGHTS)
    verified = verify_files(make_card(file_of("good"), file_of("gone")), tmp_path)
    assert next(verified).path == "good"
    with pytest.raises(FathomError, match="no such file"):
        next(verified)


@pytest.mark.parametrize("path", ["../outside", "/etc/hostname", "link"])
def test_a_path_out_of_the_folder_is_refused_even_with_the_right_hash(
    tmp_path: Path, path: str
) -> None:
    (tmp_path / "outside").write_bytes(WEIGHTS)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(FathomError, match="leads out"):
        list(verify_files(make_card(file_of(path)), folder))


def test_a_card_says_what_was_not_run_and_what_was_overridden() -> None:
    plan = dataclasses.replace(file_of("3/model.plan"), status="built, not run", made_for="SM 8.6")
    card = dataclasses.replace(make_card(plan), waived=("onnx f32 p99 relative",))
    assert Card.from_json(card.to_json()) == card
