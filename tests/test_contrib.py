"""The systemd unit lets the server confine its scripts, and the guide installs what it starts."""

import re
import subprocess
from pathlib import Path

UNIT = Path(__file__).parents[1] / "contrib" / "tabpy.service"
GUIDE = UNIT.parents[1] / "docs" / "deploying.md"
LANDLOCK = {"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"}


def value(key: str) -> str:
    lines = [line.partition("=") for line in UNIT.read_text().splitlines()]
    [found] = [text for name, _, text in lines if name == key]
    return found


def test_landlocks_calls_are_allowed_which_are_in_no_group_of_systemds() -> None:
    assert set(value("SystemCallFilter").split()) >= {"@system-service", *LANDLOCK}


def test_another_call_is_an_error_and_not_the_end_of_the_process() -> None:
    assert value("SystemCallErrorNumber") == "EPERM"


def pasted() -> str:
    """The commands of the guide, as somebody pastes them."""
    section = GUIDE.read_text(encoding="utf-8").partition("## A Linux machine with systemd")[2]
    blocks = re.findall(r"(?:^(?: {4}.*)?\n)+", section.partition("\n## ")[0], re.MULTILINE)
    [block] = [each for each in blocks if "systemctl enable" in each]
    return re.sub(r"^ {4}", "", block, flags=re.MULTILINE)


def test_the_guides_commands_can_be_pasted_as_a_whole() -> None:
    subprocess.run(["bash", "-n"], input=pasted(), text=True, check=True)
    asking = [line for line in pasted().splitlines() if "tabpy-user add" in line]
    assert asking
    assert all(line.endswith("</dev/null") for line in asking)  # else it takes the next line


def test_the_guides_commands_install_what_the_unit_starts() -> None:
    program, _, config = value("ExecStart").split()
    commands = pasted()
    assert f"python3 -m venv --clear {Path(program).parents[1]}\n" in commands
    assert f">{config}\n" in commands
    assert f"useradd --system --home-dir /var/lib/{value('User')} " in commands
    assert f"systemctl enable --now {UNIT.stem}\n" in commands
