"""NYU Depth V2 as published: `nyu_depth_v2_labeled.mat`, an HDF5 file of 1449 pictures.

MATLAB stores columns first, so everything comes out transposed. Depth is in metres already: scaling
it once more made a published network learn kilometres and skip everything nearer than a metre.
Needs h5py, which nothing else does.
"""

import importlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fathom.errors import Code, FathomError
from training.data.labels import map_labels
from training.data.nyu import FOCAL_PX_640
from training.data.reader import ALL, choose, demand
from training.data.sample import Sample


class NyuMat:
    """The labelled set; names are the official 1-based numbers, 0001 to 1449.

    to_13  class of the 13 for each of the set's own ids (see `labels.read_table`); None: no labels
    """

    def __init__(self, path: Path, to_13: NDArray[np.uint8] | None = None) -> None:
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

    def ids(self, part: str = ALL) -> Sequence[str]:
        """All pictures; the official split is in another file, see the nyu folder's lists."""
        return choose(part, {ALL: [f"{n:04d}" for n in range(1, self.count + 1)]}, self.path)

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
