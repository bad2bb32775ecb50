"""Pictures out of sensor_msgs/Image; depth into Image and CameraInfo. Knows no node and no topic.

The messages are described by what is read and written of them, so that ROS need not be installed.
https://docs.ros.org/en/jazzy/p/sensor_msgs/ ; REP 118 for depth, REP 104 for CameraInfo.
"""

from array import array
from collections.abc import MutableSequence
from typing import Protocol

import numpy as np

from fathom.errors import Code, FathomError
from fathom.geometry import RGB, Intrinsics
from fathom.values import DepthMap

# Channels, and where red, green and blue are among them.
_ENCODINGS = {"rgb8": (3, [0, 1, 2]), "bgr8": (3, [2, 1, 0]), "mono8": (1, [0, 0, 0])}


class Stamp(Protocol):
    sec: int
    nanosec: int


class Header(Protocol):
    stamp: Stamp
    frame_id: str


class ImageMessage(Protocol):
    header: Header
    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: "array[int] | bytes"


class CameraMessage(Protocol):
    header: Header
    height: int
    width: int
    distortion_model: str
    d: MutableSequence[float]
    k: MutableSequence[float]
    r: MutableSequence[float]
    p: MutableSequence[float]


def picture_of(message: ImageMessage) -> RGB:
    """The message's pixels, (H, W, 3) uint8 RGB. One byte a channel has no byte order.

    raises  UNSUPPORTED_IMAGE for another encoding, BAD_IMAGE for a size that the data do not have
    """
    if message.encoding not in _ENCODINGS:
        raise FathomError(
            Code.UNSUPPORTED_IMAGE,
            expected=f"an encoding of {', '.join(_ENCODINGS)}",
            got=message.encoding or "none",
            repair="let image_proc or cv_bridge convert it to rgb8",
        )
    channels, order = _ENCODINGS[message.encoding]
    height, width, step = message.height, message.width, message.step
    row = width * channels
    # The last row need not be padded.
    if min(height, width) < 1 or step < row or len(message.data) < (height - 1) * step + row:
        raise FathomError(
            Code.BAD_IMAGE,
            expected=f"{height} rows of at least {row} bytes, {step} apart",
            got=f"{len(message.data)} bytes",
            repair="let height, width and step (in bytes) of the message agree with its data",
        )
    rows = np.lib.stride_tricks.as_strided(
        np.frombuffer(message.data, np.uint8), (height, row), (step, 1), writeable=False
    )
    return rows.reshape(height, width, channels)[..., order]


def intrinsics_of(message: CameraMessage) -> Intrinsics:
    """The pinhole of a calibrated camera; raises BAD_OPTION for one whose K is zero."""
    return Intrinsics(fx=message.k[0], fy=message.k[4], cx=message.k[2], cy=message.k[5])


def fill_depth(message: ImageMessage, depth: DepthMap, header: Header) -> None:
    """32FC1: metres along the optical axis, NaN where there is no answer, as REP 118 has it."""
    message.header = header
    message.height, message.width = depth.depth_m.shape
    message.encoding = "32FC1"
    message.is_bigendian = 0
    message.step = 4 * message.width
    # An array of bytes is taken as it is; other sequences are checked number by number.
    message.data = array("B", depth.depth_m.astype("<f4").tobytes())


def fill_camera(message: CameraMessage, depth: DepthMap, header: Header) -> None:
    """The pinhole that the metres were scaled with, in pixels of the depth; without distortion."""
    camera = depth.camera
    message.header = header
    message.height, message.width = depth.depth_m.shape
    message.distortion_model = "plumb_bob"
    message.d = [0.0] * 5
    message.k = [camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0]
    message.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.p = [
        *(camera.fx, 0.0, camera.cx, 0.0),
        *(0.0, camera.fy, camera.cy, 0.0),
        *(0.0, 0.0, 1.0, 0.0),
    ]
