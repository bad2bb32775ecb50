"""The HTTP door, every form read back by somebody else's reader."""

import base64
import io
import json
import re
from dataclasses import replace
from urllib.parse import urljoin

import cv2
import httpx
import numpy as np
import plyfile
import pytest
from prometheus_client.parser import text_string_to_metric_families

from fathom import metrics
from fathom.errors import STATUS, Code
from fathom.geometry import RGB, resize_map
from fathom.values import Image, OpenStream, Policy
from server.doors.formats import FORMS, Format
from server.engines.engine import EngineFault
from server.keeper import Reloaded
from tests.server.conftest import (
    CARD,
    Inbox,
    broken,
    frame,
    jpeg,
    plain,
    png,
    ramp,
    total,
)
from tests.server.doors.conftest import LIMITS, House, Web

PHOTO = jpeg(plain()).data
SIZE = (48, 64)
DEPTH_M = resize_map(ramp(), SIZE)
DEPTH_MM = np.rint(DEPTH_M * 1000).astype(np.uint16)


def problem(response: httpx.Response, code: Code) -> dict[str, object]:
    """An error as RFC 9457 wants it, with the table's status and all that a person needs."""
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, object] = response.json()
    assert body["code"] == code
    assert response.status_code == body["status"] == STATUS[code].http
    assert body["type"] == f"urn:fathom:error:{code}" and body["title"]
    for part in ("expected", "got", "repair"):
        assert body[part] and str(body[part]) in str(body["detail"])
    assert ("retry-after" in response.headers) is STATUS[code].retry
    return body


def test_png16_is_millimetres_at_the_photos_size(web: Web) -> None:
    response = web.predict(PHOTO)
    assert response.headers["content-type"] == "image/png"
    pixels = cv2.imdecode(np.frombuffer(response.content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert pixels is not None and pixels.dtype == np.uint16
    assert np.array_equal(pixels, DEPTH_MM)


def test_npy_is_metres(web: Web) -> None:
    response = web.predict(PHOTO, format="npy")
    depth_m = np.load(io.BytesIO(response.content), allow_pickle=False)
    assert depth_m.dtype == np.float32 and np.array_equal(depth_m, DEPTH_M)


def test_jpg_is_a_picture_in_the_colours_and_range_that_were_asked_for(web: Web) -> None:
    response = web.predict(PHOTO, format="jpg", colormap="grey", min=1, max=24)
    assert response.headers["content-type"] == "image/jpeg"
    pixels = cv2.imdecode(np.frombuffer(response.content, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert pixels is not None and pixels.shape == SIZE
    assert pixels[0].min() >= 250 and pixels[-1].max() <= 5
    coloured = web.predict(PHOTO, format="jpg")
    pixels = cv2.imdecode(np.frombuffer(coloured.content, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert pixels is not None and np.ptp(pixels.astype(int), axis=-1).max() > 50


def test_json_says_it_in_figures_and_carries_the_map(web: Web) -> None:
    body = web.predict(PHOTO, format="json").json()
    assert (body["model"], body["version"]) == ("ramp", 3)
    assert (body["width"], body["height"]) == (64, 48)
    assert body["camera"] == {"fx": 80, "fy": 80, "cx": 31.5, "cy": 23.5}
    assert body["focal_given"] is False and body["known_share"] == 1
    assert (body["nearest_m"], body["farthest_m"]) == (1, 24)
    assert body["median_m"] == pytest.approx(12.5)
    assert set(body["stages_ms"]) == set(metrics.STAGES)
    assert body["depth"]["encoding"] == "u16_mm" and body["labels"] is None
    data = base64.b64decode(body["depth"]["base64"])
    assert np.array_equal(np.frombuffer(data, "<u2").reshape(SIZE), DEPTH_MM)


def test_json_carries_the_labels_where_they_are_asked_for(web: Web) -> None:
    body = web.predict(PHOTO, format="json", labels="raw8").json()
    labels = np.frombuffer(base64.b64decode(body["labels"]["base64"]), np.uint8).reshape(SIZE)
    assert body["labels"]["encoding"] == "raw8"
    assert (labels[:, :32] == 1).all() and (labels[:, 32:] == 2).all()


def two_halves() -> tuple[RGB, Image]:
    pixels = plain()
    pixels[:, :32], pixels[:, 32:] = (255, 0, 0), (0, 0, 255)
    return pixels, png(pixels)


@pytest.mark.parametrize("size", ["source", "network"])
def test_ply_is_a_coloured_cloud_in_metres(web: Web, size: str) -> None:
    pixels, image = two_halves()
    response = web.predict(image.data, format="ply", size=size)
    cloud = plyfile.PlyData.read(io.BytesIO(response.content))["vertex"].data
    depth_m, step = (DEPTH_M, 1) if size == "source" else (ramp(), 2)
    height, width = depth_m.shape
    assert len(cloud) == depth_m.size
    focal_px = 80 / step
    x_ray = (np.arange(width) - (width - 1) / 2) / focal_px
    y_ray = (np.arange(height) - (height - 1) / 2) / focal_px
    for axis, values in {
        "x": depth_m * x_ray[None, :],
        "y": depth_m * y_ray[:, None],
        "z": depth_m,
    }.items():
        np.testing.assert_allclose(cloud[axis], values.ravel(), rtol=1e-5, atol=1e-5)
    colours = np.stack([cloud[name] for name in ("red", "green", "blue")], axis=-1)
    assert np.array_equal(colours.reshape(height, width, 3), pixels[::step, ::step])


def test_network_size_is_the_pictures_part_of_the_networks_map(web: Web) -> None:
    wide = web.predict(jpeg(plain((32, 64))).data, format="npy", size="network")
    depth_m = np.load(io.BytesIO(wide.content), allow_pickle=False)
    assert depth_m.shape == (16, 32) and depth_m[:, 0].tolist() == list(range(5, 21))


@pytest.mark.parametrize("format_", Format)
def test_every_answer_says_how_it_was_made(web: Web, format_: Format) -> None:
    response = web.predict(PHOTO, format=format_)
    assert response.status_code == 200
    headers = response.headers
    assert headers["content-type"] == FORMS[format_].media_type
    assert (headers["fathom-model"], headers["fathom-model-version"]) == ("ramp", "3")
    assert (headers["fathom-focal-px"], headers["fathom-focal-source"]) == ("80.000", "assumed")
    timing = dict(part.split(";dur=") for part in headers["server-timing"].split(", "))
    assert tuple(timing) == metrics.STAGES
    assert all(float(value) >= 0 for value in timing.values())


@pytest.mark.parametrize(
    ("query", "factor", "focal"), [({"fx": 160}, 2, "160.000"), ({"hfov": 90}, 0.4, "32.000")]
)
def test_a_camera_that_is_given_scales_the_metres_and_is_said(
    web: Web, query: dict[str, object], factor: float, focal: str
) -> None:
    response = web.predict(PHOTO, format="npy", **query)
    assert response.headers["fathom-focal-source"] == "given"
    assert response.headers["fathom-focal-px"] == focal
    depth_m = np.load(io.BytesIO(response.content), allow_pickle=False)
    np.testing.assert_allclose(depth_m, factor * DEPTH_M, rtol=1e-5)


def test_a_form_and_a_raw_body_are_the_same_question(web: Web) -> None:
    raw = web.predict(PHOTO).content
    form = web.ask("POST", "/predict", files={"image": ("a.jpg", PHOTO, "image/jpeg")})
    assert form.status_code == 200 and form.content == raw
    extra = {"image": ("a.jpg", PHOTO), "note": (None, "hello")}
    assert web.ask("POST", "/predict", files=extra).content == raw


def test_a_model_is_chosen_by_name(web: Web) -> None:
    assert web.predict(PHOTO, model="plain").headers["fathom-model"] == "plain"


def test_models_are_listed_with_what_they_are(web: Web) -> None:
    body = web.get("/models").json()
    first, second = body["models"]
    assert (first["name"], first["version"], first["focal_px"]) == ("ramp", 3, 40)
    assert first["input_size"] == [24, 32] and first["classes"] == list(CARD.classes)
    assert first["class_colours"] == list(CARD.class_colours) and second["class_colours"] == []
    assert first["figures"] == [] and second["outputs"] == ["depth_m"]
    assert (body["engine"], body["device"], body["precision"]) == ("scripted", "none", "f32")


def test_the_process_lives_even_when_it_cannot_answer(web: Web, house: House) -> None:
    assert web.get("/readyz").status_code == 200
    house.ready = False
    problem(web.get("/readyz"), Code.NOT_READY)
    assert web.get("/healthz").status_code == 200


def test_metrics_are_what_prometheus_reads(web: Web, house: House) -> None:
    web.predict(PHOTO)
    house.engine.hold()
    inbox = Inbox()
    stream = house.dispatch.open(OpenStream(policy=Policy.ALL), inbox)
    for seq in (1, 2, 3):
        house.dispatch.offer(stream, frame(seq))
    house.engine.wait_entered()  # the picture above
    house.engine.wait_entered()
    response = web.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }
    assert samples[metrics.FRAMES, "ramp", "answered", ""] == 1
    assert samples[metrics.STREAMS,] == 1
    assert samples[metrics.WAITING_FRAMES,] == 2
    house.engine.release()
    inbox.wait(3)


def test_the_api_description_is_whole(web: Web) -> None:
    api = web.get("/openapi.json").json()
    assert api["openapi"].startswith("3.")
    assert set(api["paths"]) == {
        *("/predict", "/models", "/models/reload", "/healthz", "/readyz", "/metrics")
    }
    predict = api["paths"]["/predict"]["post"]
    assert {parameter["name"] for parameter in predict["parameters"]} == {
        *("format", "model", "size", "colormap", "min", "max", "fx", "hfov", "labels")
    }
    assert {"multipart/form-data", "image/*"} == set(predict["requestBody"]["content"])
    assert set(predict["responses"]["200"]["content"]) >= {f.media_type for f in FORMS.values()}
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(api)):
        found = api
        for part in reference.split("/"):
            found = found[part]


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/"])
def test_a_page_loads_from_here_alone(web: Web, path: str) -> None:
    page = web.get(path)
    assert page.status_code == 200 and "<html" in page.text
    links = re.findall(r"(?:src|href)=[\"']([^\"']+)[\"']", page.text)
    assert links
    for link in links:
        assert not re.match(r"(?:https?:)?//", link), link
        assert web.get(urljoin(path, link)).status_code == 200, link


@pytest.mark.parametrize("path", ["/", "/page/main.js"])
def test_the_page_may_run_nothing_from_elsewhere(web: Web, path: str) -> None:
    headers = web.get(path).headers
    policy = dict(
        directive.strip().split(" ", 1)
        for directive in headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'" and policy["script-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["/page/../lifecycle.py", "/page/%2e%2e/lifecycle.py", "/page/..%2flifecycle.py"]
)
def test_the_page_leads_nowhere_else(web: Web, path: str) -> None:
    problem(web.get(path), Code.UNKNOWN_ROUTE)


@pytest.mark.parametrize(
    ("query", "code", "names"),
    [
        ({"format": "bmp"}, Code.BAD_OPTION, "format"),
        ({"size": "huge"}, Code.BAD_OPTION, "size"),
        ({"colormap": "jet"}, Code.BAD_OPTION, "colormap"),
        ({"min": 3, "max": 2}, Code.BAD_OPTION, "near"),
        ({"max": "nan"}, Code.BAD_OPTION, "near"),
        ({"fx": 0}, Code.BAD_OPTION, "focal"),
        ({"fx": "nan"}, Code.BAD_OPTION, "focal"),
        ({"fx": "wide"}, Code.BAD_OPTION, "fx"),
        ({"hfov": 180}, Code.BAD_OPTION, "field of view"),
        ({"hfov": 60, "fx": 300}, Code.BAD_OPTION, "fx or hfov"),
        ({"labels": "raw8", "format": "png16"}, Code.BAD_OPTION, "format=json"),
        ({"labels": "gif"}, Code.BAD_OPTION, "labels"),
        ({"fromat": "npy"}, Code.BAD_OPTION, "fromat"),
        ({"model": "none"}, Code.UNKNOWN_MODEL, "ramp"),
        (
            {"model": "plain", "labels": "raw8", "format": "json"},
            Code.NOT_AVAILABLE,
            "segmentation",
        ),
    ],
    ids=str,
)
def test_a_question_that_cannot_be_answered_is_refused_by_name(
    web: Web, query: dict[str, object], code: Code, names: str
) -> None:
    assert names in str(problem(web.predict(PHOTO, **query), code)["expected"])


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", Code.BAD_IMAGE),
        (b"GIF89a and so on", Code.BAD_IMAGE),
        (broken().data, Code.BAD_IMAGE),
        (PHOTO[:-200], Code.BAD_IMAGE),
        (b"\xff" * (LIMITS.image_bytes + 1), Code.IMAGE_TOO_LARGE),
        (png(np.zeros((1001, 1000, 3), np.uint8)).data, Code.IMAGE_TOO_LARGE),
    ],
    ids=["empty", "gif", "cut png", "cut jpeg", "bytes", "pixels"],
)
def test_a_body_that_is_no_picture_is_refused(web: Web, body: bytes, code: Code) -> None:
    problem(web.predict(body), code)


def test_a_body_without_a_length_is_cut_off_at_the_limit(web: Web) -> None:
    async def endless() -> object:
        while True:
            yield b"\xff" * 10_000

    problem(web.ask("POST", "/predict", content=endless()), Code.IMAGE_TOO_LARGE)


FORM = "multipart/form-data; boundary=b"
PART = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", PART + PHOTO + b"\r\n--b--\r\n"),
        (FORM, b"no form at all"),
        (FORM, b""),
        (FORM, PART + PHOTO),
        (FORM, b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n"),
        (FORM, b"--b\r\n: :\r\n\r\nx\r\n--b--\r\n"),
        (FORM, PART.replace(b'"image"', b'"photo"') + PHOTO + b"\r\n--b--\r\n"),
        (FORM, PART.replace(b'; filename="a"', b"") + b"text\r\n--b--\r\n"),
        (FORM, (PART + b"x\r\n") * 5 + b"--b--\r\n"),
    ],
    ids=[
        *("no boundary", "no form", "empty", "unclosed", "no name", "bad header", "wrong field"),
        *("text", "too many"),
    ],
)
def test_a_form_that_is_none_is_refused_with_the_right_one(
    web: Web, kind: str, body: bytes
) -> None:
    response = web.ask("POST", "/predict", content=body, headers={"content-type": kind})
    assert "curl" in str(problem(response, Code.BAD_REQUEST)["repair"])


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/predict", Code.WRONG_METHOD),
        ("POST", "/models", Code.WRONG_METHOD),
        ("GET", "/nowhere", Code.UNKNOWN_ROUTE),
        ("GET", "/page/nothing.js", Code.UNKNOWN_ROUTE),
    ],
)
def test_what_the_router_refuses_is_a_problem_too(
    web: Web, method: str, path: str, code: Code
) -> None:
    problem(web.ask(method, path), code)


def test_a_broken_engine_and_a_full_house_say_when_to_come_back(web: Web, house: House) -> None:
    house.engine.fates.append(EngineFault("a moment"))
    problem(web.predict(PHOTO), Code.ENGINE_FAULT)
    streams = [house.dispatch.open(OpenStream(), Inbox()) for _ in range(LIMITS.streams)]
    problem(web.predict(PHOTO), Code.QUEUE_FULL)
    for stream in streams:
        house.dispatch.close(stream)
    assert web.predict(PHOTO).status_code == 200
    house.dispatch.stop()
    problem(web.predict(PHOTO), Code.SHUTTING_DOWN)


def test_a_bug_answers_500_without_its_insides(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    inside = "the inside of the server"

    def explode() -> bool:
        raise RuntimeError(inside)

    response = Web(replace(house.service, ready=explode)).get("/readyz")
    problem(response, Code.INTERNAL)
    assert inside not in response.text and inside in caplog.text


def test_frames_are_counted_whatever_became_of_them(web: Web, house: House) -> None:
    for body in (PHOTO, broken().data, PHOTO):
        web.predict(body)
    assert total(house.telemetry, metrics.FRAMES_RECEIVED) == 3
    assert total(house.telemetry, metrics.FRAMES, outcome="failed") == 1
    assert total(house.telemetry, metrics.FRAME_AGE + "_count") == 2


def test_new_versions_are_taken_up_where_that_is_allowed(house: House, web: Web) -> None:
    house.reloaded = [Reloaded(name="ramp", version=3, before=3, refused="not the hash")]
    assert web.ask("POST", "/models/reload").json() == {
        "models": [{"name": "ramp", "version": 3, "before": 3, "refused": "not the hash"}]
    }


def test_new_versions_are_not_taken_up_for_just_anybody(house: House) -> None:
    web = Web(replace(house.service, reload=None))
    problem(web.ask("POST", "/models/reload"), Code.NOT_AVAILABLE)
