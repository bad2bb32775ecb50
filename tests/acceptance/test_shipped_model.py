"""The models that ship: whole, small, and the same on the fast path as on the exact one."""

import os
from pathlib import Path

import numpy as np
import pytest

from fathom.card import CARD_FILE, read_card, verify_files
from fathom.codecs.image import decode, decode_into, inspect
from fathom.geometry import Letterbox
from fathom.session.pictures import as_image
from fathom.values import Limits
from server.engines.files import choose_file
from server.engines.openvino import TARGETS, OpenVinoEngine
from tests.acceptance.conftest import REPOSITORY

REPOSITORY_OF_MODELS = REPOSITORY / "model_repository"
FOLDERS = sorted(path.parent for path in REPOSITORY_OF_MODELS.glob(f"*/{CARD_FILE}"))
PHOTOS = 50


def real_photos() -> list[Path]:
    data = Path(os.environ.get("DEPTH_DATA", REPOSITORY.parent / "shared" / "data"))
    return sorted((data / "nyuv2" / "test" / "rgb").glob("*.jpg"))[:: 654 // PHOTOS][:PHOTOS]


def open_engine(folder: Path, precision: str) -> OpenVinoEngine:
    card = read_card(folder / CARD_FILE)
    return OpenVinoEngine(
        folder / choose_file(card, TARGETS).path,
        input_size=card.input_size,
        outputs=card.outputs,
        precision=precision,
    )


def test_at_least_one_model_ships() -> None:
    assert FOLDERS


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_file_is_the_one_that_was_measured(folder: Path) -> None:
    card = read_card(folder / CARD_FILE)
    assert card.name == folder.name
    assert len(list(verify_files(card, folder))) == len(card.files) > 0


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_student_is_small(folder: Path) -> None:
    # 17 M is what system 002 says of its smallest student, a ResNet18.
    largest = 4_000_000 if "mnv2" in folder.name else 17_000_000
    assert read_card(folder / CARD_FILE).parameters <= largest


def test_shipped_models_are_under_60_mb_in_all() -> None:
    files = (path for path in REPOSITORY_OF_MODELS.rglob("*") if path.is_file())
    assert sum(path.stat().st_size for path in files) < 60_000_000


@pytest.mark.data
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_half_scale_decoding_gives_the_depth_of_the_whole_picture(folder: Path) -> None:
    photos = real_photos()
    if len(photos) < PHOTOS:
        pytest.skip("needs the NYU test pictures in DEPTH_DATA or ../shared/data")
    engine = open_engine(folder, "f32")
    fast, exact = (np.zeros((1, *engine.spec.input_size, 3), np.uint8) for _ in range(2))
    relative = []
    for photo in photos:
        image = as_image(photo.read_bytes())
        header = inspect(image, Limits())
        box = decode_into(image, header, fast[0])
        pixels = decode(image, header)
        Letterbox(header.size, engine.spec.input_size).embed(pixels, exact[0])
        fast_m = box.extract(engine.infer(fast, 0).depth_m[0]).copy()
        exact_m = box.extract(engine.infer(exact, 0).depth_m[0])
        relative.append(np.median(np.abs(fast_m - exact_m) / exact_m))
    engine.close()
    assert np.median(relative) < 0.01
    assert np.max(relative) < 0.03


@pytest.mark.data
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_bf16_gives_the_depth_of_float32(folder: Path) -> None:
    photos = real_photos()
    if len(photos) < PHOTOS:
        pytest.skip("needs the NYU test pictures in DEPTH_DATA or ../shared/data")
    engines = [open_engine(folder, precision) for precision in ("f32", "bf16")]
    frames = np.zeros((1, *engines[0].spec.input_size, 3), np.uint8)
    relative = []
    for photo in photos:
        image = as_image(photo.read_bytes())
        decode_into(image, inspect(image, Limits()), frames[0])
        exact_m, fast_m = (engine.infer(frames, 0).depth_m[0].copy() for engine in engines)
        relative.append(np.median(np.abs(fast_m - exact_m) / exact_m))
    while engines:
        engines.pop().close()  # the last one first, as the server does
    assert np.median(relative) < 0.01
