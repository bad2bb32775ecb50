import io

import numpy as np
from plyfile import PlyData

from fathom.codecs.ply import encode_ply
from fathom.geometry import F32, RGB, Intrinsics

CAMERA = Intrinsics(4.0, 2.0, 1.0, 0.5)
COLOURS = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)


def points_and_colours(ply: bytes) -> tuple[F32, RGB]:
    vertices = PlyData.read(io.BytesIO(ply))["vertex"]
    points = np.stack([vertices[axis] for axis in "xyz"], axis=-1)
    colours = np.stack([vertices[c] for c in ("red", "green", "blue")], axis=-1)
    return points, colours


def test_another_reader_sees_the_wall_where_it_is() -> None:
    points, colours = points_and_colours(
        encode_ply(np.full((2, 3), 8.0, np.float32), COLOURS, CAMERA)
    )
    # x = (column - 1) * 8 / 4 to the right, y = (row - 0.5) * 8 / 2 down, z = 8 forward
    assert points.tolist() == [
        *([-2, -2, 8], [0, -2, 8], [2, -2, 8]),
        *([-2, 2, 8], [0, 2, 8], [2, 2, 8]),
    ]
    assert np.array_equal(colours, COLOURS.reshape(-1, 3))


def test_pixels_without_an_answer_make_no_point() -> None:
    depth_m = np.array([[1, np.nan, 2], [np.nan, np.nan, 3]], np.float32)
    points, colours = points_and_colours(encode_ply(depth_m, COLOURS, CAMERA))
    assert points[:, 2].tolist() == [1, 2, 3]
    assert np.array_equal(colours, COLOURS[[0, 0, 1], [0, 2, 2]])


def test_a_cloud_of_nothing_is_a_file_too() -> None:
    points, _ = points_and_colours(encode_ply(np.full((2, 3), np.nan, np.float32), COLOURS, CAMERA))
    assert points.shape == (0, 3)
