import struct
from collections.abc import Mapping

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.codecs.depth import decode_depth
from fathom.codecs.image import decode, inspect
from fathom.codecs.png import is_whole
from fathom.errors import Code, FathomError
from fathom.values import DepthEncoding, Image, ImageEncoding, Limits

Files = Mapping[ImageEncoding, bytes]
HEADER_BYTES = 8 + 12 + 13  # signature, and the IHDR chunk


def test_a_file_is_whole_from_its_last_byte_on(files: Files) -> None:
    data = files[ImageEncoding.PNG]
    assert is_whole(data)
    assert is_whole(data + b"and a poem")
    assert not any(is_whole(data[:length]) for length in range(len(data)))


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=60))
def test_any_bytes_are_whole_or_not(data: bytes) -> None:
    assert is_whole(data) in {True, False}


@pytest.mark.parametrize("claimed", [200, 2**31 - 1, 2**31, 2**32 - 1])
def test_a_chunk_that_claims_more_than_is_there_never_reaches_opencv(
    files: Files, claimed: int
) -> None:
    # OpenCV would make room for the claim, up to 4 GB, and fill it with zeros.
    data = files[ImageEncoding.PNG]
    bomb = data[:HEADER_BYTES] + struct.pack(">I", claimed) + data[HEADER_BYTES + 4 :]
    image = Image(encoding=ImageEncoding.PNG, data=bomb)
    with pytest.raises(FathomError) as error:
        decode(image, inspect(image, Limits()))
    assert error.value.code is Code.BAD_IMAGE


def test_a_depth_map_that_claims_more_than_is_there_never_reaches_opencv() -> None:
    data = cv2.imencode(".png", np.ones((12, 20), np.uint16))[1].tobytes()
    bomb = data[:HEADER_BYTES] + b"\xff" + data[HEADER_BYTES + 1 :]
    with pytest.raises(FathomError) as error:
        decode_depth(bomb, DepthEncoding.PNG16_MM, (12, 20))
    assert error.value.code is Code.BAD_REQUEST


def test_a_depth_map_of_another_size_never_reaches_opencv() -> None:
    data = cv2.imencode(".png", np.ones((12, 20), np.uint16))[1].tobytes()
    huge = data[:16] + struct.pack(">II", 60_000, 60_000) + data[24:]
    with pytest.raises(FathomError) as error:
        decode_depth(huge, DepthEncoding.PNG16_MM, (12, 20))
    assert error.value.code is Code.BAD_REQUEST


def test_a_file_of_a_million_chunks_is_not_read_to_its_end(files: Files) -> None:
    data = files[ImageEncoding.PNG]
    empty = struct.pack(">I4sI", 0, b"tEXt", 0)
    assert is_whole(data[:HEADER_BYTES] + empty * 1_000 + data[HEADER_BYTES:])
    assert not is_whole(data[:HEADER_BYTES] + empty * 1_000_000 + data[HEADER_BYTES:])
