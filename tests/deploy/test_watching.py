"""A real Prometheus over a real server: in an overload every panel has data, and alerts fire."""

import math
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.dashboard import (
    BAD_COMPANY,
    CALM,
    CROWD,
    HASTE,
    SERVER,
    expand,
    load,
    read_panels,
)
from benchmarks.monitoring import Prometheus, Tools, watching
from benchmarks.serving import Serving, serving

pytestmark = pytest.mark.slow

# Bounds on waiting, far above what it takes: they end a hang and time nothing.
PATIENCE_S = 60.0

AGE = "instance:fathom_frame_age_seconds:p99_1m"
SKIPPED = 'sum(rate(fathom_frames_total{outcome="skipped"}[2s])) or vector(0)'
# What bad company and a crowd bring about; the others need a server that is ill, and are fired by
# alerts_test.yml.
BY_COMPANY = {"FathomSlowReader", "FathomFramesFail"}
BY_CROWD = {
    "FathomAgeOverBudget",
    "FathomCamerasOutrunServer",
    "FathomFramesLate",
    "FathomEngineFaults",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Serving]:
    with serving(SERVER) as server:
        yield server


@pytest.fixture(scope="module")
def prometheus(
    server: Serving, tools: Tools, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    with watching(tools, server.http, tmp_path_factory.mktemp("prometheus")) as prometheus:
        yield prometheus


def value(prometheus: Prometheus, expression: str) -> float:
    """Of a query's one series; NaN for none."""
    samples = prometheus.query(expression)
    assert len(samples) <= 1
    return samples[0].value if samples else math.nan


def has_data(prometheus: Prometheus, expression: str, start_s: float) -> bool:
    """Whether a query gave a number at any time since then."""
    series = prometheus.query_range(expression, start_s, prometheus.now_s())
    return any(not math.isnan(value) for one in series for _, value in one.points)


def compared(alert: str) -> str:
    """An alert's expression with 0 and 1 in place of leaving series out."""
    return re.sub(r"(==|>)(?= [\d.])", r"\1 bool", alert)


def test_an_overload_moves_the_panels_and_fires_the_alerts(
    server: Serving, prometheus: Prometheus
) -> None:
    start_s = prometheus.now_s()
    with load(server, CALM):
        assert prometheus.wait_for(
            lambda: value(prometheus, AGE) < 0.1 and not prometheus.firing() & BY_CROWD, PATIENCE_S
        ), f"with one camera: {value(prometheus, AGE)} s, {prometheus.firing()}"
        calm_age_s, calm_skipped = value(prometheus, AGE), value(prometheus, SKIPPED)
    with load(server, CALM, BAD_COMPANY):
        assert not prometheus.wait_firing(BY_COMPANY, PATIENCE_S)
    with load(server, CROWD, HASTE):
        assert not prometheus.wait_firing(BY_CROWD, PATIENCE_S)
        assert value(prometheus, AGE) > 1.5 * calm_age_s
        assert value(prometheus, SKIPPED) > calm_skipped + 10
    for panel in read_panels():
        for query in panel.queries:
            assert has_data(prometheus, expand(query.expression), start_s), panel.title
    for rule in prometheus.rules():
        assert rule["health"] == "ok", rule
        assert has_data(prometheus, compared(rule["query"]), start_s), rule["name"]


def test_a_server_that_is_gone_is_told(tools: Tools, tmp_path: Path) -> None:
    nobody = "127.0.0.1:1"
    with watching(tools, nobody, tmp_path) as prometheus:
        assert prometheus.wait_for(lambda: prometheus.firing() == {"FathomDown"}, PATIENCE_S)
