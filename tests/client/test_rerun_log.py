"""What Rerun is told can be read back, by Rerun itself."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from client.rerun_log import RerunLog
from client.settings import Settings, parse
from fathom.errors import Code, FathomError
from fathom.geometry import Intrinsics
from fathom.values import Colours, DepthMap, Output

pytest.importorskip("rerun", reason="rerun-sdk is not installed")
CAMERA = Intrinsics(fx=30.0, fy=31.0, cx=1.5, cy=0.5)
DEPTH_M = np.array([[1.25, np.nan, 2, 3], [4, 5, 6, 7]], np.float32)


def depth_map(seq: int) -> DepthMap:
    return DepthMap(
        seq=seq, depth_m=DEPTH_M, camera=CAMERA, focal_given=True, model="plane", version=1
    )


def columns(path: Path, entity: str) -> dict[str, list[Any]]:
    """Everything that was logged of an entity, by column, in order."""
    from rerun.chunk import RrdReader

    found: dict[str, list[Any]] = {}
    for chunk in RrdReader(path).stream():
        if chunk.entity_path == entity:
            batch = chunk.to_record_batch()
            for name in batch.schema.names:
                if name != "log_time":
                    found.setdefault(name, []).extend(batch.column(name).to_pylist())
    return found


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames 3 and 4, a tenth of a second apart."""
    path = tmp_path_factory.mktemp("rerun") / "out.rrd"
    log = RerunLog(str(path), title="a camera", colours=Colours(near_m=1, far_m=4))
    picture = np.zeros((2, 4, 3), np.uint8)
    picture[..., 0] = 200
    for seq, time_s in ((3, 0.0), (4, 0.1)):
        log.write(depth_map(seq), picture, time_s)
    log.close()
    return path


def test_depth_is_metres_and_zero_where_there_is_no_answer(recording: Path) -> None:
    depth = columns(recording, "/camera/depth")
    assert depth["frame"] == [3, 4]
    assert depth["DepthImage:meter"] == [[1.0], [1.0]]
    assert depth["DepthImage:depth_range"][0] == [[1.0, 4.0]]
    for buffer in depth["DepthImage:buffer"]:
        metres = np.array(buffer[0], np.uint8).view(np.float32).reshape(2, 4)
        assert np.array_equal(metres, np.nan_to_num(DEPTH_M))


def test_the_pinhole_is_the_depths_own(recording: Path) -> None:
    pinhole = columns(recording, "/camera")
    # Rerun keeps matrices by columns.
    assert pinhole["Pinhole:image_from_camera"][0] == [[30, 0, 0, 0, 31, 0, 1.5, 0.5, 1]]
    assert pinhole["Pinhole:resolution"][0] == [[4, 2]]


def test_the_picture_is_beside_it(recording: Path) -> None:
    picture = columns(recording, "/camera/picture")
    blob = next(value for name, value in picture.items() if name.endswith(":blob"))
    decoded = cv2.imdecode(np.array(blob[0][0], np.uint8), cv2.IMREAD_COLOR_RGB)
    assert decoded is not None and decoded.shape == (2, 4, 3)
    assert decoded[..., 0].mean() == pytest.approx(200, abs=5) and decoded[..., 1].max() < 10


def test_the_flag_takes_a_viewer_a_file_or_an_address(tmp_path: Path) -> None:
    def parsed(*more: str) -> Settings:
        return parse(["--source", "synthetic", *more], help_text=None)

    assert parsed().rerun is None
    assert parsed("--rerun").rerun == "viewer"
    assert parsed("--rerun", str(tmp_path / "a.rrd")).options.output is Output.SOURCE
    assert parsed("--rerun", "rerun+http://far:9876/proxy").rerun == "rerun+http://far:9876/proxy"
    for wrong in ("out.mp4", str(tmp_path / "no" / "a.rrd")):
        with pytest.raises(FathomError) as caught:
            parsed("--rerun", wrong)
        assert caught.value.code is Code.BAD_OPTION


def test_no_viewer_at_an_address_is_said_before_the_first_frame() -> None:
    with pytest.raises(FathomError) as caught:
        RerunLog("rerun+http://nonsense", title="a camera", colours=Colours())
    assert caught.value.code is Code.BAD_OPTION
    assert "start `rerun`" in caught.value.repair


def test_without_the_package_the_client_says_how_to_get_it(tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['rerun'] = None\n"
        "from client.__main__ import main\n"
        f"sys.exit(main(['--source', 'synthetic', '--rerun', {str(tmp_path / 'a.rrd')!r}]))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 2
    assert "bad_option" in ended.stderr and ".[rerun]" in ended.stderr
    assert "Traceback" not in ended.stderr
