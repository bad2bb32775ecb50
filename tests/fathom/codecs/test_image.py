import struct
import zlib
from collections.abc import Callable, Mapping

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.codecs.image import decode, decode_into, inspect, sniff
from fathom.errors import Code, FathomError
from fathom.geometry import PAD_RGB, RGB, Letterbox, Size
from fathom.values import Image, ImageEncoding, Limits

few = settings(deadline=None, max_examples=100)
FORMATS = (ImageEncoding.JPEG, ImageEncoding.PNG, ImageEncoding.WEBP)
RAW = (ImageEncoding.RGB8, ImageEncoding.BGR8, ImageEncoding.GRAY8)
IMAGE_CODES = {Code.BAD_IMAGE, Code.IMAGE_TOO_LARGE, Code.UNSUPPORTED_IMAGE}
NETWORK = (32, 40)
SMALL = Limits(image_pixels=1_000_000, side_px=2_000)  # so that no flipped bit takes memory
Write = Mapping[ImageEncoding, Callable[[RGB], bytes]]
Files = Mapping[ImageEncoding, bytes]


def refusal(encoding: ImageEncoding, data: bytes, limits: Limits = SMALL) -> Code | None:
    """The code a picture is refused with on its way into a network, None if it gets there.

    Any other exception is a bug, and so are pixels of another size than the header's.
    """
    image = Image(encoding=encoding, data=data)
    out = np.empty((*NETWORK, 3), np.uint8)
    try:
        header = inspect(image, limits)
        box = decode_into(image, header, out)
    except FathomError as error:
        return error.code
    assert box.source_size == header.upright_size
    return None


def decoded(encoding: ImageEncoding, data: bytes) -> RGB:
    image = Image(encoding=encoding, data=data)
    return decode(image, inspect(image, Limits()))


def png_with_size(width: int, height: int) -> bytes:
    """A PNG of a header alone, as its specification says (section 11.2.1)."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


def jpeg_with_size(data: bytes, width: int, height: int) -> bytes:
    """The same JPEG with another size in its start-of-frame segment (T.81, section B.2.2)."""
    at = data.index(b"\xff\xc0")
    return data[: at + 5] + struct.pack(">HH", height, width) + data[at + 9 :]


# What a header says


@pytest.mark.parametrize("encoding", FORMATS)
def test_a_file_is_told_by_its_first_bytes(files: Files, encoding: ImageEncoding) -> None:
    assert sniff(files[encoding]) is encoding


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"BM", b"%PDF", b"RIFF\x04\x00\x00\x00WAVE"])
def test_what_is_neither_is_refused(data: bytes) -> None:
    with pytest.raises(FathomError) as error:
        sniff(data)
    assert error.value.code is Code.BAD_IMAGE


@pytest.mark.parametrize("encoding", FORMATS)
def test_the_header_gives_height_and_width(files: Files, encoding: ImageEncoding) -> None:
    header = inspect(Image(encoding=encoding, data=files[encoding]), Limits())
    assert (header.encoding, header.size, header.upright_size) == (encoding, (10, 12), (10, 12))


def test_the_first_bytes_count_more_than_what_the_sender_called_it(files: Files) -> None:
    mislabelled = Image(encoding=ImageEncoding.JPEG, data=files[ImageEncoding.PNG])
    assert inspect(mislabelled, Limits()).encoding is ImageEncoding.PNG


@pytest.mark.parametrize(("width", "height"), [(0, 0), (0, 5), (5, 0)])
def test_a_picture_without_pixels_is_refused(files: Files, width: int, height: int) -> None:
    jpeg = jpeg_with_size(files[ImageEncoding.JPEG], width, height)
    assert refusal(ImageEncoding.PNG, png_with_size(width, height)) is Code.BAD_IMAGE
    assert refusal(ImageEncoding.JPEG, jpeg) is Code.BAD_IMAGE
    raw = Image(encoding=ImageEncoding.RGB8, data=b"", width_px=width, height_px=height)
    with pytest.raises(FathomError) as error:
        inspect(raw, Limits())
    assert error.value.code is Code.BAD_IMAGE


@pytest.mark.parametrize(("width", "height"), [(20_000, 20_000), (20_000, 1), (9_000, 9_000)])
def test_too_many_pixels_are_refused_by_the_header(files: Files, width: int, height: int) -> None:
    jpeg = jpeg_with_size(files[ImageEncoding.JPEG], width, height)
    png = png_with_size(width, height)
    assert refusal(ImageEncoding.PNG, png, Limits()) is Code.IMAGE_TOO_LARGE
    assert refusal(ImageEncoding.JPEG, jpeg, Limits()) is Code.IMAGE_TOO_LARGE


def test_the_limits_themselves_are_allowed(files: Files) -> None:
    data = files[ImageEncoding.PNG]
    exact = Limits(image_bytes=len(data), image_pixels=120, side_px=12)
    assert refusal(ImageEncoding.PNG, data, exact) is None


@pytest.mark.parametrize(
    "limits", [Limits(image_bytes=50), Limits(image_pixels=119), Limits(side_px=11)]
)
def test_one_more_than_a_limit_is_refused(files: Files, limits: Limits) -> None:
    assert refusal(ImageEncoding.PNG, files[ImageEncoding.PNG], limits) is Code.IMAGE_TOO_LARGE


def test_print_colours_are_refused_with_advice() -> None:
    inks = np.full((8, 8, 4), 100, np.uint8)
    cmyk = simplejpeg.encode_jpeg(inks, colorspace="CMYK", colorsubsampling="444")
    with pytest.raises(FathomError, match="sRGB") as error:
        inspect(Image(encoding=ImageEncoding.JPEG, data=bytes(cmyk)), Limits())
    assert error.value.code is Code.UNSUPPORTED_IMAGE


def test_an_animated_webp_is_refused() -> None:
    # VP8X: flags, three bytes of nothing, width - 1 and height - 1 in three bytes each.
    chunk = (
        b"VP8X" + struct.pack("<I", 10) + b"\x02\x00\x00\x00" + b"\x07\x00\x00" + b"\x05\x00\x00"
    )
    animated = b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk
    assert refusal(ImageEncoding.WEBP, animated) is Code.UNSUPPORTED_IMAGE


def test_a_lossy_webp_has_its_size_elsewhere(tiny: RGB) -> None:
    _, lossy = cv2.imencode(".webp", tiny, (cv2.IMWRITE_WEBP_QUALITY, 80))
    assert lossy.tobytes()[12:16] == b"VP8 "
    assert decoded(ImageEncoding.WEBP, lossy.tobytes()).shape == (10, 12, 3)


# Every pixel


@pytest.mark.parametrize("encoding", [ImageEncoding.PNG, ImageEncoding.WEBP])
def test_a_lossless_file_gives_the_pixels_that_went_in(
    files: Files, tiny: RGB, encoding: ImageEncoding
) -> None:
    assert np.array_equal(decoded(encoding, files[encoding]), tiny)


@pytest.mark.parametrize("progressive", [0, 1])
def test_a_jpeg_gives_nearly_the_pixels_that_went_in(photo: RGB, progressive: int) -> None:
    options = (cv2.IMWRITE_JPEG_PROGRESSIVE, progressive)
    _, data = cv2.imencode(".jpg", photo[:, :, ::-1], options)
    pixels = decoded(ImageEncoding.JPEG, data.tobytes())
    assert np.abs(pixels - photo.astype(int)).mean() < 2


def test_a_grey_file_has_three_channels_alike(tiny: RGB) -> None:
    grey = np.ascontiguousarray(tiny[:, :, 0])
    _, png = cv2.imencode(".png", grey)
    jpeg = simplejpeg.encode_jpeg(grey[:, :, None], colorspace="GRAY")
    assert np.array_equal(decoded(ImageEncoding.PNG, png.tobytes()), grey[:, :, None].repeat(3, 2))
    pixels = decoded(ImageEncoding.JPEG, bytes(jpeg))
    assert (pixels == pixels[:, :, :1]).all()


def test_sixteen_bits_become_eight(tiny: RGB) -> None:
    # v * 257 is the same brightness in 16 bits, for a decoder that shifts and for one that scales.
    _, png = cv2.imencode(".png", tiny[:, :, ::-1].astype(np.uint16) * 257)
    assert np.array_equal(decoded(ImageEncoding.PNG, png.tobytes()), tiny)


@pytest.mark.parametrize("ending", [".png", ".webp"])
def test_alpha_is_dropped_not_blended(tiny: RGB, ending: str) -> None:
    alpha = np.full((10, 12, 1), 255, np.uint8)
    alpha[3:5] = 128
    options = () if ending == ".png" else (cv2.IMWRITE_WEBP_QUALITY, 101)
    _, data = cv2.imencode(ending, np.concatenate([tiny[:, :, ::-1], alpha], axis=2), options)
    assert np.array_equal(decoded(sniff(data.tobytes()), data.tobytes()), tiny)


@pytest.mark.parametrize("gap", [0, 1, 5])
@pytest.mark.parametrize("encoding", RAW)
def test_raw_rows_may_have_gaps(tiny: RGB, encoding: ImageEncoding, gap: int) -> None:
    pixels = {
        ImageEncoding.RGB8: tiny,
        ImageEncoding.BGR8: tiny[:, :, ::-1],
        ImageEncoding.GRAY8: tiny[:, :, :1],
    }[encoding]
    rows = pixels.reshape(10, -1)
    stride = rows.shape[1] + gap
    padded = np.full((10, stride), 99, np.uint8)
    padded[:, : rows.shape[1]] = rows
    image = Image(
        encoding=encoding,
        data=padded.tobytes()[: len(padded.tobytes()) - gap],  # the last row needs no gap
        width_px=12,
        height_px=10,
        row_stride=stride if gap else 0,
    )
    wanted = tiny[:, :, :1].repeat(3, 2) if encoding is ImageEncoding.GRAY8 else tiny
    assert np.array_equal(decode(image, inspect(image, Limits())), wanted)


@pytest.mark.parametrize("encoding", RAW)
@pytest.mark.parametrize(("missing", "stride"), [(1, 0), (0, 11), (10**6, 0), (0, 2**31)])
def test_raw_numbers_that_do_not_fit_the_data_are_refused(
    encoding: ImageEncoding, missing: int, stride: int
) -> None:
    whole = 10 * 12 * (1 if encoding is ImageEncoding.GRAY8 else 3)
    image = Image(
        encoding=encoding,
        data=bytes(max(0, whole - missing)),
        width_px=12,
        height_px=10,
        row_stride=stride,
    )
    with pytest.raises(FathomError) as error:
        inspect(image, Limits())
    assert error.value.code is Code.BAD_IMAGE


@few
@given(
    encoding=st.sampled_from(RAW),
    data=st.binary(max_size=64),
    width_px=st.integers(0, 2**32 - 1) | st.integers(0, 8),
    height_px=st.integers(0, 2**32 - 1) | st.integers(0, 8),
    row_stride=st.integers(0, 2**32 - 1) | st.integers(0, 16),
)
def test_any_raw_numbers_give_a_picture_or_an_image_code(
    encoding: ImageEncoding, data: bytes, width_px: int, height_px: int, row_stride: int
) -> None:
    image = Image(
        encoding=encoding,
        data=data,
        width_px=width_px,
        height_px=height_px,
        row_stride=row_stride,
    )
    try:
        header = inspect(image, SMALL)
    except FathomError as error:
        code: Code | None = error.code
    else:
        code = None
        assert decode(image, header).shape == (height_px, width_px, 3)
    assert code in {None} | IMAGE_CODES


# Into a network's input


@pytest.mark.parametrize("encoding", FORMATS)
@pytest.mark.parametrize("network", [(32, 40), (40, 12), (5, 6), (1, 1), (10, 12)])
def test_every_byte_of_the_input_is_written(
    files: Files, encoding: ImageEncoding, network: Size
) -> None:
    image = Image(encoding=encoding, data=files[encoding])
    header = inspect(image, Limits())
    black, white = (np.full((*network, 3), filler, np.uint8) for filler in (0, 255))
    assert decode_into(image, header, black) == Letterbox((10, 12), network)
    assert decode_into(image, header, white) == Letterbox((10, 12), network)
    assert np.array_equal(black, white)


def test_a_webcam_s_jpeg_is_decoded_at_half_scale_straight_into_its_rows(
    photo: RGB, write: Write
) -> None:
    data = write[ImageEncoding.JPEG](photo)
    image = Image(encoding=ImageEncoding.JPEG, data=data)
    out = np.full((256, 320, 3), 77, np.uint8)
    box = decode_into(image, inspect(image, Limits()), out)
    assert box == Letterbox((480, 640), (256, 320))
    assert (out[:8] == PAD_RGB).all()
    assert (out[248:] == PAD_RGB).all()
    half = simplejpeg.decode_jpeg(data, "RGB", min_height=240, min_width=320)
    assert np.array_equal(out[8:248], half)


@pytest.mark.parametrize(
    "size",
    [
        *[(480, 640), (481, 641), (479, 639), (540, 960), (640, 480), (256, 320), (100, 100)],
        *[(2048, 8), (8, 2048), (3, 500), (500, 3), (1, 1), (2, 3)],
    ],
)
def test_reduced_decoding_is_full_decoding_and_averaging(
    photo: RGB, write: Write, size: Size
) -> None:
    picture = cv2.resize(photo, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    data = write[ImageEncoding.JPEG](np.asarray(picture, np.uint8))
    image = Image(encoding=ImageEncoding.JPEG, data=data)
    header = inspect(image, Limits())
    out = np.empty((256, 320, 3), np.uint8)
    box = decode_into(image, header, out)
    wanted = box.embed(decode(image, header)).astype(int)
    # The decoder averages frequencies, not pixels: a level of 255 apart on smooth pictures.
    assert np.abs(out - wanted)[box.content].mean() < 1


# Whatever is sent


@pytest.mark.parametrize("encoding", FORMATS)
def test_a_whole_file_is_taken_and_every_shorter_one_refused(
    files: Files, encoding: ImageEncoding
) -> None:
    whole = files[encoding]
    assert refusal(encoding, whole) is None
    for length in range(len(whole)):
        assert refusal(encoding, whole[:length]) is Code.BAD_IMAGE


@pytest.mark.parametrize("encoding", FORMATS)
def test_what_follows_a_whole_file_is_ignored(
    files: Files, tiny: RGB, encoding: ImageEncoding
) -> None:
    pixels = decoded(encoding, files[encoding] + b"and a poem")
    assert np.abs(pixels - tiny.astype(int)).mean() < 2


@few
@given(data=st.binary(max_size=100), rest=st.binary(max_size=100))
@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR",
        b"RIFF\x00\x01\x00\x00WEBP",
        b"RIFF\x00\x01\x00\x00WEBPVP8 ",
        b"RIFF\x00\x01\x00\x00WEBPVP8L",
        b"RIFF\x00\x01\x00\x00WEBPVP8X",
    ],
)
def test_garbage_is_refused_with_an_image_code(start: bytes, data: bytes, rest: bytes) -> None:
    assert refusal(ImageEncoding.JPEG, start + data + rest) in IMAGE_CODES


@settings(deadline=None, max_examples=200)
@given(
    flips=st.lists(st.tuples(st.integers(0, 10**4), st.integers(1, 255)), min_size=1, max_size=8),
    cut=st.none() | st.integers(0, 10**4),
)
@pytest.mark.parametrize("encoding", FORMATS)
def test_a_damaged_file_gives_a_picture_or_an_image_code(
    files: Files, encoding: ImageEncoding, flips: list[tuple[int, int]], cut: int | None
) -> None:
    damaged = bytearray(files[encoding])
    for position, bits in flips:
        damaged[position % len(damaged)] ^= bits
    assert refusal(encoding, bytes(damaged[:cut])) in {None} | IMAGE_CODES
