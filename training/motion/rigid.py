"""Rigid motions from six numbers: a rotation as axis times angle, then a translation.

`T_b_a` takes points of camera a to camera b. All of it is float32 and free of matrix products that
autocast would round: a bfloat16 rotation of a wall at three metres is a centimetre off.
"""

import torch
from torch import Tensor


def rotation(axis_angle: Tensor) -> Tensor:
    """(N, 3) radians about an axis to (N, 3, 3) (Rodrigues' formula); smooth at no rotation."""
    axis_angle = axis_angle.float()
    squared = (axis_angle * axis_angle).sum(1)
    # Below this the series is exact in float32, and the root has a gradient everywhere.
    small = squared < 1e-6
    angle = torch.where(small, 1.0, squared).sqrt()
    sine = torch.where(small, 1 - squared / 6, angle.sin() / angle)
    cosine = torch.where(small, 0.5 - squared / 24, (1 - angle.cos()) / angle**2)
    x, y, z = axis_angle.unbind(1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).view(-1, 3, 3)
    outer = axis_angle[:, :, None] * axis_angle[:, None, :]
    # K^2 = v v^T - |v|^2 I
    eye = torch.eye(3, device=axis_angle.device)
    return (
        eye
        + sine[:, None, None] * cross
        + cosine[:, None, None] * (outer - squared[:, None, None] * eye)
    )


def rigid(motion: Tensor) -> Tensor:
    """(N, 6) axis-angle and translation to T = [R | t], (N, 3, 4)."""
    motion = motion.float()
    return torch.cat([rotation(motion[:, :3]), motion[:, 3:, None]], dim=2)


def inverse(transform: Tensor) -> Tensor:
    """T_a_b from T_b_a: [R^T | -R^T t]."""
    turned = transform[:, :, :3].transpose(1, 2)
    return torch.cat([turned, -move(turned, transform[:, :, 3:])], dim=2)


def move(linear: Tensor, points: Tensor) -> Tensor:
    """(N, 3, 3) on (N, 3, pixels), written out so that autocast leaves it alone."""
    return (linear[:, :, :, None] * points[:, None, :, :]).sum(2)
