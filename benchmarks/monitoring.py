"""A real Prometheus over a running server.

Its rules and scrape configuration are the shipped ones on a faster clock: a minute of theirs is
`MINUTE_S` here, so that a test or a picture of an overload needs no minutes.
"""

import json
import re
import shutil
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RULES = ROOT / "deploy" / "prometheus"
UNPACKED = ROOT / ".cache" / "prometheus"

MINUTE_S = 4
SCRAPE_S = 0.5
_LISTENING = re.compile(r'msg="Listening on" address=(\S+)')
_READY = "ready to receive web requests"
_STOP_S = 10
_ANSWER_S = 10
_FETCH_S = 60


class NoPrometheus(Exception):  # noqa: N818 - nothing is wrong, it is only not here
    """There is no Prometheus on this machine; says what was tried."""


@dataclass(frozen=True, slots=True)
class Tools:
    """The two programs of Debian's package `prometheus`."""

    prometheus: str
    promtool: str


def find_tools() -> Tools:
    """Those on the path, or Debian's package unpacked into a folder that git ignores.

    raises  NoPrometheus
    """
    installed = [shutil.which(name) for name in ("prometheus", "promtool")]
    if installed[0] and installed[1]:
        return Tools(installed[0], installed[1])
    unpacked = UNPACKED / "usr" / "bin"
    if not (unpacked / "promtool").is_file():
        _unpack()
    return Tools(str(unpacked / "prometheus"), str(unpacked / "promtool"))


def _unpack() -> None:
    UNPACKED.mkdir(parents=True, exist_ok=True)
    try:
        _run("apt-get", "download", "--quiet", "prometheus")
        for package in UNPACKED.glob("prometheus_*.deb"):
            _run("dpkg", "-x", package.name, ".")
    except FileNotFoundError as error:
        raise NoPrometheus("prometheus is not installed, and this is no Debian") from error
    except subprocess.SubprocessError as error:
        said = getattr(error, "stderr", "") or error
        raise NoPrometheus(f"no package prometheus could be had: {said}") from error


def _run(*command: str) -> None:
    subprocess.run(
        command, cwd=UNPACKED, check=True, capture_output=True, text=True, timeout=_FETCH_S
    )


def hurried(text: str) -> str:
    """Rules or configuration, with all their times on the faster clock."""
    text = re.sub(
        r"(scrape|evaluation)_interval: 5s", rf"\1_interval: {SCRAPE_S * 1e3:.0f}ms", text
    )
    text = re.sub(r"\[1m\]", f"[{MINUTE_S}s]", text)
    return re.sub(r"\bfor: \d+[ms]$", "for: 1s", text, flags=re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Sample:
    """One series at one time."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Series:
    """One series over a time: seconds since the epoch, and values."""

    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]

    def since(self, start_s: float) -> "Series":
        """The same, with times from then."""
        return Series(self.labels, [(at_s - start_s, value) for at_s, value in self.points])


@dataclass(frozen=True, slots=True)
class Prometheus:
    """One that runs, asked over its HTTP API.

    address  host:port
    """

    address: str

    def query(self, expression: str) -> list[Sample]:
        """The series of an instant query, now; raises HTTPError if it is not PromQL."""
        result = self._ask("query", query=expression)["result"]
        return [Sample(each["metric"], float(each["value"][1])) for each in result]

    def query_range(self, expression: str, start_s: float, end_s: float) -> list[Series]:
        """The series between two times since the epoch, a point a scrape."""
        asked = {"query": expression, "start": start_s, "end": end_s, "step": SCRAPE_S}
        return [
            Series(each["metric"], [(float(at), float(value)) for at, value in each["values"]])
            for each in self._ask("query_range", **asked)["result"]
        ]

    def now_s(self) -> float:
        """Its clock, in seconds since the epoch."""
        return self.query("vector(time())")[0].value

    def rules(self) -> list[dict[str, Any]]:  # Prometheus' own JSON
        """Every rule of every group, with its query and state."""
        return [rule for group in self._ask("rules")["groups"] for rule in group["rules"]]

    def firing(self) -> set[str]:
        """Names of the alerts that fire now."""
        alerts = self._ask("alerts")["alerts"]
        return {each["labels"]["alertname"] for each in alerts if each["state"] == "firing"}

    def wait_firing(self, alerts: Set[str], timeout_s: float) -> Set[str]:
        """Waits until these fire all at once; those that do not by then."""
        missing = alerts

        def none_missing() -> bool:
            nonlocal missing
            missing = alerts - self.firing()
            return not missing

        self.wait_for(none_missing, timeout_s)
        return missing

    def wait_for(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Whether it came true in time; looks again with every scrape."""
        end_s = time.monotonic() + timeout_s
        while not (true := condition()) and time.monotonic() < end_s:
            time.sleep(SCRAPE_S)
        return true

    def _ask(self, what: str, **parameters: object) -> Any:  # Prometheus' own JSON
        asked = urllib.parse.urlencode(parameters)
        url = f"http://{self.address}/api/v1/{what}?{asked}"
        with urllib.request.urlopen(url, timeout=_ANSWER_S) as answer:
            return json.load(answer)["data"]


@contextmanager
def watching(tools: Tools, target: str, folder: Path) -> Iterator[Prometheus]:
    """A Prometheus with the shipped configuration over one server, for the `with` block.

    target  host:port of the server's HTTP door
    folder  where its configuration and data go
    """
    for path in RULES.glob("*.yml"):
        (folder / path.name).write_text(hurried(path.read_text(encoding="utf-8")), encoding="utf-8")
    (folder / "targets.yml").write_text(f"- targets: [{json.dumps(target)}]\n", encoding="utf-8")
    command = [
        *(tools.prometheus, "--config.file=prometheus.yml", "--storage.tsdb.path=data"),
        "--web.listen-address=127.0.0.1:0",
    ]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield Prometheus(_address(process))
        finally:
            process.terminate()
            process.wait(_STOP_S)


def _address(process: "subprocess.Popen[str]") -> str:
    log = process.stderr
    lines, address = [], ""
    for line in log or ():
        lines.append(line)
        if match := _LISTENING.search(line):
            address = match[1]
        if _READY in line:
            # Nobody reads on, so the pipe must be emptied or it would block on its log.
            threading.Thread(target=lambda: [None for _ in log or ()], daemon=True).start()
            return address
    raise SystemExit("Prometheus did not start:\n" + "".join(lines))
