"""How a process of ours is started as a fresh interpreter, whatever lies in the working folder.

Python looks into the working folder first, where another `tabpy`, or a `random.py` of somebody's,
would come before ours. Here it comes last: scripts still find modules there.
"""

import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1]

# Ours is this very package, whichever others are installed.
START = """
import os, sys
from importlib.util import module_from_spec, spec_from_file_location
package, module = sys.argv[1:3]
del sys.argv[1:3]
spec = spec_from_file_location(
    "tabpy", os.path.join(package, "__init__.py"), submodule_search_locations=[package]
)
sys.modules["tabpy"] = module_from_spec(spec)
spec.loader.exec_module(sys.modules["tabpy"])
for folder in (os.path.dirname(package), os.getcwd()):
    if folder not in sys.path:
        sys.path.append(folder)
from importlib import import_module
import_module(module).main()
"""


def command(module: str, *arguments: str) -> list[str]:
    """Return the command line that calls `main` in a module of ours, with arguments in
    `sys.argv[1:]`."""
    return [sys.executable, "-P", "-c", START, str(PACKAGE), module, *arguments]
