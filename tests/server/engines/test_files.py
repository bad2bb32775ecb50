"""An engine reads its own format before another's, and nothing that the card does not list."""

from pathlib import Path

import pytest

from fathom.card import ModelFile
from fathom.errors import Code, FathomError
from server.engines.files import choose_file
from tests.server.tiny_model import write_card

TARGETS = ("openvino", "onnx")


def entry(path: str, target: str, precision: str = "f32") -> ModelFile:
    return ModelFile(path=path, target=target, precision=precision, bytes=1, sha256="0" * 64)


ONNX, PLAN = entry("1/model.onnx", "onnx"), entry("1/model.plan", "tensorrt")
XML, WEIGHTS = entry("1/model.xml", "openvino"), entry("1/model.bin", "openvino")
INT8 = entry("1/model.int8.xml", "openvino", "int8")


@pytest.mark.parametrize(
    ("files", "int8", "chosen"),
    [
        ([ONNX], False, ONNX),
        ([ONNX, WEIGHTS, XML], False, XML),
        ([PLAN, ONNX], False, ONNX),
        ([INT8, ONNX, XML], False, XML),
        ([ONNX, XML, INT8], True, INT8),
        ([INT8, ONNX], False, ONNX),
    ],
)
def test_its_own_format_goes_first_and_then_onnx(
    tmp_path: Path, files: list[ModelFile], int8: bool, chosen: ModelFile
) -> None:
    assert choose_file(write_card(tmp_path, "tiny", files=files), TARGETS, int8=int8) == chosen


@pytest.mark.parametrize(("files", "int8"), [([], False), ([PLAN], False), ([ONNX], True)])
def test_a_card_without_a_file_for_it_is_refused(
    tmp_path: Path, files: list[ModelFile], int8: bool
) -> None:
    with pytest.raises(FathomError) as refused:
        choose_file(write_card(tmp_path, "tiny", files=files), TARGETS, int8=int8)
    assert refused.value.code is Code.BAD_MODEL
