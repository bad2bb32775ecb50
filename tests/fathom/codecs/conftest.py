"""Pictures and the files they make: small, smooth and alike on no two axes."""

import struct
import zlib
from collections.abc import Callable, Mapping

import cv2
import numpy as np
import pytest
import simplejpeg

from fathom.geometry import RGB
from fathom.values import ImageEncoding


def make_photo(height: int, width: int) -> RGB:
    """Slow waves of light with a dark disc off the middle: a photo to a JPEG encoder."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    light = 140 + 70 * np.cos(3 * x + 1) * np.sin(4 * y + 2)
    light -= 60 / (1 + np.exp(60 * (np.hypot(x - 0.3, y - 0.2) - 0.15)))
    return np.stack([light, 0.8 * light + 30 * x, 0.6 * light + 60 * y], -1).astype(np.uint8)


def make_png(pixels: RGB) -> bytes:
    _, data = cv2.imencode(".png", pixels[:, :, ::-1])
    return data.tobytes()


def make_webp(pixels: RGB, quality: int = 101) -> bytes:
    """Quality up to 100 is the lossy format (chunk `VP8 `), above it the lossless one (`VP8L`)."""
    _, data = cv2.imencode(".webp", pixels[:, :, ::-1], (cv2.IMWRITE_WEBP_QUALITY, quality))
    return data.tobytes()


def make_jpeg(pixels: RGB) -> bytes:
    contiguous = np.ascontiguousarray(pixels)
    return bytes(simplejpeg.encode_jpeg(contiguous, 95, colorsubsampling="444"))


def tiff(orientation: int, order: str = ">") -> bytes:
    """An EXIF block of two entries, a maker's name and the orientation (TIFF 6.0, section 2)."""
    header = {">": b"MM\x00*", "<": b"II*\x00"}[order] + struct.pack(order + "I", 8)
    entries = struct.pack(order + "HHII", 0x010F, 2, 4, 0) + struct.pack(
        order + "HHIHH", 0x0112, 3, 1, orientation, 0
    )
    return header + struct.pack(order + "H", 2) + entries + struct.pack(order + "I", 0)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def webp_chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\x00" * (len(body) % 2)


def tag_jpeg(data: bytes, exif: bytes) -> bytes:
    segment = b"Exif\x00\x00" + exif
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]


def tag_png(data: bytes, exif: bytes) -> bytes:
    after_header = 8 + 12 + 13
    return data[:after_header] + png_chunk(b"eXIf", exif) + data[after_header:]


def tag_webp(data: bytes, exif: bytes) -> bytes:
    """A lossless WebP in the extended format, with an EXIF chunk after the picture."""
    (bits,) = struct.unpack_from("<I", data, 21)
    width_less_1, height_less_1 = bits & 0x3FFF, bits >> 14 & 0x3FFF
    canvas = width_less_1.to_bytes(3, "little") + height_less_1.to_bytes(3, "little")
    body = (
        b"WEBP"
        + webp_chunk(b"VP8X", b"\x08\x00\x00\x00" + canvas)
        + data[12:]
        + webp_chunk(b"EXIF", exif)
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.fixture(scope="session")
def photo() -> RGB:
    """640x480, the size of a webcam."""
    return make_photo(480, 640)


@pytest.fixture(scope="session")
def tiny() -> RGB:
    return make_photo(10, 12)


@pytest.fixture(scope="session")
def files(tiny: RGB) -> Mapping[ImageEncoding, bytes]:
    """The tiny picture in every file format."""
    return {
        ImageEncoding.JPEG: make_jpeg(tiny),
        ImageEncoding.PNG: make_png(tiny),
        ImageEncoding.WEBP: make_webp(tiny),
    }


@pytest.fixture(scope="session")
def write() -> Mapping[ImageEncoding, Callable[[RGB], bytes]]:
    """How to make a file of each format from a picture; all but JPEG keep every pixel."""
    return {
        ImageEncoding.JPEG: make_jpeg,
        ImageEncoding.PNG: make_png,
        ImageEncoding.WEBP: make_webp,
    }


@pytest.fixture(scope="session")
def tag() -> Mapping[ImageEncoding, Callable[[bytes, bytes], bytes]]:
    """How to put an EXIF block into a file of each format."""
    return {
        ImageEncoding.JPEG: tag_jpeg,
        ImageEncoding.PNG: tag_png,
        ImageEncoding.WEBP: tag_webp,
    }


@pytest.fixture(scope="session")
def exif_block() -> Callable[[int, str], bytes]:
    """An EXIF block that says one orientation, in byte order `>` or `<`."""
    return tiff
