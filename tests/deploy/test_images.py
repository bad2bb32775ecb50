"""The Dockerfile's images are of what the repository says, and no more than they need to be."""

import re
import tomllib
from collections.abc import Set

import pytest

from server.security.gate import OPEN
from server.settings import load
from tests.deploy.parts import PORTS, ROOT, environment, read_stages, told

STAGES = read_stages()
IMAGES = ("export", "gpu", "cpu")
SERVERS = ("gpu", "cpu")


def test_the_cpu_server_is_what_is_built_without_a_target() -> None:
    assert list(STAGES)[-1] == "cpu" and set(IMAGES) <= set(STAGES)


def test_whoever_is_told_to_build_one_is_told_a_stage() -> None:
    told_of = [ROOT / "Dockerfile", ROOT / "deploy" / "README.md"]
    for text in [path.read_text(encoding="utf-8") for path in told_of]:
        assert set(re.findall(r"--target (\w+)", text)) == set(IMAGES) - {"cpu"}
        assert set(re.findall(r"--tag fathom:(\w+)", text)) == set(IMAGES)


def test_every_image_of_others_is_named_by_an_exact_version() -> None:
    others = {stage.base for stage in STAGES.values()} - set(STAGES) - {"scratch"}
    assert len(others) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", others.pop())


def test_packages_have_their_versions_from_the_one_place_for_pins() -> None:
    installs = [run for name in STAGES for run in told(STAGES, name, "RUN") if "pip install" in run]
    assert installs and all("--constraint constraints.txt" in run for run in installs)
    assert not any("==" in run for run in installs)
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for run in installs:
        extras = re.search(r"'\.\[([\w,]+)\]'", run)
        assert extras and set(extras[1].split(",")) <= set(known)


@pytest.mark.parametrize("image", IMAGES)
def test_nobody_is_root_at_the_end(image: str) -> None:
    made = re.search(r"useradd --uid (\d+)", " ".join(told(STAGES, image, "RUN")))
    assert made and told(STAGES, image, "USER")[-1] == made[1]


@pytest.mark.parametrize("image", IMAGES)
def test_each_has_only_what_it_runs(image: str) -> None:
    copied = " ".join(told(STAGES, image, "COPY") + told(STAGES, "code", "COPY"))
    assert "tests" not in copied and "COPY . " not in copied
    assert told(STAGES, image, "ENTRYPOINT")[-1].endswith(
        '"export"]' if image == "export" else '"server"]'
    )


def test_what_is_copied_exists_and_reaches_the_builder() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[0] == "*"
    let_in = {line.removeprefix("!") for line in lines if line.startswith("!")}
    for stage in STAGES.values():
        for instruction, rest in stage.lines:
            if instruction == "COPY" and not rest.startswith("--from"):
                for source in rest.split()[:-1]:
                    assert (ROOT / source).exists()
                    assert source.split("/")[0] in let_in
    assert all((ROOT / source).exists() for source in let_in)


@pytest.mark.parametrize("image", SERVERS)
def test_a_server_listens_where_the_image_says(image: str) -> None:
    settings, _ = load([], environment(STAGES, image))
    assert settings.host == "0.0.0.0"  # noqa: S104 - of a container
    assert told(STAGES, image, "EXPOSE") == [f"{PORTS['http']} {PORTS['grpc']}"]
    assert str(settings.cache_folder).split("/")[0] in " ".join(told(STAGES, image, "RUN"))


@pytest.mark.parametrize("image", SERVERS)
def test_a_server_is_healthy_when_a_route_says_so_that_asks_for_no_token(
    image: str, routes: Set[str]
) -> None:
    asked = re.search(r"http://127\.0\.0\.1:(\d+)(/\w+)", told(STAGES, image, "HEALTHCHECK")[-1])
    assert asked and int(asked[1]) == PORTS["http"]
    assert asked[2] in routes & set(OPEN)
