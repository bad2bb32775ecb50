"""The TUM RGB-D benchmark: a sequence with an association file, 5000 stored units a metre.

    <root>/associations.txt    TIME rgb/FILE TIME depth/FILE, or depth first
    <root>/rgb/*.png  <root>/depth/*.png

The association file is made by the benchmark's `associate.py`. Sturm et al., IROS 2012.
"""

from collections.abc import Sequence
from pathlib import Path

from fathom.errors import Code, FathomError
from training.data.pictures import read_depth_16, read_image
from training.data.reader import ALL, choose, demand
from training.data.rgbd_folder import measured
from training.data.sample import Sample

NAMES = ("associations.txt", "rgbd_assoc.txt", "associated.txt", "associate.txt")
UNITS_PER_M = 5000.0
# The benchmark's own calibrations, by camera; the last is its default for an unknown one.
FOCAL_PX_640 = (("freiburg1", 517.3), ("freiburg2", 520.9), ("freiburg3", 535.4), ("", 525.0))


class TumSequence:
    """One sequence; names are the pictures' time stamps."""

    def __init__(self, root: Path) -> None:
        self.root = root
        present = [name for name in NAMES if (root / name).is_file()]
        self.table = demand(root / (present or NAMES)[0], "tum")
        self.pairs = dict(self._parse())

    def _parse(self) -> Sequence[tuple[str, tuple[Path, Path]]]:
        pairs = []
        for number, line in enumerate(self.table.read_text().splitlines(), start=1):
            fields = line.replace(",", " ").split()
            if not fields or line.startswith("#"):
                continue
            times, files = fields[::2], fields[1::2]
            sides = {Path(f).parts[0]: (t, f) for t, f in zip(times, files, strict=False)}
            if len(fields) != 4 or sides.keys() != {"rgb", "depth"}:
                raise FathomError(
                    Code.BAD_DATA,
                    expected="TIME rgb/FILE TIME depth/FILE",
                    got=f"line {number} of {self.table}: {line[:80]}",
                    repair="make the file with: associate.py rgb.txt depth.txt",
                )
            time, name = sides["rgb"]
            pairs.append((time, (self.root / name, self.root / sides["depth"][1])))
        return pairs

    def ids(self, part: str = ALL) -> Sequence[str]:
        return choose(part, {ALL: list(self.pairs)}, self.root)

    def read(self, id_: str) -> Sample:
        rgb, depth = self.pairs[id_]
        image, depth_m = read_image(rgb), read_depth_16(depth, UNITS_PER_M)
        at_640 = next(focal for name, focal in FOCAL_PX_640 if name in self.root.name)
        return measured(image, depth_m, at_640 * image.shape[1] / 640, self.root.name, depth)
