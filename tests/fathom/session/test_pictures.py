import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fathom.codecs.image import decode, inspect
from fathom.errors import Code, FathomError
from fathom.session.pictures import as_image
from fathom.values import Image, ImageEncoding, Limits


def test_a_picture_in_wire_form_stays_what_it_is() -> None:
    image = Image(encoding=ImageEncoding.JPEG, data=b"as it is")
    assert as_image(image) is image


def test_the_bytes_of_a_file_are_told_by_their_first_bytes() -> None:
    _, png = cv2.imencode(".png", np.zeros((2, 3), np.uint8))
    image = as_image(png.tobytes())
    assert (image.encoding, image.data) == (ImageEncoding.PNG, png.tobytes())


@pytest.mark.parametrize(
    ("shape", "encoding"), [((2, 3, 3), ImageEncoding.RGB8), ((2, 3), ImageEncoding.GRAY8)]
)
def test_an_array_travels_raw(shape: tuple[int, ...], encoding: ImageEncoding) -> None:
    pixels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    image = as_image(pixels)
    assert (image.encoding, image.width_px, image.height_px) == (encoding, 3, 2)
    assert image.data == pixels.tobytes()


def test_a_view_with_gaps_travels_without_them() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)[::2, 1:6, ::-1]
    image = as_image(pixels)
    assert np.array_equal(decode(image, inspect(image, Limits())), pixels)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((2, 3, 3), np.float32),
        np.zeros((2, 3, 3), np.uint16),
        np.zeros((2, 3, 4), np.uint8),
        np.zeros((2, 3, 1), np.uint8),
        np.zeros(6, np.uint8),
        np.zeros((1, 2, 3, 3), np.uint8),
    ],
)
def test_an_array_that_is_no_picture_is_refused_with_its_shape(pixels: NDArray[np.uint8]) -> None:
    with pytest.raises(FathomError) as error:
        as_image(pixels)
    assert error.value.code is Code.BAD_IMAGE
    assert str(pixels.shape) in error.value.got
