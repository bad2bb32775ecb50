import numpy as np
import pytest

from fathom.codecs.answer import decode_answer
from fathom.errors import Code, FathomError
from fathom.geometry import Intrinsics
from fathom.values import DepthEncoding, EncodedDepth, LabelEncoding, StageTimes


def answer(labels: bytes = b"", label_encoding: LabelEncoding | None = None) -> EncodedDepth:
    return EncodedDepth(
        seq=5,
        encoding=DepthEncoding.U16_MM,
        width_px=3,
        height_px=1,
        data=b"\xe8\x03\x00\x00\xd0\x07",
        camera=Intrinsics(3, 3, 1, 0),
        focal_given=True,
        model="plane",
        version=2,
        labels=labels,
        label_encoding=label_encoding,
        stages=StageTimes(wait_s=0.1, decode_s=0.2, infer_s=0.3, finish_s=0.4, encode_s=0.5),
        batch_size=4,
        age_s=0.75,
    )


def test_depth_and_labels_become_arrays() -> None:
    decoded = decode_answer(answer(b"\x01\x00\x02", LabelEncoding.RAW8))
    assert np.array_equal(decoded.depth_m, np.array([[1, np.nan, 2]], "f4"), equal_nan=True)
    assert decoded.labels is not None
    assert decoded.labels.tolist() == [[1, 0, 2]]


def test_labels_that_were_not_asked_for_are_none() -> None:
    assert decode_answer(answer()).labels is None


def test_all_else_is_kept() -> None:
    encoded = answer()
    decoded = decode_answer(encoded)
    for name in ("seq", "camera", "focal_given", "model", "version", "stages", "batch_size"):
        assert getattr(decoded, name) == getattr(encoded, name)
    assert decoded.age_s == encoded.age_s


def test_labels_of_another_size_are_refused() -> None:
    with pytest.raises(FathomError) as error:
        decode_answer(answer(b"\x01\x00", LabelEncoding.RAW8))
    assert error.value.code is Code.BAD_REQUEST
