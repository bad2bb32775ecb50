import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fathom.codecs.colour import colourise, encode_jpeg, palette
from fathom.codecs.depth import encode_depth
from fathom.values import ColourMap, Colours, DepthEncoding

GREY = Colours(map=ColourMap.GREY, near_m=1.0, far_m=3.0)


def test_grey_by_hand() -> None:
    # Nearness goes from 1 at near to 0 at far; beyond either it stays; steps are cut, not rounded.
    depth_m = np.array([[0.5, 1.0, 1.5, 2.0, 3.0, 9.0]], np.float32)
    painted = colourise(depth_m, GREY)
    assert painted[0, :, 0].tolist() == [255, 255, 191, 127, 0, 0]
    assert (painted == painted[:, :, :1]).all()


@pytest.mark.parametrize("colour_map", ColourMap)
def test_no_answer_is_black(colour_map: ColourMap) -> None:
    painted = colourise(np.array([[np.nan, 1.0]], np.float32), Colours(map=colour_map))
    assert painted[0, 0].tolist() == [0, 0, 0]
    assert painted[0, 1].any()


@pytest.mark.parametrize("colour_map", ColourMap)
def test_the_nearest_and_the_farthest_have_the_palette_s_ends(colour_map: ColourMap) -> None:
    colours = Colours(map=colour_map, near_m=0.5, far_m=6.0)
    painted = colourise(np.array([[0.5, 6.0]], np.float32), colours)
    assert np.array_equal(painted[0, 0], palette(colour_map)[255])
    assert np.array_equal(painted[0, 1], palette(colour_map)[0])


def test_near_is_warm_and_far_is_cold() -> None:
    near, far = colourise(np.array([[1.0, 5.0]], np.float32), Colours())[0].astype(int)
    assert near[0] > near[2]
    assert far[2] > far[0]


@pytest.mark.parametrize("colour_map", ColourMap)
def test_a_palette_has_256_different_colours_in_rgb(colour_map: ColourMap) -> None:
    colours = palette(colour_map)
    assert colours.shape == (256, 3)
    assert colours.dtype == np.uint8
    assert len(np.unique(colours, axis=0)) > 250


@settings(deadline=None, max_examples=50)
@given(st.floats(0, 70, width=32), st.floats(0, 70, width=32))
def test_what_is_nearer_is_never_darker(one_m: float, other_m: float) -> None:
    near, far = sorted((one_m, other_m))
    painted = colourise(np.array([[near, far]], np.float32), GREY)[0, :, 0]
    assert painted[0] >= painted[1]


def test_the_jpeg_shows_the_same_colours_to_another_decoder() -> None:
    depth_m = np.repeat(np.linspace(0.5, 6, 64, dtype=np.float32)[None], 32, axis=0)
    data = encode_depth(depth_m, DepthEncoding.JPEG_COLOUR, Colours())
    shown = np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB))
    assert np.abs(shown - colourise(depth_m, Colours()).astype(int)).mean() < 5


def test_a_mirrored_view_can_be_encoded() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    assert encode_jpeg(picture[:, ::-1]) == encode_jpeg(picture[:, ::-1].copy())
