"""Depth from motion: its terms on constructed cases, and that they lead to depth and motion."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from fathom.errors import FathomError
from tests.training.batches import batch_of, gradient_of
from training.data.made_video import MadeVideo
from training.data.sample import Batch
from training.data.triples import Triple, stack
from training.recipes.recipe import Told
from training.recipes.self_supervised import SELF_SUPERVISED, WithMotion
from training.schedules import Constant
from training.students.spec import StudentSpec
from training.students.student import Prediction, Student
from training.terms.reprojection import EdgeAwareSmoothness, Reprojection, transforms, unlike

ONE = Constant(1.0)
SIZE, APART = (48, 64), 4


def seen(video: MadeVideo, middles: list[int]) -> tuple[Batch, Tensor, Tensor]:
    """Triples of a made video, their depth (N, H, W), and the shifts (N, 2, 3) of both pairs."""
    samples = {
        n + step: video.read(f"{n + step:06d}") for n in middles for step in (-APART, 0, APART)
    }
    triples = [
        Triple(
            frames=np.stack([samples[n + step].image for step in (-APART, 0, APART)]),
            refined=None,
            camera=video.camera,
        )
        for n in middles
    ]
    depth_m = torch.from_numpy(np.stack([samples[n].depth_m for n in middles]))
    shifts = [
        [video.transform(a, b)[:, 3] for a, b in ((n - APART, n), (n, n + APART))] for n in middles
    ]
    return stack(triples), depth_m, torch.tensor(np.array(shifts), dtype=torch.float32)


def truth_of(video: MadeVideo, middle: int) -> Tensor:
    """(1, 2, 6) as a perfect pose network would say it: turns of these videos are about y."""
    pairs = []
    for a, b in ((middle - APART, middle), (middle, middle + APART)):
        transform = video.transform(a, b)
        turn = transform[:, :3]
        angle = math.acos(min(1.0, (np.trace(turn) - 1) / 2))
        axis = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
        pairs.append(np.concatenate([axis * angle / (2 * math.sin(angle)), transform[:, 3]]))
    return torch.tensor(np.stack(pairs)[None], dtype=torch.float32)


def test_true_depth_and_motion_explain_frames_better_than_wrong_ones() -> None:
    video = MadeVideo(30, SIZE, seed=0)
    batch, depth_m, _ = seen(video, [6])
    term = Reprojection(weight=ONE)
    right = term(Prediction(depth_m), replace(batch, motion=truth_of(video, 6)))
    assert right.elements > 0.9 * 48 * 64
    backwards = replace(batch, motion=-truth_of(video, 6))
    still = replace(batch, motion=torch.zeros(1, 2, 6))
    wrong = [
        term(Prediction(depth_m * 2), replace(batch, motion=truth_of(video, 6))),
        term(Prediction(depth_m), backwards),
        term(Prediction(depth_m), still),
    ]
    assert all(float(each.value) > 2 * float(right.value) for each in wrong)
    pull = gradient_of(term, depth_m * 1.2, replace(batch, motion=truth_of(video, 6)))
    assert pull.isfinite().all() and (pull != 0).float().mean() > 0.5


def test_where_nothing_moves_nothing_is_used() -> None:
    """The auto-mask: a standing camera says nothing about depth, and that is no success."""
    video = MadeVideo(30, SIZE, seed=0)
    batch, depth_m, _ = seen(video, [6])
    standing = replace(batch, neighbours=torch.stack([batch.frames] * 2, 1))
    found = Reprojection(weight=ONE)(
        Prediction(depth_m), replace(standing, motion=truth_of(video, 6))
    )
    assert tuple(found) == (0, 0)


def test_a_pixel_hidden_in_one_neighbour_is_looked_up_in_the_other() -> None:
    video = MadeVideo(30, SIZE, seed=0)
    batch, depth_m, _ = seen(video, [6])
    assert batch.neighbours is not None
    known = replace(batch, motion=truth_of(video, 6))
    spoiled = batch.neighbours.clone()
    spoiled[:, 0] = 0
    one = Reprojection(weight=ONE)(Prediction(depth_m), known)
    other = Reprojection(weight=ONE)(Prediction(depth_m), replace(known, neighbours=spoiled))
    assert float(other.value) < 3 * float(one.value) and other.elements > 0.5 * one.elements


def test_the_way_to_the_frame_before_is_the_way_from_it_backwards() -> None:
    motion = torch.zeros(1, 2, 6)
    motion[..., 3] = torch.tensor([0.1, 0.3])
    before, after = transforms(motion)
    assert before[0, :, 3].tolist() == pytest.approx([-0.1, 0, 0])
    assert after[0, :, 3].tolist() == pytest.approx([0.3, 0, 0])


def test_equal_pictures_are_not_unlike() -> None:
    picture = torch.rand(1, 3, 6, 8)
    assert torch.allclose(unlike(picture, picture), torch.zeros(1, 6, 8), atol=1e-5)
    assert float(unlike(picture, 1 - picture).mean()) > 0.3


def test_smoothness_by_hand() -> None:
    """Inverse depth 1 and 3, over their mean 0.5 and 1.5: a step of 1 in five gaps across."""
    depth_m = torch.tensor([1.0, 1, 1, 1 / 3, 1 / 3, 1 / 3]).expand(1, 4, 6).clone()
    term, batch = EdgeAwareSmoothness(weight=ONE), batch_of(depth_m)
    assert float(term(Prediction(depth_m), batch).value) == pytest.approx(0.2)
    assert float(term(Prediction(7 * depth_m), batch).value) == pytest.approx(0.2)
    edge = torch.zeros(1, 4, 6, 3, dtype=torch.uint8)
    edge[:, :, 3:] = 255
    at_edge = term(Prediction(depth_m), replace(batch, frames=edge))
    assert float(at_edge.value) == pytest.approx(0.2 * math.exp(-1), rel=1e-5)
    assert float(term(Prediction(torch.ones(1, 4, 6)), batch).value) == 0


def test_terms_say_what_they_lack() -> None:
    with pytest.raises(FathomError, match="frames before and after in every batch"):
        Reprojection(weight=ONE)(Prediction(torch.ones(1, 4, 6)), batch_of(torch.ones(1, 4, 6)))


class Nothing(Told):
    epochs, feature_teacher = 1, None


def test_the_companion_shows_pairs_in_order_of_time_and_learns() -> None:
    torch.manual_seed(0)
    student = Student(StudentSpec(height_px=64, width_px=96, metric_scale=False)).train()
    companion = WithMotion(Nothing(), student)
    frames = torch.randint(0, 256, (2, 3, 64, 96, 3), dtype=torch.uint8)
    batch = replace(
        batch_of(torch.zeros(2, 64, 96)),
        frames=frames[:, 1],
        neighbours=frames[:, [0, 2]],
        camera=torch.tensor([[78.0, 78.0, 47.5, 31.5]] * 2),
    )
    prediction, known = companion(student, batch, 0.0)
    assert known.motion is not None and known.motion.shape == (2, 2, 6)
    for place in (0, 1):
        pair = companion.learns(frames[:, place], frames[:, place + 1])
        assert torch.allclose(known.motion[:, place], pair, atol=1e-6)
    total = sum(term(prediction, known).value for term in SELF_SUPERVISED.terms)
    assert isinstance(total, Tensor)
    total.backward()  # type: ignore[no-untyped-call]
    for parameters in (companion.learns.parameters(), student.parameters()):
        assert all(p.grad is not None and p.grad.any() for p in parameters)


@pytest.mark.slow
def test_motion_alone_leads_to_depth_and_to_the_motion_itself() -> None:
    """Free depth and free motion, descended from a flat world that stands still."""
    torch.manual_seed(0)
    batch, depth_m, shifts = seen(MadeVideo(42, SIZE, seed=0), [6, 16, 26, 36])
    coarse = torch.zeros(4, 1, 12, 16, requires_grad=True)
    motion = torch.zeros(4, 2, 6, requires_grad=True)
    # Turning is the easier wrong explanation of a step to the side: it is to grow more slowly.
    scales = torch.tensor([0.1, 0.1, 0.1, 1, 1, 1])
    optimizer = torch.optim.Adam(
        [{"params": [coarse], "lr": 3e-2}, {"params": [motion], "lr": 1e-2}]
    )
    losses, errors = [], []
    for _ in range(100):
        depth = 2.5 * functional.interpolate(coarse, SIZE, mode="bilinear").squeeze(1).exp()
        known = replace(batch, motion=motion * scales)
        values = [
            float(t.weight(0)) * t(Prediction(depth), known).value for t in SELF_SUPERVISED.terms
        ]
        total = torch.stack(values).sum()
        optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(total.detach()))
        errors.append(median_scaled(depth.detach(), depth_m))
    assert losses[-1] < 0.3 * losses[0]
    assert errors[-1] < 0.65 * errors[0]
    towards = functional.cosine_similarity(motion.detach()[..., 3:], shifts, dim=-1)
    assert float(towards.mean()) > 0.7


def median_scaled(depth: Tensor, truth_m: Tensor) -> float:
    """AbsRel after each picture's depth was given the median of its truth."""
    factor = truth_m.flatten(1).median(1).values / depth.flatten(1).median(1).values
    return float(((depth * factor[:, None, None] - truth_m).abs() / truth_m).mean())
