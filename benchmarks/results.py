"""A benchmark's result as JSON: the figures, and all that is needed to read them rightly."""

import datetime
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from fathom.machine import describe_machine

FOLDER = Path(__file__).parent / "results"
_ROOT = Path(__file__).parent.parent
_PACKAGES = ("numpy", "opencv-python-headless", "openvino", "grpcio", "simplejpeg", "uvloop")


@dataclass(frozen=True, slots=True)
class Summary:
    """What many timings come to, in milliseconds."""

    count: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    mean_ms: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Summary":
        """Percentiles by linear interpolation; needs at least one timing."""
        ms = np.asarray(seconds) * 1e3
        p50, p95, p99 = (round(float(v), 3) for v in np.percentile(ms, [50, 95, 99]))
        return cls(len(seconds), p50, p95, p99, round(float(ms.mean()), 3))


def write_result(path: Path, figures: Mapping[str, object], load_before: Sequence[float]) -> None:
    """Write figures with command, commit, machine, versions and load average.

    load_before  `os.getloadavg()` from before the run: the run itself is load
    """
    result = {
        "command": _command(),
        "commit": _commit(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in _PACKAGES},
        "load_average_before": [round(v, 2) for v in load_before],
        "load_average_after": [round(v, 2) for v in os.getloadavg()],
        "figures": figures,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def _command() -> list[str]:
    """As typed from the repository's root; a module's own path stands for `-m` and its name."""
    program = Path(sys.argv[0])
    if program.is_absolute() and program.is_relative_to(_ROOT):
        module = program.relative_to(_ROOT).with_suffix("")
        name = ".".join(module.parts).removesuffix(".__main__")
        return ["python", "-m", name, *sys.argv[1:]]
    return ["python", *sys.argv]


def _commit() -> str:
    git = ("git", "describe", "--always", "--dirty")
    done = subprocess.run(git, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
