"""A student with a segmentation head, from PyTorch to every door and onto the page."""

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from websockets.sync.client import connect

from benchmarks.chromium import CHROMIUM, Browser
from export.onnx import export_onnx
from export.program import export_program, output_names
from fathom.card import CARD_FILE, ModelFile, sha256_of
from fathom.errors import Code, FathomError
from fathom.geometry import RGB
from fathom.session import sync
from fathom.values import LabelEncoding, OpenStream, Options, Output, Policy
from tests.acceptance.conftest import RunningServer
from tests.server.tiny_model import write_card, write_model
from tests.training.students.kinds import SIZE, frames, lively, spec
from training.data.labels import CLASSES, COLOURS
from training.students.student import Student

pytestmark = pytest.mark.slow

PICTURE: RGB = frames(1)[0].numpy()
LABELLED = Options(labels=LabelEncoding.RAW8, output=Output.SOURCE)


@pytest.fixture(scope="module")
def student() -> Student:
    return lively(spec(classes=True))


@pytest.fixture(scope="module")
def server(student: Student, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Two models: `plain`, without classes, and the student as `rooms`."""
    folder = tmp_path_factory.mktemp("classes")
    write_student(folder / "repository", student)
    write_model(folder / "repository", "plain")
    arguments = (
        *("--model-repository=repository", "--models=rooms,plain"),
        *("--engine=openvino", "--precision=f32", "--threads=1"),
    )
    with RunningServer.start(*arguments, cwd=folder) as server:
        yield server.wait_ready()
        assert server.stop() == 0


def write_student(root: Path, student: Student) -> None:
    """The student in a repository, with the names and colours of its classes on its card."""
    path = root / "rooms" / "1" / "model.onnx"
    path.parent.mkdir(parents=True)
    outputs = output_names(student)
    export_onnx(export_program(student), path, outputs, {})
    file = ModelFile(
        path="1/model.onnx",
        target="onnx",
        precision="f32",
        bytes=path.stat().st_size,
        sha256=sha256_of(path),
    )
    card = replace(
        write_card(root, "rooms", files=[file], outputs=outputs),
        input_size=student.network_size,
        classes=CLASSES,
        class_colours=COLOURS,
    )
    (root / "rooms" / CARD_FILE).write_text(card.to_json(), encoding="utf-8")


def as_png(pixels: RGB) -> bytes:
    done, data = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    assert done
    return data.tobytes()


def agree(labels: NDArray[np.uint8] | None, student: Student) -> bool:
    """Whether served classes are PyTorch's, but for a tie or two at a border."""
    assert labels is not None
    expected = student.classify(PICTURE[None])[0]
    assert len(np.unique(expected)) > 1
    return bool((labels == expected).mean() > 0.999)


def test_the_server_says_what_classes_there_are(server: RunningServer) -> None:
    with sync.Client(server.grpc_target) as client:
        rooms, plain = client.describe().models
    assert rooms.outputs == ("depth_m", "labels") and plain.outputs == ("depth_m",)
    assert rooms.classes == CLASSES and rooms.class_colours == COLOURS
    listed, _ = httpx.get(f"{server.http_url}/models").json()["models"]
    assert listed["classes"] == list(CLASSES) and listed["class_colours"] == list(COLOURS)


def test_one_picture_is_classified_beside_its_depth(
    server: RunningServer, student: Student
) -> None:
    with sync.Client(server.grpc_target) as client:
        found = client.predict(PICTURE, LABELLED)
    assert agree(found.labels, student)
    np.testing.assert_allclose(found.depth_m, student.predict(PICTURE[None])[0], atol=2e-3)


def test_a_form_with_a_picture_gets_classes_as_png(server: RunningServer, student: Student) -> None:
    reply = httpx.post(
        f"{server.http_url}/predict",
        params={"labels": "png8", "format": "json"},
        files={"image": ("photo.png", as_png(PICTURE))},
    )
    labels = reply.raise_for_status().json()["labels"]
    assert labels["encoding"] == "png8"
    pixels = np.frombuffer(base64.b64decode(labels["base64"]), np.uint8)
    ids = cv2.imdecode(pixels, cv2.IMREAD_UNCHANGED)
    assert ids is not None and ids.dtype == np.uint8
    assert agree(ids.astype(np.uint8), student)


def test_a_stream_is_classified(server: RunningServer, student: Student) -> None:
    opening = OpenStream(policy=Policy.ALL, options=LABELLED)
    with sync.Client(server.grpc_target) as client, client.stream(opening) as stream:
        for _ in range(3):
            stream.send(PICTURE)
        stream.finish()
        answers = [received.decoded() for received in stream.answers()]
    assert len(answers) == 3
    assert all(agree(getattr(answer, "labels", None), student) for answer in answers)


def test_a_stream_of_a_browser_is_classified(server: RunningServer, student: Student) -> None:
    options = {"labels": "LABEL_ENCODING_RAW8", "output_size": {"kind": "KIND_SOURCE"}}
    picture = as_png(PICTURE)
    header = json.dumps({"seq": 1, "image": {"encoding": "IMAGE_ENCODING_PNG"}}).encode()
    with connect(f"{server.http_url.replace('http', 'ws')}/stream", proxy=None) as socket:
        socket.send(json.dumps({"open": {"options": options}}))
        assert "opened" in json.loads(socket.recv())
        socket.send(len(header).to_bytes(4, "little") + header + picture)
        message = socket.recv()
    assert isinstance(message, bytes)
    told = json.loads(message[4 : 4 + int.from_bytes(message[:4], "little")])
    labels = np.frombuffer(message[-told["labels_bytes"] :], np.uint8)
    assert agree(labels.reshape(SIZE), student)


def test_a_model_without_classes_refuses_at_every_door(server: RunningServer) -> None:
    def refusal(error: FathomError | dict[str, Any]) -> tuple[str, str]:
        if isinstance(error, FathomError):
            return error.code, error.expected
        return error["code"], error["expected"]

    refused = []
    with sync.Client(server.grpc_target) as client:
        with pytest.raises(FathomError) as caught:
            client.predict(PICTURE, LABELLED, model="plain")
        refused.append(refusal(caught.value))
        with pytest.raises(FathomError) as caught:
            client.stream(OpenStream(model="plain", options=LABELLED))
        refused.append(refusal(caught.value))
    reply = httpx.post(
        f"{server.http_url}/predict",
        params={"labels": "png8", "format": "json", "model": "plain"},
        content=as_png(PICTURE),
    )
    refused.append(refusal(reply.json()))
    with connect(f"{server.http_url.replace('http', 'ws')}/stream", proxy=None) as socket:
        options = {"labels": "LABEL_ENCODING_RAW8"}
        socket.send(json.dumps({"open": {"model": "plain", "options": options}}))
        refused.append(refusal(json.loads(socket.recv())["failed"]))
    assert refused == [(Code.NOT_AVAILABLE, "a model with a segmentation head")] * 4


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_the_page_lays_classes_over_the_photo_with_a_legend(
    server: RunningServer, student: Student, tmp_path: Path
) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(as_png(PICTURE))
    (tmp_path / "profile").mkdir()
    browser = Browser(tmp_path / "profile")
    try:
        browser.open(server.http_url)
        browser.wait("!document.getElementById('model').disabled")
        browser.choose_file("#file", photo)
        browser.wait("!document.getElementById('classes').hidden")
        ids, counts = np.unique(student.classify(PICTURE[None]), return_counts=True)
        listed = browser.ask(
            "[...document.querySelectorAll('#class-list li')].map(e => e.innerText)"
        )
        assert len(listed) == len(ids) and listed[0].startswith(CLASSES[ids[counts.argmax()]])
        browser.click("[name=mode][value=classes]")
        middle = "[...document.getElementById('depth').getContext('2d')"
        pixel = browser.ask(f"{middle}.getImageData({SIZE[1] // 2}, {SIZE[0] // 2}, 1, 1).data]")
        colour = COLOURS[student.classify(PICTURE[None])[0, SIZE[0] // 2, SIZE[1] // 2]]
        assert bytes(pixel).hex() == f"{colour[1:]}ff"
        assert browser.text("#depth-name") == "Classes"
        assert not browser.said

        browser.ask("document.getElementById('model').value = 'plain'")
        browser.ask("document.getElementById('model').dispatchEvent(new Event('change'))")
        browser.wait("document.getElementById('classes').hidden")
        assert browser.ask("document.getElementById('mode-classes').hidden")
        assert browser.ask("document.querySelector('[name=mode]:checked').value") == "side"
    finally:
        browser.close()
