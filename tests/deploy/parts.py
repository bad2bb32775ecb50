"""What is deployed, as data: the Dockerfile's stages, and the documents of YAML files."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from server.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PORTS = {
    "http": Settings.model_fields["http_port"].default,
    "grpc": Settings.model_fields["grpc_port"].default,
}

Json: TypeAlias = dict[str, Any]  # what Docker and Kubernetes wrote the format of


def _stop_s() -> float:
    promised = re.search(r"Stopping takes up to (\d+) seconds", (ROOT / "README.md").read_text())
    assert promised
    return float(promised[1])


# What whoever stops a server must leave it: `server.lifecycle` keeps within it.
STOP_S = _stop_s()


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the Dockerfile.

    base   another stage, or an image
    lines  instruction and what follows it, continued lines joined
    """

    name: str
    base: str
    lines: Sequence[tuple[str, str]]


def read_stages() -> dict[str, Stage]:
    """By name, in the Dockerfile's order."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    joined = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    stages: dict[str, Stage] = {}
    lines: list[tuple[str, str]] = []
    for line in filter(None, joined.splitlines()):
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            base, _, name = rest.partition(" AS ")
            lines = []
            stages[name] = Stage(name, base, lines)
        else:
            lines.append((instruction, rest))
    return stages


def told(stages: Mapping[str, Stage], name: str, instruction: str) -> list[str]:
    """What a stage and those under it say by an instruction, the first said first."""
    stage = stages[name]
    before = told(stages, stage.base, instruction) if stage.base in stages else []
    return before + [rest for said, rest in stage.lines if said == instruction]


def environment(stages: Mapping[str, Stage], name: str) -> dict[str, str]:
    """The variables that a stage sets for the server."""
    pairs = re.findall(r"(\w+)=(\S+)", " ".join(told(stages, name, "ENV")))
    return {variable: value for variable, value in pairs if variable.startswith("FATHOM_")}


def documents(*paths: Path) -> Iterator[Json]:
    """Every document of some YAML files."""
    for path in paths:
        yield from yaml.safe_load_all(path.read_text(encoding="utf-8"))


def mebibytes(text: str) -> float:
    """Of a limit as Docker (`2G`) or Kubernetes (`2Gi`) writes it."""
    read = re.fullmatch(r"(\d+)([MG])i?", text)
    assert read, text
    return int(read[1]) * {"M": 1, "G": 1024}[read[2]]


def holds_at_most_mib(settings: Settings) -> float:
    """Of clients' pictures and answers, when all bounds are reached at once."""
    return settings.max_waiting_mib + settings.window_mib * settings.max_streams
