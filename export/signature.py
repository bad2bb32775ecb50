"""What a file takes and gives by name, type and shape, held against what Triton is told of it."""

from pathlib import Path
from typing import TypeAlias

import onnxruntime
import openvino as ov

from export.gates import Gate

# Name to Triton's type and the shape without its batch.
Signature: TypeAlias = dict[str, tuple[str, tuple[int, ...]]]

_ONNX = {"tensor(uint8)": "TYPE_UINT8", "tensor(float)": "TYPE_FP32"}
_OPENVINO = {"u8": "TYPE_UINT8", "f32": "TYPE_FP32"}


def of_onnx(path: Path) -> Signature:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return {
        node.name: (_ONNX.get(node.type, node.type), tuple(node.shape[1:]))
        for node in (*session.get_inputs(), *session.get_outputs())
    }


def of_openvino(path: Path) -> Signature:
    network = ov.Core().read_model(path)
    found = {}
    for port in (*network.inputs, *network.outputs):
        kind = port.get_element_type().get_type_name()
        edges = list(port.get_partial_shape())[1:]
        shape = tuple(edge.get_length() if edge.is_static else -1 for edge in edges)
        found[port.get_any_name()] = (_OPENVINO.get(kind, kind), shape)
    return found


def judge_signature(subject: str, found: Signature, told: Signature) -> Gate:
    """A gate that counts what differs between a file and the configuration made for it."""
    differing = sorted(
        name for name in found.keys() | told.keys() if found.get(name) != told.get(name)
    )
    why = "; ".join(
        f"{name} is {_said(found, name)}, config.pbtxt says {_said(told, name)}"
        for name in differing
    )
    return Gate(subject=subject, name="signature", value=len(differing), bound=0, why=why)


def _said(signature: Signature, name: str) -> str:
    if name not in signature:
        return "absent"
    kind, shape = signature[name]
    return f"{kind} {list(shape)}"
