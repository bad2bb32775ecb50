"""Steadier depth along one stream: what stands still is averaged, what moves is left alone.

Knows no clock, no thread and no frame rate: maps come in frame order with the pictures they were
made from. How fast a pixel follows depends on what it shows, not on how long that took, so skipped
frames and uneven gaps need no telling: after a long one more has changed, and less is averaged.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from fathom.geometry import F32, RGB

# Change is told in units of what noise does to a pixel that stands still. With fresh sensor noise
# (sigma 3 of 255) in each frame of a photo, the blurred picture moves by less than 3 grey levels in
# 99.9 % of its pixels, and the student's depth by less than 10 % in 99 %.
#
# Chosen by `benchmarks/flicker.py` on TUM fr1/rpy, a camera turned by hand, at strength 0.8:
#                                     flicker    lag  AbsRel
#   unsmoothed                         5.03 %      0  0.2367
#   as it is                           2.15 %  .0113  0.2353
#   2 grey levels                      2.32 %  .0066  0.2356  takes 4 of 149 frames for cuts
#   4 grey levels                      2.08 %  .0149  0.2350
#   7 % of depth                       2.47 %  .0104  0.2355
#   15 % of depth                      1.93 %  .0118  0.2349  but where a thing is as bright as what
#                                        it hides, depth alone keeps its ghost away
#   the last picture, not the running  2.11 %  .0119  0.2351  and a slow pan is never noticed
#   no common scale                    2.10 %  .0061  0.2372  still photo 0.34 % instead of 0.29 %
#   scale by the mean, not squared     2.50 %  .0079  0.2353  still photo 0.34 % as well
#   scale by a still pixel's weight    1.93 %  .0247  0.2353  still photo 0.34 % as well
_GREY_NOISE = 3.0
_DEPTH_NOISE = 0.10
_BLUR = (5, 5)
# Up to one unit a pixel stands still, from three on it moves, in between it is taken for both.
_MOVES = 3.0
_FULL = 255
_STILL = _FULL / _MOVES
# At full strength a still pixel takes a twentieth from each new frame: it never stops following.
_MOST_PAST = 0.95
# The mean of "moves" over a picture is 0.55 for neighbouring frames of a hand-held, turning camera
# and at most 0.84; between unrelated rooms (NYU) it is 0.96 and at least 0.88.
_CUT = 0.86
# The student's metres swing as a whole by at most 16 % from frame to frame of that clip. A map that
# differs by more shows another scene, and is not bent to fit this one.
_MOST_SCALE = 1.25
_LEAST_STILL = 1 / 16
_STEP = 4


class Smoother:
    """One stream's running depth, and the running picture that belongs to it.

    The new map is first brought to the scale of the running one, by the median ratio where the
    picture stood still. Then each pixel moves towards it: by `1 - 0.95 * strength` where neither
    picture nor depth changed, at once where either did. The scale of it all follows by the square
    of the mean of these weights: a still camera keeps its scale, a moving one is believed.

    strength  0 (off) to 1
    """

    def __init__(self, strength: float) -> None:
        assert 0 <= strength <= 1
        self._still_weight = 1 - _MOST_PAST * strength
        units = np.arange(_FULL + 1) / _STILL
        moving = np.clip((units - 1) / (_MOVES - 1), 0, 1)
        self._weights = (self._still_weight + (1 - self._still_weight) * moving).astype(np.float32)
        self._depth_m: F32 = np.empty((0, 0), np.float32)  # a size that no map has
        self._grey = self._depth_m

    def smooth(self, depth_m: F32, image: RGB) -> F32:
        """The running depth once this frame is part of it.

        depth_m  (H, W) float32, metres above 0, NaN where there is no answer: the network's map
                 without its padding, which would pass for a scene that stands still
        image    (H, W, 3) uint8, the same pixels of the network's input
        returns  (H, W) float32, NaN where and only where `depth_m` is: a new array, or at strength
                 0 the map itself; equal to the map at the first frame, a cut or another size
        """
        if self._still_weight == 1:
            return depth_m
        grey = _blurred_grey(image)
        if depth_m.shape != self._depth_m.shape:
            return self._start(depth_m, grey)
        # OpenCV divides by zero without a warning; what comes of it is mended with the holes.
        ratio = np.asarray(cv2.divide(depth_m, self._depth_m), np.float32)
        grey_change = _in_units(grey - self._grey, 1 / _GREY_NOISE)
        scale = _common_scale(ratio, grey_change)
        depth_change = _in_units(ratio, 1 / _DEPTH_NOISE / scale, -1 / _DEPTH_NOISE)
        weight = np.asarray(cv2.LUT(cv2.max(grey_change, depth_change), self._weights), np.float32)
        mean_weight = cv2.mean(weight)[0]
        if mean_weight - self._still_weight > _CUT * (1 - self._still_weight):
            return self._start(depth_m, grey)
        self._grey += weight * (grey - self._grey)
        smoothed = self._depth_m + weight * (depth_m / np.float32(scale) - self._depth_m)
        smoothed *= np.float32(scale ** (mean_weight**2))
        holes = np.isnan(smoothed)
        if holes.any():  # those of this map, and those of the running one that it fills
            np.copyto(smoothed, depth_m, where=holes)
        self._depth_m = smoothed
        return smoothed.copy()

    def _start(self, depth_m: F32, grey: F32) -> F32:
        self._depth_m, self._grey = depth_m.copy(), grey
        return depth_m.copy()


def _blurred_grey(image: RGB) -> F32:
    """Brightness with most of the sensor's noise averaged away."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.boxFilter(grey, cv2.CV_32F, _BLUR), np.float32)


def _in_units(values: F32, per_unit: float, offset: float = 0.0) -> NDArray[np.uint8]:
    """`|values * per_unit + offset|` in units of noise, 85 steps each, saturating at three."""
    scaled = cv2.convertScaleAbs(values, alpha=_STILL * per_unit, beta=_STILL * offset)
    return np.asarray(scaled, np.uint8)


def _common_scale(ratio: F32, change: NDArray[np.uint8]) -> float:
    """How much larger the new map is as a whole; 1 where that cannot be told, or is no swing."""
    sampled = ratio[::_STEP, ::_STEP]
    still = sampled[(change[::_STEP, ::_STEP] <= _STILL) & np.isfinite(sampled)]
    if still.size < _LEAST_STILL * sampled.size:
        return 1.0
    scale = float(np.median(still))
    return scale if 1 / _MOST_SCALE <= scale <= _MOST_SCALE else 1.0
