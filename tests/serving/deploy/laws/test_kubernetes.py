"""Manifests fit the schemas of Kubernetes and each other, and the probe of Triton tells a dead model."""

from __future__ import annotations

import copy
import importlib.util
import re
import subprocess
import sys

import pytest
import yaml

from spair.serving.deploy import FOLDER
from tests.patience import PATIENCE
from tests.serving.network import find_ports
from tests.serving.process import served

needs_schemas = pytest.mark.skipif(
    importlib.util.find_spec("kubernetes_validate") is None,
    reason="the schemas are in the extra dev: pip install kubernetes-validate",
)
FILES = {"kubernetes.yaml": "spair", "triton.yaml": "spair-triton"}
VERSIONS = ("1.27", "1.37")
"""The oldest version that the files name, and the newest whose schemas are there."""


def read(file: str) -> list[dict]:
    return list(yaml.safe_load_all((FOLDER / file).read_text(encoding="utf-8")))


def find(file: str, kind: str, name: str | None = None) -> dict:
    found = [one for one in read(file) if one["kind"] == kind and name in (None, one["metadata"]["name"])]
    assert len(found) == 1, (file, kind, name)
    return found[0]


def find_container(file: str) -> dict:
    (container,) = find(file, "Deployment")["spec"]["template"]["spec"]["containers"]
    return container


def read_options(container: dict) -> dict[str, str]:
    return dict(word.split("=", 1) for word in container["args"] if word.startswith("--") and "=" in word)


@needs_schemas
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("file", FILES)
def test_every_manifest_fits_its_schema(file, version):
    import kubernetes_validate

    documents = read(file)
    assert len(documents) >= 5
    for document in documents:
        kubernetes_validate.validate(document, version, strict=True)


def misname_a_probe(manifest: dict) -> None:
    container = manifest["spec"]["template"]["spec"]["containers"][0]
    container["readynessProbe"] = container.pop("readinessProbe")


def give_a_number_for_memory(manifest: dict) -> None:
    manifest["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["memory"] = ["1Gi"]


def forget_the_selector(manifest: dict) -> None:
    del manifest["spec"]["selector"]


def misspell_a_port(manifest: dict) -> None:
    manifest["spec"]["template"]["spec"]["containers"][0]["ports"][0] = {"containerport": 8000}


@needs_schemas
@pytest.mark.parametrize("damage", [misname_a_probe, give_a_number_for_memory, forget_the_selector, misspell_a_port])
def test_a_damaged_manifest_is_refused(damage):
    import kubernetes_validate

    damaged = copy.deepcopy(find("kubernetes.yaml", "Deployment"))
    damage(damaged)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(damaged, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("file", FILES)
def test_everything_selects_the_pods_of_the_deployment(file):
    labels = {"app.kubernetes.io/name": FILES[file]}
    assert find(file, "Deployment")["spec"]["selector"]["matchLabels"] == labels
    assert find(file, "Deployment")["spec"]["template"]["metadata"]["labels"] == labels
    assert find(file, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    assert find(file, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == labels
    services = [one for one in read(file) if one["kind"] == "Service"]
    assert services and all(one["spec"]["selector"] == labels for one in services)
    assert all(one["metadata"]["labels"] == labels for one in read(file))


@pytest.mark.parametrize("file", FILES)
def test_ports_are_named_once_and_used_by_name(file):
    ports = {one["name"] for one in find_container(file)["ports"]}
    services = [one for one in read(file) if one["kind"] == "Service"]
    assert {one["targetPort"] for service in services for one in service["spec"]["ports"]} <= ports
    rules = find(file, "NetworkPolicy")["spec"]["ingress"]
    assert {one["port"] for rule in rules for one in rule["ports"]} == ports
    container = find_container(file)
    probes = [container[name] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert {one["httpGet"]["port"] for one in probes if "httpGet" in one} <= ports


@pytest.mark.parametrize("file", FILES)
def test_volumes_that_are_mounted_exist_and_only_these_can_be_written(file):
    pod, container = find(file, "Deployment")["spec"]["template"]["spec"], find_container(file)
    assert {one["name"] for one in container["volumeMounts"]} == {one["name"] for one in pod["volumes"]}
    writable = {one["mountPath"] for one in container["volumeMounts"] if not one.get("readOnly")}
    assert "/tmp" in writable and container["securityContext"]["readOnlyRootFilesystem"]
    assert pod["securityContext"]["runAsNonRoot"] and not container["securityContext"]["allowPrivilegeEscalation"]
    assert not pod["automountServiceAccountToken"]


def test_the_time_to_end_covers_what_the_server_may_take():
    from spair.serving.server import MARGIN_SECONDS

    options = read_options(find_container("kubernetes.yaml"))
    grace = find("kubernetes.yaml", "Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace > float(options["--grace"]) + float(options["--timeout"]) + 2 * MARGIN_SECONDS
    probe = find_container("kubernetes.yaml")["readinessProbe"]
    assert float(options["--grace"]) > 2 * probe["periodSeconds"] * probe["failureThreshold"]


def test_the_time_to_end_covers_what_triton_may_take():
    container = find_container("triton.yaml")
    (wait,) = re.findall(r"\d+", container["lifecycle"]["preStop"]["exec"]["command"][-1])
    seconds = int(wait) + int(read_options(container)["--exit-timeout-secs"])
    assert find("triton.yaml", "Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > seconds


def test_the_arguments_are_those_of_the_verb():
    run = "from spair.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", run, "serve", "--help"], text=True, capture_output=True, check=True)
    container = find_container("kubernetes.yaml")
    assert container["args"][0] == "serve"
    assert set(read_options(container)) <= set(re.findall(r"--[a-z-]+", done.stdout))


def test_the_secret_is_where_the_server_reads_it_and_in_no_file():
    pod, container = (
        find("kubernetes.yaml", "Deployment")["spec"]["template"]["spec"],
        find_container("kubernetes.yaml"),
    )
    (place,) = [one["mountPath"] for one in container["volumeMounts"] if one["name"] == "token"]
    assert read_options(container)["--token-file"] == f"{place}/token"
    (secret,) = [one["secret"]["secretName"] for one in pod["volumes"] if one["name"] == "token"]
    assert f"kubectl create secret generic {secret} --from-literal=token=" in (FOLDER / "kubernetes.yaml").read_text()
    assert not any(one["kind"] == "Secret" for file in FILES for one in read(file))


def test_the_autoscaler_scales_what_is_deployed():
    scaler = find("kubernetes.yaml", "HorizontalPodAutoscaler")["spec"]
    assert scaler["scaleTargetRef"]["name"] == find("kubernetes.yaml", "Deployment")["metadata"]["name"]
    assert "replicas" not in find("kubernetes.yaml", "Deployment")["spec"], "two would fight for the number"
    assert scaler["minReplicas"] > find("kubernetes.yaml", "PodDisruptionBudget")["spec"]["maxUnavailable"]


@pytest.fixture
def probe(tmp_path):
    """`probe(address)` runs the probe of Triton's pods as its exec command does; its exit code."""
    file = tmp_path / "probe.py"
    file.write_text(find("triton.yaml", "ConfigMap")["data"]["probe.py"], encoding="utf-8")
    command = find_container("triton.yaml")["readinessProbe"]["exec"]["command"]
    assert command[:3] == ["python3", "/probe/probe.py", "rain"] and len(command) == 5

    def run(address: str) -> int:
        words = [sys.executable, str(file), command[2], address, str(PATIENCE)]
        return subprocess.run(words, capture_output=True, check=False).returncode

    return run


def test_the_probe_restores_a_picture(probe, tiny_bundle):
    with served(f"rain={tiny_bundle}", "--threads", "1") as server:
        assert probe(server.http) == 0
    assert probe(server.http) != 0


def test_the_probe_sees_that_the_model_is_not_served_though_the_server_is_ready(probe, tiny_bundle):
    with served(f"other={tiny_bundle}", "--threads", "1") as server:
        assert probe(server.http) != 0


def test_the_probe_fails_where_nobody_listens(probe):
    assert probe(f"127.0.0.1:{find_ports(1)[0]}") != 0
