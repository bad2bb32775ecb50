"""Pixels out of a ROS message, and metres into one, by hand."""

from array import array
from types import SimpleNamespace

import numpy as np
import pytest

from client.ros2_messages import fill_camera, fill_depth, intrinsics_of, picture_of
from fathom.errors import Code, FathomError
from fathom.geometry import Intrinsics
from fathom.values import DepthMap

HEADER = SimpleNamespace(stamp=SimpleNamespace(sec=7, nanosec=9), frame_id="camera_optical")


def image(
    encoding: str, width: int, height: int, step: int, data: list[int], **more: int
) -> SimpleNamespace:
    fields = {"header": HEADER, "is_bigendian": 0, **more}
    return SimpleNamespace(
        encoding=encoding, width=width, height=height, step=step, data=array("B", data), **fields
    )


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (image("rgb8", 2, 1, 6, [1, 2, 3, 4, 5, 6]), [[[1, 2, 3], [4, 5, 6]]]),
        (image("bgr8", 2, 1, 6, [1, 2, 3, 4, 5, 6]), [[[3, 2, 1], [6, 5, 4]]]),
        (image("mono8", 2, 1, 2, [7, 8]), [[[7, 7, 7], [8, 8, 8]]]),
        # Rows that are padded to 4 bytes, also the last one or not.
        (image("rgb8", 1, 2, 4, [1, 2, 3, 0, 4, 5, 6, 0]), [[[1, 2, 3]], [[4, 5, 6]]]),
        (image("rgb8", 1, 2, 4, [1, 2, 3, 0, 4, 5, 6]), [[[1, 2, 3]], [[4, 5, 6]]]),
        # A big-endian machine's bytes are bytes.
        (image("mono8", 2, 1, 2, [7, 8], is_bigendian=1), [[[7, 7, 7], [8, 8, 8]]]),
    ],
)
def test_pixels_are_rgb(message: SimpleNamespace, expected: list[list[list[int]]]) -> None:
    picture = picture_of(message)
    assert picture.dtype == np.uint8
    assert picture.tolist() == expected


@pytest.mark.parametrize("encoding", ["16UC1", "mono16", "bayer_rggb8", "rgba8", "8UC3", ""])
def test_other_encodings_are_refused_with_a_repair(encoding: str) -> None:
    with pytest.raises(FathomError) as caught:
        picture_of(image(encoding, 1, 1, 8, [0] * 8))
    assert caught.value.code is Code.UNSUPPORTED_IMAGE
    assert "rgb8" in caught.value.repair


@pytest.mark.parametrize(
    ("width", "height", "step", "size"), [(2, 2, 6, 11), (2, 2, 5, 12), (0, 2, 6, 12), (2, 0, 6, 0)]
)
def test_a_size_that_the_data_do_not_have_is_refused(
    width: int, height: int, step: int, size: int
) -> None:
    with pytest.raises(FathomError) as caught:
        picture_of(image("rgb8", width, height, step, [0] * size))
    assert caught.value.code is Code.BAD_IMAGE


def depth_map() -> DepthMap:
    return DepthMap(
        seq=1,
        depth_m=np.array([[1.5, np.nan, 3.0], [4.0, 5.0, 6.0]], np.float32),
        camera=Intrinsics(fx=30, fy=31, cx=1, cy=0.5),
        focal_given=True,
        model="plane",
        version=1,
    )


def test_depth_is_32fc1_with_the_pictures_header() -> None:
    message = SimpleNamespace()
    fill_depth(message, depth_map(), HEADER)
    assert message.header is HEADER
    assert (message.height, message.width, message.step) == (2, 3, 12)
    assert (message.encoding, message.is_bigendian) == ("32FC1", 0)
    assert message.data.typecode == "B"
    metres = np.frombuffer(message.data, "<f4")
    assert metres.tolist() == pytest.approx([1.5, np.nan, 3, 4, 5, 6], nan_ok=True)


def test_the_pinhole_goes_there_and_back() -> None:
    message = SimpleNamespace()
    fill_camera(message, depth_map(), HEADER)
    assert (message.height, message.width, message.distortion_model) == (2, 3, "plumb_bob")
    assert np.array(message.k).reshape(3, 3).tolist() == [[30, 0, 1], [0, 31, 0.5], [0, 0, 1]]
    assert (
        np.array(message.p).reshape(3, 4)[:, :3].tolist()
        == np.array(message.k).reshape(3, 3).tolist()
    )
    assert np.array(message.r).reshape(3, 3).tolist() == np.eye(3).tolist()
    assert message.d == [0.0] * 5
    assert intrinsics_of(message) == depth_map().camera


def test_a_camera_that_nobody_calibrated_is_refused() -> None:
    with pytest.raises(FathomError) as caught:
        intrinsics_of(SimpleNamespace(k=[0.0] * 9))
    assert caught.value.code is Code.BAD_OPTION
