"""View synthesis: a neighbour's picture as the camera in the middle would have taken it.

Every pixel is lifted by its depth, moved into the neighbour's camera and looked up there. Pixel
centres lie at integer coordinates and corners are not aligned, as everywhere (`fathom.geometry`).
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from training.motion.rigid import move

# Points behind the neighbour's camera are put just in front of it: they land far outside.
NEAREST_M = 1e-3


class Synthesis(NamedTuple):
    """picture  (N, C, H, W); inside  (N, H, W) bool: looked up within the neighbour's picture"""

    picture: Tensor
    inside: Tensor


def synthesise(source: Tensor, depth_m: Tensor, transform: Tensor, camera: Tensor) -> Synthesis:
    """The source seen from the camera whose depth this is.

    source     (N, C, H, W) float, the neighbour's picture
    depth_m    (N, H, W) of the camera in the middle, in the unit of the translation
    transform  (N, 3, 4) T_source_middle
    camera     (N, 4) fx, fy, cx, cy in pixels of these pictures

    Outside the neighbour's picture its border is repeated. Zhou et al., Unsupervised Learning of
    Depth and Ego-Motion from Video, CVPR 2017, section 3.2.
    """
    height, width = depth_m.shape[1:]
    fx, fy, cx, cy = camera.float()[:, :, None, None].unbind(1)
    x = (torch.arange(width, device=depth_m.device) - cx) / fx  # (N, 1, W)
    y = (torch.arange(height, device=depth_m.device)[:, None] - cy) / fy  # (N, H, 1)
    z = depth_m.float()
    points = torch.stack([z * x, z * y, z], dim=1).flatten(2)
    moved = move(transform[:, :, :3], points) + transform[:, :, 3:]
    right, down, ahead = moved.view(-1, 3, height, width).unbind(1)
    ahead = ahead.clamp(min=NEAREST_M)
    u, v = fx * right / ahead + cx, fy * down / ahead + cy
    grid = torch.stack([(2 * u + 1) / width - 1, (2 * v + 1) / height - 1], dim=-1)
    picture = functional.grid_sample(
        source, grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return Synthesis(picture, (grid.abs() <= 1).all(dim=-1))
