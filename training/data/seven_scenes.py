"""7-Scenes: a scene of sequences, depth in millimetres with 65535 for "not measured".

    <root>/seq-01/frame-000000.{color.png,depth.png,pose.txt}
    <root>/TrainSplit.txt, TestSplit.txt      lines like "sequence1"

Depth is not registered to the colour camera: it lies a few pixels off. Shotton et al., CVPR 2013.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from fathom.errors import Code, FathomError
from training.data.pictures import read_depth_16, read_image
from training.data.reader import ALL, choose
from training.data.rgbd_folder import measured
from training.data.sample import Sample

FOCAL_PX_640 = 585.0
COLOUR = ".color.png"


class SevenScenes:
    """One scene; names are like `seq-01/frame-000000`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        found = sorted(root.glob(f"seq-*/frame-*{COLOUR}"))
        if not found:
            raise FathomError(
                Code.BAD_DATA,
                expected=f"seq-01/frame-000000{COLOUR} and so on in {root}",
                got="no such file",
                repair="unpack the sequences' own archives; the scene's archive holds archives",
            )
        self.names = [str(p.relative_to(root)).removesuffix(COLOUR) for p in found]

    def ids(self, part: str = ALL) -> Sequence[str]:
        """All frames, or those of the sequences in `<Part>Split.txt`."""
        parts: dict[str, Sequence[str]] = {ALL: self.names}
        for path in self.root.glob("*Split.txt"):
            numbers = map(int, re.findall(r"sequence(\d+)", path.read_text()))
            folders = {f"seq-{number:02d}" for number in numbers}
            chosen = [name for name in self.names if name.split("/")[0] in folders]
            parts[path.name.removesuffix("Split.txt").lower()] = chosen
        return choose(part, parts, self.root)

    def read(self, id_: str) -> Sample:
        path = self.root / f"{id_}.depth.png"
        image = read_image(self.root / f"{id_}{COLOUR}")
        depth_m = read_depth_16(path, 1000.0, missing=(0, 65535))
        focal_px = FOCAL_PX_640 * image.shape[1] / 640
        return measured(image, depth_m, focal_px, self.root.name, path)
