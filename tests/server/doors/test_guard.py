"""Round every route: whose page may ask, and what a browser may do with the answer."""

from dataclasses import replace

import pytest

from fathom.errors import Code
from server.core.rates import Rate
from server.security.entry import Entry
from tests.server.conftest import PICTURE
from tests.server.doors.conftest import House, Web

ALLOWED = "https://app.example"


@pytest.mark.parametrize("path", ["/", "/models", "/docs", "/page/main.js", "/no/such", "/metrics"])
def test_every_answer_says_what_a_browser_may_not(web: Web, path: str) -> None:
    headers = web.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert ("unsafe-inline" in policy) == (path == "/docs")


def test_other_sites_get_no_leave_by_default(web: Web) -> None:
    for method in ("GET", "OPTIONS"):
        answer = web.ask(
            method,
            "/models",
            headers={"Origin": ALLOWED, "Access-Control-Request-Method": "POST"},
        )
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("origin", [ALLOWED, "null", "http://[broken", "http://fathom.example"])
def test_a_page_of_another_site_may_not_send_a_picture(web: Web, origin: str) -> None:
    """A form of any page could, with no leave asked; what it may not read still costs a batch."""
    answer = web.ask("POST", "/predict", content=PICTURE.data, headers={"Origin": origin})
    assert answer.status_code == 403
    assert answer.json()["code"] == Code.FORBIDDEN and "--allowed-origins" in answer.text


def test_the_servers_own_page_may(web: Web) -> None:
    headers = {"Origin": "http://fathom"}
    assert web.ask("POST", "/predict", content=PICTURE.data, headers=headers).status_code == 200


def test_a_site_that_is_named_may_and_others_still_may_not(house: House) -> None:
    web = Web(replace(house.service, entry=Entry(origins=frozenset({ALLOWED}))))
    asking = {"Origin": ALLOWED, "Access-Control-Request-Method": "POST"}
    leave = web.ask("OPTIONS", "/predict", headers=asking)
    assert leave.headers["access-control-allow-origin"] == ALLOWED
    answer = web.ask("POST", "/predict", content=PICTURE.data, headers={"Origin": ALLOWED})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ALLOWED
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    other = web.ask("POST", "/predict", content=PICTURE.data, headers={"Origin": "https://b"})
    assert other.status_code == 403 and "access-control-allow-origin" not in other.headers


def test_pictures_over_the_rate_are_429_with_the_time_to_wait(house: House) -> None:
    web = Web(replace(house.service, entry=Entry(frames=Rate(1e-9, burst=2))))
    answers = [web.predict(PICTURE.data) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].json()["code"] == Code.RATE_LIMITED and answers[2].headers["retry-after"]
