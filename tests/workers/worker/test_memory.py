"""When a worker is recycled, and what is said when a script wants too much."""

import pytest

from tabpy.tabpy_server import errors
from tabpy.tabpy_server.workers.worker import memory as module
from tabpy.tabpy_server.workers.worker.memory import MAX_JOBS, SIZE_CHECK_JOBS, Memory

MB = 1 << 20


class Process:
    """Its size in bytes, as the memory sees it."""

    def __init__(self) -> None:
        self.size = 50 * MB


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Process:
    fake = Process()
    monkeypatch.setattr(module, "resident", lambda: fake.size)
    return fake


def jobs_until_recycled(memory: Memory, wanted: int = 0, most: int = MAX_JOBS + 1) -> int | None:
    return next((job for job in range(1, most) if memory.should_recycle(wanted)), None)


def test_a_worker_that_does_not_grow_runs_many_jobs_and_is_recycled(process: Process) -> None:
    assert jobs_until_recycled(Memory(100)) == MAX_JOBS == 10_000


def test_a_worker_that_stays_grown_is_recycled_at_the_next_look(process: Process) -> None:
    memory = Memory(100)
    process.size += 51 * MB  # more than half of what one script may take
    assert jobs_until_recycled(memory) == SIZE_CHECK_JOBS


@pytest.mark.parametrize(
    ("grown", "wanted"), [(50, 0), (90, 40)], ids=["half", "half beside models"]
)
def test_what_is_kept_on_purpose_is_no_growth(process: Process, grown: int, wanted: int) -> None:
    memory = Memory(100)
    process.size += grown * MB
    assert jobs_until_recycled(memory, wanted * MB, 2 * SIZE_CHECK_JOBS + 1) is None
    process.size += 1
    assert jobs_until_recycled(memory, wanted * MB) == SIZE_CHECK_JOBS


@pytest.mark.parametrize(
    "error",
    [
        errors.ScriptFailedError("MemoryError : ", out_of_memory=True),
        errors.FunctionFailedError("f", "MemoryError : ", out_of_memory=True),
        errors.NotLoadableError("f", "Loading it raised MemoryError: .", out_of_memory=True),
    ],
)
def test_who_ran_out_of_memory_is_told_how_much_there_is(error: errors.TabPyError) -> None:
    explained = Memory(99.6).explain(error)
    assert type(explained) is type(error)
    assert explained.message == error.message
    assert explained.info == (
        f"{error.info}\nOne script may take 100 MB here (TABPY_SCRIPT_MEMORY_MB)."
    )
    assert type(error)(*explained.args).info == explained.info  # as it crosses to a web process


def test_who_failed_otherwise_is_told_nothing_of_memory() -> None:
    error = errors.ScriptFailedError("ValueError : MemoryError")
    assert Memory(100).explain(error) is error
