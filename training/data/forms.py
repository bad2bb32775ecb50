"""The forms of data set by the name that `--form` takes, how to open each, how to recognise one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from fathom.errors import Code, FathomError
from training.data.ibims import IbimsFolder
from training.data.kitti_object import KittiObject
from training.data.lists import KITTI_EIGEN, NYU_SYNC, ListedFolder, ListForm
from training.data.nyu import NyuFolder
from training.data.nyu_mat import NyuMat, open_nyu_mat
from training.data.reader import Reader
from training.data.rgbd_folder import RgbdFolder
from training.data.seven_scenes import SevenScenes
from training.data.tum import NAMES, TumSequence
from training.data.unlabelled import VIDEOS, ImageFolder, VideoFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """signs  paths, as patterns below the folder, any of which tells the form."""

    what: str
    signs: tuple[str, ...]
    open: Callable[[Path], Reader]


def _mat(path: Path) -> NyuMat:
    """In a folder it is the largest, for the lists and class tables beside it are small."""
    if path.is_file():
        return open_nyu_mat(path)
    found = sorted(path.glob("*.mat"), key=lambda each: each.stat().st_size)
    return open_nyu_mat(found[-1] if found else path / "nyu_depth_v2_labeled.mat")


def _listed(form: ListForm) -> Callable[[Path], ListedFolder]:
    def open_(root: Path) -> ListedFolder:
        depths = root / "data_depth_annotated"
        lists = sorted(root.glob("*.txt"))
        return ListedFolder(root, depths if depths.is_dir() else root, lists, form)

    return open_


# In the order of recognition: the more particular sign goes first.
FORMS: Mapping[str, Form] = MappingProxyType(
    {
        "nyu": Form(what="NYU folder with scenes.csv", signs=("scenes.csv",), open=NyuFolder),
        "ibims": Form(what="iBims-1, PNG or .mat", signs=("imagelist.txt",), open=IbimsFolder),
        "nyu-mat": Form(what="NYU labelled .mat", signs=("*.mat",), open=_mat),
        "tum": Form(what="TUM RGB-D sequence", signs=NAMES, open=TumSequence),
        "7scenes": Form(what="a scene of 7-Scenes", signs=("seq-*/*.color.png",), open=SevenScenes),
        "kitti": Form(
            what="KITTI with Eigen lists",
            signs=("20*_*_*/*_sync", "data_depth_annotated"),
            open=_listed(KITTI_EIGEN),
        ),
        "kitti-object": Form(what="KITTI objects", signs=("velodyne/*.bin",), open=KittiObject),
        "nyu-sync": Form(
            what="NYU sync frames with a list",
            signs=("*/sync_depth_*.png",),
            open=_listed(NYU_SYNC),
        ),
        "rgbd": Form(what="rgb/ and depth/ in millimetres", signs=("depth",), open=RgbdFolder),
        "video": Form(
            what="a video", signs=tuple(f"*{end}" for end in sorted(VIDEOS)), open=VideoFile
        ),
        "images": Form(
            what="pictures alone", signs=("*.jpg", "*.png", "*/*.jpg"), open=ImageFolder
        ),
    }
)


def open_any(path: Path, form: str | None = None) -> Reader:
    """The data set at a path.

    form    its name in FORMS; None looks and sees
    raises  BAD_DATA if it looks like none
    """
    return FORMS[form or recognise(path)].open(path)


def recognise(path: Path) -> str:
    """The form a folder or file looks like.

    raises  BAD_DATA if it looks like none
    """
    if path.is_file():
        end = path.suffix.lower()
        named = {".mat": "nyu-mat", **dict.fromkeys(VIDEOS, "video")}.get(end)
        seen: Sequence[str] = [named] if named else []
    else:
        seen = [n for n, form in FORMS.items() if any(_any(path, sign) for sign in form.signs)]
    if not seen:
        raise FathomError(
            Code.BAD_DATA,
            expected="a data set of form " + ", ".join(FORMS),
            got=f"{path}, which looks like none" if path.exists() else f"nothing at {path}",
            repair="say which with --form; its module in training/data shows the files it needs",
        )
    return seen[0]


def _any(folder: Path, sign: str) -> bool:
    return next(folder.glob(sign), None) is not None
