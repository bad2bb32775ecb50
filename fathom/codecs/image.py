"""Pictures in: what a header says, and pixels straight into a network's input.

Admission reads headers only (`inspect`), so a frame that will be skipped is never decoded. JPEG,
PNG and WebP are told by their first bytes; nothing else is tried: every parser is attack surface.
"""

import struct
from dataclasses import dataclass

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from fathom.codecs import png
from fathom.codecs.exif import (
    UPRIGHT,
    jpeg_orientation,
    png_orientation,
    turn_upright,
    turned_size,
    webp_orientation,
)
from fathom.errors import Code, FathomError
from fathom.geometry import RGB, Letterbox, Size
from fathom.values import Image, ImageEncoding, Limits

# OpenCV drops alpha and takes 16 bits to 8. Orientation is ours, so that header and pixels agree.
_READ = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION

RAW_CHANNELS = {ImageEncoding.RGB8: 3, ImageEncoding.BGR8: 3, ImageEncoding.GRAY8: 1}


@dataclass(frozen=True, slots=True)
class Header:
    """What is known of a picture before it is decoded.

    size         (height, width) as stored
    orientation  EXIF value 1 to 8 to apply after decoding
    """

    encoding: ImageEncoding
    size: Size
    orientation: int = UPRIGHT

    @property
    def upright_size(self) -> Size:
        """Size of the picture as a person sees it: what answers and cameras refer to."""
        return turned_size(self.size, self.orientation)


def sniff(data: bytes) -> ImageEncoding:
    """Tell JPEG, PNG and WebP by their first bytes; raises BAD_IMAGE for anything else."""
    if data[:3] == b"\xff\xd8\xff":
        return ImageEncoding.JPEG
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return ImageEncoding.PNG
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return ImageEncoding.WEBP
    if not data:
        raise _bad("an empty body", "send the bytes of the picture")
    raise _bad(f"{len(data)} bytes that begin with {data[:4].hex()}", "send the file as it is")


def inspect(image: Image, limits: Limits) -> Header:
    """Read the header only and hold it against the limits.

    raises  BAD_IMAGE, UNSUPPORTED_IMAGE, IMAGE_TOO_LARGE
    """
    if len(image.data) > limits.image_bytes:
        raise FathomError(
            Code.IMAGE_TOO_LARGE,
            expected=f"at most {limits.image_bytes} bytes",
            got=f"{len(image.data)} bytes",
            repair="send JPEG, or a smaller picture",
        )
    header = _inspect_raw(image) if image.encoding in RAW_CHANNELS else _inspect_file(image.data)
    height, width = header.size
    if height < 1 or width < 1:
        raise _bad(f"a picture of {width}x{height} pixels", "send a picture with pixels in it")
    if max(header.size) > limits.side_px or height * width > limits.image_pixels:
        raise FathomError(
            Code.IMAGE_TOO_LARGE,
            expected=f"at most {limits.side_px} pixels a side and {limits.image_pixels} in all",
            got=f"{width}x{height}",
            repair="shrink the picture; the network sees a few hundred pixels a side",
        )
    return header


def decode(image: Image, header: Header) -> RGB:
    """Every pixel of the picture, upright, (H, W, 3) uint8 RGB; raises BAD_IMAGE."""
    if header.encoding in RAW_CHANNELS:
        return _decode_raw(image, header)
    if header.encoding is ImageEncoding.JPEG:
        return turn_upright(_decode_jpeg(image.data, header.size), header.orientation)
    if header.encoding is ImageEncoding.PNG and (
        not png.is_whole(image.data) or png.is_bomb(image.data)
    ):
        raise _broken(header.encoding)
    pixels = cv2.imdecode(np.frombuffer(image.data, np.uint8), _READ)
    if pixels is None:
        raise _broken(header.encoding)
    return turn_upright(np.asarray(pixels, np.uint8), header.orientation)


def decode_into(image: Image, header: Header, out: RGB) -> Letterbox:
    """Decode a picture into a network's input, at reduced scale where the JPEG allows it.

    out      (H, W, 3) uint8, written whole: picture and padding
    returns  the letterbox that leads back to the picture
    raises   BAD_IMAGE
    """
    network_size = (out.shape[0], out.shape[1])
    if header.encoding is not ImageEncoding.JPEG:
        pixels = decode(image, header)
        box = Letterbox((pixels.shape[0], pixels.shape[1]), network_size)
        box.embed(pixels, out)
        return box
    box = Letterbox(header.upright_size, network_size)
    stored_content = turned_size(box.content_size, header.orientation)
    reduced = _reduced_size(header.size, stored_content)
    straight = header.orientation == UPRIGHT and reduced == box.content_size
    if straight and box.content_size[1] == network_size[1]:
        # The decoder's rows are the network's rows: no copy at all.
        _decode_jpeg(image.data, reduced, out[box.content[0]])
        box.pad(out)
    else:
        pixels = _decode_jpeg(image.data, reduced)
        box.embed(turn_upright(pixels, header.orientation), out)
    return box


def _inspect_file(data: bytes) -> Header:
    encoding = sniff(data)
    try:
        match encoding:
            case ImageEncoding.JPEG:
                return _inspect_jpeg(data)
            case ImageEncoding.PNG:
                return _inspect_png(data)
            case _:
                return _inspect_webp(data)
    except (struct.error, ValueError, IndexError) as error:
        raise _broken(encoding) from error


def _inspect_jpeg(data: bytes) -> Header:
    height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    if colours in {"CMYK", "YCCK"}:
        raise FathomError(
            Code.UNSUPPORTED_IMAGE,
            expected="a JPEG in RGB or grey",
            got=f"a {colours} JPEG",
            repair="convert it to sRGB: print colours have no one meaning on a screen",
        )
    return Header(ImageEncoding.JPEG, (height, width), jpeg_orientation(data))


def _inspect_png(data: bytes) -> Header:
    width, height = struct.unpack_from(">II", data, 16)
    if data[12:16] != b"IHDR":
        raise _broken(ImageEncoding.PNG)
    return Header(ImageEncoding.PNG, (height, width), png_orientation(data))


def _inspect_webp(data: bytes) -> Header:
    chunk = data[12:16]
    if chunk == b"VP8X":
        flags = data[20]
        if flags & 0x02:
            raise FathomError(
                Code.UNSUPPORTED_IMAGE,
                expected="one picture",
                got="an animated WebP",
                repair="send its frames one by one",
            )
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
    elif chunk == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif chunk == b"VP8 ":
        width, height = (v & 0x3FFF for v in struct.unpack_from("<HH", data, 26))
    else:
        raise _broken(ImageEncoding.WEBP)
    return Header(ImageEncoding.WEBP, (height, width), webp_orientation(data))


def _inspect_raw(image: Image) -> Header:
    channels = RAW_CHANNELS[image.encoding]
    row_bytes = image.width_px * channels
    stride = image.row_stride or row_bytes
    needed = stride * (image.height_px - 1) + row_bytes if image.height_px else 0
    if stride < row_bytes or len(image.data) < needed:
        raise FathomError(
            Code.BAD_IMAGE,
            expected=f"{needed} bytes of {image.encoding}, rows of at least {row_bytes} bytes",
            got=f"{len(image.data)} bytes, row stride {stride}",
            repair="let width, height and row_stride (in bytes) agree with the data",
        )
    return Header(image.encoding, (image.height_px, image.width_px))


def _decode_raw(image: Image, header: Header) -> RGB:
    channels = RAW_CHANNELS[image.encoding]
    height, width = header.size
    stride = image.row_stride or width * channels
    pixels: NDArray[np.uint8] = np.ndarray(
        (height, width, channels), np.uint8, image.data, strides=(stride, channels, 1)
    )
    if image.encoding is ImageEncoding.RGB8:
        return pixels
    code = cv2.COLOR_BGR2RGB if image.encoding is ImageEncoding.BGR8 else cv2.COLOR_GRAY2RGB
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), code), np.uint8)


def _reduced_size(size: Size, content: Size) -> Size:
    """The smallest of the JPEG decoder's 1/8, 1/4, 1/2 and whole sizes that covers the content.

    Other ratios exist (5/8 and so on) and are slower than decoding the whole picture.
    """
    for divisor in (8, 4, 2):
        reduced = (-(-size[0] // divisor), -(-size[1] // divisor))
        if reduced[0] >= content[0] and reduced[1] >= content[1]:
            return reduced
    return size


def _decode_jpeg(data: bytes, size: Size, out: RGB | None = None) -> RGB:
    try:
        pixels = simplejpeg.decode_jpeg(
            data, "RGB", min_height=size[0], min_width=size[1], buffer=out
        )
    except ValueError as error:
        raise _broken(ImageEncoding.JPEG) from error
    return np.asarray(pixels, np.uint8)


def _bad(got: str, repair: str) -> FathomError:
    return FathomError(
        Code.BAD_IMAGE, expected="a JPEG, PNG or WebP picture", got=got, repair=repair
    )


def _broken(encoding: ImageEncoding) -> FathomError:
    return FathomError(
        Code.BAD_IMAGE,
        expected=f"a whole {encoding.upper()} file",
        got=f"{encoding.upper()} data that is cut off or corrupt",
        repair="send the file again, every byte of it",
    )
