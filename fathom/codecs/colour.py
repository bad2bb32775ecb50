"""Depth as a picture for people: a fixed range in metres, near is warm, no answer is black."""

from functools import cache

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from fathom.geometry import F32, RGB
from fathom.values import ColourMap, Colours

_JPEG_QUALITY = 90
_OPENCV_MAPS = {
    ColourMap.TURBO: cv2.COLORMAP_TURBO,
    ColourMap.MAGMA: cv2.COLORMAP_MAGMA,
    ColourMap.VIRIDIS: cv2.COLORMAP_VIRIDIS,
}


@cache
def palette(colour_map: ColourMap) -> NDArray[np.uint8]:
    """(256, 3) uint8 RGB; entry 255 is the nearest, entry 0 the farthest."""
    ramp = np.arange(256, dtype=np.uint8)[:, None]
    if colour_map is ColourMap.GREY:
        return np.repeat(ramp, 3, axis=1)
    return np.asarray(cv2.applyColorMap(ramp, _OPENCV_MAPS[colour_map])[:, 0, ::-1], np.uint8)


def colourise(depth_m: F32, colours: Colours) -> RGB:
    """Paint metres with a colour map over a fixed range.

    depth_m  (H, W) float32; NaN is painted black
    returns  (H, W, 3) uint8 RGB
    """
    nearness = (np.float32(colours.far_m) - depth_m) / np.float32(colours.far_m - colours.near_m)
    known = np.isfinite(nearness)
    steps = np.where(known, np.clip(nearness, 0, 1) * 255, 0).astype(np.uint8)
    painted = palette(colours.map)[steps]
    painted[~known] = 0
    return painted


def encode_jpeg(image: RGB) -> bytes:
    """A JPEG for eyes."""
    contiguous = np.ascontiguousarray(image)
    return bytes(simplejpeg.encode_jpeg(contiguous, _JPEG_QUALITY, colorsubsampling="420"))
