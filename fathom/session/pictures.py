"""What a caller may hand in as a picture, and how it travels."""

from typing import TypeAlias

import numpy as np

from fathom.codecs.image import sniff
from fathom.errors import Code, FathomError
from fathom.geometry import RGB
from fathom.values import Image, ImageEncoding

Picture: TypeAlias = Image | RGB | bytes


def as_image(picture: Picture) -> Image:
    """A picture in wire form: the bytes of a file, an (H, W, 3) or (H, W) uint8 array, or as it is.

    raises  BAD_IMAGE for other shapes, dtypes and file formats
    """
    if isinstance(picture, Image):
        return picture
    if isinstance(picture, bytes):
        return Image(encoding=sniff(picture), data=picture)
    grey = picture.ndim == 2
    if picture.dtype != np.uint8 or not (grey or (picture.ndim == 3 and picture.shape[2] == 3)):
        raise FathomError(
            Code.BAD_IMAGE,
            expected="a uint8 array of shape (H, W, 3) in RGB order, or (H, W)",
            got=f"{picture.dtype} of shape {picture.shape}",
            repair="convert it; OpenCV's own pictures are BGR",
        )
    return Image(
        encoding=ImageEncoding.GRAY8 if grey else ImageEncoding.RGB8,
        data=np.ascontiguousarray(picture).tobytes(),
        width_px=picture.shape[1],
        height_px=picture.shape[0],
    )
