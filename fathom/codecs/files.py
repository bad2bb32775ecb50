"""An answer as the bytes of a file, for whoever saves one: the HTTP door and `fathom probe`."""

import sys

from fathom.codecs.answer import decode_answer
from fathom.codecs.depth import encode_npy
from fathom.codecs.image import decode, inspect
from fathom.codecs.ply import encode_ply
from fathom.geometry import resize_image
from fathom.values import EncodedDepth, Image, Limits

# The picture was held against a server's limits before it was answered.
_ADMITTED = Limits(image_bytes=sys.maxsize, image_pixels=sys.maxsize, side_px=sys.maxsize)


def as_sent(answer: EncodedDepth, _: Image) -> bytes:
    """What travelled is a file already: PNG16_MM and JPEG_COLOUR."""
    return answer.data


def as_npy(answer: EncodedDepth, _: Image) -> bytes:
    """A `.npy` file of float32 metres."""
    return encode_npy(decode_answer(answer).depth_m)


def as_ply(answer: EncodedDepth, image: Image) -> bytes:
    """A point cloud, coloured by the picture that was asked about."""
    size = (answer.height_px, answer.width_px)
    pixels = decode(image, inspect(image, _ADMITTED))
    if pixels.shape[:2] != size:
        pixels = resize_image(pixels, size)
    return encode_ply(decode_answer(answer).depth_m, pixels, answer.camera)
