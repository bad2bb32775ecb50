"""NYU Depth V2 as published: `nyu_depth_v2_labeled.mat`, an HDF5 file of 1449 pictures.

MATLAB stores columns first, so everything comes out transposed. Depth is in metres already: scaling
it once more made a published network learn kilometres and skip everything nearer than a metre.
Needs h5py, which nothing else does. Beside it, where they are needed, lie the published

    splits.mat                                    the official 795 pictures to fit on, 654 to test
    classMapping40.mat, class13Mapping.mat        the set's 894 classes to 40, and those to 13
"""

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from fathom.errors import Code, FathomError
from training.data.labels import UNLABELLED, map_labels
from training.data.matlab import load_mat
from training.data.nyu import FOCAL_PX_640
from training.data.reader import ALL, choose, demand
from training.data.sample import Sample

SPLITS = ("trainNdxs", "testNdxs")


class NyuMat:
    """The labelled set; names are the official 1-based numbers, 0001 to 1449.

    to_13  class of the 13 for each of the set's own ids (see `read_tables`); None: no labels
    parts  names of pictures by part, beside that of all
    """

    def __init__(
        self,
        path: Path,
        to_13: NDArray[np.uint8] | None = None,
        parts: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> None:
        demand(path, "nyu-mat")
        try:
            h5py = importlib.import_module("h5py")
        except ImportError as error:
            raise FathomError(
                Code.BAD_DATA,
                expected=f"h5py, to read {path.name}",
                got="an environment without it",
                repair="pip install h5py, or use the nyu folder form",
            ) from error
        try:
            self.file = h5py.File(path, "r")
            self.count = int(self.file["depths"].shape[0])
        except (OSError, KeyError) as error:
            raise FathomError(
                Code.BAD_DATA,
                expected="an HDF5 (MATLAB 7.3) file with images, depths and labels",
                got=f"{path}: {error}",
                repair="fetch nyu_depth_v2_labeled.mat again; a cut-off download looks like this",
            ) from error
        self.path, self.to_13 = path, to_13
        self.parts = {ALL: [official(n) for n in range(1, self.count + 1)], **parts}

    def ids(self, part: str = ALL) -> Sequence[str]:
        """All pictures, or those of `train` or `test` if splits.mat is there."""
        return choose(part, self.parts, self.path)

    def read(self, id_: str) -> Sample:
        index = int(id_) - 1
        depth_m = np.ascontiguousarray(self.file["depths"][index].T, np.float32)
        labels = self.file["labels"][index].T if self.to_13 is not None else None
        return Sample(
            image=np.ascontiguousarray(self.file["images"][index].transpose(2, 1, 0)),
            depth_m=depth_m,
            valid=depth_m > 0,
            labels=None if labels is None else map_labels(labels, self.to_13),
            focal_px=FOCAL_PX_640 * depth_m.shape[1] / 640,
            scene=self._scene(index),
        )

    def _scene(self, index: int) -> str:
        reference = self.file["scenes"][0, index]
        return "".join(chr(code) for code in self.file[reference][:, 0])


def open_nyu_mat(path: Path) -> NyuMat:
    """The labelled set with what lies beside it: parts from the split, labels from the tables."""
    parts, to_13 = {}, None
    split = path.with_name("splits.mat")
    if split.is_file():
        listed = zip(("train", "test"), load_mat(split, "nyu-mat", *SPLITS), strict=True)
        parts = {part: [official(int(n)) for n in np.ravel(numbers)] for part, numbers in listed}
    if path.with_name("classMapping40.mat").is_file():
        to_13 = read_tables(path.parent)
    return NyuMat(path, to_13, parts)


def read_tables(folder: Path) -> NDArray[np.uint8]:
    """Class of the 13 by the set's own id, through the 40; both tables leave out id 0.

    raises  BAD_DATA
    """
    (to_40,) = load_mat(folder / "classMapping40.mat", "nyu-mat", "mapClass")
    (table,) = load_mat(folder / "class13Mapping.mat", "nyu-mat", "classMapping13")
    from_40 = np.concatenate([[UNLABELLED], np.ravel(table.labels13)])
    return np.concatenate([[UNLABELLED], from_40[np.ravel(to_40)]]).astype(np.uint8)


def official(number: int) -> str:
    """The official 1-based number as it is written everywhere."""
    return f"{number:04d}"
