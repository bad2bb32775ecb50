"""Whole messages and pictures, and how they are spoiled: bytes that nobody meant to send.

Knows no door and sends nothing; whoever tries a server's patience shares it, the tests among them.
"""

import zlib
from typing import TypeAlias

import cv2
import numpy as np
import simplejpeg
from numpy.random import Generator

# Where formats keep their magic numbers, sizes and lengths: where the branches of a parser are.
_HEAD_BYTES = 64
_MOST_CHANGES = 4

# JSON deeper than a parser may follow.
DEEP = b'{"open": ' + b"[" * 20_000
# Whatever JSON can hold.
Tree: TypeAlias = "dict[str, Tree] | list[Tree] | str | float | bool | None"


def mutated(data: bytes, rng: Generator) -> bytes:
    """With bytes replaced, cut out, repeated or put in, near the front as often as anywhere."""
    spoiled = bytearray(data)
    for _ in range(rng.integers(1, _MOST_CHANGES + 1)):
        end = min(len(spoiled), _HEAD_BYTES) if rng.integers(2) else len(spoiled)
        at, to = sorted(rng.integers(0, end + 1, 2))
        match rng.integers(4):
            case 0:
                spoiled[at : at + 1] = rng.bytes(1)
            case 1:
                del spoiled[at:to]
            case 2:
                spoiled[at:at] = spoiled[at:to]
            case _:
                spoiled[at:at] = rng.bytes(int(rng.integers(1, 9)))
    return bytes(spoiled)


def with_odd_value(tree: Tree, rng: Generator) -> Tree:
    """A copy with one of its parts, as likely a whole branch as a leaf, made something odd."""
    if isinstance(tree, dict) and tree and rng.integers(4):
        key = list(tree)[int(rng.integers(len(tree)))]
        return tree | {key: with_odd_value(tree[key], rng)}
    if isinstance(tree, list) and tree and rng.integers(4):
        at = int(rng.integers(len(tree)))
        return [*tree[:at], with_odd_value(tree[at], rng), *tree[at + 1 :]]
    return _ODD[int(rng.integers(len(_ODD)))]


_NUMBERS = (0, -1, 1, 2**31, 2**63, 2**64, -(2**63), 10**30, 0.5, 1e308, float("nan"), float("inf"))
_TEXTS = ("", "0", "NaN", "x" * 5000, "\0", "\u202e\ud7ff", "../../etc")
_BRANCHES: tuple[Tree, ...] = ([], {}, [[]], [None], {"": {}})
_ODD: tuple[Tree, ...] = (None, True, False, *_NUMBERS, *_TEXTS, *_BRANCHES)


def small_pictures() -> list[bytes]:
    """A picture of noise as JPEG, PNG and WebP, whole: what is to be spoiled."""
    pixels = np.random.default_rng(8).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    jpeg = bytes(simplejpeg.encode_jpeg(pixels, 95, colorsubsampling="444"))
    return [jpeg, *(cv2.imencode(form, pixels)[1].tobytes() for form in (".png", ".webp"))]


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk with its sum: PNG specification, section 5.3."""
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def png(width: int, height: int, *chunks: bytes) -> bytes:
    """A PNG of 8-bit RGB: a header that says so, these chunks, an end."""
    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    header = png_chunk(b"IHDR", size + b"\x08\x02\x00\x00\x00")
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + png_chunk(b"IEND", b"")
