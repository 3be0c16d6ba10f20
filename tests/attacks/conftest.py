"""Houses that attacks are tried in: one for both of a module's halves, as long as it stands."""

from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.attacks.attack import (
    MODES,
    REQUIRED,
    SERVER,
    WEB,
    WORKER,
    Attack,
    outcome,
    skip_reason,
)
from tests.attacks.house import House, adopting_orphans, landlock_abi
from tests.running import until

NEEDED_ABI = 6  # of Landlock: what TABPY_SCRIPT_CONFINEMENT=required asks for


class Lodging:
    """Has a house that stands: the one before, or a new one."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = settings
        self._house: House | None = None

    @property
    def house(self) -> House:
        if self._house is None:
            self._house = House(self._settings)
            self._house.wait_until_ready()
        return self._house

    def leave(self) -> None:
        """Have it torn down."""
        if self._house is not None:
            self._house.kill()
            self._house = None


@pytest.fixture(scope="module", params=list(MODES))
def mode(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    if found == REQUIRED:
        needs_landlock()
    return found


def needs_landlock() -> None:
    """Skip what this kernel can't do."""
    if landlock_abi() < NEEDED_ABI:
        pytest.skip(f"this kernel's Landlock is version {landlock_abi()}, not {NEEDED_ABI}")


@pytest.fixture(scope="module")
def lodging(mode: str, request: pytest.FixtureRequest) -> Iterator[Lodging]:
    """A server with the module's SETTINGS, protected as `mode` says."""
    settings: Mapping[str, str] = request.module.SETTINGS
    made = Lodging({"WEB_CONCURRENCY": "1", "TABPY_WORKERS": "2", **settings, **MODES[mode]})
    with adopting_orphans():
        yield made
        made.leave()


@pytest.fixture
def attempt(lodging: Lodging, mode: str) -> Callable[[Attack], None]:
    """Try an attack: it ends as the table says, and what it left is removed."""

    def try_one(attack: Attack) -> None:
        if reason := skip_reason(attack):
            pytest.skip(reason)
        try:
            outcome(attack, lodging.house, mode)
        except BaseException:
            lodging.leave()
            raise
        if not attack.works(mode):
            return
        if attack.leaves == WORKER:
            lodging.house.renew_workers()
        elif attack.leaves == WEB:
            lodging.house.renew_web_processes()
        elif attack.leaves == SERVER:
            lodging.leave()
        else:
            until(lodging.house.answers_right, "the server answers again")

    return try_one


@pytest.fixture
def house(lodging: Lodging) -> House:
    return lodging.house
