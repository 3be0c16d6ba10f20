"""The manifests of contrib/kubernetes, as Kubernetes would be given them."""

import functools
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "contrib" / "kubernetes"
GUIDE = ROOT / "docs" / "deploying.md"
DOCKERFILE = ROOT / "Dockerfile"
KUSTOMIZATION = "kustomization.yaml"

Object = dict[str, Any]

FOLDERS = sorted(file.parent for file in FOLDER.glob(f"*/{KUSTOMIZATION}"))


def read(text: str) -> list[Object]:
    """The objects of a text of YAML."""
    return [each for each in yaml.safe_load_all(text) if each is not None]


def objects(folder: Path) -> list[Object]:
    """Those that stand in a folder's own files."""
    files = sorted(set(folder.glob("*.yaml")) - {folder / KUSTOMIZATION})
    return [each for file in files for each in read(file.read_text(encoding="utf-8"))]


def find(found: list[Object], kind: str, name: str = "tabpy") -> Object:
    """The one of this kind and name."""
    [one] = [each for each in found if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return one


@functools.cache
def renderer() -> list[str] | None:
    """The command that renders a folder, if this machine has one."""
    if shutil.which("kustomize"):
        return ["kustomize", "build"]
    return ["kubectl", "kustomize"] if shutil.which("kubectl") else None


def rendered(folder: Path) -> list[Object]:
    """What kustomize makes of a folder."""
    command = renderer()
    assert command is not None
    done = subprocess.run([*command, folder], check=True, capture_output=True, text=True)
    return read(done.stdout)


BASE = objects(FOLDER / "base")
POD: Object = find(BASE, "Deployment")["spec"]["template"]["spec"]
[CONTAINER] = POD["containers"]


def image_environment() -> dict[str, str]:
    """What the image sets."""
    text = DOCKERFILE.read_text(encoding="utf-8")
    [line] = re.findall(r"^ENV (.*)$", text, re.MULTILINE)
    return dict(each.split("=", 1) for each in line.split())


def pod_environment(secrets: dict[tuple[str, str], str]) -> dict[str, str]:
    """What the server gets in a pod of the base. `secrets`: their values, by Secret and key."""
    environment = image_environment()
    for source in CONTAINER["envFrom"]:
        environment |= find(BASE, "ConfigMap", source["configMapRef"]["name"])["data"]
    for each in CONTAINER["env"]:
        of_secret = each["valueFrom"]["secretKeyRef"]
        environment[each["name"]] = secrets[of_secret["name"], of_secret["key"]]
    return environment


def metrics() -> list[str]:
    """The server's figures that an autoscaler looks at."""
    scaler = find(objects(FOLDER / "waiting"), "HorizontalPodAutoscaler")["spec"]
    return [each["pods"]["metric"]["name"] for each in scaler["metrics"] if "pods" in each]


def yaml_in_the_guide(section: str) -> list[Any]:
    """What the guide's section has as YAML, a document for each block."""
    text = GUIDE.read_text(encoding="utf-8").partition(f"## {section}\n")[2]
    blocks = re.findall(r"^```yaml\n(.*?)^```", text.partition("\n## ")[0], re.M | re.S)
    return [yaml.safe_load(each) for each in blocks]
