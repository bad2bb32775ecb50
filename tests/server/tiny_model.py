"""A model repository with one real network in it, small enough to make in every test run.

The network: uint8 NHWC frames in, `depth_m` = 1 + the mean of the three channels / 51 metres out,
so a grey of 102 is 3 m away, and a metre farther with every version; `labels`, where asked for, is
the index of the largest channel.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from fathom.card import CARD_FILE, Card, ModelFile, sha256_of
from fathom.geometry import Size

INPUT_SIZE: Size = (24, 32)
GREY, GREY_M = 102, 3.0


def write_onnx(path: Path, *, labels: bool = False, version: int = 1) -> None:
    """The network, for any batch size."""
    size = list(INPUT_SIZE)
    constants: dict[str, NDArray[Any]] = {  # one is int64, the others float32
        "channels": np.array([3], np.int64),
        "scale": np.array([1 / 51], np.float32),
        "one": np.array([version], np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["frames"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "channels"], ["grey"], keepdims=0),
        helper.make_node("Mul", ["grey", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "one"], ["depth_m"]),
    ]
    outputs = [helper.make_tensor_value_info("depth_m", TensorProto.FLOAT, ["N", *size])]
    if labels:
        nodes += [
            helper.make_node("ArgMax", ["pixels"], ["index"], axis=3, keepdims=0),
            helper.make_node("Cast", ["index"], ["labels"], to=TensorProto.UINT8),
        ]
        outputs.append(helper.make_tensor_value_info("labels", TensorProto.UINT8, ["N", *size]))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("frames", TensorProto.UINT8, ["N", *size, 3])],
        outputs,
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)


def write_model(root: Path, name: str = "tiny", *, labels: bool = False, version: int = 1) -> Card:
    """One model in a repository at `root`: its network, and a card with its hash."""
    path = root / name / str(version) / "model.onnx"
    path.parent.mkdir(parents=True)
    write_onnx(path, labels=labels, version=version)
    file = ModelFile(
        path=f"{version}/model.onnx",
        target="onnx",
        precision="f32",
        bytes=path.stat().st_size,
        sha256=sha256_of(path),
    )
    outputs = ("depth_m", "labels") if labels else ("depth_m",)
    return write_card(root, name, files=[file], outputs=outputs, version=version)


def write_card(
    root: Path,
    name: str,
    *,
    files: Sequence[ModelFile],
    outputs: tuple[str, ...] = ("depth_m",),
    version: int = 1,
) -> Card:
    """The card of a model in its folder, over files that are there or are not."""
    card = new_card(name, files=files, outputs=outputs, version=version)
    (root / name).mkdir(parents=True, exist_ok=True)
    (root / name / CARD_FILE).write_text(card.to_json(), encoding="utf-8")
    return card


def new_card(
    name: str, *, files: Sequence[ModelFile], outputs: tuple[str, ...], version: int = 1
) -> Card:
    """What a card of the tiny network says."""
    return Card(
        name=name,
        version=version,
        summary="brighter is farther",
        recipe="a formula",
        data="none",
        data_licence="none",
        parameters=0,
        input_size=INPUT_SIZE,
        outputs=outputs,
        classes=("red", "green", "blue") if "labels" in outputs else (),
        focal_px=40.0,
        range_m=(1.0, 6.0),
        figures=(),
        files=tuple(files),
    )
