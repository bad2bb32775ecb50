"""The NYU Depth V2 folder: lists of picture ids, pictures, depth, labels. Knows no augmentation.

    <root>/<part>.txt                                a list of ids, one per line
    <root>/scenes.csv                                id,split,part,scene
    <root>/{train,test}/rgb/<id>.jpg                 train 320x240, test 640x480
    <root>/{train,test}/depth/<id>.png               320x240, 16 bit, millimetres, 0 unknown
    <root>/{train,test}/label13/<id>.png             320x240, 8 bit, 0 unlabelled

Depth and labels are every second row and column of 640x480. Undistortion left a white border round
the pictures, where depth is made up: `CONTENT` is what lies inside it.
"""

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fathom.errors import Code, FathomError
from fathom.geometry import F32
from training.data.pictures import decode, read_image
from training.data.reader import ALL
from training.data.sample import Sample

MAP_SIZE = (240, 320)
CONTENT = (slice(4, 237), slice(4, 316))
FOCAL_PX_640 = 518.86
MM_PER_M = 1000.0


class NyuFolder:
    """Reads samples by id. Nothing is kept: what is read twice is cached by the caller.

    raises  BAD_DATA, here if the folder is not of the form above, and from `read` for a bad picture
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        table = root / "scenes.csv"
        if not table.is_file():
            raise FathomError(
                Code.BAD_DATA,
                expected=f"an NYU folder with {table.name}, <part>.txt and train/, test/ in it",
                got=f"{root} without {table.name}" if root.is_dir() else f"no folder {root}",
                repair="point --data at the nyuv2 folder",
            )
        with table.open(newline="") as lines:
            self.rows = {row["id"]: row for row in csv.DictReader(lines)}

    def ids(self, part: str) -> Sequence[str]:
        """The ids of `<part>.txt`, each of them known to scenes.csv; or of all pictures."""
        if part == ALL:
            return list(self.rows)
        path = self.root / f"{part}.txt"
        if not path.is_file():
            found = ", ".join(sorted(file.stem for file in self.root.glob("*.txt")))
            raise FathomError(
                Code.BAD_DATA,
                expected=f"a list {path.name} in {self.root}",
                got=f"only {found or 'no lists at all'}",
                repair="choose a part that exists or complete the folder",
            )
        ids = path.read_text().split()
        unknown = [id_ for id_ in ids if id_ not in self.rows]
        if unknown or not ids:
            raise FathomError(
                Code.BAD_DATA,
                expected=f"ids of scenes.csv in {path.name}",
                got=f"{unknown[0]}, which is not there" if unknown else "an empty list",
                repair="make the lists and scenes.csv anew from one source",
            )
        return ids

    def read(self, id_: str, *, labels: bool = False) -> Sample:
        """Picture at its own size; depth and labels always 240x320, white border included."""
        row = self.rows[id_]
        folder = self.root / row["split"]
        image = read_image(folder / "rgb" / f"{id_}.jpg")
        depth_m = read_depth(folder / "depth" / f"{id_}.png")
        return Sample(
            image=image,
            depth_m=depth_m,
            valid=depth_m > 0,
            labels=read_labels(folder / "label13" / f"{id_}.png") if labels else None,
            focal_px=FOCAL_PX_640 * image.shape[1] / 640,
            scene=row["scene"],
        )


class WithLabels:
    """An NYU folder whose samples always have their labels."""

    def __init__(self, folder: NyuFolder) -> None:
        self.folder = folder

    def ids(self, part: str) -> Sequence[str]:
        return self.folder.ids(part)

    def read(self, id_: str) -> Sample:
        return self.folder.read(id_, labels=True)


def without_border(sample: Sample) -> Sample:
    """Only what lies inside the white border; for samples whose picture is of map size."""
    if sample.image.shape[:2] != MAP_SIZE:
        raise FathomError(
            Code.BAD_DATA,
            expected="a training picture of 320x240",
            got=f"{sample.image.shape[1]}x{sample.image.shape[0]}",
            repair="fit on ids of the train folder, which are stored at that size",
        )
    return replace(
        sample,
        image=sample.image[CONTENT],
        depth_m=sample.depth_m[CONTENT],
        valid=sample.valid[CONTENT],
        labels=None if sample.labels is None else sample.labels[CONTENT],
        taught=None if sample.taught is None else sample.taught[CONTENT],
    )


def read_depth(path: Path) -> F32:
    """Metres from a 16-bit PNG in millimetres."""
    stored = decode(path, cv2.IMREAD_UNCHANGED)
    if stored.dtype != np.uint16 or stored.shape != MAP_SIZE:
        raise _wrong_map(path, "one 16-bit channel", stored)
    return stored.astype(np.float32) / np.float32(MM_PER_M)


def read_labels(path: Path) -> NDArray[np.uint8]:
    stored = decode(path, cv2.IMREAD_UNCHANGED)
    if stored.dtype != np.uint8 or stored.shape != MAP_SIZE:
        raise _wrong_map(path, "one 8-bit channel", stored)
    return np.asarray(stored, np.uint8)


def _wrong_map(
    path: Path, channel: str, stored: NDArray[np.uint8] | NDArray[np.uint16]
) -> FathomError:
    return FathomError(
        Code.BAD_DATA,
        expected=f"{channel} of {MAP_SIZE[1]}x{MAP_SIZE[0]} in {path}",
        got=f"{stored.dtype} of shape {stored.shape}",
        repair="store every second row and column of the 640x480 map, in that type",
    )
