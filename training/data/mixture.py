"""Unlabelled pictures beside every batch of labelled ones, in a stated proportion.

Like the labelled ones, which they are and how they look follows from (seed, epoch, index) alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from training.data.augment import augment
from training.data.loader import Loader, Samples
from training.data.sample import Batch, Sample, collate


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """Batches of the labelled loader, each with about `per_labelled` times as many others.

    An epoch is the labelled loader's. The others are gone through in random order, all of them
    before any comes again, however many epochs that takes.
    """

    labelled: Loader
    unlabelled: Samples
    per_labelled: float

    def __len__(self) -> int:
        return len(self.labelled)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """The batches of one epoch; the same ones whenever it is asked for."""
        for step, views in enumerate(self.labelled.views(epoch)):
            others = [self.view(epoch, index) for index in self.chosen(epoch, step)]
            yield collate([*views, *others], self.labelled.focal_px)

    def chosen(self, epoch: int, step: int) -> Sequence[int]:
        """The unlabelled pictures of a batch."""
        rate = self.labelled.batch_size * self.per_labelled
        before = epoch * int(len(self) * rate)
        places = range(before + int(step * rate), before + int((step + 1) * rate))
        return [self.at(place) for place in places]

    def at(self, place: int) -> int:
        """Which picture has this place in the endless order."""
        count = len(self.unlabelled)
        rng = np.random.default_rng((self.labelled.seed, place // count, 0, 1))
        return int(rng.permutation(count)[place % count])

    def view(self, epoch: int, index: int) -> Sample:
        """How unlabelled picture `index` looks in this epoch."""
        # The last 1 keeps these apart from the labelled pictures' numbers.
        rng = np.random.default_rng((self.labelled.seed, epoch, index + 1, 1))
        loader = self.labelled
        return augment(self.unlabelled[index], loader.policy, loader.network_size, rng)
