"""Batches and gradients for tests of loss terms."""

import torch
from torch import Tensor

from training.data.sample import Batch
from training.losses import Term
from training.students.student import Prediction


def batch_of(
    truth_m: Tensor,
    valid: Tensor | None = None,
    *,
    taught: Tensor | None = None,
    labels: Tensor | None = None,
    teacher_features: tuple[Tensor, ...] | None = None,
    replaced: Tensor | None = None,
) -> Batch:
    """Black frames with this truth, valid everywhere unless said otherwise."""
    return Batch(
        frames=torch.zeros(*truth_m.shape, 3, dtype=torch.uint8),
        depth_m=truth_m,
        valid=torch.ones(truth_m.shape, dtype=torch.bool) if valid is None else valid,
        labels=labels,
        taught=taught,
        teacher_features=teacher_features,
        replaced=replaced,
    )


def plane(value: float, count: int = 1, height: int = 4, width: int = 6) -> Tensor:
    return torch.full((count, height, width), float(value))


def gradient_of(term: Term, depth_m: Tensor, batch: Batch) -> Tensor:
    """What the term pulls at each pixel."""
    depth_m = depth_m.clone().requires_grad_()
    term(Prediction(depth_m), batch).value.backward()  # type: ignore[no-untyped-call]
    assert depth_m.grad is not None
    return depth_m.grad
