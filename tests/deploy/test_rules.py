"""Configuration, rules and alerts are what Prometheus' own tool takes, and do as they are told."""

import re
import subprocess
from pathlib import Path

import pytest

from benchmarks.monitoring import RULES, Tools, hurried
from fathom import metrics
from fathom.errors import Code
from fathom.values import SkipReason

_PATIENCE_S = 60

NAMES = {
    value for name, value in vars(metrics).items() if name.isupper() and isinstance(value, str)
}


def promtool(tools: Tools, *arguments: str, cwd: Path = RULES) -> str:
    """What it says; ends the test if it finds something wrong."""
    ended = subprocess.run(
        [tools.promtool, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
        check=False,
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0, said
    return said


def alerts() -> list[str]:
    return re.findall(r"- alert: (\w+)", (RULES / "alerts.yml").read_text(encoding="utf-8"))


def test_the_configuration_and_its_rules_are_valid(tools: Tools) -> None:
    said = promtool(tools, "check", "config", "--lint=all", "--lint-fatal", "prometheus.yml")
    assert "2 rule files found" in said and f"{len(alerts())} rules found" in said


def test_each_alert_fires_on_what_it_is_for(tools: Tools) -> None:
    assert "SUCCESS" in promtool(tools, "test", "rules", "alerts_test.yml")


def test_no_alert_is_without_a_test_that_fires_it() -> None:
    tests = (RULES / "alerts_test.yml").read_text(encoding="utf-8")
    fired = re.findall(r"alertname: (\w+)\s+exp_alerts:\s+- exp_labels", tests)
    assert set(fired) == set(alerts())


@pytest.mark.parametrize("name", ["recording.yml", "alerts.yml"])
def test_rules_name_only_metrics_and_reasons_that_the_server_has(name: str) -> None:
    text = (RULES / name).read_text(encoding="utf-8")
    known = NAMES | {f"{histogram}_bucket" for histogram in NAMES}
    assert set(re.findall(r"(?<![:\w])fathom_\w+", text)) <= known
    reasons = {reason.value for reason in SkipReason} | {code.value for code in Code}
    for asked in re.findall(r'reason=~?"([^"]+)"', text):
        assert set(asked.split("|")) <= reasons


def test_on_the_faster_clock_only_times_are_other() -> None:
    text = "expr: rate(a[1m]) > 0.1\n  for: 5m\n  scrape_interval: 5s\n  for the rest"
    assert hurried(text) == (
        "expr: rate(a[4s]) > 0.1\n  for: 1s\n  scrape_interval: 500ms\n  for the rest"
    )
