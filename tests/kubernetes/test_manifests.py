"""The manifests are valid, agree with the server and the image, and keep to what is secure."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tabpy.tabpy_server.loaded_settings import load
from tabpy.tabpy_server.processes.web_process import ANSWER_SECONDS
from tabpy.tabpy_server.settings import Settings
from tabpy.tabpy_server.web.routes import make_routes
from tests.kubernetes.manifests import (
    BASE,
    CONTAINER,
    DOCKERFILE,
    FOLDER,
    FOLDERS,
    GUIDE,
    POD,
    Object,
    find,
    image_environment,
    metrics,
    objects,
    pod_environment,
    rendered,
    renderer,
    yaml_in_the_guide,
)
from tests.web.harness import make_context

OLDEST, NEWEST = "1.30", "1.37"  # of Kubernetes: the oldest with preStop's sleep, the newest known
SETTINGS = {each.metadata["key"] for each in fields(Settings) if each.metadata}
NAME = {"app.kubernetes.io/name": "tabpy"}
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
SECRETS = {("tabpy-database", "uri"): "postgres://tabpy@db.example.com/tabpy"}
needs_kustomize = pytest.mark.skipif(
    renderer() is None, reason="neither kustomize nor kubectl is on the PATH"
)


def identity(each: Object) -> str:
    return f"{each['kind']} {each['metadata']['name']}"


def is_of_kubernetes(each: Object) -> bool:
    """Whether it is of a kind that Kubernetes itself has."""
    return not each["apiVersion"].startswith("ray.io/")


EVERY_OBJECT = [
    pytest.param(each, id=f"{folder.name}: {identity(each)}")
    for folder in FOLDERS
    for each in objects(folder)
    if is_of_kubernetes(each)
]


# --- Kubernetes takes them ---


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("each", EVERY_OBJECT)
def test_each_object_is_valid_and_has_no_field_that_kubernetes_lacks(
    each: Object, version: str
) -> None:
    kubernetes_validate.validate(each, version, strict=True)


def test_the_schemas_would_find_a_mistake() -> None:
    wrong = find(BASE, "Service") | {"spec": {"prots": []}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, NEWEST, strict=True)


def test_each_file_is_one_that_its_kustomization_names() -> None:
    for folder in FOLDERS:
        text = (folder / "kustomization.yaml").read_text(encoding="utf-8")
        others = {file.name for file in folder.glob("*.yaml")} - {"kustomization.yaml"}
        assert set(re.findall(r"(?<= )[\w-]+\.yaml$", text, re.MULTILINE)) == others


@needs_kustomize
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_kustomize_makes_of_a_folder_what_stands_in_its_files(folder: Path) -> None:
    made = {identity(each): each for each in rendered(folder)}
    own = {identity(each): each for each in objects(folder)}
    assert set(made) == {*map(identity, BASE), *own}
    for name, each in own.items():
        assert holds(made[name], each)
    for each in made.values():
        if is_of_kubernetes(each):
            kubernetes_validate.validate(each, NEWEST, strict=True)


def holds(whole: Any, part: Any) -> bool:
    """Whether all that `part` says stands in `whole`."""
    if isinstance(part, dict):
        return all(key in whole and holds(whole[key], value) for key, value in part.items())
    return bool(whole == part)


# --- They fit together ---


def test_all_of_them_are_about_the_same_pods() -> None:
    deployment = find(BASE, "Deployment")["spec"]
    assert deployment["template"]["metadata"]["labels"] == NAME
    assert deployment["selector"]["matchLabels"] == NAME
    assert find(BASE, "Service")["spec"]["selector"] == NAME
    assert find(BASE, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == NAME
    assert find(BASE, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == NAME
    [spread] = POD["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"] == NAME


@pytest.mark.parametrize("folder", ["base", "waiting"])
def test_only_the_autoscaler_says_how_many_pods_there_are(folder: str) -> None:
    scaler = find(objects(FOLDER / folder), "HorizontalPodAutoscaler")["spec"]
    target = scaler["scaleTargetRef"]
    found = find(BASE, target["kind"], target["name"])
    assert found["apiVersion"] == target["apiVersion"]
    assert "replicas" not in found["spec"]
    assert scaler["minReplicas"] > find(BASE, "PodDisruptionBudget")["spec"]["maxUnavailable"]


def test_each_volume_is_mounted_and_each_mount_has_a_volume() -> None:
    mounted = {each["name"] for each in CONTAINER["volumeMounts"]}
    assert mounted == {each["name"] for each in POD["volumes"]}


# --- They fit the server ---


def test_every_setting_in_them_is_one_and_has_a_value_that_can_be_right() -> None:
    environment = pod_environment(SECRETS)
    named = {name for name in environment if name.startswith("TABPY_")}
    assert named <= SETTINGS
    loaded = load(None, environment)
    assert named <= loaded.settings.explicit
    assert [each for each in loaded.warnings if "TABPY_" in each] == []


def test_the_port_is_the_one_that_the_server_listens_on() -> None:
    [port] = CONTAINER["ports"]
    assert load(None, pod_environment(SECRETS)).settings.port == port["containerPort"]
    [of_the_service] = find(BASE, "Service")["spec"]["ports"]
    [rule] = find(BASE, "NetworkPolicy")["spec"]["ingress"]
    named = {CONTAINER[probe]["httpGet"]["port"] for probe in PROBES}
    assert named | {of_the_service["targetPort"], rule["ports"][0]["port"]} == {port["name"]}


@pytest.mark.parametrize("probe", PROBES)
def test_a_probe_asks_a_route_that_is_open_to_all(probe: str) -> None:
    path = CONTAINER[probe]["httpGet"]["path"]
    [route] = [each for each in make_routes(make_context()) if each.pattern == path]
    assert route.handler.open_to_all


def test_a_pod_that_is_not_ready_is_not_restarted_for_that() -> None:
    paths = {probe: CONTAINER[probe]["httpGet"]["path"] for probe in PROBES}
    assert paths == {
        "startupProbe": "/readyz",
        "readinessProbe": "/readyz",
        "livenessProbe": "/healthz",
    }


def test_the_grace_is_long_enough_for_a_drain_after_the_wait() -> None:
    settings = load(None, pod_environment(SECRETS)).settings
    wait = CONTAINER["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain = settings.drain_timeout + 2 * ANSWER_SECONDS
    assert wait > CONTAINER["readinessProbe"]["timeoutSeconds"]
    assert POD["terminationGracePeriodSeconds"] >= wait + drain + 5


def test_what_the_server_writes_to_is_a_volume() -> None:
    volumes = {each["name"]: each for each in POD["volumes"]}
    writable = {
        each["mountPath"]
        for each in CONTAINER["volumeMounts"]
        if "emptyDir" in volumes[each["name"]] and not each.get("readOnly")
    }
    environment = pod_environment(SECRETS)
    assert writable == {environment["TABPY_STATE_PATH"], environment["HOME"], "/tmp"}
    for each in volumes.values():
        assert each.get("emptyDir", {"sizeLimit": ""}).keys() == {"sizeLimit"}


def test_the_user_is_the_images() -> None:
    text = DOCKERFILE.read_text(encoding="utf-8")
    [number] = re.findall(r"useradd --uid (\d+)", text)
    assert POD["securityContext"]["runAsUser"] == int(number)
    assert image_environment()["TABPY_PORT"]


def test_all_memory_is_asked_for_since_the_server_divides_all_of_it() -> None:
    resources = CONTAINER["resources"]
    assert resources["requests"]["memory"] == resources["limits"]["memory"]
    assert resources["limits"]["cpu"]  # else there would be a worker for each of the node's


# --- They are closed ---


def test_the_pod_keeps_to_the_restricted_standard() -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/"""
    own = CONTAINER["securityContext"]
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert POD["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own["allowPrivilegeEscalation"] is False
    assert own["readOnlyRootFilesystem"] is True
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & POD.keys()
    assert all("hostPath" not in each for each in POD["volumes"])


def test_scripts_find_no_token_of_the_cluster() -> None:
    assert POD["automountServiceAccountToken"] is False
    assert POD["enableServiceLinks"] is False  # one would set TABPY_PORT


def test_no_secret_stands_in_a_manifest() -> None:
    secret = {each.metadata["key"] for each in fields(Settings) if each.metadata and not each.repr}
    for folder in FOLDERS:
        found = objects(folder)
        assert "Secret" not in {each["kind"] for each in found}
        for each in found:
            if each["kind"] == "ConfigMap":
                assert not secret & each["data"].keys()
    assert all("value" not in each for each in CONTAINER["env"])


def test_the_password_file_is_in_a_volume_that_only_the_server_can_read() -> None:
    [users] = [each["secret"] for each in POD["volumes"] if "secret" in each]
    assert users["defaultMode"] == 0o440
    [mount] = [each for each in CONTAINER["volumeMounts"] if each["name"] == "users"]
    assert mount["readOnly"] is True
    assert "subPath" not in mount  # it would never change
    file = Path(pod_environment(SECRETS)["TABPY_PWD_FILE"])
    assert str(file.parent) == mount["mountPath"]


# --- What the guide says of them ---


def test_the_guides_kustomization_names_the_base_and_its_image() -> None:
    own, *_ = yaml_in_the_guide("Kubernetes")
    [folder] = own["resources"]
    assert FOLDER.parents[1] / folder.removeprefix("tabpy/") == FOLDER / "base"
    [image] = own["images"]
    assert CONTAINER["image"].partition(":")[0] == image["name"]


@needs_kustomize
def test_the_guides_kustomization_puts_the_image_and_a_setting_in(tmp_path: Path) -> None:
    own, *_ = yaml_in_the_guide("Kubernetes")
    (tmp_path / "tabpy").symlink_to(FOLDER.parents[1])
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(own))
    made = rendered(tmp_path)
    [image] = own["images"]
    [container] = find(made, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"{image['newName']}:{image['newTag']}"
    settings = find(made, "ConfigMap")["data"]
    assert settings.keys() > find(BASE, "ConfigMap")["data"].keys()
    assert {name for name in settings if name.startswith("TABPY_")} <= SETTINGS


def test_the_guides_secrets_are_those_that_the_pod_asks_for() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    made = dict(re.findall(r"create secret generic ([\w-]+) --from-file=(\S+)", text))
    [users] = [each["secret"]["secretName"] for each in POD["volumes"] if "secret" in each]
    [database] = [each["valueFrom"]["secretKeyRef"] for each in CONTAINER["env"]]
    file = Path(pod_environment(SECRETS)["TABPY_PWD_FILE"]).name
    assert made == {users: file, database["name"]: database["key"]}


def test_the_guides_metric_is_the_autoscalers_and_has_its_labels() -> None:
    _, scraped, adapted = yaml_in_the_guide("Kubernetes")
    [rule] = adapted["rules"]["custom"]
    assert {rule["name"]["as"], rule["seriesQuery"].partition("{")[0]} == set(metrics())
    [job] = scraped["scrape_configs"]
    labels = {each.get("target_label") for each in job["relabel_configs"]} - {None}
    assert labels == rule["resources"]["overrides"].keys()
