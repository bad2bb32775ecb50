import struct
import zlib
from collections.abc import Mapping

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.codecs.depth import decode_depth
from fathom.codecs.image import decode, inspect
from fathom.codecs.png import is_bomb, is_whole
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


def chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def png_with(raw: bytes, *, width: int, height: int, bits: int = 8, colour: int = 2) -> bytes:
    """A PNG by hand whose data inflate to `raw`, whatever its header says."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    packed = zlib.compress(raw)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", packed), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(("bits", "colour", "pixel_bytes"), [(8, 2, 3), (16, 0, 2), (8, 6, 4)])
def test_a_picture_is_no_bomb(bits: int, colour: int, pixel_bytes: int) -> None:
    raw = (b"\0" + b"\0" * (20 * pixel_bytes)) * 10
    assert not is_bomb(png_with(raw, width=20, height=10, bits=bits, colour=colour))


def test_data_that_inflate_past_the_picture_never_reach_opencv() -> None:
    # 20x10 pixels need 610 bytes; OpenCV would inflate all 50 MB of this.
    bomb = png_with(bytes(50_000_000), width=20, height=10)
    assert is_bomb(bomb)
    image = Image(encoding=ImageEncoding.PNG, data=bomb)
    with pytest.raises(FathomError) as error:
        decode(image, inspect(image, Limits()))
    assert error.value.code is Code.BAD_IMAGE
