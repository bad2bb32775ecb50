"""Everybody can use the page: axe-core finds nothing serious, in any state, light and dark."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.chromium import ALLOWED, CHROMIUM, WEBGL, Browser
from tests.acceptance.conftest import RunningServer, StartBrowser
from tests.acceptance.npm import installed
from tests.acceptance.test_page_views import PHONE, VIEWS, show

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
    pytest.mark.slow,
]

SERIOUS = {"serious", "critical"}


@pytest.fixture(scope="module")
def axe() -> str:
    folder = installed(Path(__file__).parent / "axe")
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


def violations(browser: Browser) -> list[str]:
    """What axe-core calls serious or critical, each with the elements that it is about."""
    held, found = browser.ask(
        "axe.run().then(({passes, violations}) => [passes.map(({id}) => id),"
        " violations.map(({id, impact, help, nodes}) =>"
        " ({id, impact, help, at: nodes.map(({html}) => html.slice(0, 120))}))])"
    )
    assert {"color-contrast", "button-name", "html-has-lang"} <= set(held), "it has looked"
    return [json.dumps(each) for each in found if each["impact"] in SERIOUS]


def states(browser: Browser, server: RunningServer, axe: str) -> Iterator[str]:
    """Everything the page can look like, one after the other."""
    browser.open(server.http_url)
    browser.wait("!document.getElementById('model').disabled")
    browser.ask(axe + "; 0")
    yield "empty"
    show(browser, server)
    browser.ask(axe + "; 0")
    for view in VIEWS:
        browser.click(f"[name=mode][value={view}]")
        yield view
    browser.ask("document.querySelector('.not-live[data-live]').click()")
    browser.wait("Number(document.getElementById('live-answered').textContent) > 0")
    yield "live"
    browser.click("#live-toggle")
    browser.ask("document.getElementById('model').options[0].value = 'gone'")
    browser.click("#live-toggle")
    browser.wait("!document.getElementById('error').hidden")
    yield "an error"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
def test_axe_finds_nothing_serious(
    start_browser: StartBrowser, null_server: RunningServer, axe: str, scheme: str, *, phone: bool
) -> None:
    browser = start_browser(WEBGL, ALLOWED)
    if phone:
        browser.resize(*PHONE, mobile=True)
    browser.call(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
    )
    found = {state: violations(browser) for state in states(browser, null_server, axe)}
    assert not {state: each for state, each in found.items() if each}
