"""The modules that a notebook can import, which has the client and nothing of the server."""

from tests.test_layers import ARROWS, MODULES

SERVER_COMMANDS = {"tabpy.commands.serve", "tabpy.commands.user"}

_OWN = ("tabpy.tabpy_tools", "tabpy.check", "tabpy.models")
_COMMANDS = {
    "tabpy.commands.check",
    "tabpy.commands.deploy_models",
    "tabpy.commands.deploy",
    "tabpy.commands.size",
}


def _closure(modules: set[str]) -> set[str]:
    """These modules and all that they import, at their top or late."""
    found: set[str] = set()
    waiting = set(modules)
    while waiting:
        found |= waiting
        waiting = {other for module, other in ARROWS if module in waiting} - found
    return found


LIGHT = _closure(
    {module for module in MODULES if module.startswith(_OWN)} | (_COMMANDS & MODULES.keys())
)
