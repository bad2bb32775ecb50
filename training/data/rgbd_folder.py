"""The plain form: `rgb/NAME.*` and `depth/NAME.png`, one depth for every picture that has one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fathom.errors import Code, FathomError
from fathom.geometry import F32, RGB, Camera, FieldOfView
from training.data.pictures import read_depth_16, read_image
from training.data.reader import ALL, choose, demand, pictures_below
from training.data.sample import Sample
from training.data.unlabelled import without_depth


@dataclass(frozen=True, slots=True, kw_only=True)
class RgbdForm:
    """How depth is stored beside pictures.

    units_per_m  stored value of one metre
    missing      stored values that mean "not measured"
    """

    rgb: str = "rgb"
    depth: str = "depth"
    units_per_m: float = 1000.0
    missing: tuple[int, ...] = (0, 65535)


class RgbdFolder:
    """Pictures with depth of the same name; one without depth is read as unlabelled."""

    def __init__(self, root: Path, camera: Camera | None = None, form: RgbdForm | None = None):
        self.root, self.form = root, form or RgbdForm()
        self.camera = camera or FieldOfView(60.0)
        self.images = pictures_below(demand(root / self.form.rgb, "rgbd"))
        self.depths = pictures_below(demand(root / self.form.depth, "rgbd"))

    def ids(self, part: str = ALL) -> Sequence[str]:
        """All pictures, or those `measured`, or those without depth (`unlabelled`)."""
        parts = {
            ALL: list(self.images),
            "measured": [name for name in self.images if name in self.depths],
            "unlabelled": [name for name in self.images if name not in self.depths],
        }
        return choose(part, parts, self.root)

    def read(self, id_: str) -> Sample:
        image = read_image(self.images[id_])
        if id_ not in self.depths:
            return without_depth(image, self.camera, self.root.name)
        path = self.depths[id_]
        depth_m = read_depth_16(path, self.form.units_per_m, missing=self.form.missing)
        height, width = image.shape[:2]
        focal_px = self.camera.for_size((height, width)).fx
        return measured(image, depth_m, focal_px, self.root.name, path)


def measured(image: RGB, depth_m: F32, focal_px: float, scene: str, path: Path) -> Sample:
    """A sample that is valid where depth is above 0.

    path    of the depth map, for the message
    raises  BAD_DATA if picture and depth are not of one size
    """
    if image.shape[:2] != depth_m.shape:
        raise FathomError(
            Code.BAD_DATA,
            expected=f"depth as large as its picture, {image.shape[1]}x{image.shape[0]}, in {path}",
            got=f"{depth_m.shape[1]}x{depth_m.shape[0]}",
            repair="resize the picture by area, or depth by nearest neighbour, before training",
        )
    return Sample(image=image, depth_m=depth_m, valid=depth_m > 0, focal_px=focal_px, scene=scene)
