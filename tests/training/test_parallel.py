"""Two processes that fit one student are one process, to rounding."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from tests.training.batches import batch_of, plane
from training.loop import BEST, LAST, METRICS
from training.parallel import World, each, share_statistics
from training.students.student import Prediction

RECIPE = ("--recipe", "supervised", "--epochs", "2", "--batch-size", "3")
# Rounding alone may differ: no random channels left out, nothing in bfloat16. Adam's first steps
# go by the sign of a gradient, so near 0 rounding decides them: small steps, then.
EXACT = ("--dropout", "0", "--precision", "f32", "--threads", "1")
SMALL = ("--encoder-lr", "1e-6", "--decoder-lr", "1e-4")


def test_shares_are_the_whole_in_order() -> None:
    batch = batch_of(torch.arange(5.0).view(5, 1, 1), taught=plane(2, count=5))
    parts = [World(rank, 2).share(batch, 5) for rank in range(2)]
    assert [len(part.frames) for part in parts] == [2, 3]
    assert [float(d) for part in parts for d in part.depth_m.flatten()] == [0, 1, 2, 3, 4]
    assert parts[1].taught is not None and parts[1].taught.shape[0] == 3
    assert parts[0].labels is None


def test_alone_nothing_is_divided_or_copied() -> None:
    batch = batch_of(plane(1, count=2))
    assert World().share(batch, 2) is batch and World().whole(batch, 2) is batch


def test_every_tensor_of_a_prediction_is_reached() -> None:
    one = torch.ones(2)
    found = each(Prediction(one, class_logits=one, features=(one, one)), lambda tensor: tensor * 3)
    assert found.labels is None
    assert [float(t.sum()) for t in (found.depth_m, *found.features)] == [6, 6, 6]


def test_statistics_are_shared_without_a_change_of_keys() -> None:
    norm = nn.Sequential(nn.BatchNorm2d(4))
    before = norm.state_dict().keys()
    share_statistics(norm)
    assert norm.state_dict().keys() == before


@pytest.mark.slow
@pytest.mark.timeout(300)  # processes, on a busy machine
def test_two_processes_do_what_one_does(tiny_nyu: Path, tmp_path: Path) -> None:
    """Batches of three, so that the shares are not even equal."""
    module = ["-m", "training", *RECIPE, *EXACT, *SMALL, "--data", str(tiny_nyu), "--out"]
    two = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for name, command in (("one", module), ("two", [*two, *module])):
        run = [sys.executable, *command, str(tmp_path / name)]
        subprocess.run(run, check=True, capture_output=True)
    one, both = (
        [json.loads(line) for line in (tmp_path / name / METRICS).read_text().splitlines()]
        for name in ("one", "two")
    )
    for alone, shared in zip(one, both, strict=True):
        for term in ("silog", "log_gradient"):
            assert shared[term] == pytest.approx(alone[term], rel=1e-4, abs=1e-4)
        # At random weights torch's own float32 gradient is 2 % off that in float64.
        assert shared["gradient_norm"] == pytest.approx(alone["gradient_norm"], rel=0.1)
        assert shared["val"]["abs_rel"] == pytest.approx(alone["val"]["abs_rel"], abs=1e-4)
    assert load_file(tmp_path / "one" / LAST).keys() == load_file(tmp_path / "two" / LAST).keys()
    assert (tmp_path / "two" / BEST).is_file()
