"""Which way up a picture is: the one EXIF tag that matters here, and how to act on it.

Reads the orientation from the file's bytes without decoding a pixel. A malformed EXIF block means
upright: a wrong tag is no reason to refuse a good picture.
"""

import struct

import numpy as np

from fathom.geometry import RGB, Size

UPRIGHT = 1
_ORIENTATION_TAG = 0x0112
_APP1, _START_OF_SCAN = 0xE1, 0xDA
# How many blocks are searched for the tag. Writers put it first; a hostile file can hold millions.
_SEARCHED = 64


def jpeg_orientation(data: bytes) -> int:
    """The EXIF orientation of a JPEG, 1 to 8; 1 if there is none."""
    at = 2
    for _ in range(_SEARCHED):
        if at + 4 > len(data) or data[at] != 0xFF or data[at + 1] == _START_OF_SCAN:
            break
        (length,) = struct.unpack_from(">H", data, at + 2)
        if data[at + 1] == _APP1 and data[at + 4 : at + 10] == b"Exif\0\0":
            return _tiff_orientation(data[at + 10 : at + 2 + length])
        at += 2 + length
    return UPRIGHT


def png_orientation(data: bytes) -> int:
    """The EXIF orientation of a PNG, 1 to 8; 1 if there is none."""
    at = 8
    for _ in range(_SEARCHED):
        if at + 8 > len(data):
            break
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"eXIf":
            return _tiff_orientation(data[at + 8 : at + 8 + length])
        at += 12 + length
    return UPRIGHT


def webp_orientation(data: bytes) -> int:
    """The EXIF orientation of a WebP, 1 to 8; 1 if there is none."""
    at = 12
    for _ in range(_SEARCHED):
        if at + 8 > len(data):
            break
        kind, length = struct.unpack_from("<4sI", data, at)
        if kind == b"EXIF":  # some writers keep the prefix that JPEG needs
            return _tiff_orientation(data[at + 8 : at + 8 + length].removeprefix(b"Exif\0\0"))
        at += 8 + length + length % 2
    return UPRIGHT


def _tiff_orientation(tiff: bytes) -> int:
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return UPRIGHT
    try:
        (directory,) = struct.unpack_from(order + "I", tiff, 4)
        (entries,) = struct.unpack_from(order + "H", tiff, directory)
        for entry in range(min(entries, _SEARCHED)):
            tag, _, _, value = struct.unpack_from(order + "HHIH", tiff, directory + 2 + 12 * entry)
            if tag == _ORIENTATION_TAG:
                return value if 1 <= value <= 8 else UPRIGHT
    except struct.error:
        pass
    return UPRIGHT


def turned_size(size: Size, orientation: int) -> Size:
    """Size after (or, equally, before) applying an orientation: 5 to 8 swap the sides."""
    return (size[1], size[0]) if orientation >= 5 else size


def turn_upright(pixels: RGB, orientation: int) -> RGB:
    """Apply an orientation; a view where it can be one (JEITA CP-3451, tag 0x0112)."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels) if orientation != UPRIGHT else pixels
