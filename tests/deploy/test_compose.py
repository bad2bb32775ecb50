"""compose.yaml agrees with the images, the settings, and the files that it mounts."""

import re
from pathlib import Path

import pytest

from client import settings as client_settings
from fathom.errors import FathomError
from server.settings import Settings, load
from tests.deploy.parts import (
    DEPLOY,
    PORTS,
    STOP_S,
    Json,
    documents,
    environment,
    holds_at_most_mib,
    mebibytes,
    read_stages,
)

COMPOSE = next(documents(DEPLOY / "compose.yaml"))
SERVICES: dict[str, Json] = COMPOSE["services"]
PROFILES = {"cpu": "server", "gpu": "server-gpu"}
NAME = "fathom"  # of either server, to the others
PROVISIONING = DEPLOY / "grafana" / "provisioning"


def settings_of(name: str) -> Settings:
    """What the server of a service reads; raises FathomError for what is none."""
    service = SERVICES[name]
    said = {variable: str(value) for variable, value in service["environment"].items()}
    stages = read_stages()
    return load(service.get("command", []), environment(stages, service["build"]["target"]) | said)[
        0
    ]


def limits(name: str) -> Json:
    read: Json = SERVICES[name]["deploy"]["resources"]["limits"]
    return read


def binds(name: str) -> dict[str, Path]:
    """Where in the container which path of the repository is."""
    mounts = [mount.split(":") for mount in SERVICES[name].get("volumes", [])]
    return {
        inside: DEPLOY / outside for outside, inside, *_ in mounts if outside.startswith((".", "/"))
    }


def test_exactly_one_server_runs_in_each_profile_and_one_profile_is_usual() -> None:
    running = {name: service.get("profiles", list(PROFILES)) for name, service in SERVICES.items()}
    for profile, server in PROFILES.items():
        assert {name for name in PROFILES.values() if profile in running[name]} == {server}
    assert "COMPOSE_PROFILES=cpu" in (DEPLOY / ".env").read_text().splitlines()
    for name, service in SERVICES.items():
        needed = service.get("depends_on", {})
        assert all(set(running[name]) <= set(running[other]) for other in needed)


@pytest.mark.parametrize("name", PROFILES.values())
def test_a_server_is_told_settings_that_it_has(name: str) -> None:
    settings = settings_of(name)
    assert settings.threads == float(limits(name)["cpus"])
    resident_mib = 256  # README.md, "holds MiB of memory"
    assert mebibytes(limits(name)["memory"]) > resident_mib + holds_at_most_mib(settings)


def test_a_setting_that_is_none_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SERVICES["server"], "command", ["--motor=auto"])
    with pytest.raises(FathomError, match="--motor"):
        settings_of("server")


def test_the_cpu_servers_engine_is_the_triton_that_is_there() -> None:
    address = settings_of("server").engine.removeprefix("triton://")
    assert address == "triton:8001"  # 8001 is Triton's own default for gRPC
    assert SERVICES["server"]["depends_on"]["triton"]["condition"] == "service_healthy"
    assert "--model-repository=/models" in SERVICES["triton"]["command"]
    assert binds("triton")["/models"].resolve() == DEPLOY.parent / "model_repository"


@pytest.mark.parametrize("name", PROFILES.values())
def test_a_server_has_the_models_its_cache_and_the_ports(name: str) -> None:
    settings, service = settings_of(name), SERVICES[name]
    assert service["networks"]["default"]["aliases"] == [NAME]
    assert service["ports"] == [f"127.0.0.1:{port}:{port}" for port in PORTS.values()]
    inside = Path("/fathom")
    assert str(inside / settings.model_repository) in binds(name)
    kept = [mount.split(":")[1] for mount in service["volumes"] if mount.startswith("cache:")]
    assert (inside / settings.cache_folder).is_relative_to(kept[0])
    assert float(service["stop_grace_period"].removesuffix("s")) > STOP_S


def test_the_gpu_server_asks_for_one() -> None:
    devices = SERVICES["server-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert devices == [{"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}]


def test_the_camera_is_the_drawn_one_and_looks_at_the_server() -> None:
    camera = SERVICES["camera"]
    assert camera["entrypoint"] == [".venv/bin/python", "-m", "client"]
    asked = client_settings.parse(camera["command"], help_text=None)
    assert (asked.source, asked.server) == ("synthetic", f"{NAME}:{PORTS['grpc']}")
    assert asked.policy is None and asked.max_frames is None  # so it is live, and goes on
    assert camera["healthcheck"] == {"disable": True}


def test_what_is_built_here_is_a_stage_of_the_dockerfile() -> None:
    built = {
        name: service["build"]["target"]
        for name, service in SERVICES.items()
        if service["image"].startswith("fathom:")
    }
    assert set(built.values()) <= set(read_stages())
    assert all(SERVICES[name]["image"] == f"fathom:{target}" for name, target in built.items())
    others = [s["image"] for name, s in SERVICES.items() if name not in built]
    assert all(re.search(r":v?\d+\.\d+", image) for image in others)


@pytest.mark.parametrize("name", SERVICES)
def test_everything_is_contained(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] and service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "/tmp" in service["tmpfs"]  # noqa: S108 - in a container
    assert limits(name).keys() == {"cpus", "memory"}
    assert "healthcheck" in service or name in PROFILES.values()  # those have their image's
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_what_is_mounted_exists_and_is_not_written() -> None:
    used = set()
    for name, service in SERVICES.items():
        assert all(path.exists() for path in binds(name).values()), name
        for mount in service.get("volumes", []):
            outside, _, *mode = mount.split(":")
            if outside.startswith("."):
                assert mode == ["ro"]
            else:
                used.add(outside)
    assert used == set(COMPOSE["volumes"])


def test_prometheus_finds_its_rules_and_the_server() -> None:
    mounted = binds("prometheus")
    flags = [str(flag).partition("=") for flag in SERVICES["prometheus"]["command"]]
    named = {name: value for name, _, value in flags}
    file = Path(named["--config.file"])
    config = next(documents(mounted[str(file)]))
    (scrape,) = config["scrape_configs"]
    targets = [each for files in scrape["file_sd_configs"] for each in files["files"]]
    assert all(str(file.parent / each) in mounted for each in [*config["rule_files"], *targets])
    watched: object = next(documents(mounted[str(file.parent / targets[0])]))
    assert watched == [{"targets": [f"{NAME}:{PORTS['http']}"]}]
    assert f"metrics:{named['--storage.tsdb.path']}" in SERVICES["prometheus"]["volumes"]


def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    mounted, said = binds("grafana"), SERVICES["grafana"]["environment"]
    assert mounted["/etc/grafana/provisioning"] == PROVISIONING
    (provider,) = next(documents(PROVISIONING / "dashboards" / "fathom.yml"))["providers"]
    assert list(mounted[provider["options"]["path"]].glob("*.json"))
    (source,) = next(documents(PROVISIONING / "datasources" / "prometheus.yml"))["datasources"]
    assert said[source["url"].strip("${}")] == "http://prometheus:9090"
    assert not any("PASSWORD" in variable for variable in said)
