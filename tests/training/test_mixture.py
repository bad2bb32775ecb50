"""Unlabelled pictures beside labelled ones: how many, which, and that they repeat."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from training.data.augment import Policy, augment
from training.data.lazy import Lazily
from training.data.loader import Loader
from training.data.mixture import Mixture
from training.data.rooms import MadeRooms
from training.data.sample import Sample

SIZE = (256, 320)
ROOMS = MadeRooms(12, size=(48, 64))


def labelled(count: int = 6, batch_size: int = 2) -> Loader:
    return Loader(
        samples=[with_depth_for_taught(ROOMS.read(id_)) for id_ in ROOMS.ids("all")[:count]],
        network_size=SIZE,
        focal_px=259.43,
        batch_size=batch_size,
        policy=Policy(),
        seed=3,
    )


def with_depth_for_taught(sample: Sample) -> Sample:
    return replace(sample, taught=sample.depth_m.copy())


def bare(sample: Sample) -> Sample:
    nothing = np.zeros_like(sample.depth_m)
    return replace(with_depth_for_taught(sample), depth_m=nothing, valid=nothing > 0)


def mixture(per_labelled: float, count: int = 5) -> Mixture:
    others = Lazily(ROOMS, ROOMS.ids("all")[:count], bare)
    return Mixture(labelled=labelled(), unlabelled=others, per_labelled=per_labelled)


@pytest.mark.parametrize(
    ("ratio", "sizes"), [(1.0, [4, 4, 4]), (0.5, [3, 3, 3]), (0.75, [3, 4, 3])]
)
def test_an_epoch_has_the_stated_share(ratio: float, sizes: list[int]) -> None:
    batches = list(mixture(ratio).epoch(0))
    assert [len(batch.frames) for batch in batches] == sizes
    with_truth = sum(int(batch.valid.flatten(1).any(1).sum()) for batch in batches)
    assert with_truth == 6
    assert sum(sizes) - with_truth == int(6 * ratio)


def test_every_unlabelled_picture_comes_before_any_comes_again() -> None:
    """Three an epoch out of five: rounds go across epochs."""
    mixed = mixture(0.5)
    order = [i for epoch in range(5) for step in range(3) for i in mixed.chosen(epoch, step)]
    for round_ in (order[:5], order[5:10], order[10:]):
        assert sorted(round_) == [0, 1, 2, 3, 4]
    assert order[:5] != order[5:10]


def test_an_epoch_repeats_bit_for_bit_and_epochs_differ() -> None:
    mixed = mixture(1.0)
    first, again, second = (list(mixed.epoch(epoch)) for epoch in (0, 0, 1))
    assert all(torch.equal(a.frames, b.frames) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0].frames, second[0].frames)


def test_all_pictures_bring_what_they_are_taught() -> None:
    for batch in mixture(1.0).epoch(0):
        assert batch.taught is not None and batch.taught.shape == batch.depth_m.shape
        assert batch.taught.flatten(1).isfinite().any(1).all()
        # Taught was a copy of depth: it must have gone the same way, metres included.
        assert torch.equal(batch.taught[batch.valid], batch.depth_m[batch.valid])


def test_what_is_taught_moves_with_the_picture_and_ends_where_it_ends() -> None:
    sample = with_depth_for_taught(ROOMS.read("000000"))
    counts: Counter[bool] = Counter()
    for seed in range(40):
        view = augment(sample, Policy(), SIZE, np.random.default_rng(seed))
        assert view.taught is not None
        known = np.isfinite(view.taught)
        counts[bool(known.all())] += 1
        assert np.array_equal(known, view.valid)
        assert np.array_equal(view.taught[known], view.depth_m[known])
    assert counts[False] > 5


def test_lazy_samples_are_read_each_time() -> None:
    lazily = Lazily(ROOMS, ["000001", "000000"], bare)
    assert len(lazily) == 2 and [sample.scene for sample in lazily] == [
        "made_000001",
        "made_000000",
    ]
    assert not lazily[0].valid.any()
