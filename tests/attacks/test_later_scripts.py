"""What a script of alice's leaves behind for bob's on the same worker."""

from collections.abc import Callable, Mapping

import pytest

from tests.attacks.attack import ALWAYS, ISOLATION, NOTHING, WORKER, Attack, Scene
from tests.attacks.house import ALICE

SETTINGS: Mapping[str, str] = {"TABPY_WORKERS": "1"}

MEAN = "import gc, statistics\ngc.collect()\nreturn statistics.mean([3, 3])"
PLAIN = "return _arg1 + 1"
FORGE = "lambda *arguments: 'FORGED'"


def bob_gets_wrong(script: str, right: object) -> Callable[[Scene], bool]:
    """Bob's script, run after alice's, doesn't answer what it should."""
    return lambda scene: bool(scene.bob(script, 1) != right)


def poison(
    number: str,
    what: str,
    script: str,
    bobs: str = PLAIN,
    right: object = 2,
    *,
    stopped_by: str = ISOLATION,
    is_race: bool = False,
) -> Attack:
    wrong = bob_gets_wrong(bobs, right)
    return Attack(number, what, script, wrong, stopped_by, WORKER, is_race=is_race)


# Waits until bob's job has come, and answers it before the worker does
ANSWER_FIRST = """
import _thread, select
own = own_socket()
def wait():
    select.select([own], [], [])
    os.write(own, FORGED)
"""
FORGED = """
from tabpy.tabpy_server.workers import protocol
FORGED = protocol.encode(protocol.Reply(), 8) + b'"FORGED"' + protocol.END
"""

ATTACKS = [
    poison(
        "C1",
        "a library's function",
        f"import statistics\nstatistics.mean = {FORGE}\nreturn 1",
        MEAN,
        3,
    ),
    poison(
        "C2",
        "our encoder of results",
        "from tabpy.tabpy_server.workers.worker import results\n"
        "results.encode = lambda value: b'\"FORGED\"'",
    ),
    poison(
        "C3",
        "our compiler of scripts",
        """
from tabpy.tabpy_server.workers.worker import script
code = script._compile("return 'FORGED'", 1)
script._compile = lambda text, count: code
""",
    ),
    poison(
        "C4",
        "the code of our encoder",
        "from tabpy.tabpy_server.workers.worker import results\n"
        "results.encode.__code__ = (lambda value: b'\"FORGED\"').__code__",
    ),
    poison(
        "C5",
        "sys.settrace",
        """
def trace(frame, event, argument):
    raise RuntimeError("FORGED")
sys.settrace(trace)
""",
        stopped_by=ALWAYS,
    ),
    poison(
        "C6",
        "sys.setprofile",
        """
def profile(frame, event, argument):
    if frame.f_code.co_name == "_user_script":
        raise RuntimeError("FORGED")
sys.setprofile(profile)
""",
        stopped_by=ALWAYS,
    ),
    poison(
        "C7",
        "an audit hook",
        """
armed = []
def hook(event, arguments):
    if event == "exec" and armed:
        raise RuntimeError("FORGED")
sys.addaudithook(hook)
armed.append(1)
""",
    ),
    poison(
        "C8",
        "a finder in sys.meta_path",
        """
import importlib.machinery
class Loader:
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        module.rgb_to_hls = lambda *arguments: "FORGED"
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "colorsys":
            return importlib.machinery.ModuleSpec(name, Loader())
sys.meta_path.insert(0, Finder)
""",
        "import colorsys\nreturn colorsys.rgb_to_hls(0, 0, 0)",
        [0.0, 0.0, 0.0],
    ),
    poison(
        "C9",
        "a module in sys.modules",
        """
import types
sys.modules["colorsys"] = types.SimpleNamespace(rgb_to_hls=lambda *arguments: "FORGED")
""",
        "import colorsys\nreturn colorsys.rgb_to_hls(0, 0, 0)",
        [0.0, 0.0, 0.0],
    ),
    poison(
        "C10",
        "gc.callbacks",
        """
import statistics
def forge(phase, info):
    statistics.mean = lambda *arguments: "FORGED"
gc.callbacks.append(forge)
return 1
""",
        MEAN,
        3,
    ),
    poison(
        "C11",
        "a hidden thread",
        "import _thread\nruns = _thread.allocate_lock()\nruns.acquire()\n"
        "_thread.start_new_thread(lambda: (runs.release(), time.sleep(60)), ())\nruns.acquire()",
        "import sys\nreturn len(sys._current_frames())",
        1,
    ),
    poison(
        "C12",
        "a module's variable",
        "import colorsys\ncolorsys.ONE_THIRD = 0.0",
        "import colorsys\nreturn colorsys.ONE_THIRD",
        1 / 3,
    ),
    poison(
        "C13",
        "orjson",
        """
import orjson
loads = orjson.loads
def forge(text):
    request = loads(text)
    if isinstance(request, dict) and "script" in request:
        request["script"] = "return 'FORGED'"
    return request
orjson.loads = forge
""",
    ),
    poison(
        "C14",
        "a number that Python keeps",
        """
number = int("251")
ctypes.c_uint32.from_address(id(number) + 24).value = 13
""",
        "return int('250') + _arg1",
        251,
    ),
    poison(
        "C15",
        "what puts things back",
        """
import builtins
from tabpy.tabpy_server.workers.worker.surroundings import Surroundings
Surroundings.restore = lambda self: False
builtins.sum = lambda *arguments: "FORGED"
""",
        "return sum([1, 2])",
        3,
    ),
    poison(
        "C16",
        "a finalizer that runs later",
        """
import statistics, weakref
class Cycle:
    pass
cycle = Cycle()
cycle.itself = cycle
weakref.finalize(cycle, setattr, statistics, "mean", lambda *arguments: "FORGED")
return 1
""",
        MEAN,
        3,
    ),
    poison(
        "C17",
        "our worker's own object",
        """
from tabpy.tabpy_server.workers.worker.main import Worker
worker = next(each for each in gc.get_objects() if type(each) is Worker)
worker._run = lambda task, body: ("", b'"FORGED"')
""",
    ),
    poison(
        "C20",
        "a second reply at once",
        FORGED + "os.write(own_socket(), FORGED * 2)",
        stopped_by=ALWAYS,
    ),
    poison(
        "C21",
        "a reply to the next job",
        FORGED + ANSWER_FIRST + "_thread.start_new_thread(wait, ())",
        is_race=True,
    ),
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_nothing_of_a_script_reaches_another_user(
    attack: Attack, attempt: Callable[[Attack], None]
) -> None:
    attempt(attack)


def test_what_a_script_leaves_in_a_module_reaches_its_author(
    attempt: Callable[[Attack], None],
) -> None:
    """So the attacks above are stopped by the change of users, not by some clean-up."""
    script = "import colorsys\ncolorsys.ONE_THIRD = 0.0"
    look = "import colorsys\nreturn colorsys.ONE_THIRD"
    attempt(
        Attack(
            "C12",
            "on oneself",
            script,
            lambda scene: scene.house.as_user(ALICE, look).json == 0.0,
            NOTHING,
            WORKER,
        )
    )
