"""A pruned MobileNetV2 with a 7x7 depthwise decoder, published as a compiled graph, as a teacher.

The graph's JSON is the architecture: each node names its fused steps (`conv2d_broadcast_mul_
broadcast_add_elemwise_add_clip`) and its inputs; strides follow from the stored shapes. Blurry, but
its metres do not hang on a painted frame, as METER's do. No licence is stated by its authors
(mfrdut/Efficient-Monocular-Depth-Estimation-for-Edge-Devices): for research.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from fathom.geometry import F32, RGB, resize_map
from training.teachers.teacher import Unit, bad_weights, key_of

NETWORK = (240, 320)
STRIDE = 32
MIN_M = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One fused step: what it is made of, in order, and what it reads.

    inputs  names: a residual if there is one, the map, the kernel, a factor if any, a bias
    """

    name: str
    steps: frozenset[str]
    inputs: Sequence[str]
    stride: int


def read_graph(path: Path) -> Sequence[Node]:
    """The nodes that compute something, in order."""
    graph = json.loads(path.read_text())
    names, shapes = [node["name"] for node in graph["nodes"]], graph["attrs"]["shape"][1]
    nodes = []
    for index, node in enumerate(graph["nodes"]):
        if node["op"] == "null":
            continue
        steps = re.findall(
            r"conv2d|broadcast_mul|elemwise_add|clip|relu|upsampling", node["attrs"]["func_name"]
        )
        sources = [source for source, *_ in node["inputs"]]
        moving = sources[1] if "elemwise_add" in steps else sources[0]
        stride = max(1, shapes[moving][-1] // shapes[index][-1])
        inputs = [names[source] for source in sources]
        nodes.append(Node(name=node["name"], steps=frozenset(steps), inputs=inputs, stride=stride))
    return nodes


def run_node(node: Node, values: Mapping[str, Tensor]) -> Tensor:
    """The node's map from those it reads and from its weights."""
    inputs = [values[name] for name in node.inputs]
    if "upsampling" in node.steps:
        return functional.interpolate(inputs[0], scale_factor=2, mode="bilinear")
    residual = inputs.pop(0) if "elemwise_add" in node.steps else None
    x, kernel, *factor, bias = inputs
    groups = x.shape[1] if kernel.shape[1] == 1 and x.shape[1] != 1 else 1
    # A one-channel output of many channels is dense, though its kernel count is 1 as well.
    groups = groups if kernel.shape[0] == x.shape[1] else 1
    padding = kernel.shape[-1] // 2
    y = functional.conv2d(x, kernel, None, node.stride, padding, 1, groups)
    y = (y * factor[0] if factor else y) + bias
    if residual is not None:
        y = residual + y
    if "clip" in node.steps:
        return y.clamp(0, 6)
    return y.relu() if "relu" in node.steps else y


class Pruned:
    """The network run over the whole picture, which is taken as 4:3.

    weights  mobilenetv2_blconv7dw_nyu_pruned.safetensors
    graph    its .graph.json
    raises   BAD_MODEL
    """

    unit = Unit.METRIC

    def __init__(self, weights: Path, graph: Path) -> None:
        try:
            self.weights = load_file(weights)
            self.nodes = read_graph(graph)
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise bad_weights(weights, "the pruned network and its graph", error) from error
        known = {*self.weights, "0", *(node.name for node in self.nodes)}
        strangers = {name for node in self.nodes for name in node.inputs} - known
        if strangers:
            lacking = KeyError(f"no {min(strangers)}")
            raise bad_weights(weights, "all weights the graph names", lacking)
        self.key = key_of("pruned 1", weights, graph)

    def __call__(self, frames: RGB) -> F32:
        size = NETWORK[::-1]
        small = np.stack([cv2.resize(f, size, interpolation=cv2.INTER_AREA) for f in frames])
        with torch.inference_mode():
            x = torch.from_numpy(small).permute(0, 3, 1, 2).float() / 255
            rest = -NETWORK[0] % STRIDE
            x = functional.pad(x, (0, 0, rest // 2, rest - rest // 2), mode="reflect")
            depth_m = self.forward(x)[:, 0, rest // 2 : rest // 2 + NETWORK[0]].numpy()
        size = (frames.shape[1], frames.shape[2])
        return np.stack([resize_map(np.maximum(each, MIN_M), size) for each in depth_m])

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) in 0..1, H and W multiples of 32, to (N, 1, H, W) metres."""
        values = {**self.weights, "0": x}
        for node in self.nodes:
            values[node.name] = run_node(node, values)
        return values[self.nodes[-1].name]
