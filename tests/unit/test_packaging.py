"""What the project is shipped as: image, compose file, chart and licence agree with the code."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.settings import Settings, load

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def text(name: str) -> str:
    """The text of a file of the repository."""
    return (ROOT / name).read_text("utf-8")


def test_the_licence_is_apache_2_to_the_letter() -> None:
    """The licence that pyproject.toml names stands there, unchanged."""
    assert PROJECT["license"] == "Apache-2.0"
    digest = hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest()
    assert digest == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


def test_the_changelog_tells_of_this_version() -> None:
    """Nothing is released that the changelog does not tell of."""
    assert f"\n## [{PROJECT['version']}]" in text("CHANGELOG.md")


def test_the_chart_is_of_this_version() -> None:
    """The chart installs the version that it came with."""
    chart = yaml.safe_load(text("helm/Chart.yaml"))
    assert (chart["version"], chart["appVersion"]) == (PROJECT["version"], PROJECT["version"])


# --- the image -----------------------------------------------------------------------------


def pins(name: str) -> dict[str, str]:
    """The names in a lock file, each with its version and hashes."""
    found = re.findall(r"^([a-z0-9-]+)==(.*(?:\n    --hash.*)+)", text(name), re.MULTILINE)
    return {name: re.sub(r"\s*\\\n\s*", " ", pin) for name, pin in found}


def test_the_image_has_what_the_tests_ran_with() -> None:
    """Each version in the image's list, hashes and all, is the one in the list for development."""
    runtime, development = pins("requirements-runtime.lock"), pins("requirements.lock")
    assert {name: pin for name, pin in runtime.items() if development.get(name) != pin} == {}
    assert {re.split("[>=<]", dependency)[0] for dependency in PROJECT["dependencies"]} <= runtime.keys()


def test_the_image_has_no_tools_of_development() -> None:
    """Test tools and the demo's embedded broker stay out of the image."""
    assert pins("requirements-runtime.lock").keys().isdisjoint({"pytest", "ruff", "confluent-kafka"})


def test_what_the_image_copies_reaches_the_builder() -> None:
    """Each file that the Dockerfile copies is there and is let through by .dockerignore."""
    lines = re.findall(r"^COPY (?!--from)(.*) \S+$", text("Dockerfile"), re.MULTILINE)
    copied = {name for line in lines for name in line.split()}
    assert copied == set(re.findall(r"^!(.*)$", text(".dockerignore"), re.MULTILINE))
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_the_compose_file_configures_the_bridge() -> None:
    """The variables in compose.yaml are a whole configuration."""
    environ = yaml.safe_load(text("compose.yaml"))["x-bridge"]["environment"]
    assert set(load(None, environ, {}).sites) == {"demo"}


# --- the chart -----------------------------------------------------------------------------


def test_the_chart_knows_the_configuration(tmp_path: Path) -> None:
    """The chart judges `config` by the schema that the bridge has; `helm/schema` writes it anew."""
    copy = tmp_path / "values.schema.json"
    shutil.copy(ROOT / "helm/values.schema.json", copy)
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, ROOT / "helm/schema", copy], check=True, env=environ)
    assert json.loads(copy.read_text("utf-8")) == json.loads(text("helm/values.schema.json"))


PARTS = {"ingress": "Deployment", "worker": "StatefulSet"}


@pytest.fixture(
    params=["helm/values.yaml", *(f"helm/ci/{path.name}" for path in (ROOT / "helm/ci").iterdir())]
)
def manifests(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """What the chart renders for the values."""
    helm = shutil.which("helm") or shutil.which("helm", path=ROOT / ".cache/bin")
    if helm is None:
        pytest.skip("helm is not installed; `make helm` builds it")
    command = [
        helm,
        "template",
        "x",
        ROOT / "helm",
        "--kube-version",
        "1.31.0",
        "--values",
        ROOT / request.param,
    ]
    rendered = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return list(yaml.safe_load_all(rendered))


def of(manifests: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    """The manifest of that kind whose name ends so."""
    (found,) = (m for m in manifests if m["kind"] == kind and m["metadata"]["name"].endswith(name))
    return found


def configured(part: str, manifests: list[dict[str, Any]], root: Path) -> Settings:
    """The configuration of one part of the chart, with a file for each one that it names."""
    config = of(manifests, "ConfigMap", "jira-link-bridge")["data"][f"{part}.yaml"]
    for name in re.findall(r"/etc/jira-bridge/([\w./-]+)", config):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("secret", "utf-8")
    path = root / "config.yaml"
    path.write_text(config.replace("/etc/jira-bridge", str(root)), "utf-8")
    return load(path, {}, {})


def test_each_part_of_the_chart_has_a_configuration_that_loads(
    manifests: list[dict[str, Any]], tmp_path: Path
) -> None:
    """Ingress and worker each load what the chart gives them, on the ports that it asks at."""
    for part, kind in PARTS.items():
        settings = configured(part, manifests, tmp_path)
        container = of(manifests, kind, part)["spec"]["template"]["spec"]["containers"][0]
        assert container["ports"] == [{"name": "http", "containerPort": getattr(settings, part).port}]
        assert container["args"][0] == part


def test_no_part_of_the_chart_holds_the_others_secrets(
    manifests: list[dict[str, Any]], tmp_path: Path
) -> None:
    """Ingress has no Jira token, and the worker has no signing secret."""
    assert configured("ingress", manifests, tmp_path).sites == {}
    assert configured("worker", manifests, tmp_path).ingress.endpoints == {}


def test_the_chart_gives_its_pods_no_rights(manifests: list[dict[str, Any]]) -> None:
    """Not root, a root file system to read only, no capabilities, no token, no foreign variables."""
    for manifest in manifests:
        if manifest["kind"] not in PARTS.values():
            continue
        pod = manifest["spec"]["template"]["spec"]
        assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False)
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in (*pod["containers"], *pod.get("initContainers", [])):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_the_ledger_of_the_chart_is_on_its_volume(manifests: list[dict[str, Any]], tmp_path: Path) -> None:
    """A file is where the claim is mounted, with one worker; a server needs no volume."""
    worker = of(manifests, "StatefulSet", "worker")["spec"]
    pod = worker["template"]["spec"]
    mounts = {m["name"]: m["mountPath"] for m in pod["containers"][0]["volumeMounts"]}
    ledger = configured("worker", manifests, tmp_path).ledger
    if ledger.is_file:
        assert str(ledger.path.parent) == mounts["ledger"]
        assert worker["replicas"] == 1
        return
    assert "ledger" not in mounts
    assert "PersistentVolumeClaim" not in {manifest["kind"] for manifest in manifests}
    (migrate,) = pod["initContainers"]
    assert migrate["args"] == ["ledger", "migrate", *pod["containers"][0]["args"][1:]]
    assert migrate["volumeMounts"] == pod["containers"][0]["volumeMounts"]


def test_the_chart_lets_its_pods_finish(manifests: list[dict[str, Any]], tmp_path: Path) -> None:
    """Kubernetes waits for five seconds longer than the process takes to drain."""
    for part, kind in PARTS.items():
        grace = of(manifests, kind, part)["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        assert 5 <= grace - configured(part, manifests, tmp_path).worker.drain_seconds < 6


def test_a_worker_of_the_chart_is_known_by_its_pods_name(manifests: list[dict[str, Any]]) -> None:
    """The name of a pod, which stays in a restart, is its instance id; its Service is there."""
    worker = of(manifests, "StatefulSet", "worker")["spec"]
    (variable,) = worker["template"]["spec"]["containers"][0]["env"]
    assert load(None, {variable["name"]: "x-worker-0"}, {}).kafka.instance_id == "x-worker-0"
    assert variable["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
    assert of(manifests, "Service", worker["serviceName"])["spec"]["clusterIP"] == "None"
