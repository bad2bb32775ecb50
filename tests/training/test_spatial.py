"""Decomposed features and replaced blocks, with values worked out by hand (T3 to T8, T22)."""

import pytest
import torch
from torch import Tensor

from tests.training.batches import batch_of, plane
from training.schedules import Constant
from training.students.student import Prediction
from training.terms.replace_block import (
    ReplaceBlock,
    ReplaceDrop,
    block_mask,
    replace,
    share_schedule,
)
from training.terms.spatial_kd import SpatialKd, compare, decompose

SIZES = (4, 8, 16, 32, 64)


def checkerboard(size: int) -> Tensor:
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return (1.0 - 2.0 * ((rows + columns) % 2)).expand(1, 1, size, size).clone()


def maps(add: float) -> tuple[Tensor, ...]:
    return tuple(torch.full((1, 3, size, size), 2.0 + add) for size in SIZES)


def test_a_constant_is_all_context() -> None:
    fine, coarse, context = decompose(torch.full((1, 1, 8, 8), 3.0))
    assert not fine.any() and not coarse.any()
    assert context.shape == (1, 1, 2, 2) and (context == 3).all()


def test_a_checkerboard_is_all_fine_detail() -> None:
    x = checkerboard(8)
    fine, coarse, context = decompose(x)
    assert torch.equal(fine, x) and not coarse.any() and not context.any()


def test_a_shifted_map_is_off_as_a_whole_and_in_context() -> None:
    feature, detail, context = compare(maps(0.5), maps(0))
    assert [float(feature), float(detail), float(context)] == pytest.approx([3.75, 0, 4])
    prediction = Prediction(plane(1), features=maps(0.5))
    value, elements = SpatialKd(weight=Constant(1.0))(
        prediction, batch_of(plane(1), teacher_features=maps(0))
    )
    assert float(value) == pytest.approx(1.525)
    assert elements == 3 * sum(size * size for size in SIZES)


def test_a_checkerboard_more_is_off_in_detail() -> None:
    student = tuple(each + checkerboard(each.shape[-1]) for each in maps(0))
    feature, detail, context = compare(student, maps(0))
    assert [float(feature), float(detail), float(context)] == pytest.approx([15, 16, 0])
    value = SpatialKd(weight=Constant(1.0))(
        Prediction(plane(1), features=student), batch_of(plane(1), teacher_features=maps(0))
    ).value
    assert float(value) == pytest.approx(6.1)


def test_odd_sizes_are_met_on_the_way_back() -> None:
    x = torch.rand(1, 2, 15, 20)
    fine, coarse, _ = decompose(x)
    assert fine.shape == x.shape and coarse.shape == (1, 2, 7, 10)


def test_only_the_student_is_moved() -> None:
    student = tuple(each.requires_grad_() for each in maps(0.5))
    teacher = tuple(each.requires_grad_() for each in maps(0))
    sum(compare(student, teacher)).backward()  # type: ignore[union-attr]
    assert all(each.grad is None for each in teacher)
    assert all(each.grad is not None and each.grad.any() for each in student)


# --- ReplaceBlock ---


def dropped(*apart: Tensor) -> tuple[float, int]:
    """The term's value and elements, from (sites, 2) of each picture."""
    batch = batch_of(plane(1, count=len(apart)), replaced=torch.stack(apart))
    value, elements = ReplaceDrop(weight=Constant(1.0))(Prediction(batch.depth_m), batch)
    return float(value.detach()), elements


def test_what_is_replaced_by_hand() -> None:
    student = torch.tensor([1.0, -1.0]).view(1, 1, 1, 2).requires_grad_()
    teacher = torch.tensor([5.0, 7.0]).view(1, 1, 1, 2)
    features, apart = replace(student, teacher, torch.ones(1, 1, 2))
    assert features.flatten().tolist() == [5, -1]
    assert apart.tolist() == [[12, 2]]
    drop, elements = dropped(apart)
    assert (drop, elements) == (6, 2) and 0.2 * drop == pytest.approx(1.2)
    features.sum().backward()  # type: ignore[no-untyped-call]
    assert student.grad is not None and student.grad.flatten().tolist() == [0, 1]
    assert student.flatten().tolist() == [1, -1]


def test_sites_are_summed_each_over_its_own_blocks() -> None:
    """Two pictures, three sites, one of which replaced nothing: 8 / 4 + 6 / 2."""
    one = torch.tensor([[6.0, 3.0], [6.0, 2.0], [0.0, 0.0]])
    other = torch.tensor([[2.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    assert dropped(one, other) == (5, 6)
    assert dropped(torch.zeros(3, 2)) == (0, 0)


def test_a_tiny_student_value_is_replaced_all_the_same() -> None:
    features, apart = replace(
        torch.full((1, 1, 1, 1), 1e-30), torch.full((1, 1, 1, 1), 5.0), torch.ones(1, 1, 1)
    )
    assert float(features) == 5 and apart.isfinite().all()


def test_the_distilled_map_is_not_the_replaced_one() -> None:
    """With everything replaced, the loss still sees the student as it was."""
    site = ReplaceBlock(2)
    site.share = 4.0
    student, teacher = torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8) + 2
    before = student.clone()
    assert torch.equal(site(student, teacher).features, teacher)
    assert torch.equal(student, before)


def test_nothing_is_replaced_at_share_0_or_in_eval_mode() -> None:
    student, teacher = torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8)
    site = ReplaceBlock(7)
    features, apart = site(student, teacher)
    assert torch.equal(features, student) and not apart.any()
    site.share = 49.0
    assert site(student, teacher).apart.all()
    assert torch.equal(site.eval()(student, teacher).features, student)


@pytest.mark.parametrize(
    ("size", "seed", "block", "marked"), [(5, 2, 2, range(2, 4)), (15, 7, 7, range(4, 11))]
)
def test_a_seed_grows_to_a_block(size: int, seed: int, block: int, marked: range) -> None:
    seeds = torch.zeros(1, size, size)
    seeds[0, seed, seed] = 1
    expected = torch.zeros(1, size, size)
    expected[0, marked.start : marked.stop, marked.start : marked.stop] = 1
    assert torch.equal(block_mask(seeds, block), expected)


@pytest.mark.parametrize(("block", "share"), [(2, 0.1855), (7, 0.1816)])
def test_the_share_that_is_replaced(block: int, share: float) -> None:
    """1 - (1 - p/b^2)^(b^2) at p = 0.2, at one interior position over 50,000 draws."""
    generator = torch.Generator().manual_seed(0)
    size = 2 * block - 1
    seeds = (torch.rand(50_000, size, size, generator=generator) < 0.2 / block**2).float()
    assert float(block_mask(seeds, block)[:, block - 1, block - 1].mean()) == pytest.approx(
        share, abs=0.005
    )


def test_the_share_grows_until_25_epochs_before_the_end() -> None:
    share = share_schedule(50)
    assert [share(p) for p in (0, 0.25, 0.5, 0.8)] == pytest.approx([0, 0.1, 0.2, 0.2])


@pytest.mark.parametrize("epochs", [1, 10, 25, 26])
def test_short_runs_have_a_schedule_too(epochs: int) -> None:
    assert 0 <= share_schedule(epochs)(0) <= share_schedule(epochs)(1) == pytest.approx(0.2)
