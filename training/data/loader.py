"""Pictures in memory, in an order and with changes that only (seed, epoch, index) decide.

Knows no folder form: it is handed samples. No worker processes either: on two cores an augmentation
costs a tenth of the training step it would hide behind, and it would hide on the same cores.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fathom.errors import Code, FathomError
from fathom.geometry import Size
from training.data.augment import Policy, augment
from training.data.sample import Batch, Sample, collate


class Samples(Protocol):
    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> Sample: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Loader:
    """Endless epochs of augmented batches over samples, often kept decoded."""

    samples: Samples
    network_size: Size
    focal_px: float
    batch_size: int
    policy: Policy
    seed: int

    def __post_init__(self) -> None:
        if len(self.samples) < self.batch_size:
            raise FathomError(
                Code.BAD_DATA,
                expected=f"at least one batch of {self.batch_size} pictures to fit on",
                got=f"{len(self.samples)}",
                repair="give more pictures or a smaller --batch-size",
            )

    def __len__(self) -> int:
        """Batches in an epoch; the odd rest is left out, and another rest the next time."""
        return len(self.samples) // self.batch_size

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """The batches of one epoch; the same ones whenever it is asked for."""
        for chosen in self.views(epoch):
            yield collate(chosen, self.focal_px)

    def views(self, epoch: int) -> Iterator[list[Sample]]:
        """As `epoch`, before they are stacked."""
        order = np.random.default_rng((self.seed, epoch, 0)).permutation(len(self.samples))
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            yield [self.view(epoch, int(i)) for i in order[start : start + self.batch_size]]

    def view(self, epoch: int, index: int) -> Sample:
        """How picture `index` looks in this epoch, whatever came before it."""
        # Index 0 is the order's: seeds that differ in trailing zeros alone are the same seed.
        rng = np.random.default_rng((self.seed, epoch, index + 1))
        return augment(self.samples[index], self.policy, self.network_size, rng)
