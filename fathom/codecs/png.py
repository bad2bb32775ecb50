"""What must hold of a PNG before OpenCV may see it.

OpenCV makes room for the length a chunk claims before it looks for the bytes: four of them, in a
file of two hundred, cost it 4 GB and ten seconds.
"""

import struct

_SIGNATURE_BYTES, _FRAME_BYTES = 8, 12  # a chunk's length, name and checksum
# 16 MiB in chunks of 1 KiB; encoders write 8 KiB or more. A hostile file can hold millions.
_MAX_CHUNKS = 16_384


def is_whole(data: bytes) -> bool:
    """True if every chunk up to IEND lies inside the data."""
    at = _SIGNATURE_BYTES
    for _ in range(_MAX_CHUNKS):
        if at + _FRAME_BYTES > len(data):
            return False
        (length,) = struct.unpack_from(">I", data, at)
        ends = data[at + 4 : at + 8] == b"IEND"
        at += _FRAME_BYTES + length
        if ends:
            return bool(at <= len(data))
    return False
