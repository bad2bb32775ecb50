import cv2
import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from fathom.codecs.labels import decode_labels, encode_labels
from fathom.errors import Code, FathomError
from fathom.values import LabelEncoding

few = settings(deadline=None, max_examples=50)
shapes = hnp.array_shapes(min_dims=2, max_dims=2, max_side=20)
LABELS = np.arange(24, dtype=np.uint8).reshape(4, 6)


@few
@given(hnp.arrays(np.uint8, shapes))
@pytest.mark.parametrize("encoding", LabelEncoding)
def test_what_was_encoded_decodes(encoding: LabelEncoding, labels: NDArray[np.uint8]) -> None:
    size = (labels.shape[0], labels.shape[1])
    decoded = decode_labels(encode_labels(labels, encoding), encoding, size)
    assert decoded.dtype == np.uint8
    assert np.array_equal(decoded, labels)


def test_the_bytes_by_other_means_than_ours() -> None:
    assert encode_labels(LABELS, LabelEncoding.RAW8) == bytes(range(24))
    png = np.frombuffer(encode_labels(LABELS, LabelEncoding.PNG8), np.uint8)
    assert np.array_equal(np.asarray(cv2.imdecode(png, cv2.IMREAD_UNCHANGED)), LABELS)
    zstd = encode_labels(LABELS, LabelEncoding.ZSTD8)
    assert zstandard.ZstdDecompressor().decompress(zstd) == bytes(range(24))


@pytest.mark.parametrize("encoding", LabelEncoding)
def test_a_view_with_gaps_is_encoded_like_a_copy(encoding: LabelEncoding) -> None:
    view = LABELS[::2, 1:5]
    assert encode_labels(view, encoding) == encode_labels(view.copy(), encoding)


@pytest.mark.parametrize("encoding", LabelEncoding)
@pytest.mark.parametrize("size", [(4, 5), (6, 5), (1, 1), (0, 0)])
def test_another_size_is_refused(encoding: LabelEncoding, size: tuple[int, int]) -> None:
    with pytest.raises(FathomError) as error:
        decode_labels(encode_labels(LABELS, encoding), encoding, size)
    assert error.value.code is Code.BAD_REQUEST


@few
@given(st.binary(max_size=40))
@pytest.mark.parametrize("encoding", [LabelEncoding.PNG8, LabelEncoding.ZSTD8])
def test_garbage_is_refused(encoding: LabelEncoding, data: bytes) -> None:
    with pytest.raises(FathomError) as error:
        decode_labels(data, encoding, (4, 6))
    assert error.value.code is Code.BAD_REQUEST


def test_a_png_of_sixteen_bits_holds_no_labels() -> None:
    _, png = cv2.imencode(".png", LABELS.astype(np.uint16))
    with pytest.raises(FathomError) as error:
        decode_labels(png.tobytes(), LabelEncoding.PNG8, (4, 6))
    assert error.value.code is Code.BAD_REQUEST
