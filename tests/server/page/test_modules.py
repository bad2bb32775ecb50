"""The page's pure modules give what numpy and the server's own code give; node runs them."""

import io
import json
import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fathom.codecs.colour import colourise, palette
from fathom.errors import Code, FathomError
from fathom.values import ColourMap, Colours
from server.doors.problem import ProblemResponse
from tests.server.page.conftest import NODE, Run

TURBO_FIT = 2  # steps of 255 that lines between every fifth entry are off by at most

pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")

PARSE = """
    import { parseNpy } from "./npy.js";
    const { values, height, width } = parseNpy(file("a"));
    const out = { values: [...values], height, width };
"""


def npy(array: NDArray[Any], version: tuple[int, int] = (1, 0)) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, version=version)
    return buffer.getvalue()


def hand_made(header: str, payload: bytes, major: int = 1) -> bytes:
    size_bytes = 2 if major == 1 else 4
    text = header.encode()
    return (
        b"\x93NUMPY" + bytes([major, 0]) + len(text).to_bytes(size_bytes, "little") + text + payload
    )


@pytest.mark.parametrize("major", [1, 2])
@pytest.mark.parametrize("kind", ["<f4", "<f8"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 4), (4, 3), (0, 5)])
def test_reads_what_numpy_wrote(run: Run, major: int, kind: str, shape: tuple[int, int]) -> None:
    depth_m = np.linspace(0.25, 12, shape[0] * shape[1]).reshape(shape).astype(kind)
    got = run(PARSE, a=npy(depth_m, (major, 0)))
    assert (got["height"], got["width"]) == shape
    expected = depth_m.astype(np.float32).ravel()
    assert np.array_equal(np.array(got["values"], np.float32), expected)


def test_no_answer_stays_no_answer(run: Run) -> None:
    got = run(PARSE, a=npy(np.array([[1.5, np.nan]], np.float32)))
    assert got["values"] == [1.5, None]  # JSON has no NaN


def test_reads_a_header_in_any_order_at_any_alignment(run: Run) -> None:
    header = '{"shape":(1,2),"fortran_order":False,"descr":"<f4"}  \n'
    for padding in range(4):
        payload = np.array([1, 2], "<f4").tobytes()
        got = run(PARSE, a=hand_made(header + " " * padding, payload, major=3))
        assert got == {"values": [1, 2], "height": 1, "width": 2}


def test_anything_else_is_a_problem_with_a_repair(run: Run) -> None:
    """Every cut of a good file and every wrong header; no other exception comes out."""
    good = npy(np.ones((2, 3), np.float32))
    row = np.ones(4, np.float32)
    wrong = [
        *(good[:cut] for cut in range(len(good))),
        good + b"\0",
        npy(row),
        npy(np.ones((2, 2, 1), np.float32)),
        npy(np.asfortranarray(np.ones((2, 3), np.float32))),
        npy(np.ones((2, 2), ">f4")),
        npy(np.ones((2, 2), np.uint16)),
        hand_made("{'descr': '<f4'}", row.tobytes()),
        good[:6] + b"\x09" + good[7:],
        b'{"title": "not an array at all"}',
    ]
    script = """
        import { parseNpy } from "./npy.js";
        import { Problem } from "./problem.js";
        const whole = file("all");
        const out = JSON.parse(new TextDecoder().decode(file("sizes"))).map(([at, length]) => {
          try { parseNpy(whole.slice(at, at + length)); return "read"; } catch (error) {
            if (!(error instanceof Problem)) return String(error);
            return error.expected && error.got && error.repair ? error.code : "says too little";
          }
        });
    """
    starts = np.cumsum([0, *map(len, wrong)])[:-1].tolist()
    sizes = json.dumps(list(zip(starts, map(len, wrong), strict=True)))
    assert set(run(script, all=b"".join(wrong), sizes=sizes.encode())) == {"bad_npy"}


def test_the_palette_is_the_servers(run: Run) -> None:
    got = np.array(run('import { PALETTE } from "./palette.js"; const out = PALETTE;'))
    apart = np.abs(got - palette(ColourMap.TURBO).astype(int))
    assert apart.max() <= TURBO_FIT
    assert apart.mean() < 0.5


def test_paints_as_the_server_does(run: Run) -> None:
    depth_m = np.array([[0, 0.5, 0.51, 2, 3.3, 5.99, 6, 40, np.nan]], np.float32)
    script = """
        import { paint } from "./palette.js";
        import { parseNpy } from "./npy.js";
        const pixels = new Uint32Array(9);
        paint(parseNpy(file("a")).values, 0.5, 6, pixels);
        const out = [...new Uint8Array(pixels.buffer)];
    """
    rgba = np.array(run(script, a=npy(depth_m))).reshape(-1, 4)
    assert rgba[:, 3].tolist() == [255] * 8 + [0]  # no answer is see-through, not black
    assert not rgba[-1].any()
    expected = colourise(depth_m, Colours(near_m=0.5, far_m=6))[0].astype(int)
    assert np.abs(rgba[:-1, :3] - expected[:-1]).max() <= TURBO_FIT


def test_answers_at_a_point_and_counts(run: Run) -> None:
    depth_m = np.array([[1, 2, 3], [4, np.nan, 60]], np.float32)
    script = """
        import { DepthMap } from "./depth.js";
        import { parseNpy } from "./npy.js";
        const map = new DepthMap(parseNpy(file("a")));
        const out = {
          at: [[0, 0], [0.34, 0], [1, 0], [0, 1], [0.5, 0.9], [1, 1], [-3, 9]]
            .map(([u, v]) => map.at(u, v)),
          missing: map.missing,
          quantiles: [0, 0.5, 1].map((q) => map.quantile(q)),
          counts: [...map.histogram(6, 6)],
        };
    """
    got = run(script, a=npy(depth_m))
    assert got["at"] == [1, 2, 3, 4, None, 60, 4]
    assert got["missing"] == pytest.approx(1 / 6)
    assert got["quantiles"] == [1, 3, 60]
    assert got["counts"] == [0, 1, 1, 1, 1, 1]  # what lies beyond the axis is in the last bin


def test_a_map_without_an_answer_is_no_error(run: Run) -> None:
    script = """
        import { DepthMap } from "./depth.js";
        const map = new DepthMap({ values: new Float32Array([NaN, NaN]), height: 1, width: 2 });
        const out = [map.missing, Number.isNaN(map.quantile(0.5)), ...map.histogram(6, 2)];
    """
    assert run(script) == [1, True, 0, 0]


@pytest.mark.parametrize("hfov_deg", [20.0, 62.7, 120.0])
def test_field_of_view_undoes_the_focal_length(run: Run, hfov_deg: float) -> None:
    focal_px = 640 / 2 / math.tan(math.radians(hfov_deg) / 2)
    script = f'import {{ hfovDeg }} from "./depth.js"; const out = hfovDeg({focal_px}, 640);'
    assert run(script) == pytest.approx(hfov_deg)


def test_the_axis_has_few_whole_ticks(run: Run) -> None:
    script = """
        import { axis } from "./depth.js";
        const out = [0, 0.3, 7, 12.1, 80, 3000].map((maxM) => ({ maxM, ...axis(maxM) }));
    """
    for row in run(script):
        assert row["endM"] >= max(2, row["maxM"])
        assert row["endM"] / row["everyM"] <= 30


def test_stage_times_are_read_in_order(run: Run) -> None:
    header = 'wait;dur=0.1, decode;dur=0.9, infer;desc="a b";dur=4.4, cache, finish;dur=x'
    script = f"""
        import {{ parseServerTiming }} from "./api.js";
        const out = [parseServerTiming({json.dumps(header)}), parseServerTiming("")];
    """
    named = [("wait", 0.1), ("decode", 0.9), ("infer", 4.4)]
    assert run(script) == [[{"name": name, "ms": ms} for name, ms in named], []]


def test_asks_with_what_is_chosen_and_reads_the_headers(run: Run) -> None:
    script = """
        import { fetchDepth } from "./api.js";
        const asked = [];
        globalThis.fetch = async (path, init) => {
          asked.push(path, init.method, init.headers["Content-Type"]);
          return new Response(file("a"), { headers: {
            "Fathom-Model": "small", "Fathom-Model-Version": "3", "Fathom-Focal-Px": "262.5",
            "Fathom-Focal-Source": "given", "Server-Timing": "infer;dur=4.4" } });
        };
        const image = new Blob(["x"], { type: "image/webp" });
        const got = await fetchDepth(image, { model: "small", hfov: "", size: "source" });
        const out = { asked, ...got, map: got.map.width, thereAndBackMs: got.thereAndBackMs >= 0 };
    """
    assert run(script, a=npy(np.ones((2, 3), np.float32))) == {
        "asked": ["predict?format=npy&model=small&size=source", "POST", "image/webp"],
        "map": 3,
        "model": "small",
        "version": "3",
        "focalPx": 262.5,
        "focalSource": "given",
        "stages": [{"name": "infer", "ms": 4.4}],
        "thereAndBackMs": True,
    }


@pytest.mark.parametrize(
    ("answer", "title", "retry"),
    [
        (
            'new Response(\'{"title":"Full","status":429,"code":"queue_full","expected":"e",'
            '"got":"g","repair":"r"}\','
            ' {status: 429, headers: {"Content-Type": "application/problem+json",'
            ' "Retry-After": "1"}})',
            "Full",
            True,
        ),
        (
            'new Response("<h1>", {status: 413, statusText: "Too Large"})',
            "The server refused",
            False,
        ),
        (
            'new Response("{", {status: 500, headers: {"Content-Type": "application/json"}})',
            "The server refused",
            False,
        ),
        ('Promise.reject(new TypeError("no route"))', "The server did not answer", True),
    ],
)
def test_every_refusal_says_expected_got_and_repair(
    run: Run, answer: str, title: str, *, retry: bool
) -> None:
    script = f"""
        import {{ fetchModels }} from "./api.js";
        globalThis.location = {{ origin: "here" }};
        globalThis.fetch = async () => {answer};
        const error = await fetchModels().catch((error) => error);
        const said = Boolean(error.expected && error.got && error.repair);
        const out = [error.title, error.mayRetry, said];
    """
    assert run(script) == [title, retry, True]


def test_reads_the_servers_own_problem_without_saying_anything_twice(run: Run) -> None:
    problem = ProblemResponse(
        FathomError(Code.QUEUE_FULL, expected="room", got="64 waiting", repair="try later")
    )
    headers = json.dumps(dict(problem.headers))
    script = f"""
        import {{ fetchModels }} from "./api.js";
        globalThis.fetch = async () =>
          new Response(file("a"), {{ status: {problem.status_code}, headers: {headers} }});
        const out = await fetchModels().catch((error) => ({{ ...error }}));
    """
    got = run(script, a=bytes(problem.body))
    assert {name: got[name] for name in ("code", "expected", "got", "repair", "mayRetry")} == {
        "code": "queue_full",
        "expected": "room",
        "got": "64 waiting",
        "repair": "try later",
        "mayRetry": True,
    }
    assert got["detail"] == ""
