"""Several processes that fit one student as one process would, started by `torchrun`.

Each computes its share of every batch, BatchNorm takes its statistics from all shares, and the
terms see the whole batch: silog of two halves is not silog of the whole. Gradients are summed here
and not by torch's wrapper, which acts only on its own forward: recipes call parts of a student, and
code that needs the wrapper does not run without it.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, distributed, nn

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class World:
    """Which of how many processes this is; without `torchrun`, the only one."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes and shows."""
        return self.rank == 0

    def share(self, whole: Value, count: int) -> Value:
        """This process's pictures of a batch of `count`; every tensor's first axis is theirs."""
        mine = self.mine(count)
        return whole if self.size == 1 else each(whole, lambda tensor: tensor[mine])

    def whole(self, share: Value, count: int) -> Value:
        """Everybody's shares together; only this process's own carries a graph."""
        if self.size == 1:
            return share
        mine = self.mine(count)

        def gather(own: Tensor) -> Tensor:
            # A sum of zeros and one share takes unequal shares too, which gathering does not.
            number = own.detach().to(torch.uint8) if own.dtype is torch.bool else own.detach()
            everything = number.new_zeros(count, *own.shape[1:])
            everything[mine] = number
            distributed.all_reduce(everything)
            everything = everything.to(own.dtype)
            return torch.cat([everything[: mine.start], own, everything[mine.stop :]])

        return each(share, gather)

    def mine(self, count: int) -> slice:
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Each process knows the pull of its own pictures: the sum is the whole batch's."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        ends = np.cumsum([gradient.numel() for gradient in gradients]).tolist()
        for gradient, part in zip(gradients, flat.tensor_split(ends[:-1]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def draw_apart(self, seed: int, epoch: int) -> None:
        """Other processes than the first draw numbers of their own; the first one's are a run's."""
        if not self.first:
            mixed = np.random.SeedSequence((seed, epoch, self.rank))
            torch.manual_seed(int(mixed.generate_state(1)[0]))

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """The first process does it, then the others, who find on disk what it wrote."""
        if self.size > 1 and not self.first:
            distributed.barrier()
        yield
        if self.size > 1 and self.first:
            distributed.barrier()


ALONE = World()


@contextmanager
def joined() -> Iterator[World]:
    """The processes that `torchrun` started, as long as this lasts."""
    if "WORLD_SIZE" not in os.environ:
        yield ALONE
        return
    distributed.init_process_group("gloo")
    try:
        yield World(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


def each(value: Value, change: Callable[[Tensor], Tensor]) -> Value:
    """The same tuple or dataclass with every tensor in it changed."""
    made: Any = value  # structure is looked at, and put back as it was
    if isinstance(value, Tensor):
        made = change(value)
    elif isinstance(value, tuple):
        inner = [each(item, change) for item in value]
        made = type(value)(*inner) if hasattr(value, "_fields") else tuple(inner)
    elif value is not None:
        names = [field.name for field in fields(made)]
        made = replace(made, **{name: each(getattr(value, name), change) for name in names})
    return cast("Value", made)


class _Sum(torch.autograd.Function):
    """The sum over processes; what pulls at it anywhere pulls at every share."""

    @staticmethod
    def forward(_: Any, share: Tensor) -> Tensor:
        total = share.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_: Any, *pulls: Tensor) -> Tensor:
        total = pulls[0].contiguous().clone()
        distributed.all_reduce(total)
        return total


class SharedBatchNorm(nn.BatchNorm2d):
    """BatchNorm over the pictures of all processes; torch has one for GPUs only."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        values = x.float()
        count = values.new_tensor([values.numel() / values.shape[1]])
        summed = _total(torch.cat([values.sum((0, 2, 3)), count]))
        mean, count = summed[:-1] / summed[-1], summed[-1].detach()
        apart = values - mean[:, None, None]
        variance = _total((apart * apart).sum((0, 2, 3))) / count
        self._follow(mean.detach(), variance.detach() * count / (count - 1))
        normal = apart * torch.rsqrt(variance + self.eps)[:, None, None]
        return (normal * self.weight[:, None, None] + self.bias[:, None, None]).to(x.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        known = cast("tuple[Tensor, Tensor, Tensor]", tuple(self.buffers()))
        for own, new in zip(known, (mean, variance), strict=False):
            own.lerp_(new, cast("float", self.momentum))
        known[2].add_(1)


def _total(share: Tensor) -> Tensor:
    return cast("Tensor", _Sum.apply(share))  # type: ignore[no-untyped-call]


def share_statistics(module: nn.Module) -> None:
    """Let every BatchNorm of a module see all processes' pictures; keys and weights stay."""
    for part in module.modules():
        if type(part) is nn.BatchNorm2d:
            part.__class__ = SharedBatchNorm
