"""What `check-data` says about good and spoiled folders, in words a newcomer can act on."""

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from training.__main__ import main
from training.data.check import Finding, check
from training.data.forms import FORMS, recognise
from training.data.nyu import NyuFolder
from training.data.reader import Reader
from training.data.rgbd_folder import RgbdFolder
from training.data.rooms import MadeRooms

NewFolder = Callable[[], Path]


def told(reader: Reader, part: str = "all") -> Sequence[Finding]:
    return check(reader, part)


def rgbd(root: Path, stored: int, *, framed: bool = False) -> RgbdFolder:
    rows, columns = np.mgrid[:48, :64]
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    if framed:
        image[[0, -1]], image[:, [0, -1]] = 255, 255
    for kind, content in (("rgb", image), ("depth", (stored + rows + columns).astype(np.uint16))):
        (root / kind).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / kind / "a.png"), content)
    return RgbdFolder(root)


def wrong(findings: Sequence[Finding]) -> str:
    return " ".join(finding.text for finding in findings if finding.level == "wrong")


def warned(findings: Sequence[Finding]) -> str:
    return " ".join(finding.text for finding in findings if finding.level == "warning")


def test_a_good_set() -> None:
    findings = told(MadeRooms(20, size=(48, 64)))
    assert {finding.level for finding in findings} == {"right"}
    text = " ".join(finding.text for finding in findings)
    assert "20 pictures" in text and "12 of them read" in text
    assert "field of view 63.4" in text and "floor" in text


def test_a_wrong_unit(tmp_path: Path) -> None:
    assert "no room or street is like that" in wrong(told(rgbd(tmp_path, 20)))
    assert "no room" not in wrong(told(rgbd(tmp_path, 2000)))


def test_a_painted_frame(tmp_path: Path) -> None:
    assert "border of one colour" in warned(told(rgbd(tmp_path / "a", 2000, framed=True)))
    assert "border" not in warned(told(rgbd(tmp_path / "b", 2000)))


def test_a_broken_and_a_missing_file(new_nyu: NewFolder) -> None:
    root = new_nyu()
    (root / "train" / "depth" / "0002.png").write_bytes(b"")
    (root / "train" / "rgb" / "0003.jpg").unlink()
    text = wrong(told(NyuFolder(root), "train_fit"))
    assert "0002.png; got a file that does not decode" in text
    assert "0003.jpg; got no such file" in text


def test_a_part_that_is_not_there(tiny_nyu: Path) -> None:
    assert "only test, train_fit, val" in wrong(told(NyuFolder(tiny_nyu), "holdout"))


def test_the_command_says_right_and_wrong(
    tiny_nyu: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check-data", str(tiny_nyu), "--part", "val"]) == 0
    out = capsys.readouterr().out
    assert "NYU folder with scenes.csv (form nyu)" in out and "2 pictures in part val" in out
    rgbd(tmp_path, 20)
    assert main(["check-data", str(tmp_path)]) == 1
    assert "   wrong: median depth 0.0" in capsys.readouterr().out


def test_a_folder_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-data", str(tmp_path)]) == 1
    assert "looks like none; say which with --form" in capsys.readouterr().err
    assert main(["check-data", str(tmp_path), "--form", "nyv"]) == 2


@pytest.mark.parametrize(
    ("sign", "form"),
    [
        ("scenes.csv", "nyu"),
        ("nyu_depth_v2_labeled.mat", "nyu-mat"),
        ("imagelist.txt", "ibims"),
        ("rgbd_assoc.txt", "tum"),
        ("seq-01/frame-000000.color.png", "7scenes"),
        ("2011_09_26/2011_09_26_drive_0001_sync/x", "kitti"),
        ("velodyne/000001.bin", "kitti-object"),
        ("kitchen_0001/sync_depth_00000.png", "nyu-sync"),
        ("depth/a.png", "rgbd"),
        ("clip.mp4", "video"),
        ("kitchen/a.jpg", "images"),
    ],
)
def test_forms_are_recognised(tmp_path: Path, sign: str, form: str) -> None:
    (tmp_path / sign).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / sign).touch()
    assert recognise(tmp_path) == form


def test_a_file_is_recognised_by_its_suffix(tmp_path: Path) -> None:
    (tmp_path / "a.mat").touch()
    (tmp_path / "a.mp4").touch()
    assert recognise(tmp_path / "a.mat") == "nyu-mat" and recognise(tmp_path / "a.mp4") == "video"


def test_every_form_opens_to_a_reader(tiny_nyu: Path) -> None:
    reader: Reader = FORMS["nyu"].open(tiny_nyu)
    assert len(reader.ids("all")) == 9
