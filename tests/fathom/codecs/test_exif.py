import struct
from collections.abc import Callable, Mapping

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.codecs.exif import (
    jpeg_orientation,
    png_orientation,
    turn_upright,
    turned_size,
    webp_orientation,
)
from fathom.codecs.image import decode, decode_into, inspect
from fathom.geometry import RGB, Letterbox
from fathom.values import Image, ImageEncoding, Limits

few = settings(deadline=None, max_examples=60)
FORMATS = (ImageEncoding.JPEG, ImageEncoding.PNG, ImageEncoding.WEBP)
READERS = {
    ImageEncoding.JPEG: jpeg_orientation,
    ImageEncoding.PNG: png_orientation,
    ImageEncoding.WEBP: webp_orientation,
}
Write = Mapping[ImageEncoding, Callable[[RGB], bytes]]
Tag = Mapping[ImageEncoding, Callable[[bytes, bytes], bytes]]
Files = Mapping[ImageEncoding, bytes]
Block = Callable[[int, str], bytes]


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, "ab/cd/ef"),
        (2, "ba/dc/fe"),  # mirrored left to right
        (3, "fe/dc/ba"),  # upside down
        (4, "ef/cd/ab"),  # mirrored top to bottom
        (5, "ace/bdf"),  # mirrored along the main diagonal
        (6, "eca/fdb"),  # to be turned clockwise
        (7, "fdb/eca"),  # mirrored along the other diagonal
        (8, "bdf/ace"),  # to be turned anticlockwise
    ],
)
def test_each_orientation_by_hand(orientation: int, upright: str) -> None:
    stored = np.frombuffer(b"abcdef", np.uint8).reshape(3, 2, 1).repeat(3, axis=2)
    turned = turn_upright(stored, orientation)
    assert "/".join(bytes(row[:, 0]).decode() for row in turned) == upright
    assert turned.shape[:2] == turned_size((3, 2), orientation)


@pytest.mark.parametrize("encoding", FORMATS)
@pytest.mark.parametrize("order", [">", "<"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_read_from_every_format(
    files: Files, tag: Tag, exif_block: Block, encoding: ImageEncoding, order: str, orientation: int
) -> None:
    tagged = tag[encoding](files[encoding], exif_block(orientation, order))
    assert READERS[encoding](tagged) == orientation


@pytest.mark.parametrize("encoding", FORMATS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_shows_the_picture_that_opencv_shows(
    files: Files, tag: Tag, exif_block: Block, encoding: ImageEncoding, orientation: int
) -> None:
    data = tag[encoding](files[encoding], exif_block(orientation, ">"))
    image = Image(encoding=encoding, data=data)
    header = inspect(image, Limits())
    upright = decode(image, header)
    shown = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert upright.shape == (*header.upright_size, 3)
    # Two builds of a JPEG decoder may round differently.
    atol = 2 if encoding is ImageEncoding.JPEG else 0
    assert np.allclose(upright, np.asarray(shown), atol=atol)


@pytest.mark.parametrize("encoding", FORMATS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_network_sees_the_picture_upright(
    photo: RGB,
    write: Write,
    tag: Tag,
    exif_block: Block,
    encoding: ImageEncoding,
    orientation: int,
) -> None:
    data = tag[encoding](write[encoding](photo[:120, :200]), exif_block(orientation, ">"))
    image = Image(encoding=encoding, data=data)
    header = inspect(image, Limits())
    out = np.empty((64, 80, 3), np.uint8)
    box = decode_into(image, header, out)
    assert box == Letterbox(header.upright_size, (64, 80))
    wanted = box.embed(decode(image, header)).astype(int)
    assert np.abs(out - wanted).mean() < 1


@pytest.mark.parametrize("encoding", FORMATS)
def test_without_a_tag_a_picture_is_upright(files: Files, encoding: ImageEncoding) -> None:
    assert READERS[encoding](files[encoding]) == 1


@pytest.mark.parametrize("encoding", FORMATS)
@pytest.mark.parametrize("orientation", [0, 9, 255, 65535])
def test_an_orientation_that_does_not_exist_means_upright(
    files: Files, tag: Tag, exif_block: Block, encoding: ImageEncoding, orientation: int
) -> None:
    tagged = tag[encoding](files[encoding], exif_block(orientation, ">"))
    assert READERS[encoding](tagged) == 1


@few
@given(exif=st.binary(max_size=80), start=st.sampled_from([b"", b"MM\x00*", b"II*\x00"]))
@pytest.mark.parametrize("encoding", FORMATS)
def test_a_malformed_block_is_no_reason_to_refuse_a_picture(
    files: Files, tag: Tag, encoding: ImageEncoding, exif: bytes, start: bytes
) -> None:
    tagged = tag[encoding](files[encoding], start + exif)
    assert 1 <= READERS[encoding](tagged) <= 8
    inspect(Image(encoding=encoding, data=tagged), Limits())


@few
@given(data=st.binary(max_size=200), cut=st.integers(0, 400))
@pytest.mark.parametrize("encoding", FORMATS)
def test_any_bytes_at_all_have_an_orientation(
    files: Files, encoding: ImageEncoding, data: bytes, cut: int
) -> None:
    assert 1 <= READERS[encoding](data) <= 8
    assert 1 <= READERS[encoding](files[encoding][:cut] + data) <= 8


@pytest.mark.parametrize("encoding", FORMATS)
def test_a_file_of_a_thousand_blocks_is_not_read_to_its_end(
    files: Files, tag: Tag, exif_block: Block, encoding: ImageEncoding
) -> None:
    # A tag behind a thousand empty blocks is not found: reading is bounded, whatever is sent.
    block, start = {
        ImageEncoding.JPEG: (b"\xff\xe2\x00\x02", 2),
        ImageEncoding.PNG: (struct.pack(">I4sI", 0, b"tEXt", 0), 8),
        ImageEncoding.WEBP: (b"XMP \x00\x00\x00\x00", 12),
    }[encoding]
    tagged = tag[encoding](files[encoding], exif_block(6, ">"))
    one, thousand = (tagged[:start] + block * n + tagged[start:] for n in (1, 1000))
    assert READERS[encoding](one) == 6
    assert READERS[encoding](thousand) == 1


def test_a_block_of_another_kind_before_exif_is_passed_over(
    files: Files, tag: Tag, exif_block: Block
) -> None:
    tagged = tag[ImageEncoding.JPEG](files[ImageEncoding.JPEG], exif_block(8, ">"))
    jfif = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
    xmp = b"\xff\xe1\x00\x08http:/"
    assert jpeg_orientation(tagged[:2] + jfif + xmp + tagged[2:]) == 8


def test_webp_may_keep_the_prefix_of_jpeg(files: Files, tag: Tag, exif_block: Block) -> None:
    block = b"Exif\x00\x00" + exif_block(6, "<")
    assert webp_orientation(tag[ImageEncoding.WEBP](files[ImageEncoding.WEBP], block)) == 6
