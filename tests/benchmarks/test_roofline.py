"""Operations and bytes of small graphs by hand, and the least time by hand-made ceilings."""

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from benchmarks.roofline import Ceilings, Layer, layers_of, measure_ceilings


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """Depthwise 3x3 on 4 channels of 8x8, a ReLU, 1x1 to 6 channels, twice the size."""
    weights = {"depthwise": (4, 1, 3, 3), "pointwise": (6, 4, 1, 1)}
    nodes = [
        helper.make_node("Conv", ["x", "depthwise"], ["a"], group=4, pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "pointwise"], ["c"]),
        helper.make_node("Resize", ["c", "", "scales"], ["y"]),
    ]
    made = [
        helper.make_tensor(name, TensorProto.FLOAT, shape, [0.0] * (36 if shape[1] == 1 else 24))
        for name, shape in weights.items()
    ]
    made.append(helper.make_tensor("scales", TensorProto.FLOAT, [4], [1.0, 1.0, 2.0, 2.0]))
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])
        for name, shape in (("x", (4, 8, 8)), ("y", (6, 16, 16)))
    ]
    path = tmp_path / "graph.onnx"
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:], made)), path)
    return path


def test_a_layer_is_its_products_and_what_it_reads_and_writes(graph: Path) -> None:
    assert layers_of(graph, 1, "f32") == [
        Layer(2 * 9 * 4 * 64, 4 * (4 * 64 + 36 + 4 * 64)),
        Layer(2 * 4 * 6 * 64, 4 * (4 * 64 + 24 + 6 * 64)),
        Layer(0, 4 * (6 * 64 + 6 * 256)),
    ]


def test_weights_are_read_once_a_batch_and_halves_are_half_the_bytes(graph: Path) -> None:
    one, many = (layers_of(graph, batch, "bf16")[1] for batch in (1, 10))
    assert many.operations == 10 * one.operations
    assert one.traffic_bytes == 2 * (24 + 10 * 64)
    assert many.traffic_bytes == 2 * (24 + 10 * 10 * 64)


def test_each_layer_takes_what_it_lacks_most() -> None:
    ceilings = Ceilings(operations_per_s=1000, bytes_per_s={100: 200, 10_000: 50})
    assert ceilings.seconds([Layer(500, 20)]) == pytest.approx(0.5)  # 0.1 s for its bytes
    assert ceilings.seconds([Layer(10, 100)]) == pytest.approx(0.5)  # from the small block's rate
    assert ceilings.seconds([Layer(10, 101)]) == pytest.approx(101 / 50)
    assert ceilings.seconds([Layer(10, 20_000)]) == pytest.approx(400)  # larger than any measured
    assert ceilings.seconds([Layer(500, 20), Layer(10, 100)]) == pytest.approx(1)


def test_ceilings_are_measured_for_every_size_of_block() -> None:
    found = measure_ceilings("f32", edge=64)
    assert found.operations_per_s > 0
    assert min(found.bytes_per_s.values()) > 0
    assert sorted(found.bytes_per_s) == [2**14 * 4**k for k in range(8)]
