import io
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fathom.codecs.depth import decode_depth, encode_depth, encode_npy, from_mm, to_mm
from fathom.errors import Code, FathomError
from fathom.geometry import F32
from fathom.values import DepthEncoding

few = settings(deadline=None, max_examples=50)
METRIC = [e for e in DepthEncoding if e is not DepthEncoding.JPEG_COLOUR]
MILLIMETRES = [DepthEncoding.U16_MM, DepthEncoding.PNG16_MM, DepthEncoding.ZSTD_U16_MM]

shapes = hnp.array_shapes(min_dims=2, max_dims=2, max_side=20)
millimetres = hnp.arrays(np.uint16, shapes)
metres = hnp.arrays(
    np.float32, shapes, elements=st.floats(0.25, 60, width=32) | st.just(float("nan"))
)


def ramp() -> F32:
    """A slope from 1 to 2.9 m with a hole in it."""
    depth_m = np.linspace(1, 2.9, 12 * 20, dtype=np.float32).reshape(12, 20)
    depth_m[3:5, 6:9] = np.nan
    return depth_m


@pytest.mark.parametrize("repeats", [1, 7, 64])  # a lone pixel, a SIMD tail, whole SIMD blocks
@pytest.mark.parametrize(
    ("depth_m", "wanted_mm"),
    [
        (float("nan"), {0}),
        (-1.0, {0}),
        (-float("inf"), {0}),
        (0.0, {0}),
        (0.0004, {0}),
        (0.0006, {1}),
        (0.001, {1}),
        (1.0, {1000}),
        (1.2344, {1234}),
        (1.2345, {1234, 1235}),  # a half, up to the last bit of a float
        (1.2346, {1235}),
        (65.534, {65534}),
        (65.535, {65535}),
        (70.0, {65535}),
        (1e30, {65535}),
        (float("inf"), {65535}),
    ],
)
def test_metres_become_whole_millimetres_and_never_wrap(
    depth_m: float, wanted_mm: set[int], repeats: int
) -> None:
    depth_mm = to_mm(np.full((1, repeats), depth_m, np.float32))
    assert depth_mm.dtype == np.uint16
    assert set(depth_mm[0].tolist()) <= wanted_mm
    assert len(set(depth_mm[0].tolist())) == 1


def test_millimetres_become_metres_and_zero_no_answer() -> None:
    depth_m = from_mm(np.array([[0, 1, 1234, 65535]], np.uint16))
    assert depth_m.dtype == np.float32
    assert np.array_equal(depth_m, np.array([[np.nan, 0.001, 1.234, 65.535]], "f4"), equal_nan=True)


@few
@given(millimetres)
def test_millimetres_to_metres_and_back_lose_nothing(depth_mm: np.ndarray) -> None:
    assert np.array_equal(to_mm(from_mm(depth_mm)), depth_mm)


@few
@given(metres)
@pytest.mark.parametrize("encoding", METRIC)
def test_what_was_encoded_decodes_within_the_encoding_s_step(
    encoding: DepthEncoding, depth_m: F32
) -> None:
    data = encode_depth(depth_m, encoding)
    decoded = decode_depth(data, encoding, (depth_m.shape[0], depth_m.shape[1]))
    assert decoded.dtype == np.float32
    assert decoded.shape == depth_m.shape
    # Half a unit in the last of a half float's 11 bits; none; half a millimetre, and a unit in the
    # last of a float's 24 bits for each way between metres and millimetres.
    rtol, atol = {DepthEncoding.F16_M: (2**-11, 0.0), DepthEncoding.F32_M: (0.0, 0.0)}.get(
        encoding, (2 * 2**-23, 0.0005)
    )
    assert np.allclose(decoded, depth_m, rtol=rtol, atol=atol, equal_nan=True)


@few
@given(millimetres)
@pytest.mark.parametrize("encoding", MILLIMETRES)
def test_whole_millimetres_survive_every_integer_encoding(
    encoding: DepthEncoding, depth_mm: np.ndarray
) -> None:
    depth_m = from_mm(depth_mm)
    decoded = decode_depth(encode_depth(depth_m, encoding), encoding, depth_m.shape)
    assert np.array_equal(decoded, depth_m, equal_nan=True)


@pytest.mark.parametrize("encoding", DepthEncoding)
def test_a_view_with_gaps_is_encoded_like_a_copy(encoding: DepthEncoding) -> None:
    view = ramp()[1:9:2, 2:-3]
    assert encode_depth(view, encoding) == encode_depth(view.copy(), encoding)


@pytest.mark.parametrize("encoding", METRIC)
def test_a_decoded_map_may_be_written_to(encoding: DepthEncoding) -> None:
    decode_depth(encode_depth(ramp(), encoding), encoding, (12, 20))[0, 0] = 1.0


# The bytes, by other means than ours


def test_u16_mm_is_little_endian_rows() -> None:
    data = encode_depth(np.array([[1.0, np.nan], [0.258, 70.0]], np.float32), DepthEncoding.U16_MM)
    assert data == struct.pack("<4H", 1000, 0, 258, 65535)


def test_f16_m_and_f32_m_are_little_endian_floats() -> None:
    depth_m = np.array([[1.5, 0.25]], np.float32)
    assert encode_depth(depth_m, DepthEncoding.F16_M) == struct.pack("<2e", 1.5, 0.25)
    assert encode_depth(depth_m, DepthEncoding.F32_M) == struct.pack("<2f", 1.5, 0.25)
    (hole,) = struct.unpack("<f", encode_depth(depth_m * np.nan, DepthEncoding.F32_M)[:4])
    assert hole != hole


def test_the_png_opens_as_sixteen_bit_millimetres(tmp_path: Path) -> None:
    path = tmp_path / "depth.png"
    path.write_bytes(encode_depth(ramp(), DepthEncoding.PNG16_MM))
    pixels = np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
    assert pixels.dtype == np.uint16
    assert np.array_equal(pixels, np.nan_to_num(np.round(ramp() * 1000)))


def test_zstd_u16_mm_is_what_the_contract_says() -> None:
    # "each row as differences to the pixel on the left (modulo 65536, the first to 0), then all low
    # bytes, then all high bytes, then one zstd frame"
    raw = zstandard.ZstdDecompressor().decompress(encode_depth(ramp(), DepthEncoding.ZSTD_U16_MM))
    low, high = raw[: 12 * 20], raw[12 * 20 :]
    wanted = to_mm(ramp()).tolist()
    for row in range(12):
        left = 0
        for col in range(20):
            at = row * 20 + col
            left = (left + low[at] + 256 * high[at]) % 65536
            assert left == wanted[row][col]


def test_the_npy_file_opens_in_numpy() -> None:
    loaded = np.load(io.BytesIO(encode_npy(ramp())))
    assert loaded.dtype == np.float32
    assert np.array_equal(loaded, ramp(), equal_nan=True)


# Bytes that do not fit


@pytest.mark.parametrize("encoding", METRIC)
@pytest.mark.parametrize("size", [(12, 21), (11, 20), (1, 1), (0, 0), (20, 13)])
def test_another_size_is_refused(encoding: DepthEncoding, size: tuple[int, int]) -> None:
    with pytest.raises(FathomError) as error:
        decode_depth(encode_depth(ramp(), encoding), encoding, size)
    assert error.value.code is Code.BAD_REQUEST


@pytest.mark.parametrize("encoding", METRIC)
def test_a_map_is_whole_or_refused(encoding: DepthEncoding) -> None:
    data = encode_depth(ramp(), encoding)
    for length in range(len(data)):
        with pytest.raises(FathomError) as error:
            decode_depth(data[:length], encoding, (12, 20))
        assert error.value.code is Code.BAD_REQUEST


@few
@given(st.binary(max_size=60), st.integers(0, 300), st.integers(0, 255))
@pytest.mark.parametrize("encoding", METRIC)
def test_any_bytes_decode_or_are_refused(
    encoding: DepthEncoding, data: bytes, position: int, byte: int
) -> None:
    damaged = bytearray(encode_depth(ramp(), encoding))
    damaged[position % len(damaged)] = byte
    for candidate in (data, bytes(damaged)):
        try:
            assert decode_depth(candidate, encoding, (12, 20)).shape == (12, 20)
        except FathomError as error:
            if error.code is not Code.BAD_REQUEST:
                raise


def test_a_png_of_eight_bits_holds_no_depth() -> None:
    _, png = cv2.imencode(".png", np.zeros((12, 20), np.uint8))
    with pytest.raises(FathomError) as error:
        decode_depth(png.tobytes(), DepthEncoding.PNG16_MM, (12, 20))
    assert error.value.code is Code.BAD_REQUEST


def test_a_bomb_is_refused_before_it_goes_off() -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(2**24))
    with pytest.raises(FathomError) as error:
        decode_depth(bomb, DepthEncoding.ZSTD_U16_MM, (12, 20))
    assert error.value.code is Code.BAD_REQUEST


def test_a_picture_for_eyes_holds_no_metres() -> None:
    data = encode_depth(ramp(), DepthEncoding.JPEG_COLOUR)
    with pytest.raises(FathomError) as error:
        decode_depth(data, DepthEncoding.JPEG_COLOUR, (12, 20))
    assert error.value.code is Code.BAD_REQUEST
