"""Heads: metres within a range, bins that follow the picture, classes that cost nothing unasked."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from fathom.errors import Code, FathomError
from tests.training.students.kinds import DECODERS, SIZE, frames, lively, spec
from training.students.bins import Bins, attract, log_binomial
from training.students.segmentation import DoubleConv, SegmentationHead
from training.students.spec import DecoderName
from training.students.student import MetricHead, without_classes


def test_metres_cannot_leave_their_range_and_are_halved_in_ratios() -> None:
    head = MetricHead(0.2, 12.0)
    depth_m = head(torch.tensor([-1e4, -3.0, 0.0, 3.0, 1e4]))
    assert depth_m[0].item() == pytest.approx(0.2, rel=1e-5)
    assert depth_m[2].item() == pytest.approx(math.sqrt(0.2 * 12.0), rel=1e-5)
    assert depth_m[4].item() == pytest.approx(12.0, rel=1e-5)
    assert (depth_m.diff() > 0).all()


def test_a_centre_is_drawn_by_the_mean_of_its_points() -> None:
    centre = torch.full((1, 1, 1, 1), 0.5)
    points = torch.tensor([0.5, 0.6]).view(1, 2, 1, 1)
    # (0 + 0.1 / (1 + 300 * 0.01)) / 2 = 0.0125; with alpha 0 halfway to the mean of the points.
    assert attract(centre, points, 300.0).item() == pytest.approx(0.5125)
    assert attract(centre, points, 0.0).item() == pytest.approx(0.55)


def test_alpha_acts() -> None:
    torch.manual_seed(0)
    maps = [torch.randn(1, 8, 2, 3), torch.randn(1, 4, 4, 6)]
    one = Bins([8, 4], bins=16, embedding=8, alpha=300.0)
    other = Bins([8, 4], bins=16, embedding=8, alpha=1000.0)
    other.load_state_dict(one.state_dict())
    assert not torch.allclose(one.centres(maps)[0], other.centres(maps)[0])


def test_centres_rise_and_stay_inside_the_range() -> None:
    torch.manual_seed(0)
    maps = [50 * torch.randn(2, 8, 2, 3)]
    centres, _ = Bins([8], bins=16, embedding=8).centres(maps)
    assert (centres.diff(dim=1) > 0).all() and centres.min() > 0 and centres.max() < 1
    drawn = attract(centres, torch.rand(2, 4, 2, 3), 300.0)
    assert drawn.min() > 0 and drawn.max() < 1


def test_chances_are_those_of_a_softened_binomial() -> None:
    share, heat, bins = 0.3, 2.0, 8
    found = log_binomial(torch.full((1, 1, 1, 1), share), torch.full((1, 1, 1, 1), heat), bins)
    n, k = bins - 1, np.arange(bins)

    def x_ln_x(x: np.ndarray) -> np.ndarray:
        return np.where(x > 0, x * np.log(np.maximum(x, 1)), 0)

    choose = n * np.log(n) - x_ln_x(k) - x_ln_x(n - k)
    weights = np.exp((choose + k * np.log(share) + (n - k) * np.log(1 - share)) / heat)
    assert found.flatten().numpy() == pytest.approx(weights / weights.sum(), abs=1e-5)
    assert int(found.argmax()) == round(n * share)


def test_a_sure_head_answers_the_centre_its_share_points_at() -> None:
    torch.manual_seed(0)
    bins = Bins([8], bins=16, embedding=8).eval()
    maps = (torch.randn(1, 8, 2, 3),)
    last = bins.decide[-1]
    assert isinstance(last, nn.Conv2d)
    nn.init.zeros_(last.weight)
    # Nearly all of the first pair says the far end, all of the second says cold.
    assert last.bias is not None
    last.bias.data = torch.tensor([20.0, -20.0, -20.0, 20.0])
    share = torch.sigmoid(bins(maps, torch.zeros(1, 1, 2, 3)))
    assert torch.allclose(share, bins.centres(maps)[0][:, -1:].clamp(max=0.999), atol=1e-3)


def test_the_published_u_net_has_its_published_size() -> None:
    with torch.device("meta"):
        head = SegmentationHead((256,) * 5, 14, (256, 128, 64, 32, 16), DoubleConv)
    assert sum(p.numel() for p in head.parameters()) == 2_877_102


def test_a_u_net_doubles_once_a_width_and_joins_maps_while_there_are_some() -> None:
    head = SegmentationHead((8, 6), 13, (5, 4)).eval()
    logits = head([torch.zeros(1, 8, 2, 3), torch.zeros(1, 6, 4, 6)])
    assert logits.shape == (1, 13, 8, 12)


@pytest.mark.parametrize("decoder", DECODERS)
def test_classes_are_not_computed_where_nobody_asks(decoder: DecoderName) -> None:
    student = lively(spec(decoder=decoder, classes=True))
    assert student.segmentation is not None
    calls: list[int] = []
    student.segmentation.register_forward_hook(lambda *_: calls.append(1))
    assert student(frames(1), classes=False).labels is None
    student.predict(frames(1).numpy())
    assert not calls
    assert student.classify(frames(1).numpy()).shape == (1, *SIZE)
    assert calls == [1]


def test_a_student_without_its_head_has_the_same_depth() -> None:
    whole = lively(spec(classes=True))
    plain = without_classes(whole)
    batch = frames(2).numpy()
    assert np.array_equal(plain.predict(batch), whole.predict(batch))
    assert plain.spec == spec()
    assert not [name for name, _ in plain.named_parameters() if "segmentation" in name]


@pytest.mark.parametrize("decoder", DECODERS)
def test_classes_teach_the_encoder_too(decoder: DecoderName) -> None:
    student = lively(spec(decoder=decoder, classes=True)).train()
    student(frames(2)).class_logits.square().mean().backward()
    first = next(student.encoder.parameters()).grad
    assert first is not None and first.any()


def test_classes_of_a_student_without_them_are_refused() -> None:
    with pytest.raises(FathomError, match="--classes 13") as caught:
        lively(spec()).classify(frames(1).numpy())
    assert caught.value.code is Code.NOT_AVAILABLE
