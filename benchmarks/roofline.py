"""The least time a graph can take on a machine: its work against what was measured to be possible.

Williams, Waterman & Patterson, Roofline, CACM 52 (2009). Here layer by layer: each takes at least
its operations at the machine's best rate of multiplying matrices, and at least its bytes at the
machine's best rate of copying a block of that size, so that what fits into caches is held against
caches. Whatever works element by element is taken as fused into the layer before, for nothing.

No layer is a large square product, and depthwise ones are far from it: a roofline is not reached.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import onnx
import torch
from onnx import ModelProto, NodeProto
from onnx.shape_inference import infer_shapes

# Layers that a kernel is launched for; every other is fused, or has no arithmetic to speak of.
_MULTIPLY = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
_MOVE = {"Resize", "Concat", "Pad", "Transpose", "MaxPool", "GlobalAveragePool", "ArgMax"}
_BYTES = {"f32": 4, "f16": 2, "bf16": 2, "int8": 1}
_DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
_TRIES = 7
# Long enough for any clock and for a thread to wake up.
_SEEN_S = 0.01
_SMALLEST_BLOCK, _LARGEST_BLOCK = 2**14, 2**28


@dataclass(frozen=True, slots=True)
class Layer:
    """What one kernel has to do: arithmetic operations, and bytes read and written."""

    operations: int
    traffic_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceilings:
    """The best that was seen of a machine.

    operations_per_s  of a large square product
    bytes_per_s       read and written by a copy, by the bytes it touches
    """

    operations_per_s: float
    bytes_per_s: Mapping[int, float]

    def seconds(self, layers: Sequence[Layer]) -> float:
        """The least that these layers take, one after another."""
        return sum(
            max(
                layer.operations / self.operations_per_s,
                layer.traffic_bytes / self._bandwidth(layer.traffic_bytes),
            )
            for layer in layers
        )

    def _bandwidth(self, touched_bytes: int) -> float:
        fits = (size for size in sorted(self.bytes_per_s) if size >= touched_bytes)
        return self.bytes_per_s[next(fits, max(self.bytes_per_s))]


def layers_of(path: Path, batch: int, precision: str) -> list[Layer]:
    """The layers of an ONNX file for a batch of this size.

    precision  in which weights and maps are kept while it runs
    """
    model = onnx.load(path)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = batch
    del model.graph.value_info[:]
    return list(_layers(infer_shapes(model, data_prop=True), _BYTES[precision]))


def _layers(model: ModelProto, element_bytes: int) -> Iterator[Layer]:
    shapes = _shapes(model)
    for node in model.graph.node:
        if node.op_type not in _MULTIPLY | _MOVE:
            continue
        # Where a picture is enlarged to is told in a few numbers, which are no traffic.
        read = node.input if node.op_type in _MULTIPLY | {"Concat"} else node.input[:1]
        touched = sum(math.prod(shapes[name]) for name in (*read, *node.output) if name)
        operations = _operations(node, shapes) if node.op_type in _MULTIPLY else 0
        yield Layer(operations, touched * element_bytes)


def _operations(node: NodeProto, shapes: Mapping[str, Sequence[int]]) -> int:
    """A multiplication and an addition for each weight that makes an element."""
    kernel = shapes[node.input[1]]
    if node.op_type == "Conv":  # (out, in of a group, h, w)
        return 2 * math.prod(shapes[node.output[0]]) * math.prod(kernel[1:])
    if node.op_type == "ConvTranspose":  # (in, out of a group, h, w)
        return 2 * math.prod(shapes[node.input[0]]) * math.prod(kernel[1:])
    inner = shapes[node.input[0]][-1]
    return 2 * math.prod(shapes[node.output[0]]) * inner


def _shapes(model: ModelProto) -> dict[str, tuple[int, ...]]:
    graph = model.graph
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.output, *graph.value_info):
        edges = value.type.tensor_type.shape.dim
        shapes[value.name] = tuple(edge.dim_value for edge in edges)
    return shapes


def measure_ceilings(precision: str, *, edge: int = 0) -> Ceilings:
    """Multiply and copy on a GPU if there is one, else on every core; takes some seconds.

    precision  of the products; int8 is held against what its floats run in, bf16
    edge       of the matrices; 0 takes one that keeps the machine busy
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = _DTYPES.get(precision, torch.bfloat16)
    edge = edge or (8192 if device == "cuda" else 2048)
    one, other = (torch.rand(edge, edge).to(device, dtype) for _ in range(2))
    product = torch.empty_like(one)
    by_mm_s = _fastest_s(lambda: torch.mm(one, other, out=product))
    # The same product as a convolution: another library, which on some processors is the better.
    picture, filters = one.view(1, edge, edge, 1), other.view(edge, edge, 1, 1)
    by_convolution_s = _fastest_s(lambda: torch.conv2d(picture, filters))
    taken_s = min(by_mm_s, by_convolution_s)
    return Ceilings(operations_per_s=2 * edge**3 / taken_s, bytes_per_s=_copies(device))


def _copies(device: str) -> dict[int, float]:
    """By the bytes that a copy reads and writes, as many a second."""
    found = {}
    size = _SMALLEST_BLOCK
    while size <= _LARGEST_BLOCK:
        block = torch.zeros(size // 2, dtype=torch.uint8, device=device)
        target = torch.empty_like(block)
        found[size] = size / _fastest_s(partial(target.copy_, block))
        size *= 4
    return found


def _fastest_s(call: Callable[[], object]) -> float:
    """Seconds of a call at its best, of calls enough to be seen by a clock."""
    calls, best_s = 1, math.inf
    while True:
        taken_s = _seconds(call, calls)
        if taken_s > _SEEN_S:
            break
        calls *= 4
    for _ in range(_TRIES):
        best_s = min(best_s, _seconds(call, calls) / calls)
    return best_s


def _seconds(call: Callable[[], object], calls: int) -> float:
    before_s = time.perf_counter()
    for _ in range(calls):
        call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - before_s
