"""The application for a Ray cluster: what its arguments become, and what RAY.md says of them."""

import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install '.[ray]'")

from deploy.ray_app import Scale, app
from fathom.errors import Code, FathomError
from server.settings import Settings
from tests.server.tiny_model import write_model

RAY_MD = (Path(__file__).parents[2] / "deploy" / "RAY.md").read_text(encoding="utf-8")


def deployed(repository: Path, **arguments: str) -> Any:
    """The one deployment of an application for the tiny network."""
    given = {"model": "tiny", "model_repository": str(repository)} | arguments
    return app(given)._bound_deployment


def test_a_deployment_is_of_the_version_that_is_served_now(tmp_path: Path) -> None:
    write_model(tmp_path, version=3)
    assert deployed(tmp_path).name == "tiny-v3"
    assert deployed(tmp_path, version="2").name == "tiny-v2"


def test_an_engine_has_the_processors_that_its_replica_is_counted_for(tmp_path: Path) -> None:
    write_model(tmp_path)
    deployment = deployed(tmp_path, cpus="4", gpus="0.5")
    settings = deployment.init_args[0].args[1]
    assert (settings.threads, settings.lanes) == (4, 2)
    assert deployment.ray_actor_options["num_cpus"] == 4
    assert deployment.ray_actor_options["num_gpus"] == 0.5


@pytest.mark.parametrize(
    ("arguments", "target"), [({}, 2), ({"lanes": "3"}, 3), ({"batches": "1.5"}, 1.5)]
)
def test_there_are_more_replicas_when_batches_wait(
    tmp_path: Path, arguments: dict[str, str], target: float
) -> None:
    write_model(tmp_path)
    deployment = deployed(tmp_path, min_replicas="2", max_replicas="8", **arguments)
    scaling = deployment._deployment_config.autoscaling_config
    assert (scaling.min_replicas, scaling.max_replicas) == (2, 8)
    assert scaling.target_ongoing_requests == target
    assert deployment.init_kwargs["at_most"] == 8


def test_an_unknown_argument_is_refused_with_the_nearest_known_one(tmp_path: Path) -> None:
    write_model(tmp_path)
    with pytest.raises(FathomError) as refused:
        deployed(tmp_path, precison="f32")
    assert refused.value.code is Code.BAD_SETTING and "--precision" in refused.value.repair


def test_what_ray_md_names_are_arguments() -> None:
    [command] = re.findall(r"deploy\.ray_app:app ([^\n]+)", RAY_MD)
    table = re.findall(r"^\| (`.*?`) \|", RAY_MD, re.MULTILINE)
    named = re.findall(r"(\w+)=", command) + re.findall(r"`(\w+)`", " ".join(table))
    assert set(Scale.model_fields) <= set(named)
    assert set(named) <= set(Scale.model_fields) | set(Settings.model_fields)
