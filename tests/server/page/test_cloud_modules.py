"""The point cloud's pure modules: where points lie, and where they are seen from."""

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fathom.geometry import Intrinsics, unproject
from tests.server.page.conftest import NODE, Run

pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")

CAMERA = Intrinsics(fx=5.0, fy=4.0, cx=1.25, cy=0.5)
DEPTH_M = np.array([[1, 2, 3, 0.5], [4, np.nan, 6, 7], [8, 9, 10, 0]], np.float32)
LENS = {"acrossX": 1.5, "acrossY": 2.0}

MAP = f"""
    import {{ coloursOf, lift, pick, centred }} from "./points.js";
    import {{ lensOf, Orbit }} from "./orbit.js";
    const map = {{
      values: new Float32Array(file("depth")), width: 4, height: 3,
      camera: {{ fx: {CAMERA.fx}, fy: {CAMERA.fy}, cx: {CAMERA.cx}, cy: {CAMERA.cy} }},
    }};
    const plain = (orbit) => Object.assign(orbit, {{ yaw: 0, pitch: 0, away: 1 }});
"""


def play(run: Run, script: str) -> Any:  # whatever JSON holds
    return run(MAP + script, depth=DEPTH_M.tobytes())


def matrix_of(run: Run, script: str) -> NDArray[np.float64]:
    """The orbit's matrix as (4, 4), for columns of metres."""
    numbers: list[float] = play(run, f"{script} const out = [...orbit.matrix({json.dumps(LENS)})];")
    return np.array(numbers, np.float64).reshape(4, 4).T


def seen(matrix: NDArray[np.float64], point_m: tuple[float, float, float]) -> NDArray[np.float64]:
    clip = matrix @ np.array([*point_m, 1.0])
    return np.asarray(clip / clip[3])


def test_points_lie_where_the_server_puts_them(run: Run) -> None:
    got = play(run, "const { xyz, pixels } = lift(map); const out = [[...xyz], [...pixels]];")
    known = np.isfinite(DEPTH_M) & (DEPTH_M > 0)
    expected = unproject(DEPTH_M, CAMERA)[known]
    assert np.array(got[0]).reshape(-1, 3) == pytest.approx(expected, abs=1e-5)
    assert got[1] == np.flatnonzero(known).tolist()


def test_a_large_map_is_thinned_evenly(run: Run) -> None:
    got = play(
        run,
        "const { pixels, count, stride } = lift(map, 4); const out = [[...pixels], count, stride];",
    )
    assert got == [[0, 2, 8, 10], 4, 2]


def test_points_have_the_colours_of_their_pixels(run: Run) -> None:
    script = "const painted = Uint32Array.from({ length: 12 }, (_, i) => 100 + i);"
    got = play(run, script + "const out = [...coloursOf(lift(map, 4), painted)];")
    assert got == [100, 102, 108, 110]


def test_a_camera_of_which_the_focal_length_is_known_looks_through_the_middle(run: Run) -> None:
    camera = Intrinsics.centred(2.5, (3, 4))
    expected = {"fx": camera.fx, "fy": camera.fy, "cx": camera.cx, "cy": camera.cy}
    assert play(run, "const out = centred(2.5, map);") == expected


def test_unturned_it_sees_what_the_camera_saw(run: Run) -> None:
    """A pinhole: a point is seen x / z right and -y / z up, times the lens."""
    matrix = matrix_of(run, "const orbit = new Orbit(); orbit.look(2.5); plain(orbit);")
    for x, y, z in ((0.0, 0.0, 2.5), (0.4, -0.3, 1.0), (-1.0, 2.0, 8.0)):
        at = seen(matrix, (x, y, z))
        assert at[:2] == pytest.approx([1.5 * x / z, -2.0 * y / z], abs=1e-6)
        assert -1 < at[2] < 1


def test_it_turns_round_the_middle_which_stays(run: Run) -> None:
    script = "const orbit = new Orbit(); orbit.look(2.5); plain(orbit); orbit.turn({}, {});"
    for yaw, pitch in ((0.5, 0.0), (0.0, 0.5), (-2.0, 1.0)):
        matrix = matrix_of(run, script.format(yaw, pitch))
        assert seen(matrix, (0, 0, 2.5))[:2] == pytest.approx([0, 0], abs=1e-6)
    # From the right one sees what is near to the left of what is far, from above below it.
    right, above = (matrix_of(run, script.format(*turn)) for turn in ((0.5, 0), (0, 0.5)))
    assert seen(right, (0, 0, 2.0))[0] < 0 < seen(right, (0, 0, 3.0))[0]
    assert seen(above, (0, 0, 2.0))[1] < 0 < seen(above, (0, 0, 3.0))[1]


def test_turns_and_zooms_are_bounded_and_a_reset_undoes_them(run: Run) -> None:
    got = play(
        run,
        """
        const orbit = new Orbit();
        orbit.look(2);
        const start = { ...orbit };
        const out = [];
        for (let i = 0; i < 100; i += 1) { orbit.turn(0.3, 0.2); orbit.zoom(1.5); }
        out.push([orbit.pitch < Math.PI / 2, orbit.away > 0]);
        for (let i = 0; i < 100; i += 1) { orbit.turn(0.3, -0.2); orbit.zoom(0.5); }
        out.push([orbit.pitch > -Math.PI / 2, orbit.away < 10]);
        orbit.reset();
        out.push(JSON.stringify(orbit) === JSON.stringify(start));
        """,
    )
    assert got == [[True, True], [True, True], True]


@pytest.mark.parametrize("aspect", [0.5, 4 / 3, 3.0])
def test_all_that_the_camera_saw_fits_the_canvas(run: Run, aspect: float) -> None:
    lens = play(run, f"const out = lensOf(map, {aspect});")
    edge = np.array([4 / 2 / CAMERA.fx * lens["acrossX"], 3 / 2 / CAMERA.fy * lens["acrossY"]])
    assert edge.max() == pytest.approx(1)
    assert lens["acrossY"] / lens["acrossX"] == pytest.approx(aspect)  # nothing is stretched


def test_what_is_pointed_at_is_the_nearest_point_there(run: Run) -> None:
    got = play(
        run,
        """
        const orbit = new Orbit();
        orbit.look(1);
        const matrix = plain(orbit).matrix({ acrossX: 1, acrossY: 1 });
        const near = { nearX: 0.05, nearY: 0.05 };
        const points = {
          xyz: Float32Array.of(0, 0, 4, 0, 0, 2, 1, 0, 2, 0, 0, -1),
          pixels: [7, 8, 9, 10],
          count: 4,
        };
        const at = (x, y) => pick(points, matrix, { x, y, ...near }) ?? null;
        const out = [at(0.01, 0), at(0.5, 0.04), at(-0.5, 0)];
        """,
    )
    assert got == [8, 9, None]
