"""Every form of a student as one kind of function, so that whatever judges it need not know which.

On this machine's CPU; what only a GPU can run has no function here.
"""

import itertools
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import onnxruntime
import openvino as ov
import torch
from numpy.typing import NDArray
from openvino import properties as props

from export.program import INPUT, LABELS, OUTPUT
from export.turns import in_turns
from fathom.geometry import F32, RGB
from training.students.student import Student

_PRECISIONS = {"bf16": ov.Type.bf16, "f32": ov.Type.f32}
_TURNS, _WARM_UP_CALLS, _TIMED_CALLS = 5, 10, 20


class Maps(NamedTuple):
    """What a network says about N frames.

    depth_m  (N, H, W) float32, metres
    labels   (N, H, W) uint8 class ids, of a network that names classes
    """

    depth_m: F32
    labels: NDArray[np.uint8] | None


# Frames (N, H, W, 3) uint8 RGB of network size to maps of the same size.
Network: TypeAlias = Callable[[RGB], Maps]


def of_student(student: Student) -> Network:
    """PyTorch in float32: the reference."""

    def run(frames: RGB) -> Maps:
        with torch.inference_mode():
            found = student(torch.from_numpy(frames))
        return Maps(found.depth_m.numpy(), None if found.labels is None else found.labels.numpy())

    return run


def of_program(path: Path) -> Network:
    """A `.pt2` in PyTorch."""
    module = torch.export.load(path).module()

    def run(frames: RGB) -> Maps:
        with torch.inference_mode():
            depth_m, *rest = module(torch.from_numpy(frames))
        return Maps(depth_m.numpy(), rest[0].numpy() if rest else None)

    return run


def of_onnx(path: Path) -> Network:
    """An ONNX file in ONNX Runtime, computed as the file says."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(frames: RGB) -> Maps:
        found = dict(zip(names, session.run(names, {INPUT: frames}), strict=True))
        return Maps(found[OUTPUT], found.get(LABELS))

    return run


def of_openvino(path: Path, precision: str) -> Network:
    """An ONNX or OpenVINO file in OpenVINO, as the server runs it: static, one frame at a time.

    precision  "f32" or "bf16" for what the file does not itself quantise
    """
    core = ov.Core()
    network = core.read_model(path)
    height, width = (edge.get_length() for edge in list(network.input(0).partial_shape)[1:3])
    network.reshape([1, height, width, 3])
    compiled = core.compile_model(
        network, "CPU", {props.hint.inference_precision(): _PRECISIONS[precision]}
    )
    with_labels = any(LABELS in output.names for output in compiled.outputs)

    def run(frames: RGB) -> Maps:
        depth_m, labels = [], []
        for frame in frames:
            found = compiled(frame[None])
            # A request's output is its own memory and the next call's too, so each map is copied.
            depth_m.append(np.array(found[OUTPUT][0], np.float32))
            if with_labels:
                labels.append(np.array(found[LABELS][0], np.uint8))
        return Maps(np.stack(depth_m), np.stack(labels) if with_labels else None)

    return run


def median_costs_ms(networks: Sequence[Network], frames: RGB) -> list[float]:
    """Median milliseconds of each network's call with one frame, some calls of each in turns.

    The first calls of a turn do not count: threads of the last network's library still spin.
    """
    named = {str(number): _one_by_one(run, frames) for number, run in enumerate(networks)}
    taken = in_turns(named, rounds=_TURNS, calls=_WARM_UP_CALLS + _TIMED_CALLS)
    return [
        1e3 * statistics.median(s for turn in turns for s in turn[_WARM_UP_CALLS:])
        for turns in taken.values()
    ]


def _one_by_one(run: Network, frames: RGB) -> Callable[[], object]:
    """A call with the next frame, round and round."""
    ones = itertools.cycle(frame[None] for frame in frames)
    return lambda: run(next(ones))
