"""What is written can be read back: by PyAV, OpenCV and plyfile."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import plyfile
import pytest

from client.writers import DepthPngWriter, Mp4Writer, PlyWriter
from fathom.errors import Code, FathomError
from fathom.geometry import RGB, Intrinsics
from fathom.values import DepthMap


def grey(level: int, height: int = 48, width: int = 64) -> RGB:
    return np.full((height, width, 3), level, np.uint8)


def depth_map(seq: int, depth_m: list[list[float]]) -> DepthMap:
    metres = np.array(depth_m, np.float32)
    return DepthMap(
        seq=seq,
        depth_m=metres,
        camera=Intrinsics.centred(2.0, (metres.shape[0], metres.shape[1])),
        focal_given=False,
        model="plane",
        version=1,
    )


def read_back(path: Path) -> tuple[list[float], list[Fraction | int]]:
    """Mean level and presentation time of each frame."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    means = [float(frame.to_ndarray(format="rgb24").mean()) for frame in frames]
    return means, [(frame.pts or 0) * (frame.time_base or Fraction()) for frame in frames]


def test_a_video_holds_every_picture_at_its_time(tmp_path: Path) -> None:
    levels = [40, 80, 120, 160, 200]
    writer = Mp4Writer(tmp_path / "out.mp4", fps=25)
    for n, level in enumerate(levels):
        writer.write(grey(level), n / 25)
    writer.close()
    means, times_s = read_back(tmp_path / "out.mp4")
    assert means == pytest.approx(levels, abs=3)  # lossy, and limited range
    assert times_s == [Fraction(n, 25) for n in range(5)]
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height) == (64, 48)
        assert container.duration == 200_000  # microseconds: the last frame lasts as well


def test_the_index_comes_first_so_that_a_browser_can_start_at_once(tmp_path: Path) -> None:
    writer = Mp4Writer(tmp_path / "out.mp4", fps=25)
    writer.write(grey(100), 0.0)
    writer.close()
    content = (tmp_path / "out.mp4").read_bytes()
    assert 0 < content.index(b"moov") < content.index(b"mdat")


def test_gaps_of_a_camera_stay_gaps(tmp_path: Path) -> None:
    writer = Mp4Writer(tmp_path / "out.mp4", fps=30)
    for time_s in (0.0, 0.04, 2.5):
        writer.write(grey(100), time_s)
    writer.close()
    assert [float(t) for t in read_back(tmp_path / "out.mp4")[1]] == pytest.approx([0, 0.04, 2.5])


def test_two_pictures_of_one_moment_are_both_kept(tmp_path: Path) -> None:
    writer = Mp4Writer(tmp_path / "out.mp4", fps=30)
    for _ in range(3):
        writer.write(grey(100), 1.0)
    writer.close()
    times_s = read_back(tmp_path / "out.mp4")[1]
    assert len(times_s) == 3 and times_s == sorted(set(times_s))


def test_odd_sides_are_made_even(tmp_path: Path) -> None:
    writer = Mp4Writer(tmp_path / "out.mp4", fps=30)
    writer.write(grey(100, height=33, width=47), 0.0)
    writer.close()
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.height, stream.width) == (34, 48)


def test_a_picture_of_another_size_is_refused_and_what_came_before_is_playable(
    tmp_path: Path,
) -> None:
    writer = Mp4Writer(tmp_path / "out.mp4", fps=30)
    writer.write(grey(100), 0.0)
    writer.write(grey(100), 0.1)
    with pytest.raises(FathomError) as caught:
        writer.write(grey(100, height=24), 0.2)
    writer.close()
    assert caught.value.code is Code.BAD_DATA
    assert len(read_back(tmp_path / "out.mp4")[0]) == 2


def test_a_video_without_a_picture_leaves_no_file(tmp_path: Path) -> None:
    Mp4Writer(tmp_path / "out.mp4", fps=30).close()
    assert list(tmp_path.iterdir()) == []


def test_depth_pictures_are_millimetres_named_by_frame(tmp_path: Path) -> None:
    writer = DepthPngWriter(tmp_path / "new" / "depth")
    writer.write(depth_map(7, [[1.0, 0.5004, np.nan], [2.0, 65.0, 99.0]]))
    pixels = cv2.imread(str(tmp_path / "new" / "depth" / "000007.png"), cv2.IMREAD_UNCHANGED)
    assert pixels is not None and pixels.dtype == np.uint16
    assert pixels.tolist() == [[1000, 500, 0], [2000, 65000, 65535]]


def test_a_cloud_has_one_coloured_point_per_known_pixel(tmp_path: Path) -> None:
    writer = PlyWriter(tmp_path)
    picture = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    writer.write(depth_map(12, [[2.0, np.nan], [2.0, 4.0]]), picture)
    vertices = plyfile.PlyData.read(str(tmp_path / "000012.ply"))["vertex"]
    assert vertices.count == 3
    # fx = fy = 2, cx = cy = 0.5: the first pixel is half a pixel left of and above the middle.
    assert [float(vertices[axis][0]) for axis in "xyz"] == [-0.5, -0.5, 2.0]
    assert vertices["red"].tolist() == [0, 6, 9]


def test_a_folder_that_cannot_be_made_is_an_option_to_change(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(FathomError) as caught:
        DepthPngWriter(tmp_path / "taken")
    assert caught.value.code is Code.BAD_OPTION
