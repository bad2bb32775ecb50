"""Classes on the page: asked for where a model has some, painted in the card's colours."""

import json

import numpy as np
import pytest

from fathom.codecs.depth import encode_depth
from fathom.codecs.labels import encode_labels
from fathom.geometry import Intrinsics
from fathom.values import DepthEncoding, EncodedDepth, Image, ImageEncoding, LabelEncoding
from server.doors.formats import FORMS, Format
from tests.server.page.conftest import NODE, Run

pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")

COLOURS = ["#000000", "#1f77b4", "#ff7f0e"]
LABELS = np.array([[1, 1, 2], [0, 2, 1]], np.uint8)
DEPTH_M = np.array([[0.5, 1.25, np.nan], [65.0, 2.0, 0.001]], np.float32)


def test_ids_are_painted_in_the_cards_colours_and_no_class_is_see_through(run: Run) -> None:
    script = f"""
        import {{ pack, paintClasses }} from "./classes.js";
        const pixels = new Uint32Array(4);
        paintClasses(Uint8Array.of(0, 1, 2, 9), pack({json.dumps(COLOURS)}), pixels);
        const out = [...new Uint8Array(pixels.buffer)];
    """
    rgba = np.array(run(script)).reshape(4, 4).tolist()
    assert rgba == [[0] * 4, [0x1F, 0x77, 0xB4, 255], [0xFF, 0x7F, 0x0E, 255], [0] * 4]


def test_shares_are_of_the_whole_picture_largest_first(run: Run) -> None:
    script = """
        import { shares } from "./classes.js";
        const out = shares(Uint8Array.of(0, 3, 3, 12, 3, 12, 0, 0));
    """
    assert run(script) == [{"id": 3, "share": 3 / 8}, {"id": 12, "share": 2 / 8}]


def test_the_class_at_a_point_is_that_of_the_metres_there(run: Run) -> None:
    script = """
        import { DepthMap } from "./depth.js";
        const map = { values: Float32Array.of(1, 2, 3, 4), height: 2, width: 2 };
        const labels = Uint8Array.of(5, 6, 7, 8);
        const [one, none] = [new DepthMap({ ...map, labels }), new DepthMap(map)];
        const out = [one.classAt(0.9, 0.1), one.at(0.9, 0.1), none.classAt(0, 0) === undefined];
    """
    assert run(script) == [6, 2, True]


def test_a_photo_is_asked_about_with_classes_and_the_answer_is_read(run: Run) -> None:
    answer = EncodedDepth(
        seq=0,
        encoding=DepthEncoding.U16_MM,
        width_px=3,
        height_px=2,
        data=bytes(encode_depth(DEPTH_M, DepthEncoding.U16_MM)),
        camera=Intrinsics.centred(1.0, (2, 3)),
        focal_given=False,
        model="ramp",
        version=3,
        labels=encode_labels(LABELS, LabelEncoding.RAW8),
        label_encoding=LabelEncoding.RAW8,
    )
    picture = Image(encoding=ImageEncoding.JPEG, data=b"")
    script = """
        import { fetchDepth } from "./api.js";
        let path;
        globalThis.fetch = async (given) => { path = given; return new Response(file("a")); };
        const { map } = await fetchDepth(new Blob(["x"]), { model: "ramp", labels: true });
        const { values, labels, width, height } = map;
        const out = { path, values: [...values], labels: [...labels], width, height };
    """
    got = run(script, a=FORMS[Format.JSON].write(answer, picture))
    assert got["path"] == "predict?format=json&labels=raw8&model=ramp"
    assert (got["height"], got["width"]) == (2, 3)
    assert got["labels"] == LABELS.ravel().tolist()
    expected = [None if np.isnan(metres) else metres for metres in DEPTH_M.ravel().tolist()]
    assert got["values"] == pytest.approx(expected, abs=1e-6)
