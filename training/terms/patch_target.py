"""A sharper target out of a network's own answers for patches (system 000), without a gradient.

Where a picture has much detail, patches of it are asked about enlarged, as they are and shrunk; the
answers are mixed by distance from contours, brought to the scale of the whole picture's disparity
by least squares, and blended into it together with a second teacher's. Knows no network: teachers
come as functions from a picture to its disparity of any scale.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from fathom.geometry import F32, RGB, resize_image, resize_map
from training.terms.fit import linear_fit

Ask: TypeAlias = Callable[[RGB], F32]
Mask: TypeAlias = NDArray[np.bool_]

SCALES = (1.5, 1.0, 0.5)
# Shares of the three scales near contours, between, and far from them.
SHARES = ((0.30, 0.70, 0.00), (0.25, 0.70, 0.05), (0.15, 0.70, 0.15))
OWN_SHARE = 0.6
STRENGTH = 0.6
FADE_PX = 12.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Where patches may lie; published for 192x640."""

    patch: int = 128
    stride: int = 48

    def places(self, image: RGB) -> Sequence[tuple[slice, slice]]:
        """Patches with at least the gradient density of the whole picture."""
        height, width = image.shape[:2]
        strong = strong_gradients(image)
        tops = range(0, height - self.patch + 1, self.stride)
        lefts = range(0, width - self.patch + 1, self.stride)
        boxes = [
            (slice(top, top + self.patch), slice(left, left + self.patch))
            for top in tops
            for left in lefts
        ]
        return [box for box in boxes if strong[box].mean() >= strong.mean() > 0]


def strong_gradients(image: RGB) -> F32:
    """|Sobel across| + |Sobel down| of grey, 0 below the mean of what is above 0."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    across, down = (cv2.Sobel(grey, cv2.CV_32F, *axes, ksize=3) for axes in ((1, 0), (0, 1)))
    total = np.abs(across) + np.abs(down)
    least = total[total > 0].mean() if (total > 0).any() else 0
    return np.where(total < least, np.float32(0), total).astype(np.float32)


def scale_shares(patch: RGB) -> F32:
    """(3, H, W) shares of the three scales; they sum to 1 at every pixel."""
    contours = cv2.Laplacian(cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY), cv2.CV_32F) != 0
    count = int(contours.sum())
    if not count:  # all is far from a contour
        band = np.full(contours.shape, 2)
    else:
        away = cv2.distanceTransform((~contours).astype(np.uint8), cv2.DIST_L2, 5)
        unit = contours.size / count
        band = (away >= 0.1 * unit).astype(np.intp) + (away > 2 * unit)
    return np.moveaxis(np.array(SHARES, np.float32)[band], -1, 0)


def own_estimate(ask: Ask, patch: RGB) -> F32:
    """The patch asked about at three scales, mixed at the patch's size."""
    height, width = size = (patch.shape[0], patch.shape[1])
    asked = [resize_image(patch, (round(height * s), round(width * s))) for s in SCALES]
    answers = np.stack([resize_map(ask(each), size) for each in asked])
    return np.asarray((scale_shares(patch) * answers).sum(0), np.float32)


def fit_to(base: F32, estimate: F32, known: Mask) -> F32:
    """a * estimate + b nearest to base over the known pixels."""
    source, target, mask = (torch.from_numpy(x)[None] for x in (estimate, base, known))
    return linear_fit(source, target, mask)[0].numpy()


class Canvas:
    """Patches pasted side by side; where they overlap, the new one fades out inwards."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.values = np.zeros(shape, np.float32)
        self.covered = np.zeros(shape, np.bool_)

    def paste(self, box: tuple[slice, slice], patch: F32) -> None:
        covered = self.covered[box]
        share = np.ones(patch.shape, np.float32)
        if covered.all():
            share[:] = 0.5
        elif covered.any():
            inside = cv2.distanceTransform(covered.astype(np.uint8), cv2.DIST_L2, 3)
            share = (1 - inside / inside.max()).astype(np.float32)
        self.values[box] = share * patch + (1 - share) * self.values[box]
        self.covered[box] = True


class PatchTarget(NamedTuple):
    """The refined disparity (H, W), and where it differs by intent."""

    disparity: F32
    covered: Mask


def refine(disparity: F32, image: RGB, own: Ask, second: Ask, grid: Grid) -> PatchTarget:
    """The target for a picture from the network's own disparity of the whole of it."""
    canvases = Canvas(disparity.shape), Canvas(disparity.shape)
    for box in reversed(grid.places(image)):
        patch, base = np.ascontiguousarray(image[box]), np.ascontiguousarray(disparity[box])
        everywhere = np.ones(base.shape, np.bool_)
        for canvas, estimate in zip(
            canvases, (own_estimate(own, patch), second(patch)), strict=True
        ):
            canvas.paste(box, fit_to(base, estimate, everywhere))
    covered = canvases[0].covered
    mine, other = (fit_to(disparity, canvas.values, covered) for canvas in canvases)
    fused = OWN_SHARE * mine + (1 - OWN_SHARE) * other
    share = STRENGTH * window(covered)
    refined = np.where(covered, disparity * (1 - share) + share * fused, disparity)
    return PatchTarget(refined.astype(np.float32), covered)


def window(covered: Mask) -> F32:
    """How much of the new value is taken: a soft-edged box round all that is covered.

    It fades towards what is not covered, too: as published a patch beside nothing ends in a step,
    which a student would take for an edge.
    """
    share = np.zeros(covered.shape, np.float32)
    if covered.any():
        rows, cols = (np.flatnonzero(covered.any(axis)) for axis in (1, 0))
        height, width = int(rows[-1] - rows[0]) + 1, int(cols[-1] - cols[0]) + 1
        inner = np.zeros((height, width), np.float32)
        inner[int(0.15 * height) : -int(0.15 * height) or None, :][
            :, int(0.15 * width) : -int(0.15 * width) or None
        ] = 1
        soft = cv2.GaussianBlur(inner, (0, 0), 12)
        share[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1] = 0.5 * soft + 0.01
    inside = cv2.distanceTransform(covered.astype(np.uint8), cv2.DIST_L2, 3)
    fade = np.minimum(inside / FADE_PX, 1)
    return np.asarray(share * fade, np.float32)
