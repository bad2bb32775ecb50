"""Where a source pixel lands in the network input and back, and what a focal length does to metres.

The one place for this: training, evaluation, calibration, server and client call it, so that what a
network sees in training is what it sees in service. Knows no file format and no network.

Conventions: sizes are `(height, width)`; pixel centres lie at integer coordinates, so a resize by s
gives `cx = (cx + 0.5) * s - 0.5`; resizing never aligns corners.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from fathom.errors import Code, FathomError

Size: TypeAlias = tuple[int, int]
RGB: TypeAlias = NDArray[np.uint8]
F32: TypeAlias = NDArray[np.float32]

# The ImageNet mean: after the networks' own normalisation the padding is zero within rounding.
PAD_RGB = (124, 116, 104)


@dataclass(frozen=True, slots=True)
class Letterbox:
    """How a picture of `source_size` is scaled, centred and padded into `network_size`.

    The aspect ratio is kept; what remains is padded with `PAD_RGB`, half on each side. A 640x480
    picture meets a 256x320 input at exactly one half, with 8 rows of padding above and below.
    """

    source_size: Size
    network_size: Size

    def __post_init__(self) -> None:
        if min(*self.source_size, *self.network_size) < 1:
            raise FathomError(
                Code.BAD_IMAGE,
                expected="at least one pixel a side",
                got=f"{self.source_size[1]}x{self.source_size[0]}",
                repair="send a picture with pixels in it",
            )

    @property
    def content_size(self) -> Size:
        """Size of the picture inside the network input; at least one pixel a side."""
        return _content_size(self.source_size, self.network_size)

    @property
    def origin(self) -> Size:
        """Row and column of the network input where the picture begins."""
        (height, width), (rows, cols) = self.network_size, self.content_size
        return (height - rows) // 2, (width - cols) // 2

    @property
    def content(self) -> tuple[slice, slice]:
        """Rows and columns of the network input that the picture fills."""
        (top, left), (rows, cols) = self.origin, self.content_size
        return slice(top, top + rows), slice(left, left + cols)

    @property
    def scale(self) -> tuple[float, float]:
        """Network pixels per source pixel, down and across; they differ by rounding only."""
        return (
            self.content_size[0] / self.source_size[0],
            self.content_size[1] / self.source_size[1],
        )

    def embed(self, image: RGB, out: RGB | None = None) -> RGB:
        """Fill the network input with a picture of the source's shape, by area when it shrinks.

        image    (h, w, 3) uint8 RGB of any size with the source's aspect ratio: the source itself,
                 or a decoder's reduction of it
        out      (H, W, 3) uint8 to write into; a new array if None
        returns  (H, W, 3) uint8
        """
        if out is None:
            out = np.empty((*self.network_size, 3), np.uint8)
        self.pad(out)
        target = out[self.content]
        if image.shape[:2] == self.content_size:
            target[...] = image
        else:
            target[...] = resize_image(image, self.content_size)
        return out

    def pad(self, out: RGB) -> None:
        """Paint only the padding of a network input, leaving the picture's area as it is."""
        rows, cols = self.content
        above, below = out[: rows.start], out[rows.stop :]
        left, right = out[rows, : cols.start], out[rows, cols.stop :]
        for strip in (above, below, left, right):
            if strip.size:
                strip[...] = _padding(strip.shape)

    def extract(self, network_map: F32, output_size: Size | None = None) -> F32:
        """Take a network-sized map back to the picture: cut the padding off, resize bilinearly.

        network_map  (H, W) float32
        output_size  None keeps the picture's size inside the network input
        returns      `output_size` float32; a view when nothing is resized
        """
        content = network_map[self.content]
        if output_size is None or output_size == self.content_size:
            return content
        return resize_map(content, output_size)

    def extract_labels(
        self, labels: NDArray[np.uint8], output_size: Size | None = None
    ) -> NDArray[np.uint8]:
        """As `extract`, by nearest neighbour: between two classes there is no third."""
        content = labels[self.content]
        if output_size is None or output_size == self.content_size:
            return content
        height, width = output_size
        resized = cv2.resize(content, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
        return np.asarray(resized, np.uint8)

    def to_network(self, x_px: float, y_px: float) -> tuple[float, float]:
        """Where a source pixel (x right, y down) lands in the network input."""
        (down, across), (top, left) = self.scale, self.origin
        return (x_px + 0.5) * across - 0.5 + left, (y_px + 0.5) * down - 0.5 + top

    def to_source(self, x_px: float, y_px: float) -> tuple[float, float]:
        """The inverse of `to_network`."""
        (down, across), (top, left) = self.scale, self.origin
        return (x_px - left + 0.5) / across - 0.5, (y_px - top + 0.5) / down - 0.5


# NumPy takes 30 times as long to repeat one pixel as to copy a strip.
@lru_cache(maxsize=16)
def _padding(shape: tuple[int, ...]) -> RGB:
    padding = np.full(shape, PAD_RGB, np.uint8)
    padding.flags.writeable = False
    return padding


# A frame asks a dozen times, and the next one of its camera again.
@lru_cache(maxsize=1024)
def _content_size(source_size: Size, network_size: Size) -> Size:
    scale = min(n / s for n, s in zip(network_size, source_size, strict=True))
    height, width = (max(1, math.floor(s * scale + 0.5)) for s in source_size)
    return height, width


@dataclass(frozen=True, slots=True)
class Intrinsics:
    """A pinhole camera without distortion, in pixels of one picture size."""

    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) for v in (self.fx, self.fy, self.cx, self.cy)) or not (
            self.fx > 0 and self.fy > 0
        ):
            raise FathomError(
                Code.BAD_OPTION,
                expected="finite intrinsics with a focal length above 0 pixels",
                got=f"fx={self.fx:g} fy={self.fy:g} cx={self.cx:g} cy={self.cy:g}",
                repair="send the calibrated focal length in source pixels, or leave it out",
            )

    @classmethod
    def centred(cls, focal_px: float, size: Size) -> "Intrinsics":
        """Square pixels and the principal point in the middle of a picture of `size`."""
        height, width = size
        return cls(focal_px, focal_px, (width - 1) / 2, (height - 1) / 2)

    def for_size(self, size: Size) -> "Intrinsics":  # noqa: ARG002 - stated for one size already
        """Itself: what `FocalLength` and `FieldOfView` become once the picture's size is known."""
        return self

    def resized(self, old: Size, new: Size) -> "Intrinsics":
        """The same camera when its picture of size `old` is resized to `new`."""
        down, across = new[0] / old[0], new[1] / old[1]
        return Intrinsics(
            fx=self.fx * across,
            fy=self.fy * down,
            cx=(self.cx + 0.5) * across - 0.5,
            cy=(self.cy + 0.5) * down - 0.5,
        )


@dataclass(frozen=True, slots=True)
class FocalLength:
    """A camera of which only the focal length is known, in pixels of the picture."""

    fx: float

    def __post_init__(self) -> None:
        Intrinsics.centred(self.fx, (1, 1))  # raises BAD_OPTION before any picture comes

    def for_size(self, size: Size) -> Intrinsics:
        """Square pixels, principal point in the middle."""
        return Intrinsics.centred(self.fx, size)


@dataclass(frozen=True, slots=True)
class FieldOfView:
    """A camera of which only the horizontal field of view is known, from edge to edge."""

    hfov_deg: float

    def __post_init__(self) -> None:
        if not 0.001 <= self.hfov_deg < 180:  # the smallest floats of all have no tangent
            raise FathomError(
                Code.BAD_OPTION,
                expected="a horizontal field of view from 0.001 to below 180 degrees",
                got=f"{self.hfov_deg:g}",
                repair="send degrees, not radians; a phone is near 65, a webcam near 60",
            )

    def for_size(self, size: Size) -> Intrinsics:
        """Square pixels, principal point in the middle."""
        return Intrinsics.centred(size[1] / 2 / math.tan(math.radians(self.hfov_deg) / 2), size)


Camera: TypeAlias = Intrinsics | FocalLength | FieldOfView


def focal_correction(camera: Intrinsics, box: Letterbox, focal_px: float) -> float:
    """Factor from a network's metres to this camera's metres.

    camera    intrinsics in source pixels
    focal_px  the focal length the network learned its metres with, in network pixels

    A thing twice as large in the picture is half as far for one lens and just as far for one with
    twice the focal length: the network knows one lens only, so depth scales with the ratio
    (canonical camera space, Yin et al., Metric3D, ICCV 2023, section 3.2).
    """
    return camera.fx * box.scale[1] / focal_px


def unproject(depth_m: F32, camera: Intrinsics) -> F32:
    """Lift every pixel to a point in the camera frame (x right, y down, z forward).

    depth_m  (H, W) float32, metres; NaN stays NaN
    camera   intrinsics in pixels of this map
    returns  (H, W, 3) float32, metres

    Hartley & Zisserman, Multiple View Geometry, 2nd ed., section 6.1.
    """
    height, width = depth_m.shape
    x_ray = (np.arange(width, dtype=np.float32) - np.float32(camera.cx)) / np.float32(camera.fx)
    y_ray = (np.arange(height, dtype=np.float32) - np.float32(camera.cy)) / np.float32(camera.fy)
    return np.stack([depth_m * x_ray[None, :], depth_m * y_ray[:, None], depth_m], axis=-1)


def resize_image(image: RGB, size: Size) -> RGB:
    """Resize a picture: by area when it shrinks (no aliasing), bilinear when it grows."""
    height, width = size
    shrinks = image.shape[0] >= height and image.shape[1] >= width
    mode = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=mode), np.uint8)


def resize_map(values: F32, size: Size) -> F32:
    """Resize a map of real values bilinearly, without aligning corners."""
    height, width = size
    resized = cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.float32)
