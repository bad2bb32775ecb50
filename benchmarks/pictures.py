"""The picture that benchmarks send: a real photo at a camera's size."""

from pathlib import Path

import cv2
import numpy as np
import simplejpeg

from fathom.geometry import RGB, Size

PHOTO = Path(__file__).parent.parent / "samples" / "desk.jpg"
CAMERA_SIZE: Size = (480, 640)
# Gives a JPEG of about 75 KB, what a camera of this size sends.
_QUALITY = 93


def camera_picture(size: Size = CAMERA_SIZE) -> RGB:
    """The sample photo at a camera's size, with sensor noise: an enlarged photo is too smooth."""
    pixels = cv2.imread(str(PHOTO), cv2.IMREAD_COLOR_RGB)
    if pixels is None:
        raise SystemExit(f"{PHOTO} is missing: run from a whole checkout")
    large = cv2.resize(pixels, (size[1], size[0]), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    noise = np.random.default_rng(0).normal(0, 3, large.shape)
    return np.asarray(np.clip(large + noise, 0, 255), np.uint8)


def camera_jpeg(size: Size = CAMERA_SIZE) -> bytes:
    """The same as a camera's JPEG, 4:2:0."""
    return bytes(simplejpeg.encode_jpeg(camera_picture(size), _QUALITY, colorsubsampling="420"))
