"""Made-up rooms against geometry worked out by hand."""

import numpy as np
import pytest

from fathom.geometry import Intrinsics, unproject
from training.data.labels import class_id
from training.data.rooms import MadeRooms, Pose, Room, random_room, render

CAMERA = Intrinsics.centred(40.0, (48, 64))


def box_room() -> Room:
    """4 x 3 x 6 m, with a table of 1 x 1 x 1 m standing 3 m in front of the camera of `LEVEL`."""
    return Room(
        low=np.array([[0, 0, 0], [1.5, 2, 4]], np.float64),
        high=np.array([[4, 3, 6], [2.5, 3, 5]], np.float64),
        classes=np.array([class_id("wall"), class_id("table")], np.uint8),
        colours=np.full((2, 3), 128.0),
    )


LEVEL = Pose.looking((2.0, 1.5, 1.0))


def test_depth_is_along_the_axis() -> None:
    depth_m, labels = render(box_room(), LEVEL, CAMERA, (48, 64))[1:]
    # The far wall is flat to the camera: 5 m everywhere on it, not only in the middle.
    assert depth_m[20, 31] == pytest.approx(5, abs=1e-6)
    assert np.allclose(depth_m[(labels == class_id("wall")) & (depth_m > 4.99)], 5)
    # Rows below the middle see the table's front, 3 m away, from y = 2 on: 40 * 0.5 / 3 = 6.7 px.
    assert labels[23 + 8, 31] == class_id("table")
    assert depth_m[23 + 8, 31] == pytest.approx(3, abs=1e-6)


def test_floor_ceiling_and_walls_are_where_they_are() -> None:
    view = render(box_room(), LEVEL, CAMERA, (48, 64))
    points = unproject(view.depth_m, CAMERA)
    floor, ceiling = (view.labels == class_id(name) for name in ("floor", "ceiling"))
    assert floor.any() and ceiling.any()
    assert np.allclose(points[floor][:, 1], 1.5, atol=1e-5)
    assert np.allclose(points[ceiling][:, 1], -1.5, atol=1e-5)
    side = (view.labels == class_id("wall")) & (view.depth_m < 4.99)
    assert np.allclose(np.abs(points[side][:, 0]), 2, atol=1e-5)


def test_a_turned_camera_sees_the_same_room() -> None:
    """Points seen by two cameras, brought to the room, lie on the same faces."""
    room = box_room()
    for pose in (LEVEL, Pose.looking((1.0, 1.2, 0.5), yaw=0.3, pitch=0.2)):
        view = render(room, pose, CAMERA, (48, 64))
        in_room = unproject(view.depth_m, CAMERA) @ pose.rotation.T + pose.position
        floor = view.labels == class_id("floor")
        assert floor.any() and np.allclose(in_room[floor][:, 1], 3, atol=1e-5)
        assert in_room.min() > -1e-5 and (in_room < room.high[0] + 1e-5).all()


def test_looking_down_means_the_floor_comes_up() -> None:
    level = render(box_room(), LEVEL, CAMERA, (48, 64)).labels
    down = render(box_room(), Pose.looking((2.0, 1.5, 1.0), pitch=0.3), CAMERA, (48, 64)).labels
    assert (down == class_id("floor")).sum() > (level == class_id("floor")).sum()
    assert (down == class_id("ceiling")).sum() < (level == class_id("ceiling")).sum()


def test_a_number_decides_the_room() -> None:
    rooms = MadeRooms(3, size=(48, 64))
    first, again, other = (rooms.read(id_) for id_ in ("000000", "000000", "000001"))
    assert np.array_equal(first.image, again.image) and np.array_equal(first.depth_m, again.depth_m)
    assert not np.array_equal(first.depth_m, other.depth_m)


def test_rooms_are_furnished_and_textured() -> None:
    rooms = MadeRooms(6, size=(48, 64))
    samples = [rooms.read(id_) for id_ in rooms.ids("all")]
    classes = set(np.concatenate([np.unique(s.labels) for s in samples if s.labels is not None]))
    assert {class_id(name) for name in ("floor", "wall")} < classes and len(classes) >= 6
    for sample in samples:
        assert sample.depth_m.min() > 0 and sample.depth_m.max() < 12
        assert sample.image.std() > 10


def test_boxes_are_boxes() -> None:
    for seed in range(20):
        room = random_room(np.random.default_rng(seed))
        assert (room.low < room.high).all()
