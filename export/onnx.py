"""A program as an ONNX file: camera pixels in, metres out, nothing needed around it."""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, numpy_helper
from torch.export import ExportedProgram

from export.program import INPUT

# Below this a tensor is a bias or a constant: nothing is won by halving it.
LEAST_HALVED = 1024


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


def halve_weights(source: Path, path: Path) -> None:
    """Write the graph with its large weights stored in f16 and cast back: half the file.

    Engines fold the casts when they load, so it computes in float32 and as fast as before; weights
    move by at most 0.05 %. Those beyond the range of f16 stay as they are.
    """
    model = onnx.load(source)
    casts = []
    for weights in model.graph.initializer:
        values = numpy_helper.to_array(weights)
        if weights.data_type != TensorProto.FLOAT or values.size < LEAST_HALVED:
            continue
        if np.abs(values).max() > np.finfo(np.float16).max:
            continue
        name = weights.name
        weights.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.f16"))
        casts.append(onnx.helper.make_node("Cast", [f"{name}.f16"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
