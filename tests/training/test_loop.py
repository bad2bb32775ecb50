"""Whole runs on eight tiny rooms: the same numbers however often they are interrupted."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from safetensors.torch import load_file, save_file

from fathom.errors import Code, FathomError
from training.__main__ import main
from training.checkpoint import SETTINGS_KEY
from training.data.sample import Batch
from training.loop import BEST, LAST, METRICS, train
from training.losses import SiLog, TermValue
from training.recipes.recipe import Recipe
from training.recipes.supervised import SUPERVISED
from training.schedules import Constant, Schedule
from training.settings import TrainSettings
from training.students.checkpoint import load_student, read_header, read_notes
from training.students.student import Prediction

pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True)
class Scripted:
    """A term that does to its nth call what a test wants of it; otherwise it is silog."""

    at_call: int
    act: Callable[[TermValue], TermValue]
    calls: "count[int]" = field(default_factory=count)
    weight: Schedule = field(default_factory=lambda: Constant(1.0))
    name: ClassVar[str] = "scripted"
    needs: ClassVar[frozenset[str]] = frozenset()

    def __call__(self, prediction: Prediction, batch: Batch) -> TermValue:
        value = SiLog(weight=self.weight)(prediction, batch)
        return self.act(value) if next(self.calls) >= self.at_call else value


def stop(_: TermValue) -> TermValue:
    raise KeyboardInterrupt


def settings(data: Path, out: Path, **changes: object) -> TrainSettings:
    said = {"data": data, "out": out, "epochs": 3, "batch_size": 2, "ema_decay": 0.5, "threads": 1}
    return TrainSettings.model_validate({**said, **changes})


def of(term: Scripted) -> Recipe:
    return replace(SUPERVISED, terms=(term,))


def lines(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / METRICS).read_text().splitlines()]


@pytest.fixture(scope="module")
def whole(tiny_nyu: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three epochs, three steps each, that nothing stopped."""
    out = tmp_path_factory.mktemp("whole")
    train(settings(tiny_nyu, out), of(Scripted(10**6, stop)))
    return out


def test_a_run_leaves_its_weights_metrics_and_pictures(whole: Path) -> None:
    told = lines(whole)
    assert [line["epoch"] for line in told] == [0, 1, 2]
    assert {"fit_s", "scripted", "gradient_norm", "val"} <= told[0].keys()
    assert len(list((whole / "sheets").glob("*.png"))) == 3
    notes = read_notes(whole / BEST)
    best = max(told, key=lambda line: line["val"]["delta1"])  # type: ignore[index]
    assert (notes["epoch"], notes["val"]) == (best["epoch"], best["val"])
    assert load_student(whole / BEST).spec.focal_px == pytest.approx(259.43)


def test_a_run_may_keep_its_last_weights_whatever_validation_says(
    tiny_nyu: Path, tmp_path: Path
) -> None:
    """With rates this high no epoch is better than the first."""
    run = settings(tiny_nyu, tmp_path, keep="last", encoder_lr=0.3, decoder_lr=0.3)
    train(run, of(Scripted(10**6, stop)))
    said = [line["val"]["delta1"] for line in lines(tmp_path)]  # type: ignore[index]
    assert said.index(max(said)) < len(said) - 1
    assert read_notes(tmp_path / BEST)["epoch"] == len(said) - 1


@pytest.mark.parametrize("stopped_at", [1, 4, 7])
def test_a_run_that_was_stopped_ends_bit_for_bit_the_same(
    tiny_nyu: Path, tmp_path: Path, whole: Path, stopped_at: int
) -> None:
    """Stopped in the middle of epoch 0, 1 and 2; what an unfinished epoch did is done again."""
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(settings(tiny_nyu, out), of(Scripted(stopped_at, stop)))
    resumable = (out / LAST).exists()
    assert resumable is (stopped_at >= 3)
    torch.manual_seed(99)  # another process begins with another random state
    train(settings(tiny_nyu, out, resume=resumable), of(Scripted(10**6, stop)))
    for name in (LAST, BEST):
        expected, found = load_file(whole / name), load_file(out / name)
        assert expected.keys() == found.keys()
        assert [key for key in expected if not torch.equal(expected[key], found[key])] == []
    timeless = [[{**line, "fit_s": 0} for line in lines(folder)] for folder in (whole, out)]
    assert timeless[0] == timeless[1]


def test_a_run_goes_on_only_with_the_settings_it_began_with(tiny_nyu: Path, whole: Path) -> None:
    with pytest.raises(FathomError, match=r"expected seed=0; got seed=1") as caught:
        train(settings(tiny_nyu, whole, resume=True, seed=1), SUPERVISED)
    assert caught.value.code is Code.BAD_SETTING


def test_a_resumed_run_may_be_made_longer(tiny_nyu: Path, whole: Path, tmp_path: Path) -> None:
    for name in (LAST, BEST, METRICS):
        (tmp_path / name).write_bytes((whole / name).read_bytes())
    longer = settings(tiny_nyu, tmp_path, resume=True, epochs=4)
    train(longer, of(Scripted(10**6, stop)))
    assert [line["of"] for line in lines(tmp_path)] == [3, 3, 3, 4]


def test_a_run_from_before_a_setting_existed_goes_on(
    tiny_nyu: Path, whole: Path, tmp_path: Path
) -> None:
    """Settings added since are None unless said, as their absence reads."""
    for name in (BEST, METRICS):
        (tmp_path / name).write_bytes((whole / name).read_bytes())
    header = read_header(whole / LAST)
    known = json.loads(header[SETTINGS_KEY])
    header[SETTINGS_KEY] = json.dumps({k: v for k, v in known.items() if v is not None})
    save_file(load_file(whole / LAST), tmp_path / LAST, header)
    before = settings(tiny_nyu, tmp_path, resume=True)
    assert train(before, of(Scripted(10**6, stop))) == tmp_path / BEST
    with pytest.raises(FathomError, match=r"expected lambda_kd=None; got lambda_kd=0\.5"):
        train(settings(tiny_nyu, tmp_path, resume=True, lambda_kd=0.5), SUPERVISED)


def test_weights_alone_are_no_run(tiny_nyu: Path, whole: Path, tmp_path: Path) -> None:
    (tmp_path / LAST).write_bytes((whole / BEST).read_bytes())
    with pytest.raises(FathomError, match="the state of a run"):
        train(settings(tiny_nyu, tmp_path, resume=True), SUPERVISED)


def test_a_run_is_not_overwritten(tiny_nyu: Path, whole: Path) -> None:
    with pytest.raises(FathomError, match="add --resume"):
        train(settings(tiny_nyu, whole), SUPERVISED)


def test_a_term_that_uses_nothing_ends_the_run(tiny_nyu: Path, tmp_path: Path) -> None:
    empty = Scripted(0, lambda term: TermValue(term.value * 0, 0))
    with pytest.raises(FathomError, match="loss term scripted to use some pixels"):
        train(settings(tiny_nyu, tmp_path / "run"), of(empty))


def test_a_loss_that_is_not_finite_ends_the_run(tiny_nyu: Path, tmp_path: Path) -> None:
    broken = Scripted(1, lambda term: TermValue(term.value * float("nan"), term.elements))
    with pytest.raises(FathomError, match="epoch 0 after 1 steps"):
        train(settings(tiny_nyu, tmp_path / "run"), of(broken))


def test_fewer_pictures_than_a_batch(tiny_nyu: Path, tmp_path: Path) -> None:
    with pytest.raises(FathomError, match="one batch of 16 pictures to fit on; got 6"):
        train(settings(tiny_nyu, tmp_path / "run", batch_size=16), SUPERVISED)


def test_the_command_scores_what_it_trained(
    tiny_nyu: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.json"
    words = ["--checkpoint", str(whole / BEST), "--data", str(tiny_nyu), "--threads", "1"]
    assert main(["eval", *words, "--split", "val", "--report", str(report)]) == 0
    assert "nyu-eigen on val, 2 pictures" in capsys.readouterr().out
    assert json.loads(report.read_text())["mean"] == read_notes(whole / BEST)["val"]
