"""Motion and view synthesis against geometry worked out by hand, and against made-up rooms."""

import math

import numpy as np
import pytest
import torch

from training.data.made_video import MadeVideo
from training.motion.pose import PoseNetwork
from training.motion.rigid import inverse, move, rigid, rotation
from training.motion.warp import synthesise

CAMERA = torch.tensor([[20.0, 20.0, 7.5, 5.5]])
NOWHERE = torch.zeros(1, 6)


def shifted(x: float = 0, y: float = 0, z: float = 0) -> torch.Tensor:
    return rigid(torch.tensor([[0, 0, 0, x, y, z]], dtype=torch.float32))


def test_a_quarter_turn_about_the_axis_takes_right_to_down() -> None:
    turned = rotation(torch.tensor([[0, 0, math.pi / 2]]))[0]
    assert torch.allclose(turned @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]), atol=1e-6)


def test_rotations_are_rotations_and_smooth_at_none() -> None:
    vectors = torch.randn(6, 3) * torch.tensor([3.0, 1, 0.1, 1e-3, 1e-5, 0])[:, None]
    vectors.requires_grad_()
    turned = rotation(vectors)
    assert torch.allclose(turned @ turned.transpose(1, 2), torch.eye(3).expand(6, 3, 3), atol=1e-5)
    assert torch.allclose(torch.linalg.det(turned), torch.ones(6), atol=1e-5)
    assert torch.equal(turned[5], torch.eye(3))
    turned[:, 0, 1].sum().backward()  # type: ignore[no-untyped-call]
    assert vectors.grad is not None and vectors.grad.isfinite().all() and vectors.grad[5].any()


def test_there_and_back() -> None:
    there = rigid(torch.randn(3, 6))
    points = torch.randn(3, 3, 5)
    gone = move(there[:, :, :3], points) + there[:, :, 3:]
    back = inverse(there)
    assert torch.allclose(move(back[:, :, :3], gone) + back[:, :, 3:], points, atol=1e-5)


def test_no_motion_changes_nothing_whatever_the_depth() -> None:
    picture = torch.rand(1, 3, 12, 16)
    seen = synthesise(picture, torch.rand(1, 12, 16) + 0.5, rigid(NOWHERE), CAMERA)
    assert torch.allclose(seen.picture, picture, atol=1e-4)
    assert seen.inside.all()


def test_a_step_to_the_side_shifts_by_focal_times_step_over_depth() -> None:
    """The neighbour stands 0.2 m to the left: its points lie 0.2 m further right, 2 px at 2 m."""
    picture = torch.rand(1, 1, 12, 16)
    seen = synthesise(picture, torch.full((1, 12, 16), 2.0), shifted(x=0.2), CAMERA)
    assert torch.allclose(seen.picture[..., :14], picture[..., 2:], atol=1e-4)
    assert seen.inside[..., :14].all() and not seen.inside[..., 14:].any()


def test_scaling_depth_and_shift_together_changes_nothing() -> None:
    picture, depth_m = torch.rand(1, 3, 12, 16), torch.rand(1, 12, 16) + 1
    one = synthesise(picture, depth_m, shifted(0.1, -0.05, 0.1), CAMERA).picture
    other = synthesise(picture, 3 * depth_m, shifted(0.3, -0.15, 0.3), CAMERA).picture
    assert torch.allclose(one, other, atol=1e-4)


def test_points_behind_the_neighbour_stay_finite() -> None:
    depth_m = torch.ones(1, 12, 16, requires_grad=True)
    seen = synthesise(torch.rand(1, 3, 12, 16), depth_m, shifted(z=-2), CAMERA)
    seen.picture.sum().backward()  # type: ignore[no-untyped-call]
    assert seen.picture.isfinite().all()
    assert depth_m.grad is not None and depth_m.grad.isfinite().all()


def test_a_made_room_is_explained_by_its_depth_and_motion() -> None:
    """The rooms' own geometry knows nothing of this warp."""
    video = MadeVideo(4, (48, 64), seed=1)
    first, second = (video.read(f"{n:06d}") for n in (0, 3))
    camera = torch.tensor([[video.camera.fx, video.camera.fy, video.camera.cx, video.camera.cy]])
    transform = torch.tensor(video.transform(0, 3)[None], dtype=torch.float32)
    one, other = (
        torch.from_numpy(np.moveaxis(s.image, -1, 0)[None] / np.float32(255))
        for s in (first, second)
    )
    seen = synthesise(other, torch.from_numpy(first.depth_m)[None], transform, camera)
    moved = (seen.picture - one).abs().mean(1)[seen.inside].median()
    still = (other - one).abs().mean(1)[seen.inside].median()
    assert float(moved) < 0.2 * float(still)


def test_motion_begins_near_none_and_learns() -> None:
    torch.manual_seed(0)
    network, frames = PoseNetwork(), torch.randint(0, 256, (2, 64, 96, 3), dtype=torch.uint8)
    motion = network(frames, frames.flip(2))
    assert motion.shape == (2, 6) and motion.dtype == torch.float32
    assert motion.abs().max() < 0.1
    motion.square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())
    order = network(frames.flip(2), frames)
    assert not torch.allclose(order, motion)
    alone = network(frames[:1], frames[:1].flip(2))
    assert motion[:1].detach().numpy() == pytest.approx(alone.detach().numpy(), abs=1e-6)
