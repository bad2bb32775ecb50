"""What a run needs to go on as if it had never stopped, in one safetensors file. No pickle.

Data order and augmentation need no state, they follow from (seed, epoch, index); learning rates
follow from progress. What is left are weights, their average, the optimiser's moments and torch's
random state, which dropout draws from.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.optim import Optimizer

from fathom.errors import Code, FathomError
from training.students.checkpoint import read_header, write_atomically

PROGRESS_KEY = "fathom.progress"
SETTINGS_KEY = "fathom.settings"
RANDOM_STATE = "random_state"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run has come: epochs finished, and the best of them so far."""

    epochs: int = 0
    best_epoch: int = -1
    best_delta1: float = -1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The moving parts of a run whose state is kept.

    companion  what learns beside the student and does not ship; often nothing
    """

    student: nn.Module
    average: nn.Module
    companion: nn.Module
    optimizer: Optimizer

    def state(self) -> dict[str, Tensor]:
        tensors = {f"student.{key}": value for key, value in self.student.state_dict().items()}
        tensors |= {f"average.{key}": value for key, value in self.average.state_dict().items()}
        tensors |= {f"companion.{key}": value for key, value in self.companion.state_dict().items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{key}": value for key, value in moments.items()}
        return tensors

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        self.student.load_state_dict(_below("student", tensors))
        self.average.load_state_dict(_below("average", tensors))
        self.companion.load_state_dict(_below("companion", tensors))
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in _below("optimizer", tensors).items():
            index, name = key.split(".")
            moments.setdefault(int(index), {})[name] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})


def save_run(path: Path, parts: Parts, progress: Progress, settings: Mapping[str, object]) -> None:
    """Write the whole state or nothing."""
    tensors = {key: value.contiguous() for key, value in parts.state().items()}
    tensors[RANDOM_STATE] = torch.get_rng_state()
    header = {
        PROGRESS_KEY: json.dumps(asdict(progress)),
        SETTINGS_KEY: json.dumps(settings, sort_keys=True),
    }
    write_atomically(path, save(tensors, header))


def resume_run(
    path: Path,
    parts: Parts,
    settings: Mapping[str, object],
    unsaid: Mapping[str, object] = MappingProxyType({}),
) -> Progress:
    """Put the parts and torch's random state where `save_run` found them.

    settings  of the run that goes on; they must be those it began with
    unsaid    what a setting was that the file does not name; None if not even this does
    raises    BAD_MODEL if there is no such file, BAD_SETTING if the settings differ
    """
    header = read_header(path)
    if not {PROGRESS_KEY, SETTINGS_KEY} <= header.keys():
        raise FathomError(
            Code.BAD_MODEL,
            expected="the state of a run",
            got=f"{path} without progress or settings in its header",
            repair="resume from last.safetensors; best.safetensors holds weights only",
        )
    began = {**unsaid, **json.loads(header[SETTINGS_KEY])}
    changed = [key for key, value in settings.items() if began.get(key) != value]
    if changed:
        raise FathomError(
            Code.BAD_SETTING,
            expected=", ".join(f"{key}={began.get(key)}" for key in changed),
            got=", ".join(f"{key}={settings[key]}" for key in changed),
            repair="resume with the settings the run began with, or start anew in another --out",
        )
    tensors = load_file(path)
    parts.load(tensors)
    torch.set_rng_state(tensors[RANDOM_STATE])
    return Progress(**json.loads(header[PROGRESS_KEY]))


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    head = f"{prefix}."
    return {key.removeprefix(head): v for key, v in tensors.items() if key.startswith(head)}
