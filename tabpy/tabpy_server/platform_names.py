"""What a platform is called, and variables that it sets by names of its own, or like ours."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

# What Heroku calls these settings. Elsewhere such a variable may be another program's.
ON_HEROKU = {"TABPY_PORT": "PORT", "TABPY_DATABASE_URL": "DATABASE_URL"}

# For a Service named tabpy, Kubernetes tells each container of its namespace these variables:
# https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://.*", re.IGNORECASE)
OF_A_SERVICE = re.compile(r"TABPY_(SERVICE_(HOST|PORT)(_.*)?|PORT_\d+_(TCP|UDP|SCTP)(_.*)?)")

# Docker and Podman leave a file in each container.
OF_A_CONTAINER = (Path("/.dockerenv"), Path("/run/.containerenv"))


def kind_of_platform(environment: Mapping[str, str] = os.environ) -> str:
    """Return where this server runs: heroku, container, systemd or machine."""
    if "DYNO" in environment:
        return "heroku"
    if "KUBERNETES_SERVICE_HOST" in environment or any(each.exists() for each in OF_A_CONTAINER):
        return "container"
    # systemd names the first process of a service; a terminal that it started passes the name on.
    # https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html
    ours = (str(os.getpid()), str(os.getppid()))
    return "systemd" if environment.get("SYSTEMD_EXEC_PID") in ours else "machine"


def without_services(environment: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return the environment without what Kubernetes says of a Service named tabpy, and a warning
    if that looked like a setting."""
    address = environment.get("TABPY_PORT", "")
    is_address = SERVICE_ADDRESS.fullmatch(address.strip()) is not None
    kept = {
        name: value
        for name, value in environment.items()
        if not OF_A_SERVICE.fullmatch(name) and not (is_address and name == "TABPY_PORT")
    }
    warning = (
        f"TABPY_PORT is '{address}' in the environment, as Kubernetes has it for a Service named "
        "tabpy: that is no port to listen on, and is ignored. enableServiceLinks: false keeps it "
        "away."
    )
    return kept, [warning] if is_address else []
