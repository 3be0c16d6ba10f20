"""The systemd unit lets the server confine its scripts."""

from pathlib import Path

UNIT = Path(__file__).parents[1] / "contrib" / "tabpy.service"
LANDLOCK = {"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"}


def value(key: str) -> str:
    lines = [line.partition("=") for line in UNIT.read_text().splitlines()]
    [found] = [text for name, _, text in lines if name == key]
    return found


def test_landlocks_calls_are_allowed_which_are_in_no_group_of_systemds() -> None:
    assert set(value("SystemCallFilter").split()) >= {"@system-service", *LANDLOCK}


def test_another_call_is_an_error_and_not_the_end_of_the_process() -> None:
    assert value("SystemCallErrorNumber") == "EPERM"
