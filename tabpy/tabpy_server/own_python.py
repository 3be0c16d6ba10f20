"""How a process of ours is started as a fresh interpreter, whatever lies in the working folder.

Python looks into the working folder first, where another `tabpy`, or a `random.py` of somebody's,
would come before ours. Here it comes last: scripts still find modules there. This file is what the
new interpreter runs.
"""

import os
import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

PACKAGE = Path(__file__).absolute().parents[1]


def command(module: str, *arguments: str) -> list[str]:
    """Return the command line that calls `main` in a module of ours, with arguments in
    `sys.argv[1:]`."""
    return [sys.executable, "-P", __file__, module, *arguments]


def _start() -> None:
    module = sys.argv.pop(1)
    # Ours is this very package, whichever others are installed.
    spec = spec_from_file_location(
        "tabpy", PACKAGE / "__init__.py", submodule_search_locations=[str(PACKAGE)]
    )
    assert spec is not None
    assert spec.loader is not None
    sys.modules["tabpy"] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules["tabpy"])
    for folder in (str(PACKAGE.parent), os.getcwd()):  # noqa: PTH109 - as Python has it
        if folder not in sys.path:
            sys.path.append(folder)
    import_module(module).main()


if __name__ == "__main__":
    _start()
