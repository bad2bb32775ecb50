"""A student as an ONNX file: camera pixels in, metres out, nothing needed around it.

The graph contract, the same for every target: input `frames` uint8 (N, H, W, 3) with N free, output
`depth_m` float32 (N, H, W).
"""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from training.students.student import Student

INPUT, OUTPUT = "frames", "depth_m"


class _DepthOnly(nn.Module):
    # An exported graph has tensors for outputs, not a named tuple with a hole in it.
    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student

    def forward(self, frames: Tensor) -> Tensor:
        depth_m: Tensor = self.student(frames).depth_m
        return depth_m


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep from users what the exporter says about itself: absent torchvision, its own future."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        try:
            yield
        finally:
            log.setLevel(level)


def export_onnx(student: Student, path: Path, metadata: Mapping[str, str]) -> None:
    """Write the student in float32 with a dynamic batch, checked by ONNX's own checker.

    student   in eval mode
    metadata  key and value texts that travel inside the file
    """
    # Two frames: a traced batch of one would be taken for a constant.
    example = torch.zeros((2, *student.network_size, 3), dtype=torch.uint8)
    program = torch.export.export(
        _DepthOnly(student).eval(),
        (example,),
        dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=1024)},),
    )
    with _quiet():
        exported = torch.onnx.export(
            program,
            dynamo=True,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: "batch"},),
            verbose=False,
        )
    if exported is None:
        raise AssertionError("torch.onnx.export(dynamo=True) returns a program")
    model = exported.model_proto
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
