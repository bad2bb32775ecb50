"""What must hold of a PNG before OpenCV may see it.

OpenCV makes room for the length a chunk claims before it looks for the bytes: four of them, in a
file of two hundred, cost it 4 GB and ten seconds. And it inflates all that the chunks hold, however
little of that the picture needs: a megabyte of well-packed zeros cost it two seconds.
"""

import struct
import zlib
from collections.abc import Iterator

_SIGNATURE_BYTES, _FRAME_BYTES = 8, 12  # a chunk's length, name and checksum
# Colour type to channels: grey, RGB, palette, grey and alpha, RGB and alpha.
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# A filter byte a row and, when interlaced, rounding in each of seven passes: well under this.
_ROW_SLACK_BYTES = 16
# What is left of a block is copied each time, so blocks of packed data are small.
_PACKED_BLOCK, _INFLATED_BLOCK = 2**14, 2**20
# 16 MiB in chunks of 1 KiB; encoders write 8 KiB or more. A hostile file can hold millions.
_MAX_CHUNKS = 16_384


def is_whole(data: bytes) -> bool:
    """True if every chunk up to IEND lies inside the data."""
    last = b""
    for name, _ in _chunks(data):
        last = name
    return last == b"IEND"


def is_bomb(data: bytes) -> bool:
    """True if the picture data inflate to more than the header's picture can hold."""
    width, height, bits, colour = struct.unpack_from(">IIBB", data, 16)
    row_bytes = -(-width * bits * _CHANNELS.get(colour, 4) // 8)
    left: int = height * (row_bytes + _ROW_SLACK_BYTES)
    inflater = zlib.decompressobj()
    for name, content in _chunks(data):
        for start in range(0, len(content) if name == b"IDAT" else 0, _PACKED_BLOCK):
            packed = content[start : start + _PACKED_BLOCK]
            while packed and left >= 0:
                try:
                    left -= len(inflater.decompress(packed, _INFLATED_BLOCK))
                except zlib.error:
                    return False  # broken, which the decoder says better
                packed = inflater.unconsumed_tail
    return left < 0


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of each chunk up to IEND that lies inside the data."""
    at = _SIGNATURE_BYTES
    for _ in range(_MAX_CHUNKS):
        if at + _FRAME_BYTES > len(data):
            return
        (length,) = struct.unpack_from(">I", data, at)
        name = data[at + 4 : at + 8]
        ends_at = at + _FRAME_BYTES + length
        if ends_at > len(data):
            return
        yield name, data[at + 8 : at + 8 + length]
        if name == b"IEND":
            return
        at = ends_at
