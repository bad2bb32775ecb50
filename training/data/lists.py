"""List files: `PICTURE DEPTH FOCAL` a line, as published with BTS for NYU and KITTI Eigen.

    NYU sync     basement_0001a/rgb_00000.jpg basement_0001a/sync_depth_00000.png 518.8579
    KITTI Eigen  DATE/DRIVE/image_02/data/N.png DRIVE/proj_depth/groundtruth/image_02/N.png 721.5

KITTI's annotated depth lies below `train/` or `val/` of its own root; 45 of the 697 test pictures
have none, which the list calls `None`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from fathom.errors import Code, FathomError
from fathom.geometry import FocalLength
from training.data.pictures import read_depth_16, read_image
from training.data.reader import ALL, choose
from training.data.rgbd_folder import measured
from training.data.sample import Sample
from training.data.unlabelled import without_depth

KB_SIZE = (352, 1216)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListForm:
    """What a data set's lists leave unsaid.

    units_per_m  stored value of one metre
    scene_at     which part of a picture's path names its scene
    kb_crop      take the part of KITTI's pictures that the KITTI benchmark uses
    """

    units_per_m: float
    scene_at: int
    kb_crop: bool = False


NYU_SYNC = ListForm(units_per_m=1000.0, scene_at=0)
KITTI_EIGEN = ListForm(units_per_m=256.0, scene_at=1, kb_crop=True)


class Row(NamedTuple):
    """One line of a list; depth is None where the data set has no truth."""

    image: str
    depth: str | None
    focal_px: float


class ListedFolder:
    """Pictures and depth below two roots, in parts given by list files.

    lists  files; a part is named after its file, without suffix
    """

    def __init__(self, images: Path, depths: Path, lists: Sequence[Path], form: ListForm) -> None:
        if not lists:
            raise FathomError(
                Code.BAD_DATA,
                expected=f"list files with PICTURE DEPTH FOCAL_PX a line in {images}",
                got="no .txt file",
                repair="put the published lists beside the pictures",
            )
        self.images, self.depths, self.lists, self.form = images, depths, lists, form
        parts = {path.stem: parse(path) for path in lists}
        self.parts: dict[str, Sequence[str]] = {k: list(rows) for k, rows in parts.items()}
        self.rows = {id_: row for rows in parts.values() for id_, row in rows.items()}
        self.parts[ALL] = list(self.rows)

    def ids(self, part: str) -> Sequence[str]:
        return choose(part, self.parts, self.images)

    def read(self, id_: str) -> Sample:
        row = self.rows[id_]
        image = read_image(self.images / row.image)
        scene = Path(row.image).parts[self.form.scene_at]
        if row.depth is None:
            sample = without_depth(image, FocalLength(row.focal_px), scene)
        else:
            path = self.find(row.depth)
            depth_m = read_depth_16(path, self.form.units_per_m)
            sample = measured(image, depth_m, row.focal_px, scene, path)
        return kb_crop(sample) if self.form.kb_crop else sample

    def find(self, name: str) -> Path:
        """Depth below its root or, as KITTI unpacks, below one of two folders in it."""
        places = [self.depths / below / name for below in ("", "train", "val")]
        return next((path for path in places if path.is_file()), places[0])


def parse(path: Path) -> dict[str, Row]:
    rows = {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        fields = line.split()
        if not fields:
            continue
        try:
            image, depth, focal = (field.lstrip("/") for field in fields)
            rows[image] = Row(image, None if depth == "None" else depth, float(focal))
        except ValueError as error:
            raise FathomError(
                Code.BAD_DATA,
                expected="PICTURE DEPTH FOCAL_PX",
                got=f"line {number} of {path}: {line[:80]}",
                repair="give a list as published with BTS, or write None for missing depth",
            ) from error
    return rows


def kb_crop(sample: Sample) -> Sample:
    """The lower middle 352x1216, where the laser reaches; KITTI's sizes vary by a few pixels."""
    height, width = sample.depth_m.shape
    rows, cols = KB_SIZE
    if height < rows or width < cols:
        raise FathomError(
            Code.BAD_DATA,
            expected=f"a KITTI picture of at least {cols}x{rows}",
            got=f"{width}x{height}",
            repair="give the pictures as recorded, not resized",
        )
    top, left = height - rows, (width - cols) // 2
    box = (slice(top, top + rows), slice(left, left + cols))
    return replace(
        sample, image=sample.image[box], depth_m=sample.depth_m[box], valid=sample.valid[box]
    )
