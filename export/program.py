"""A student as a program of PyTorch's own: what every other target is made from.

The graph contract, the same for all: input `frames` uint8 (N, H, W, 3) with N free; outputs
`depth_m` float32 (N, H, W) and, of a student that names classes, `labels` uint8 (N, H, W).
"""

import copy
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from training.students.student import Student

INPUT, OUTPUT, LABELS = "frames", "depth_m", "labels"
LARGEST_BATCH = 1024
_IN_HALVES = frozenset({"encoder", "decoder", "segmentation"})


def output_names(student: Student) -> tuple[str, ...]:
    """The names of what the student's graph answers, in order."""
    return (OUTPUT, LABELS) if student.spec.classes else (OUTPUT,)


def export_program(student: Student, precision: str = "f32") -> ExportedProgram:
    """The student with a free batch.

    student    in eval mode
    precision  "f32", or "f16": halves inside, float32 before the network and in the metric head
    """
    # Two frames: a traced batch of one would be taken for a constant.
    example = torch.zeros((2, *student.network_size, 3), dtype=torch.uint8)
    module = student if precision == "f32" else in_halves(student)
    batch = {0: Dim("batch", min=1, max=LARGEST_BATCH)}
    return torch.export.export(_Outputs(module).eval(), (example,), dynamic_shapes=(batch,))


def save_program(
    program: ExportedProgram, path: Path, about: Mapping[str, str] | None = None
) -> None:
    """Write a `.pt2` without its example input, the one part that would be pickled.

    about  texts that go inside it, by file name
    """
    program.example_inputs = None
    torch.export.save(program, path, extra_files=dict(about or {}))


def in_halves(student: Student) -> Student:
    """A copy whose encoder, decoder and classes compute float16; what makes metres does not.

    Metres come from exp(sigmoid), where half a unit in the last place of a half is 2 mm at 4 m.
    Layers are converted here, not by an engine, so that what is compared is what is built.
    """
    halved = copy.deepcopy(student)
    for name, layer in halved.named_children():
        if name in _IN_HALVES:
            layer.half().register_forward_pre_hook(partial(_cast, dtype=torch.float16))
        else:
            layer.register_forward_pre_hook(partial(_cast, dtype=torch.float32))
    return halved


def _cast(_: nn.Module, given: tuple[object, ...], dtype: torch.dtype) -> tuple[object, ...]:
    """Bring what a layer is given to its type, however deep it lies."""

    def cast(value: object) -> object:
        if isinstance(value, Tensor) and value.is_floating_point():
            return value.to(dtype)
        return tuple(map(cast, value)) if isinstance(value, list | tuple) else value

    return tuple(map(cast, given))


class _Outputs(nn.Module):
    """An exported graph has tensors for outputs, not a named tuple with holes in it."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        found = self.student(frames)
        return (found.depth_m,) if found.labels is None else (found.depth_m, found.labels)
