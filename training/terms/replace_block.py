"""ReplaceBlock: blocks of a student's map become the teacher's while training, more as it goes on.

Song & Kim, JVCIR 85 (2022) 103523, section 3.3, with the block mask of DropBlock (Ghiasi et al.,
2018). What is returned for the next layer is a new map: the student's own stays as it was, because
a loss on the replaced one would compare the teacher with itself.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.data.sample import Batch
from training.losses import TermValue, required
from training.schedules import Ramp, Schedule
from training.students.student import Prediction

# Of the paper: share at the end, and the epochs after the ramp; block sizes, coarse to fine.
SHARE, FLAT_EPOCHS = 0.2, 25
BLOCKS = (2, 2, 7, 7)


def share_schedule(epochs: int) -> Ramp:
    """From 0 to a fifth until 25 epochs before the end; at once if there are no more than those."""
    return Ramp(SHARE, max(0, epochs - FLAT_EPOCHS) / epochs)


def block_mask(seeds: Tensor, block: int) -> Tensor:
    """Every seed grown to a block; an even one grows down and right.

    seeds  (N, H, W), 0 or 1
    """
    grown = functional.max_pool2d(seeds[:, None], block, stride=1, padding=block // 2)[:, 0]
    return grown[:, : seeds.shape[1], : seeds.shape[2]]


class Replaced(NamedTuple):
    """The map for the next layer, and how far the student was off where it was replaced.

    apart  (N, 2) float32: sum of |student - teacher| inside the blocks, and of how many values
    """

    features: Tensor
    apart: Tensor


class ReplaceBlock(nn.Module):
    """One site. `share` is set from outside before each step; in eval mode nothing happens."""

    def __init__(self, block: int) -> None:
        super().__init__()
        self.block = block
        self.share = 0.0

    def forward(self, student: Tensor, teacher: Tensor) -> Replaced:
        teacher = teacher.detach()
        rate = min(1.0, self.share / self.block**2) if self.training else 0.0
        seeds = torch.rand(student[:, 0].shape, device=student.device) < rate
        return replace(student, teacher, block_mask(seeds.to(student.dtype), self.block))


def replace(student: Tensor, teacher: Tensor, mask: Tensor) -> Replaced:
    """The teacher's value inside the mask where the student's is above 0; no gradient there.

    mask  (N, H, W), 0 or 1, shared by the channels
    """
    inside = mask[:, None].bool().expand_as(student)
    features = torch.where(inside & (student > 0), teacher, student)
    # Of every element in a block, replaced or not, and of values before they were replaced.
    off = torch.where(inside, (student.float() - teacher.float()).abs(), 0)
    return Replaced(features, torch.stack([off.flatten(1).sum(1), inside.flatten(1).sum(1)], 1))


@dataclass(frozen=True, slots=True)
class ReplaceDrop:
    """Mean |student - teacher| over the values in replaced blocks of a site, summed over sites.

    Published with weight 0.2. There are as many summands as sites; the published code has two more
    that are 0 always.
    """

    weight: Schedule
    name: ClassVar[str] = "replace_drop"
    needs: ClassVar[frozenset[str]] = frozenset({"replaced"})

    def __call__(self, prediction: Prediction, batch: Batch) -> TermValue:  # noqa: ARG002
        off, count = required(batch.replaced, "replaced blocks", self.name).sum(0).unbind(1)
        return TermValue((off / count.clamp(min=1)).sum(), int(count.sum()))
