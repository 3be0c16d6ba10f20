"""One process after another is killed under load: nothing is lost, and no answer is wrong.

`make storm` has two hundred rounds of it.
"""

from pathlib import Path

from tests.attacks.house import adopting_orphans
from tests.storm.storm import Storm
from tests.storm.strikes import Strike

STRIKES = [
    Strike("worker", "SIGKILL"),
    Strike("web process", "SIGKILL"),
    Strike("copy of the fork server", "SIGKILL"),
    Strike("web process", "SIGTERM"),
    Strike("fork server", "SIGSTOP, SIGKILL"),
]


def test_whoever_is_killed_under_load_nothing_is_lost_or_wrong(tmp_path: Path) -> None:
    with adopting_orphans():
        storm = Storm(tmp_path, {})
        try:
            storm.run(STRIKES)
        finally:
            storm.close()
    assert storm.record.wrong == []
    assert all(each.acknowledged for each in storm.histories.values())
