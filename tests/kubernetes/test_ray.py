"""The manifests with a Ray cluster: valid, closed, and at one about who is where."""

from dataclasses import fields
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import pytest

from tabpy.tabpy_server.settings import Settings
from tests.kubernetes.manifests import (
    CONTAINER,
    FOLDER,
    POD,
    Object,
    find,
    objects,
    rendered,
    renderer,
)

RAY = FOLDER / "ray"
OBJECTS = objects(RAY)
CLUSTER: Object = find(OBJECTS, "RayCluster", "tabpy-ray")
NAME = CLUSTER["metadata"]["name"]
HEAD: Object = CLUSTER["spec"]["headGroupSpec"]
[WORKERS] = CLUSTER["spec"]["workerGroupSpecs"]
ADDRESS = urlsplit(find(OBJECTS, "ConfigMap")["data"]["RAY_ADDRESS"])
# https://ray-project.github.io/kuberay/reference/api/, those of them that are used.
OF_A_CLUSTER = {"rayVersion", "authOptions", "headGroupSpec", "workerGroupSpecs"}
OF_A_GROUP = {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"}
SETTINGS = {each.metadata["key"] for each in fields(Settings) if each.metadata}

groups = pytest.mark.parametrize("group", [HEAD, WORKERS], ids=["head", "workers"])


def container_of(group: Object) -> Object:
    [found] = group["template"]["spec"]["containers"]
    return found  # type: ignore[no-any-return]


def test_a_cluster_has_the_fields_that_kuberay_knows() -> None:
    assert CLUSTER["apiVersion"] == "ray.io/v1"
    assert CLUSTER["spec"].keys() == OF_A_CLUSTER
    assert HEAD.keys() == {"rayStartParams", "template"}
    assert WORKERS.keys() == OF_A_GROUP
    for group in (HEAD, WORKERS):  # KubeRay takes texts only
        assert all(isinstance(each, str) for each in group["rayStartParams"].values())


@groups
def test_its_pods_are_valid(group: Object) -> None:
    template = {
        "apiVersion": "v1",
        "kind": "PodTemplate",
        "metadata": {"name": NAME},
        "template": group["template"],
    }
    kubernetes_validate.validate(template, "1.37", strict=True)


@groups
def test_its_pods_have_the_servers_image_and_are_as_closed_as_the_servers(group: Object) -> None:
    pod, container = group["template"]["spec"], container_of(group)
    assert container["image"] == CONTAINER["image"]
    for key in ("securityContext", "automountServiceAccountToken", "enableServiceLinks"):
        assert pod[key] == POD[key]
    assert container["securityContext"] == CONTAINER["securityContext"]
    resources = container["resources"]
    assert resources["requests"]["memory"] == resources["limits"]["memory"]


@groups
def test_its_probes_ask_a_port_that_the_pod_names(group: Object) -> None:
    container = container_of(group)
    named = {each["name"] for each in container["ports"]}
    for probe in ("readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] in named


def test_no_script_runs_on_the_head() -> None:
    assert HEAD["rayStartParams"]["num-cpus"] == "0"


def test_the_server_is_told_where_the_head_is() -> None:
    assert ADDRESS.scheme == "ray"
    assert ADDRESS.hostname == f"{NAME}-head-svc"  # as KubeRay calls the head's Service
    ports = {each["name"]: each["containerPort"] for each in container_of(HEAD)["ports"]}
    assert ADDRESS.port == ports["client"]


def test_only_the_server_reaches_the_head_and_there_only_that_port() -> None:
    own = {"ray.io/cluster": NAME}  # KubeRay's label of a cluster's pods
    out = find(OBJECTS, "NetworkPolicy", "tabpy-to-ray")["spec"]
    into = find(OBJECTS, "NetworkPolicy", NAME)["spec"]
    [leaving] = out["egress"]
    among, coming = into["ingress"]
    assert into["podSelector"]["matchLabels"] == own
    assert among == {"from": [{"podSelector": {"matchLabels": own}}]}
    assert coming["from"] == [{"podSelector": out["podSelector"]}]
    assert leaving["to"][0]["podSelector"]["matchLabels"].items() >= own.items()
    for rule in (leaving, coming):
        assert [each["port"] for each in rule["ports"]] == [ADDRESS.port]


@pytest.mark.skipif(renderer() is None, reason="neither kustomize nor kubectl is on the PATH")
def test_the_cluster_asks_for_a_password_which_the_server_has() -> None:
    assert CLUSTER["spec"]["authOptions"] == {"mode": "token"}
    made = find(rendered(RAY), "Deployment")["spec"]["template"]["spec"]["containers"][0]
    environment: dict[str, Any] = {each.pop("name"): each for each in made["env"]}
    assert environment["RAY_AUTH_MODE"] == {"value": "token"}
    # KubeRay makes the Secret, of the cluster's name.
    secret = {"name": NAME, "key": "auth_token"}
    assert environment["RAY_AUTH_TOKEN"] == {"valueFrom": {"secretKeyRef": secret}}
    assert environment.keys() > {each["name"] for each in CONTAINER["env"]}


@pytest.mark.skipif("TABPY_EXECUTOR" not in SETTINGS, reason="the server has no TABPY_EXECUTOR yet")
def test_every_setting_in_them_is_one() -> None:
    data = find(OBJECTS, "ConfigMap")["data"]
    assert {name for name in data if name.startswith("TABPY_")} <= SETTINGS
