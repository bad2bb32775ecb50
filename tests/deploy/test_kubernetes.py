"""The manifests agree with the server, with each other, and with what its metrics are called."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Set
from pathlib import Path

import pytest

from benchmarks.monitoring import RULES, Tools
from fathom import metrics
from fathom.errors import FathomError
from server.security.gate import OPEN
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
    told,
)

KUBERNETES = DEPLOY / "kubernetes"
BASE, TRITON = KUBERNETES / "base", KUBERNETES / "overlays" / "triton"
VALIDATE = Path(sys.executable).with_name("kubernetes-validate")
KUSTOMIZE = (["kustomize", "build"], ["kubectl", "kustomize"])  # the same, in two places


def read(folder: Path) -> dict[tuple[str, str], Json]:
    """What a kustomization lists, by kind and name, as it is written there."""
    listed = kustomization(folder)["resources"]
    files = [folder / name for name in listed if name.endswith(".yaml")]
    return {(each["kind"], each["metadata"]["name"]): each for each in documents(*files)}


def kustomization(folder: Path) -> Json:
    return next(documents(folder / "kustomization.yaml"))


SERVER, FLEET = read(BASE), read(TRITON)
DEPLOYMENT, STATEFUL = SERVER["Deployment", "fathom"], FLEET["StatefulSet", "triton"]
PODS = {"fathom": DEPLOYMENT["spec"]["template"], "triton": STATEFUL["spec"]["template"]}
CONTAINERS = [
    container
    for pod in PODS.values()
    for container in [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]
]
CONTAINER = PODS["fathom"]["spec"]["containers"][0]
ADDED = json.dumps(kustomization(TRITON)["patches"])
ENGINE = re.search(r"--engine=[^\\\"]+", ADDED)


def settings_of(*more: str) -> Settings:
    return load([*CONTAINER["args"], *more], environment(read_stages(), "cpu"))[0]


def test_every_file_belongs_to_a_kustomization() -> None:
    for folder in (BASE, TRITON):
        listed = {name for name in kustomization(folder)["resources"] if name.endswith(".yaml")}
        assert listed | {"kustomization.yaml"} == {path.name for path in folder.iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize(("folder", "engine"), [(BASE, "auto"), (TRITON, "triton")])
def test_what_kustomize_makes_is_valid_and_whole(folder: Path, engine: str, tmp_path: Path) -> None:
    build = next((command for command in KUSTOMIZE if shutil.which(command[0])), None)
    if build is None:
        pytest.skip("neither kustomize nor kubectl is here")
    made = tmp_path / "made.yaml"
    with made.open("w", encoding="utf-8") as out:
        subprocess.run([*build, folder], stdout=out, check=True, timeout=60)
    subprocess.run([VALIDATE, "--strict", "--quiet", made], check=True, timeout=60)
    of_kind = {each["kind"]: each for each in documents(made)}
    (server,) = of_kind["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert server["image"] == "fathom:cpu"
    assert load(server["args"], {})[0].engine.startswith(engine)
    assert all(
        each["metadata"]["namespace"] == "fathom"
        for each in documents(made)
        if each["kind"] != "Namespace"
    )


def test_the_server_is_told_settings_that_it_has() -> None:
    settings = settings_of()
    assert settings.token_file and settings.metrics_open
    assert settings.host == "0.0.0.0"  # noqa: S104 - of a pod
    mounted = {mount["mountPath"] for mount in CONTAINER["volumeMounts"]}
    assert str(Path(settings.token_file).parent) in mounted
    assert any((Path("/fathom") / settings.cache_folder).is_relative_to(each) for each in mounted)


def test_no_variable_of_kubernetes_meets_the_settings() -> None:
    """A Service that is named as the server is would put FATHOM_PORT into its environment."""
    with pytest.raises(FathomError, match="FATHOM_SERVICE_HOST"):
        load([], {"FATHOM_SERVICE_HOST": "10.0.0.1"})
    assert all(pod["spec"]["enableServiceLinks"] is False for pod in PODS.values())


def test_threads_are_the_pods_cores_and_memory_holds_what_clients_may_fill() -> None:
    limits, settings = CONTAINER["resources"]["limits"], settings_of()
    assert CONTAINER["resources"]["requests"] == limits and float(limits["cpu"]).is_integer()
    (threads,) = CONTAINER["env"]
    load([], {threads["name"]: limits["cpu"]})
    assert threads["valueFrom"]["resourceFieldRef"]["resource"] == "limits.cpu"
    resident_mib = 256  # README.md, "holds MiB of memory"
    assert mebibytes(limits["memory"]) > resident_mib + holds_at_most_mib(settings)


def test_ports_are_the_servers() -> None:
    assert {port["name"]: port["containerPort"] for port in CONTAINER["ports"]} == PORTS
    offered = SERVER["Service", "fathom"]["spec"]["ports"]
    assert {port["targetPort"]: port["port"] for port in offered} == PORTS
    assert PODS["fathom"]["metadata"]["annotations"]["prometheus.io/port"] == str(PORTS["http"])


@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_probes_ask_routes_that_answer_without_a_token(probe: str, routes: Set[str]) -> None:
    asked = CONTAINER[probe]["httpGet"]
    assert asked["path"] in routes & set(OPEN) and asked["port"] in PORTS
    assert asked["path"] == ("/healthz" if probe == "livenessProbe" else "/readyz")


def test_a_pod_has_the_time_that_its_end_takes() -> None:
    pod = PODS["fathom"]["spec"]
    waits_s = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] > waits_s + STOP_S
    triton = PODS["triton"]["spec"]
    said = dict(re.findall(r"--([\w-]+)=(\S+)", " ".join(triton["containers"][0]["args"])))
    assert triton["terminationGracePeriodSeconds"] > int(said["exit-timeout-secs"])


@pytest.mark.parametrize("container", CONTAINERS, ids=[each["name"] for each in CONTAINERS])
def test_a_container_can_do_nothing_but_its_work(container: Json) -> None:
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"cpu", "memory"} <= container["resources"]["limits"].keys()


@pytest.mark.parametrize("name", PODS)
def test_a_pod_is_nobody_in_particular(name: str) -> None:
    spec = PODS[name]["spec"]
    context = spec["securityContext"]
    assert context["runAsNonRoot"] and context["runAsUser"] > 0
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    mounted = {
        mount["name"]
        for container in [*spec["containers"], *spec.get("initContainers", [])]
        for mount in container["volumeMounts"]
    }
    assert mounted == {volume["name"] for volume in spec["volumes"]}


def test_the_user_is_the_images() -> None:
    user = PODS["fathom"]["spec"]["securityContext"]["runAsUser"]
    assert told(read_stages(), "cpu", "USER") == [str(user)]


@pytest.mark.parametrize("name", PODS)
def test_everything_selects_the_pods_that_there_are(name: str) -> None:
    labels = PODS[name]["metadata"]["labels"]
    for (kind, _), each in {**SERVER, **FLEET}.items():
        if each["metadata"].get("labels") != labels:
            continue
        selector = each["spec"].get("selector", {})
        if kind in ("Deployment", "StatefulSet", "PodDisruptionBudget"):
            selector = selector["matchLabels"]
        assert kind == "HorizontalPodAutoscaler" or selector == labels


def test_everybody_is_kept_out_but_those_who_are_named() -> None:
    policies = {n: p["spec"] for (k, n), p in {**SERVER, **FLEET}.items() if k == "NetworkPolicy"}
    assert policies.pop("nobody") == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for name, policy in policies.items():
        pod = PODS[policy["podSelector"]["matchLabels"]["app.kubernetes.io/name"]]
        (container,) = pod["spec"]["containers"]
        known = {port["name"] for port in container["ports"]}
        for rule in policy.get("ingress", []):
            assert rule["from"] and {port["port"] for port in rule["ports"]} <= known, name


def test_doors_know_the_address_of_every_triton_and_may_go_there() -> None:
    assert ENGINE
    addresses = settings_of(ENGINE[0]).engine.removeprefix("triton://").split(",")
    (replicas,) = kustomization(TRITON)["replicas"]
    service = FLEET["Service", STATEFUL["spec"]["serviceName"]]
    assert replicas["name"] == STATEFUL["metadata"]["name"]
    assert service["spec"]["clusterIP"] == "None"
    ports = {port["name"]: port["port"] for port in service["spec"]["ports"]}
    assert addresses == [
        f"{replicas['name']}-{n}.{service['metadata']['name']}:{ports['grpc']}"
        for n in range(replicas["count"])
    ]
    to_triton, _ = FLEET["NetworkPolicy", "fathom-to-triton"]["spec"]["egress"]
    assert [port["port"] for port in to_triton["ports"]] == [ports["grpc"]]


def adapter_rule() -> Json:
    (rule,) = next(documents(KUBERNETES / "prometheus-adapter.yaml"))["rules"]
    assert isinstance(rule, dict)
    return rule


def test_pods_are_counted_by_a_metric_that_the_adapter_makes_of_one_of_the_servers() -> None:
    rule = adapter_rule()
    series = re.match(r"\w+", rule["seriesQuery"])
    assert series and series[0] == f"{metrics.FRAME_AGE}_bucket"
    made = re.sub(rule["name"]["matches"], rule["name"]["as"].replace("${1}", r"\1"), series[0])
    scaler = SERVER["HorizontalPodAutoscaler", "fathom"]["spec"]
    (metric,) = scaler["metrics"]
    assert metric["pods"]["metric"]["name"] == made
    assert scaler["scaleTargetRef"]["name"] == DEPLOYMENT["metadata"]["name"]
    assert "replicas" not in DEPLOYMENT["spec"]


def test_pods_are_added_before_anybody_is_woken_and_at_an_age_that_is_measured_exactly() -> None:
    (metric,) = SERVER["HorizontalPodAutoscaler", "fathom"]["spec"]["metrics"]
    target_s = int(metric["pods"]["target"]["averageValue"].removesuffix("m")) / 1000
    alerts = (RULES / "alerts.yml").read_text(encoding="utf-8")
    woken = re.search(r"frame_age_seconds:p99_1m > ([\d.]+)", alerts)
    assert woken and target_s < float(woken[1])
    assert target_s in metrics.SECONDS_BUCKETS


def test_the_adapters_query_is_a_pods_age(tools: Tools, tmp_path: Path) -> None:
    """Of 100 frames 5 took 100 to 150 ms, so that 99 took up to 140 ms; without frames it is 0."""
    query = adapter_rule()["metricsQuery"]
    for place, is_ in {
        "Series": f"{metrics.FRAME_AGE}_bucket",
        "LabelMatchers": 'namespace="fathom",pod=~"a|b"',
        "GroupBy": "pod",
    }.items():
        query = query.replace(f"<<.{place}>>", is_)
    of_a = f'{metrics.FRAME_AGE}_bucket{{namespace="fathom",pod="a",le='
    of_b = of_a.replace('"a"', '"b"')
    counts = {
        f'{of_a}"0.1"}}': 95,
        f'{of_a}"0.15"}}': 100,
        f'{of_a}"+Inf"}}': 100,
        f'{of_b}"+Inf"}}': 0,
    }
    asked = {
        "expr": f"round(({query}) * 1000)",
        "eval_time": "3m",
        "exp_samples": [
            {"labels": '{pod="a"}', "value": 140},
            {"labels": '{pod="b"}', "value": 0},
        ],
    }
    test = {
        "evaluation_interval": "5s",
        "tests": [
            {
                "interval": "5s",
                "input_series": [
                    {"series": series, "values": f"0+{count}x60"}
                    for series, count in counts.items()
                ],
                "promql_expr_test": [asked],
            }
        ],
    }
    file = tmp_path / "test.json"  # which is YAML
    file.write_text(json.dumps(test))
    ended = subprocess.run(
        [tools.promtool, "test", "rules", file],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "SUCCESS" in ended.stdout + ended.stderr, ended.stdout + ended.stderr
