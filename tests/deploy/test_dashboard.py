"""The dashboard's file, as far as it can be judged without Grafana: whole, true to its parts."""

import itertools
import json
import re
from typing import Any

import pytest

from benchmarks.dashboard import DASHBOARD, expand, legend, read_panels
from benchmarks.monitoring import RULES, Series
from fathom import metrics

PROVISIONING = DASHBOARD.parents[1] / "provisioning"
COLUMNS = 24

Json = dict[str, Any]  # what Grafana wrote the format of


@pytest.fixture(scope="module")
def dashboard() -> Json:
    read: Json = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return read


def test_it_keeps_its_address(dashboard: Json) -> None:
    """Links and bookmarks hold the uid; a provisioned file must not bring a database id."""
    assert dashboard["uid"] == "fathom-overview" and "id" not in dashboard


def test_its_rows_are_the_questions_in_order(dashboard: Json) -> None:
    rows = [panel["title"] for panel in dashboard["panels"] if panel["type"] == "row"]
    assert rows == [
        "Is it fresh?",
        "Who loses what, and why?",
        "Where is time spent?",
        "Is it saturated?",
        "Is it healthy?",
    ]


def test_panels_have_numbers_of_their_own_and_do_not_overlap(dashboard: Json) -> None:
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for one, other in itertools.combinations([panel["gridPos"] for panel in panels], 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart and one["x"] + one["w"] <= COLUMNS


def test_every_query_goes_to_the_provisioned_source(dashboard: Json) -> None:
    provisioned = (PROVISIONING / "datasources" / "prometheus.yml").read_text(encoding="utf-8")
    uid = re.search(r"^ +uid: (\S+)", provisioned, re.MULTILINE)
    assert uid
    sources = re.findall(r'"uid": "([^"]+)"', json.dumps(dashboard))
    assert set(sources) == {uid[1], dashboard["uid"]}


def test_the_source_knows_how_often_prometheus_scrapes() -> None:
    """`$__rate_interval` is made of it; with less than four scrapes a rate has holes."""
    provisioned = (PROVISIONING / "datasources" / "prometheus.yml").read_text(encoding="utf-8")
    scraped = re.search(
        r"scrape_interval: (\S+)", (RULES / "prometheus.yml").read_text(encoding="utf-8")
    )
    assert scraped and f"timeInterval: {scraped[1]}" in provisioned


def test_every_variable_that_is_used_is_there_and_every_one_there_is_used(dashboard: Json) -> None:
    expressions = [query.expression for panel in read_panels() for query in panel.queries]
    used = set(re.findall(r"\$(\w+)", " ".join(expressions))) - {"__rate_interval"}
    assert used == {variable["name"] for variable in dashboard["templating"]["list"]}


def test_every_panel_says_what_it_shows_and_in_what(dashboard: Json) -> None:
    for panel in dashboard["panels"]:
        if panel["type"] not in ("row", "table"):
            assert (
                panel["title"] and panel["description"] and panel["fieldConfig"]["defaults"]["unit"]
            )


def test_every_metric_of_the_contract_has_a_panel() -> None:
    asked = " ".join(query.expression for panel in read_panels() for query in panel.queries)
    names = [
        value for name, value in vars(metrics).items() if name.isupper() and isinstance(value, str)
    ]
    assert [name for name in names if name not in asked] == []


def test_variables_become_all_and_a_rate_four_scrapes() -> None:
    asked = 'sum(rate(x{instance=~"$instance", model=~"$model"}[$__rate_interval]))'
    assert expand(asked) == 'sum(rate(x{instance=~".*", model=~".*"}[2000ms]))'


def test_a_series_is_named_by_its_labels() -> None:
    series = Series({"model": "m", "instance": "127.0.0.1:1"}, [(100.0, 1.0)])
    assert legend("{{model}} received", series) == "m received"
    assert legend("{{instance}} p99", series) == "p99"
    assert series.since(90).points == [(10.0, 1.0)]
