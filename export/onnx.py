"""A program as an ONNX file: camera pixels in, metres out, nothing needed around it."""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import onnx
import torch
from torch.export import ExportedProgram

from export.program import INPUT


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


def export_onnx(
    program: ExportedProgram, path: Path, outputs: Sequence[str], metadata: Mapping[str, str]
) -> None:
    """Write the program with a dynamic batch, checked by ONNX's own checker.

    outputs   names of its outputs, in order
    metadata  key and value texts that travel inside the file
    """
    with _quiet():
        exported = torch.onnx.export(
            program,
            dynamo=True,
            input_names=[INPUT],
            output_names=list(outputs),
            dynamic_shapes=({0: "batch"},),
            verbose=False,
        )
    if exported is None:
        raise AssertionError("torch.onnx.export(dynamo=True) returns a program")
    model = exported.model_proto
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
