"""A run whose process is killed in the middle of an epoch, and gone on with, is the run."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from training.__main__ import main
from training.loop import BEST, LAST, METRICS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # processes, on a busy machine

# Kills itself without a word, as the kernel does to one that takes too much memory.
DRIVER = """
import os, signal, sys
from training import loop
from training.__main__ import main

steps, update = [], loop.WeightAverage.update
def until_the_third(average, student, step):
    update(average, student, step)
    steps.append(step)
    if len(steps) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
loop.WeightAverage.update = until_the_third
sys.exit(main(sys.argv[1:]))
"""


def test_a_killed_run_ends_with_the_same_weights(tiny_nyu: Path, tmp_path: Path) -> None:
    """Two steps an epoch; the third is in the middle of the second."""
    said = ["--recipe", "supervised", "--data", str(tiny_nyu), "--epochs", "2"]
    said += ["--batch-size", "3", "--threads", "1", "--out"]
    module = [sys.executable, "-m", "training", *said]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert main([*said, str(whole)]) == 0
    cut = subprocess.run(
        [sys.executable, "-c", DRIVER, *said, str(killed)], check=False, capture_output=True
    )
    assert cut.returncode == -signal.SIGKILL
    assert len((killed / METRICS).read_text().splitlines()) == 1
    subprocess.run([*module, str(killed), "--resume"], check=True, capture_output=True)
    for name in (LAST, BEST):
        expected, found = load_file(whole / name), load_file(killed / name)
        assert expected.keys() == found.keys()
        assert [key for key in expected if not torch.equal(expected[key], found[key])] == []
