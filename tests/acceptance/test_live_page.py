"""The live page in a real browser, with the browser's own fake camera, against a real server."""

from pathlib import Path

import pytest

from benchmarks.chromium import ALLOWED, CHROMIUM, Browser
from tests.acceptance.conftest import REPOSITORY, RunningServer, StartBrowser, StartServer

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
    pytest.mark.slow,
]

TOKEN = "a-token-that-a-person-types"  # noqa: S105 - of this test
NUMBER = "Number(document.getElementById({!r}).textContent)"
CAMERA_ON = "document.getElementById('video').srcObject?.active === true"


def number(name: str) -> str:
    return NUMBER.format(name)


def go_live(browser: Browser, server: RunningServer) -> None:
    browser.open(server.http_url)
    browser.click("#drop [data-live]")


def test_a_camera_is_seen_live_with_its_age_and_counts(
    start_browser: StartBrowser, null_server: RunningServer
) -> None:
    browser = start_browser(ALLOWED)
    go_live(browser, null_server)
    browser.wait(f"{number('live-answered')} >= 10")
    assert browser.wait(f"{number('live-p50')} > 0")
    assert browser.ask(f"{number('live-p95')} >= {number('live-p50')}")
    assert browser.ask(f"{number('live-fps')} > 0")
    assert browser.ask(CAMERA_ON)
    assert browser.text("#live-status") == "Frames go to this server and nowhere else."
    # The null engine's depth is a formula between known ends: what is painted has numbers.
    assert 0 < float(browser.text("#metres")) < 100
    assert browser.ask("document.getElementById('depth').width") == 320
    assert not browser.said  # no error, and nothing that the content policy refused

    browser.click("#live-toggle")
    browser.wait(f"!({CAMERA_ON})")
    answered = browser.ask(number("live-answered"))
    assert browser.text("#live-status") == "The camera is off."
    browser.click("#live-toggle")
    assert answered >= 10
    browser.wait(f"{number('live-answered')} >= 3")
    assert browser.text("#live-toggle") == "Stop the camera"


def test_with_tokens_on_a_person_is_asked_once_and_then_all_of_the_page_works(
    start_browser: StartBrowser, start_server: StartServer, tmp_path: Path
) -> None:
    """The password goes with scripts, requests and the socket: the browser sees to that."""
    (tmp_path / "tokens").write_text(f"{TOKEN}\n")
    tokens = f"--token-file={tmp_path / 'tokens'}"
    server = start_server("--engine=null", tokens).wait_ready()
    browser = start_browser(ALLOWED)
    browser.sign_in("anybody", TOKEN)
    browser.open(server.http_url)
    browser.wait("!document.getElementById('model').disabled")
    browser.call("Fetch.disable")  # whatever comes now, nobody helps it
    assert browser.asked_for == 1
    browser.click("#drop [data-live]")
    browser.wait(f"{number('live-answered')} >= 5")
    assert not browser.said
    assert "auth.refused reason=missing" in "\n".join(server.log)  # before it was asked
    assert TOKEN not in "\n".join(server.log)


def test_a_hidden_page_lets_go_of_the_camera(
    start_browser: StartBrowser, null_server: RunningServer
) -> None:
    browser = start_browser(ALLOWED)
    go_live(browser, null_server)
    browser.wait(f"{number('live-answered')} >= 1")
    browser.ask(
        "Object.defineProperty(document, 'hidden', {value: true}),"
        " document.dispatchEvent(new Event('visibilitychange'))"
    )
    assert not browser.ask(CAMERA_ON)
    assert "hidden" in browser.text("#live-status")


def test_a_refused_camera_is_explained(
    start_browser: StartBrowser, null_server: RunningServer
) -> None:
    browser = start_browser("--deny-permission-prompts")
    go_live(browser, null_server)
    browser.wait("!document.getElementById('error').hidden")
    assert browser.text("#error-code") == "NotAllowedError"
    assert "allow the camera" in browser.text("#error-repair")
    assert not browser.said


def test_a_server_that_goes_and_comes_back_is_found_again(
    start_browser: StartBrowser, start_server: StartServer
) -> None:
    server = start_server("--engine=null").wait_ready()
    port = server.http_url.rpartition(":")[2]
    browser = start_browser(ALLOWED)
    go_live(browser, server)
    browser.wait(f"{number('live-answered')} >= 1")
    assert server.stop() == 0
    browser.wait("document.getElementById('live-panel').dataset.camera === 'waiting'")
    assert "shutting_down" in browser.text("#live-status")
    seen = browser.ask(number("live-answered"))
    start_server("--engine=null", f"--http-port={port}").wait_ready()
    browser.wait(f"{number('live-answered')} > {seen}")
    browser.wait("document.getElementById('live-panel').dataset.camera === 'on'")


def test_a_stream_that_the_server_refuses_is_explained(
    start_browser: StartBrowser, null_server: RunningServer
) -> None:
    browser = start_browser(ALLOWED)
    browser.open(null_server.http_url)
    browser.wait("!document.getElementById('model').disabled")
    browser.ask("document.getElementById('model').options[0].value = 'gone'")
    browser.click("#drop [data-live]")
    browser.wait("!document.getElementById('error').hidden")
    assert browser.text("#error-code") == "unknown_model"
    assert not browser.ask(CAMERA_ON)


def test_a_clip_is_played_over_and_over_and_gives_way_to_the_camera(
    start_browser: StartBrowser, null_server: RunningServer
) -> None:
    browser = start_browser(ALLOWED)
    browser.open(null_server.http_url)
    browser.choose_file("#file", REPOSITORY / "samples" / "desk.mp4")
    browser.wait(f"{number('live-answered')} >= 5")
    assert browser.text("#live-toggle") == "Stop the clip"
    assert browser.text("#photo-name") == "Clip"
    assert browser.ask("document.getElementById('clip').loop")
    assert not browser.ask(CAMERA_ON)
    browser.click("#live-toggle")
    assert browser.text("#live-status") == "The clip is off."
    assert browser.ask("document.getElementById('clip').paused")
    browser.click("#live-toggle")
    browser.wait(f"{number('live-answered')} >= 2")
    browser.click("#live-instead")
    browser.wait(CAMERA_ON)
    browser.wait(f"{number('live-answered')} >= 2")
    assert browser.text("#photo-name") == "Camera"
    assert browser.ask("document.getElementById('live-instead').hidden")
    assert not browser.said


def test_a_clip_that_does_not_play_is_explained(
    start_browser: StartBrowser, null_server: RunningServer, tmp_path: Path
) -> None:
    browser = start_browser()
    browser.open(null_server.http_url)
    (tmp_path / "broken.mp4").write_bytes(b"no video at all")
    browser.choose_file("#file", tmp_path / "broken.mp4")
    browser.wait("!document.getElementById('error').hidden")
    assert browser.text("#error-title") == "The clip does not play"
    assert "H.264" in browser.text("#error-repair")
