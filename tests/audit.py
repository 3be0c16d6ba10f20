"""Known vulnerabilities in what a dyno installs: `make audit` runs this.

pip-audit asks PyPI about each package of requirements.txt and each that these need. Findings fail,
and so does a package that PyPI doesn't know. Where nobody answers, as on a machine that reaches
only a mirror of packages, that is said, and is no failure: nothing in the project could mend it.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

REQUIREMENTS = Path(__file__).parents[1] / "requirements.txt"
SERVICE = "https://pypi.org/pypi/pip/json"
PATIENCE = 15.0  # seconds
# A vulnerability that doesn't concern us: its id, and why not. There is none now.
EXPLAINED: dict[str, str] = {}


def main() -> int:
    """Audit the requirements. Exit code 0: nothing was found, or nobody could be asked."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip_audit", "--requirement", str(REQUIREMENTS)),
            *("--format", "json", "--progress-spinner", "off"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    code, lines = verdict(done.stdout, done.stderr, is_reachable)
    print("\n".join(lines))
    return code


def verdict(report: str, errors: str, is_reachable: Callable[[], bool]) -> tuple[int, list[str]]:
    """Return the exit code, and what to say. `report` and `errors` are pip-audit's output."""
    try:
        packages: list[dict[str, Any]] = json.loads(report)["dependencies"]
    except ValueError:
        if is_reachable():
            return 1, [f"pip-audit failed: {errors.strip()}"]
        return 0, [f"Nothing was audited: {SERVICE} can't be reached."]
    audited = [each for each in packages if "skip_reason" not in each]
    if packages and not audited:
        return 0, ["Nothing was audited: PyPI's list of vulnerabilities isn't on this index."]
    problems = [each["skip_reason"] for each in packages if "skip_reason" in each]
    for each in audited:
        problems += [
            f"{each['name']} {each['version']}: {found['id']}, mended in "
            f"{', '.join(found['fix_versions']) or 'no version'}"
            for found in each["vulns"]
            if found["id"] not in EXPLAINED
        ]
    if problems:
        return 1, problems
    return 0, [f"No known vulnerability in {len(audited)} packages."]


def is_reachable() -> bool:
    """Tell whether the service that pip-audit asks answers at all."""
    try:
        return requests.get(SERVICE, timeout=PATIENCE).status_code < 500
    except (requests.ConnectionError, requests.Timeout):
        return False


if __name__ == "__main__":
    sys.exit(main())
