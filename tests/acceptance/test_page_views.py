"""The page's views in a real browser: beside each other, over each other, in space."""

from pathlib import Path

import pytest

from benchmarks.chromium import ALLOWED, CHROMIUM, WEBGL, Browser
from tests.acceptance.conftest import REPOSITORY, RunningServer, StartBrowser

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
    pytest.mark.slow,
]

PHOTO = REPOSITORY / "samples" / "desk.jpg"
VIEWS = ("side", "overlay", "cloud")
DESKTOP, PHONE = (1280, 900), (390, 844)

# Presses a key on the cloud, and reads its pixels in the frame in which it is drawn: later WebGL
# has handed them over. [share of the canvas that is painted, a number for how]
READ_CLOUD = """new Promise((done) => {{
  const frame = document.getElementById("cloud-frame");
  frame.dispatchEvent(new KeyboardEvent("keydown", {{ key: {key!r} }}));
  requestAnimationFrame(() => {{
    const {{ width, height }} = document.getElementById("cloud");
    const context = new OffscreenCanvas(width, height).getContext("2d");
    context.drawImage(document.getElementById("cloud"), 0, 0);
    const rgba = new Uint32Array(context.getImageData(0, 0, width, height).data.buffer);
    let [painted, sum] = [0, 0];
    rgba.forEach((pixel, i) => {{
      painted += pixel !== 0;
      sum = (31 * sum + pixel) % 1000000007;
    }});
    done([painted / rgba.length, sum]);
  }});
}})"""


def show(browser: Browser, server: RunningServer, view: str = "side") -> None:
    """A photo measured, and seen so."""
    browser.open(server.http_url)
    browser.wait("!document.getElementById('model').disabled")
    browser.choose_file("#file", PHOTO)
    browser.wait("document.getElementById('pair').dataset.depth === 'shown'")
    browser.click(f"[name=mode][value={view}]")


def read_cloud(browser: Browser, key: str) -> tuple[float, int]:
    share, told = browser.ask(READ_CLOUD.format(key=key))
    return float(share), int(told)


def test_points_are_drawn_turned_by_keys_and_started_again(
    start_browser: StartBrowser, null_server: RunningServer
) -> None:
    browser = start_browser(WEBGL)
    show(browser, null_server, "cloud")
    start = read_cloud(browser, "Home")
    assert 0.2 < start[0] <= 1
    for key in ("ArrowLeft", "ArrowUp", "+"):
        turned = read_cloud(browser, key)
        assert turned[0] > 0.1 and turned != start
        assert read_cloud(browser, "Home") == start
    browser.click("[name=cloud-colours][value=depth]")
    assert read_cloud(browser, "Home") != start
    assert not browser.said


def test_a_drag_turns_a_wheel_zooms_and_the_pointer_reads_metres(
    start_browser: StartBrowser, null_server: RunningServer
) -> None:
    browser = start_browser(WEBGL)
    show(browser, null_server, "cloud")
    start = read_cloud(browser, "Home")
    box = browser.ask("document.getElementById('cloud-frame').getBoundingClientRect().toJSON()")
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def mouse(kind: str, dx: float = 0, **more: object) -> None:
        browser.call("Input.dispatchMouseEvent", type=kind, x=x + dx, y=y, **more)

    mouse("mouseMoved")
    browser.wait("!document.querySelector('#cloud-frame .cross').hidden")
    assert browser.text("#cloud-frame .chip") == f"{browser.text('#metres')} m"
    mouse("mousePressed", button="left", buttons=1, clickCount=1)
    mouse("mouseMoved", 80, button="left", buttons=1)
    mouse("mouseReleased", 80, button="left", clickCount=1)
    dragged = read_cloud(browser, "x")
    mouse("mouseWheel", deltaX=0, deltaY=-300)
    assert browser.ask("scrollY") == 0
    browser.click("#cloud-reset")
    assert dragged != start


def test_a_live_camera_is_seen_in_space(
    start_browser: StartBrowser, null_server: RunningServer
) -> None:
    browser = start_browser(WEBGL, ALLOWED)
    browser.open(null_server.http_url)
    browser.click("#drop [data-live]")
    browser.click("[name=mode][value=cloud]")
    answered = "Number(document.getElementById('live-answered').textContent)"
    browser.wait(f"{answered} >= 5")
    assert read_cloud(browser, "Home")[0] > 0.2
    seen = browser.ask(answered)
    browser.ask("document.getElementById('smoothing').selectedIndex = 1")
    browser.ask("document.getElementById('smoothing').dispatchEvent(new Event('change'))")
    browser.wait(f"{answered} > {seen} + 5")
    assert not browser.said


def test_without_webgl_a_sentence_says_so(
    start_browser: StartBrowser, null_server: RunningServer
) -> None:
    browser = start_browser("--disable-3d-apis")
    show(browser, null_server, "cloud")
    browser.wait("!document.getElementById('cloud-note').hidden")
    assert "no WebGL" in browser.text("#cloud-note")
    browser.click("[name=mode][value=side]")
    assert browser.ask("document.getElementById('depth').clientWidth") > 0


def test_views_are_switched_by_keyboard(
    start_browser: StartBrowser, null_server: RunningServer
) -> None:
    browser = start_browser(WEBGL)
    show(browser, null_server)
    browser.ask("document.querySelector('[name=mode]:checked').focus()")
    seen = []
    for _ in range(3):
        browser.press("ArrowRight")
        seen.append(browser.ask("document.getElementById('pair').dataset.mode"))
    assert seen == ["overlay", "cloud", "side"]
    browser.press("ArrowLeft")
    for _ in range(9):  # the next stops: the controls after the views, then the cloud
        browser.press("Tab")
        if browser.ask("document.activeElement.id") == "cloud-frame":
            break
    before = read_cloud(browser, "Home")
    browser.press("ArrowLeft")
    assert browser.ask("document.activeElement.id") == "cloud-frame"
    assert read_cloud(browser, "x") != before


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_every_view_fits_its_screen(
    start_browser: StartBrowser,
    null_server: RunningServer,
    tmp_path: Path,
    size: tuple[int, int],
) -> None:
    """Nothing runs out of the side, and what was chosen is on the first screen."""
    browser = start_browser(WEBGL)
    browser.resize(*size, mobile=size == PHONE)
    show(browser, null_server)
    for view in VIEWS:
        browser.click(f"[name=mode][value={view}]")
        screen = "document.documentElement"
        assert browser.ask(f"{screen}.scrollWidth === {screen}.clientWidth")
        shown = "cloud-frame" if view == "cloud" else "depth-frame"
        box = browser.ask(f"document.getElementById('{shown}').getBoundingClientRect().toJSON()")
        assert box["width"] > 0.4 * min(size)
        assert view == "side" or box["top"] < size[1] / 2
        browser.screenshot(tmp_path / f"{view}.png")
