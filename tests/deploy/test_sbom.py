"""The bill of materials is of what is pinned and installed, and leaves nothing out."""

import json
import re
from typing import Any

import pytest

from deploy.sbom import LICENCES, ROOT, SBOM, Part, bill, installation, licences, main


@pytest.fixture(scope="module")
def parts() -> list[Part]:
    return installation()[1]


def part(name: str, *, needs: tuple[str, ...] = (), carries: tuple[str, ...] = ()) -> Part:
    return Part(name=name, version="1.0", licence="MIT", summary="", needs=needs, carries=carries)


def test_the_committed_files_are_of_what_is_installed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().out


def test_a_package_that_is_asked_for_only_by_another_is_there(parts: list[Part]) -> None:
    """uvicorn is ours, h11 is uvicorn's; pytest is nobody's who serves."""
    names = {part.name for part in parts}
    assert {"uvicorn", "h11", "grpcio", "av"} <= names
    assert not {"pytest", "torch", "mypy"} & names


def test_every_version_is_the_pinned_one(parts: list[Part]) -> None:
    pins = dict(
        re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text("utf-8"), re.M)
    )
    pinned = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pins.items()}
    assert {part.name: part.version for part in parts}.items() <= pinned.items()


def test_every_reference_leads_to_a_component() -> None:
    bom: dict[str, Any] = json.loads(SBOM.read_text("utf-8"))
    known = {component["bom-ref"] for component in bom["components"]} | {"fathom"}
    refs = {entry["ref"] for entry in bom["dependencies"]}
    asked = {name for entry in bom["dependencies"] for name in entry["dependsOn"]}
    assert refs == known and asked < known


def test_the_same_parts_give_the_same_bill() -> None:
    parts = [part("a", needs=("b",)), part("b")]
    assert bill(["a"], parts) == bill(["a"], parts)
    edges = {
        entry["ref"]: entry["dependsOn"] for entry in json.loads(bill(["a"], parts))["dependencies"]
    }
    assert edges == {
        "fathom": ["pkg:pypi/a@1.0"],
        "pkg:pypi/a@1.0": ["pkg:pypi/b@1.0"],
        "pkg:pypi/b@1.0": [],
    }


def test_copyleft_inside_a_wheel_is_named() -> None:
    assert "The wheel of `film` carries libx264" in licences([part("film", carries=("libx264",))])
    assert "libx264" in LICENCES.read_text("utf-8")
