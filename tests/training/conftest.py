"""A data set of eight tiny rooms, written in the real folder form, and the way to the real one."""

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from training.data.nyu import MAP_SIZE

REPOSITORY = Path(__file__).parents[2]


def write_nyu_folder(root: Path) -> Path:
    """Six pictures to fit on, two to validate, one of test size; depth grows to the lower right.

    Depth is 1500 mm + 10 mm a column + 5 mm a row, label 5 on the left half and 0 on the right.
    """
    parts = {"train_fit": range(1, 7), "val": range(7, 9), "test": range(9, 10)}
    rows, columns = np.mgrid[: MAP_SIZE[0], : MAP_SIZE[1]]
    depth_mm = (1500 + 10 * columns + 5 * rows).astype(np.uint16)
    label = np.where(columns < 160, 5, 0).astype(np.uint8)
    lines = ["id,split,part,scene"]
    for part, numbers in parts.items():
        split = "test" if part == "test" else "train"
        height, width = (480, 640) if split == "test" else MAP_SIZE
        for kind in ("rgb", "depth", "label13"):
            (root / split / kind).mkdir(parents=True, exist_ok=True)
        for number in numbers:
            id_, rng = f"{number:04d}", np.random.default_rng(number)
            image = cv2.resize(
                rng.integers(0, 256, (6, 8, 3)).astype(np.uint8),
                (width, height),
                interpolation=cv2.INTER_CUBIC,
            )
            cv2.imwrite(str(root / split / "rgb" / f"{id_}.jpg"), image)
            cv2.imwrite(str(root / split / "depth" / f"{id_}.png"), depth_mm)
            cv2.imwrite(str(root / split / "label13" / f"{id_}.png"), label)
            lines.append(f"{id_},{split},{part},room_{number}")
        (root / f"{part}.txt").write_text("".join(f"{n:04d}\n" for n in numbers))
    (root / "scenes.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture(scope="session")
def tiny_nyu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to read only; a test that spoils one asks for `new_nyu`."""
    return write_nyu_folder(tmp_path_factory.mktemp("nyu"))


@pytest.fixture
def new_nyu(tmp_path: Path) -> Callable[[], Path]:
    return lambda: write_nyu_folder(tmp_path / "nyu")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder that holds nyuv2/ and weights/."""
    root = Path(os.environ.get("DEPTH_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (root / "nyuv2" / "scenes.csv").is_file():
        pytest.skip(f"no nyuv2 in {root}; set DEPTH_DATA to the folder that holds it")
    return root
