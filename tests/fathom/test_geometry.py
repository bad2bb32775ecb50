import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.errors import Code, FathomError
from fathom.geometry import (
    PAD_RGB,
    FieldOfView,
    FocalLength,
    Intrinsics,
    Letterbox,
    Size,
    focal_correction,
    resize_image,
    resize_map,
    unproject,
)

few = settings(deadline=None, max_examples=50)
sides = st.integers(1, 3000)
sizes = st.tuples(sides, sides)
small_sizes = st.tuples(st.integers(1, 60), st.integers(1, 60))
pixels = st.floats(-100, 5000)
focals = st.floats(1, 5000)
cameras = st.builds(Intrinsics, focals, focals, pixels, pixels)


def box_vga() -> Letterbox:
    return Letterbox((480, 640), (256, 320))


# Letterbox


def test_a_vga_picture_meets_the_network_at_exactly_one_half() -> None:
    box = box_vga()
    assert box.content_size == (240, 320)
    assert box.origin == (8, 0)
    assert box.content == (slice(8, 248), slice(0, 320))
    assert box.scale == (0.5, 0.5)


def test_the_middle_of_four_source_pixels_is_one_network_pixel() -> None:
    # Halving merges pixels 0 and 1, whose common centre is 0.5: pixel 0, below 8 rows of padding.
    assert box_vga().to_network(0.5, 0.5) == (0.0, 8.0)
    assert box_vga().to_network(638.5, 478.5) == (319.0, 247.0)


def test_a_portrait_picture_is_padded_at_the_sides() -> None:
    box = Letterbox((640, 480), (256, 320))
    assert box.content_size == (256, 192)
    assert box.origin == (0, 64)


@few
@given(sizes, sizes)
def test_the_picture_lies_inside_the_network_input(source: Size, network: Size) -> None:
    box = Letterbox(source, network)
    rows, cols = box.content
    assert 0 <= rows.start < rows.stop <= network[0]
    assert 0 <= cols.start < cols.stop <= network[1]
    assert box.content_size[0] == network[0] or box.content_size[1] == network[1]


@few
@given(sizes, sizes)
def test_the_padding_is_the_same_on_both_sides_within_a_pixel(source: Size, network: Size) -> None:
    box = Letterbox(source, network)
    for strip, side in zip(box.content, network, strict=True):
        assert 0 <= (side - strip.stop) - strip.start <= 1


@few
@given(sizes, sizes, pixels, pixels)
def test_to_network_and_back_is_where_one_was(
    source: Size, network: Size, x_px: float, y_px: float
) -> None:
    box = Letterbox(source, network)
    assert box.to_source(*box.to_network(x_px, y_px)) == pytest.approx((x_px, y_px), abs=1e-6)


@few
@given(small_sizes, small_sizes)
def test_the_corners_of_the_picture_are_the_corners_of_the_content(
    source: Size, network: Size
) -> None:
    # Corners of pixels, half a pixel outside the centres of the first and the last one.
    box = Letterbox(source, network)
    rows, cols = box.content
    first = box.to_network(-0.5, -0.5)
    last = box.to_network(source[1] - 0.5, source[0] - 0.5)
    assert first == pytest.approx((cols.start - 0.5, rows.start - 0.5))
    assert last == pytest.approx((cols.stop - 0.5, rows.stop - 0.5))


@few
@given(small_sizes, small_sizes)
def test_embed_writes_every_pixel_and_pads_with_the_mean(source: Size, network: Size) -> None:
    box = Letterbox(source, network)
    out = np.full((*network, 3), 77, np.uint8)
    assert box.embed(np.full((*source, 3), 200, np.uint8), out) is out
    outside = np.ones(network, bool)
    outside[box.content] = False
    assert (out[box.content] == 200).all()
    assert (out[outside] == PAD_RGB).all()


def test_embed_takes_a_picture_of_the_content_s_size_as_it_is() -> None:
    content = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    assert np.array_equal(box_vga().embed(content)[8:248], content)


def test_pad_leaves_the_picture_alone() -> None:
    out = np.full((256, 320, 3), 77, np.uint8)
    box_vga().pad(out)
    assert (out[8:248] == 77).all()
    assert (out[:8] == PAD_RGB).all()
    assert (out[248:] == PAD_RGB).all()


@few
@given(small_sizes, small_sizes, small_sizes)
def test_extract_gives_the_picture_s_part_at_the_size_asked_for(
    source: Size, network: Size, output: Size
) -> None:
    box = Letterbox(source, network)
    network_map = np.full(network, np.nan, np.float32)
    network_map[box.content] = 3.0
    labels = np.full(network, 9, np.uint8)
    labels[box.content] = 4
    assert box.extract(network_map).shape == box.content_size
    assert box.extract_labels(labels).shape == box.content_size
    assert box.extract(network_map, output).shape == output
    # No padding, NaN here, has bled in.
    assert np.allclose(box.extract(network_map, output), 3.0)
    assert (box.extract_labels(labels, output) == 4).all()


def test_extract_puts_a_ramp_where_the_pixels_are() -> None:
    # Every network pixel holds its own x; in the answer each source pixel then holds to_network(x).
    box = box_vga()
    ramp = np.tile(np.arange(320, dtype=np.float32), (256, 1))
    answer = box.extract(ramp, (480, 640))
    for x_px in (1, 100, 638):
        assert answer[240, x_px] == pytest.approx(box.to_network(x_px, 240)[0], abs=1e-3)


def test_labels_are_never_mixed() -> None:
    labels = np.zeros((256, 320), np.uint8)
    labels[:, 160:] = 200
    assert set(np.unique(box_vga().extract_labels(labels, (777, 1001)))) == {0, 200}


@pytest.mark.parametrize("source", [(0, 0), (0, 5), (5, 0), (-1, 5)])
def test_a_picture_without_pixels_is_refused(source: Size) -> None:
    with pytest.raises(FathomError) as error:
        Letterbox(source, (256, 320))
    assert error.value.code is Code.BAD_IMAGE


# Resizing


def test_shrinking_averages_areas() -> None:
    image = np.array([[0, 100], [200, 100]], np.uint8)[:, :, None].repeat(3, axis=2)
    assert resize_image(image, (1, 1)).tolist() == [[[100, 100, 100]]]


def test_growing_keeps_pixel_centres() -> None:
    # Doubling puts centres at -0.25, 0.25, 0.75, 1.25 of the old picture; the ends are clamped.
    grown = resize_map(np.array([[0, 8]], np.float32), (1, 4))
    assert grown.tolist() == [[0.0, 2.0, 6.0, 8.0]]


# Cameras


@pytest.mark.parametrize(
    "numbers",
    [(0, 1, 0, 0), (1, 0, 0, 0), (-1, 1, 0, 0), (math.nan, 1, 0, 0), (1, 1, math.inf, 0)],
)
def test_a_camera_has_a_focal_length(numbers: tuple[float, float, float, float]) -> None:
    with pytest.raises(FathomError) as error:
        Intrinsics(*numbers)
    assert error.value.code is Code.BAD_OPTION


@few
@given(cameras, small_sizes, small_sizes)
def test_resized_there_and_back_is_the_same_camera(
    camera: Intrinsics, old: Size, new: Size
) -> None:
    back = camera.resized(old, new).resized(new, old)
    assert (back.fx, back.fy) == pytest.approx((camera.fx, camera.fy))
    assert (back.cx, back.cy) == pytest.approx((camera.cx, camera.cy), abs=1e-6)


def test_resized_by_hand() -> None:
    half = Intrinsics(600.0, 500.0, 319.5, 239.5).resized((480, 640), (240, 320))
    assert half == Intrinsics(300.0, 250.0, 159.5, 119.5)


@few
@given(focals, small_sizes, small_sizes)
def test_a_centred_camera_stays_centred(focal_px: float, old: Size, new: Size) -> None:
    resized = Intrinsics.centred(focal_px, old).resized(old, new)
    assert (resized.cx, resized.cy) == pytest.approx(((new[1] - 1) / 2, (new[0] - 1) / 2))


@few
@given(st.floats(1, 179), small_sizes)
def test_a_field_of_view_spans_the_picture_from_edge_to_edge(hfov_deg: float, size: Size) -> None:
    camera = FieldOfView(hfov_deg).for_size(size)
    left = math.atan((-0.5 - camera.cx) / camera.fx)
    right = math.atan((size[1] - 0.5 - camera.cx) / camera.fx)
    assert math.degrees(right - left) == pytest.approx(hfov_deg)


@few
@given(st.floats(), st.sampled_from([FieldOfView, FocalLength]))
def test_any_number_gives_a_camera_or_bad_option_before_a_picture_comes(
    number: float, kind: type[FieldOfView | FocalLength]
) -> None:
    try:
        camera = kind(number)
    except FathomError as error:
        if error.code is not Code.BAD_OPTION:
            raise
    else:
        camera.for_size((480, 640))


@pytest.mark.parametrize("hfov_deg", [0.0, 5e-324, -60.0, 180.0, math.nan, math.inf])
def test_no_camera_sees_nothing_or_behind_itself(hfov_deg: float) -> None:
    with pytest.raises(FathomError) as error:
        FieldOfView(hfov_deg)
    assert error.value.code is Code.BAD_OPTION


def test_every_kind_of_camera_is_one_camera_once_the_size_is_known() -> None:
    known = Intrinsics(400.0, 410.0, 300.0, 200.0)
    assert known.for_size((480, 640)) == known
    assert FocalLength(320.0).for_size((480, 640)) == Intrinsics(320.0, 320.0, 319.5, 239.5)
    # 90 degrees: the focal length is half the width.
    assert FieldOfView(90.0).for_size((480, 640)).fx == pytest.approx(320.0)


def test_focal_correction_by_hand() -> None:
    # 900 px at 640 wide are 450 px at the network's 320; the network learned with 300 px.
    camera = Intrinsics(900.0, 900.0, 319.5, 239.5)
    assert focal_correction(camera, box_vga(), 300.0) == pytest.approx(1.5)


def test_the_network_s_own_camera_needs_no_correction() -> None:
    camera = Intrinsics(600.0, 600.0, 319.5, 239.5)
    assert focal_correction(camera, box_vga(), 300.0) == pytest.approx(1.0)


# Unprojection


def test_a_wall_straight_ahead_is_flat_and_as_wide_as_similar_triangles_say() -> None:
    camera = Intrinsics(4.0, 2.0, 1.0, 0.5)
    points = unproject(np.full((2, 3), 8.0, np.float32), camera)
    assert points.dtype == np.float32
    # x = (column - 1) * 8 / 4, y = (row - 0.5) * 8 / 2
    assert points.tolist() == [
        [[-2.0, -2.0, 8.0], [0.0, -2.0, 8.0], [2.0, -2.0, 8.0]],
        [[-2.0, 2.0, 8.0], [0.0, 2.0, 8.0], [2.0, 2.0, 8.0]],
    ]


@few
@given(st.floats(-0.3, 0.3), st.floats(-0.3, 0.3), st.floats(1, 5))
def test_a_tilted_plane_is_a_plane(slope_x: float, slope_y: float, offset_m: float) -> None:
    # z = a x + b y + c along the ray (u, v, 1) is z = c / (1 - a u - b v).
    camera = Intrinsics(20.0, 25.0, 7.0, 5.0)
    u = (np.arange(16) - 7.0) / 20.0
    v = (np.arange(12)[:, None] - 5.0) / 25.0
    depth_m = (offset_m / (1 - slope_x * u - slope_y * v)).astype(np.float32)
    x_m, y_m, z_m = np.moveaxis(unproject(depth_m, camera), -1, 0)
    assert np.allclose(z_m, slope_x * x_m + slope_y * y_m + offset_m, atol=1e-4)


@few
@given(cameras, st.floats(0.5, 50))
def test_projecting_the_points_gives_the_pixels_again(camera: Intrinsics, depth_m: float) -> None:
    points = unproject(np.full((3, 4), depth_m, np.float32), camera).reshape(-1, 3)
    camera_matrix = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
    zero = np.zeros(3)
    projected, _ = cv2.projectPoints(points.astype(np.float64), zero, zero, camera_matrix, None)
    rows, cols = np.mgrid[0:3, 0:4]
    wanted = np.stack([cols.ravel(), rows.ravel()], axis=1)
    assert np.allclose(np.asarray(projected).reshape(-1, 2), wanted, atol=0.02)


def test_no_answer_stays_no_answer() -> None:
    points = unproject(np.array([[np.nan, 1.0]], np.float32), Intrinsics(1, 1, 0, 0))
    assert np.isnan(points[0, 0]).all()
    assert np.isfinite(points[0, 1]).all()
