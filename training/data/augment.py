"""One picture, seen by many cameras: zoomed, rolled, mirrored, recoloured, framed. Knows no batch.

A zoom by s is another lens: the focal length follows (`focal_px * s`), metres do not change here.
The picture lands in the network input as `Letterbox` would put it, padding included, so that what
training shows is what service shows.
"""

import math
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from fathom.geometry import F32, RGB, Letterbox, Size
from training.data.sample import Sample

Value = TypeVar("Value", np.float32, np.uint8)

# The part of a 256x320 input that a picture fills: the input itself, then what `Letterbox` makes of
# 4:3 (most cameras, and NYU), 16:9 and upright 3:4; and how often each is seen.
WINDOWS: tuple[Size, ...] = ((256, 320), (240, 320), (180, 320), (256, 192))
WINDOW_SHARES = (0.3, 0.4, 0.15, 0.15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How far an augmentation may go.

    zoom       largest enlargement, as a multiple of the smallest that fills the window: cameras
               with half the field of view must be met in training, for nothing else teaches that
               the same picture from a longer lens is farther away
    roll_deg   largest turn about the optical axis; depth along the axis does not change with it
    framed     share of pictures in a painted frame: a real border (NYU has a white one) must not
               become the thing from which the network reads scale
    frame      widest frame, as a share of the window's side
    """

    zoom: float = 2.3
    roll_deg: float = 4.0
    framed: float = 0.3
    frame: float = 0.05
    flip: float = 0.5
    jpeg: float = 0.2
    blur: float = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Warp:
    """Where a source pixel goes: one affine map and the size of what it fills."""

    matrix: NDArray[np.float64]
    size: Size

    def image(self, image: RGB) -> RGB:
        return np.asarray(self._apply(image, cv2.INTER_LINEAR, cv2.BORDER_REPLICATE), np.uint8)

    def depth(self, depth_m: F32) -> F32:
        """Nearest neighbour: between chair and wall there is no depth, and none outside."""
        return np.asarray(self._apply(depth_m, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT), np.float32)

    def taught(self, taught: F32) -> F32:
        """As depth, but nothing outside is NaN: 0 may be an answer in a teacher's unit."""
        return np.asarray(
            self._apply(taught, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT, np.nan), np.float32
        )

    def mask(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.asarray(self._apply(mask, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT), np.uint8)

    def _apply(
        self, values: NDArray[np.uint8] | F32, how: int, outside: int, fill: float = 0
    ) -> object:
        height, width = self.size
        return cv2.warpAffine(
            values, self.matrix, (width, height), flags=how, borderMode=outside, borderValue=fill
        )


def augment(sample: Sample, policy: Policy, network_size: Size, rng: np.random.Generator) -> Sample:
    """A random view of `sample`, in the network input; all randomness comes from `rng`."""
    rows, cols = WINDOWS[rng.choice(len(WINDOWS), p=WINDOW_SHARES)]
    times = max(1, network_size[0] // WINDOWS[0][0])  # a network may take the same view larger
    window = (times * rows, times * cols)
    framed = rng.random() < policy.framed
    warp, zoom = random_warp(sample.depth_m.shape, window, policy, framed=framed, rng=rng)
    box = Letterbox(window, network_size)
    image = recolour(warp.image(sample.image), policy, rng)
    inside = warp.mask(sample.valid.view(np.uint8))
    told = [None if each is None else warp.taught(each) for each in (sample.taught, sample.refined)]
    if framed:
        seen = warp.mask(np.ones(sample.valid.shape, np.uint8)).astype(np.bool_)
        seen &= inner(window, policy.frame, rng)
        image[~seen] = frame_colour(rng)
        inside[~seen] = 0
        for each in told:
            if each is not None:
                each[~seen] = np.nan
    valid = _place(inside, box).astype(np.bool_)
    depth_m = _place(warp.depth(sample.depth_m), box)
    taught, refined = (None if each is None else _place(each, box, np.nan) for each in told)
    return Sample(
        image=box.embed(image),
        depth_m=np.where(valid, depth_m, np.float32(0)),
        valid=valid,
        labels=None if sample.labels is None else _place(warp.mask(sample.labels), box),
        taught=taught,
        refined=refined,
        focal_px=sample.focal_px * zoom,
        scene=sample.scene,
    )


def random_warp(
    source: tuple[int, ...], window: Size, policy: Policy, *, framed: bool, rng: np.random.Generator
) -> tuple[Warp, float]:
    """A view of `source` that fills `window`, or nearly so if framed; and its enlargement."""
    fill = max(w / s for w, s in zip(window, source, strict=True))
    # Shrinking past `fill` leaves room for the frame: the only way to show a whole picture at the
    # scale it has in service, whose border is part of what a camera of NYU's kind sends.
    least, most = (-2 * policy.frame, 4 * policy.frame) if framed else (0.0, math.log(policy.zoom))
    # Whole pictures are what cameras send, so small enlargements are seen more often than large.
    share = rng.random() if framed else rng.random() ** 2
    zoom = fill * math.exp(least + share * (most - least))
    # Borders are upright, so framed pictures are.
    turn = 0.0 if framed else math.radians(rng.uniform(-policy.roll_deg, policy.roll_deg))
    mirror = -1.0 if rng.random() < policy.flip else 1.0
    # The source point, in pixel edges, that comes to lie in the middle of the window.
    row, column = (
        rng.uniform(min(w / 2, zoom * s - w / 2), max(w / 2, zoom * s - w / 2)) / zoom
        for w, s in zip(window, source, strict=True)
    )
    return warp_about((row, column), zoom, turn, mirror, window), zoom


def warp_about(
    centre: tuple[float, float], zoom: float, turn: float, mirror: float, window: Size
) -> Warp:
    """Enlarge, turn and mirror about a source point (row, column, in pixel edges)."""
    cos, sin = zoom * math.cos(turn), zoom * math.sin(turn)
    linear = np.array([[mirror * cos, -sin], [mirror * sin, cos]])
    source = np.array([centre[1] - 0.5, centre[0] - 0.5])
    target = np.array([(window[1] - 1) / 2, (window[0] - 1) / 2])
    return Warp(np.column_stack([linear, target - linear @ source]), window)


def recolour(image: RGB, policy: Policy, rng: np.random.Generator) -> RGB:
    """Another exposure, white balance, saturation, sharpness, and now and then another JPEG."""
    levels = np.linspace(0, 1, 256)[:, None] ** math.exp(rng.uniform(-0.4, 0.4))
    contrast, brightness = rng.uniform(0.75, 1.25), rng.uniform(-0.12, 0.12)
    levels = (levels - 0.5) * contrast + 0.5 + brightness
    table = np.clip(levels * rng.uniform(0.9, 1.1, 3) * 255, 0, 255).astype(np.uint8)
    image = np.asarray(cv2.LUT(image, table[:, None, :]), np.uint8)
    image = np.asarray(cv2.transform(image, saturation(rng.uniform(0.4, 1.4))), np.uint8)
    if rng.random() < policy.blur:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 1.2)), np.uint8)
    if rng.random() < policy.jpeg:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 90))]
        image = np.asarray(
            cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], cv2.IMREAD_COLOR), np.uint8
        )
    return image


def saturation(amount: float) -> NDArray[np.float64]:
    """The colour matrix that keeps luma (BT.601) and scales the distance from grey."""
    luma = np.array([0.299, 0.587, 0.114])
    return amount * np.eye(3) + (1 - amount) * luma[None, :].repeat(3, axis=0)


def inner(window: Size, widest: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """What a frame of random widths leaves open."""
    height, width = window
    top, bottom = (rng.uniform(0, widest, 2) * height).astype(int)
    left, right = (rng.uniform(0, widest, 2) * width).astype(int)
    open_ = np.zeros(window, np.bool_)
    open_[top : height - bottom, left : width - right] = True
    return open_


def frame_colour(rng: np.random.Generator) -> NDArray[np.uint8]:
    """White as in NYU, black as in films, or anything."""
    choice = rng.integers(3)
    return (
        rng.integers(0, 256, 3).astype(np.uint8)
        if choice == 2
        else np.full(3, 255 * (1 - choice), np.uint8)
    )


def _place(values: NDArray[Value], box: Letterbox, fill: float = 0) -> NDArray[Value]:
    placed = np.full(box.network_size, fill, values.dtype)
    placed[box.content] = values
    return placed
