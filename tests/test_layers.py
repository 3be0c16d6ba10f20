"""Imports point down: a room knows the rooms below it, and none beside or above it."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What may be imported from each floor up. Rooms of the server are named without
# `tabpy.tabpy_server.`; a module belongs to the room with the longest name that fits.
LEAVES = {path.stem for path in (ROOT / "tabpy" / "tabpy_server").glob("*.py")} - {"__init__"}
PROTOCOL = {*LEAVES, "workers.protocol", "workers.fork_server_state"}
POOL = {*PROTOCOL, "metrics", "workers.pool"}
RAY = {*POOL, "tabpy", "workers.fork_server", "workers.ray"}
FUNCTIONS = {*POOL, "tabpy.tabpy_tools", "functions.store", "functions"}
WEB = {*FUNCTIONS, "tabpy", "access", "activity", "tls", "flight", "web"}
PROCESSES = {*WEB, *RAY, "functions.startup", "processes"}

# Each room, and what it may import besides itself.
BELOW: dict[str, set[str]] = {
    "tabpy": set(),
    "tabpy.models": {"tabpy.models.scripts"},
    "tabpy.models.scripts": {"tabpy.models.utils"},  # when they are run as programs
    "tabpy.models.utils": {*LEAVES, "tabpy.models", "tabpy.tabpy_tools", "tabpy.commands"},
    "tabpy.models.deploy_models": {"tabpy.commands"},
    "tabpy.tabpy_tools": set(),  # above all not the server: notebooks have the client alone
    "tabpy.check": {"tabpy"},
    "tabpy.commands": {
        *PROCESSES,
        "tabpy.models",
        "tabpy.models.scripts",
        "tabpy.check",
        "tabpy.tabpy_server",
    },
    "tabpy.__main__": {"tabpy.commands"},
    "tabpy.tabpy": {"tabpy", "tabpy.commands"},
    "tabpy.utils": {"tabpy.commands"},
    "tabpy.tabpy_server": set(),
    **dict.fromkeys(LEAVES, LEAVES),
    "access": LEAVES,
    "flight": {*LEAVES, "access", "tls"},
    "activity": LEAVES,
    "metrics": LEAVES,
    "tls": LEAVES,
    "workers": set(),
    "workers.protocol": {*LEAVES, "workers.fork_server_state"},
    "workers.fork_server_state": LEAVES,
    "workers.worker": {*PROTOCOL, "tabpy.tabpy_tools"},
    "workers.fork_server": {*PROTOCOL, "workers.worker"},
    "workers.pool": POOL,
    "workers.ray": RAY,
    "functions.store": LEAVES,
    "functions": FUNCTIONS,
    "functions.legacy": FUNCTIONS,
    "functions.startup": {*FUNCTIONS, "functions.legacy"},
    "web": WEB,
    "processes": PROCESSES,
}

# Arrows that still point the wrong way. Mend one, and remove its line; add none.
EXCEPTIONS: set[tuple[str, str]] = set()

HTTP = ("http", "tornado.web", "tornado.httputil", "tornado.httpserver", "gunicorn")


def short(name: str) -> str:
    return name.removeprefix("tabpy.tabpy_server.")


def dotted(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(file: Path) -> set[str]:
    """The names that it imports, at its top, late, or for the type checker only: modules, and what
    is taken from modules."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {short(name) for node in ast.walk(tree) for name in names(node)}


def names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


MODULES = {short(dotted(file)): file for file in sorted((ROOT / "tabpy").rglob("*.py"))}
IMPORTS = {name: imported(file) for name, file in MODULES.items()}


def module_of(name: str) -> str:
    """The module that an imported name is, or is taken from."""
    return name if name in MODULES else name.rpartition(".")[0]


ARROWS = {
    (module, module_of(name))
    for module in MODULES
    for name in IMPORTS[module]
    if module_of(name) in MODULES
}


def room(module: str) -> str:
    return max((each for each in BELOW if is_in(module, each)), key=len, default="")


def is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def points_down(module: str, other: str) -> bool:
    return room(other) in {room(module), *BELOW.get(room(module), ())}


def test_every_module_is_in_a_room() -> None:
    assert [module for module in MODULES if not room(module)] == []


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_rooms_below_it(module: str) -> None:
    up = {(module, other) for (by, other) in ARROWS if by == module and not points_down(by, other)}
    assert up - EXCEPTIONS == set()


def test_no_exception_is_outlived() -> None:
    wrong = {(module, other) for module, other in ARROWS if not points_down(module, other)}
    assert EXCEPTIONS - wrong == set(), "mended: remove these lines"


def test_imports_have_no_circle() -> None:
    packages = {module for module, path in MODULES.items() if path.name == "__init__.py"}
    arrows = {
        module: {other for by, other in ARROWS if by == module} - packages for module in MODULES
    }
    TopologicalSorter(arrows).prepare()  # raises CycleError, which names the circle


BELOW_WEB = [
    module
    for module in MODULES
    if not is_in(module, "tabpy") and room(module) not in {"web", "processes"}
]


@pytest.mark.parametrize("module", BELOW_WEB)
def test_nothing_below_web_knows_http(module: str) -> None:
    assert [each for each in IMPORTS[module] if any(is_in(each, name) for name in HTTP)] == []
