"""Where the server's own files are, and the checkout that it may be part of."""

import re
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent
DEFAULT_CONFIG = PACKAGE / "common" / "default.conf"
OUR_PAGE = PACKAGE / "static"
USERS = "tabpypwd.txt"  # a fork's, committed: hashes and all
LOCAL_USERS = "local-users.txt"  # this machine's: git ignores it, and it goes before the other
TEMPLATES = PACKAGE / "templates"
INSTALLED_DOCUMENTS = "share/doc/tabpy"  # below the environment's root; pyproject.toml has it


def documents() -> Path | None:
    """Return the folder of the documents: the checkout's, or what was installed with the package;
    None if neither is there."""
    root = checkout()
    own = [root / "docs"] if root is not None else []
    folders = (*own, Path(sys.prefix, INSTALLED_DOCUMENTS))
    return next((each for each in folders if (each / "operating.md").is_file()), None)


def checkout() -> Path | None:
    """Return the root of the checkout that this server runs from; None for an installed package."""
    folder = PACKAGE.parents[1]
    return folder if is_checkout(folder) else None


def is_checkout(folder: Path) -> bool:
    """Tell whether `folder` is a copy of our repository, or of a fork, and not `site-packages`.

    What lies beside an installed package is other people's: a `models` there isn't ours to run.
    """
    try:
        project = (folder / "pyproject.toml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        project = ""
    # Careless packages leave a pyproject.toml in site-packages, but none a Procfile.
    is_ours = re.search(r'^name = "tabpy"$', project, re.MULTILINE) is not None
    return is_ours or (folder / "Procfile").is_file()
