"""The script worker: what to do about a package that isn't here, and whom to ask."""

import importlib.util
import os
import re
import sys

from tabpy.tabpy_server.workers.worker.refusals import with_causes

MODULE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,60}")  # a leading _ is a compiled part of a package
# Modules whose packages have other names.
PACKAGES = {
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "PIL": "pillow",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
CONTAINERS = ("/.dockerenv", "/run/.containerenv")  # Docker's mark, and Podman's


def explain(error: BaseException) -> str:
    """Return a line on how to add the package that an import didn't find; "" for any other error,
    and where the package is here and only a module of it isn't."""
    try:
        names = (str(each.name) for each in with_causes(error) if type(each) is ModuleNotFoundError)
        return next((f"It isn't installed here. {how}" for how in map(cure, names) if how), "")
    except BaseException:  # noqa: BLE001 - a stranger's exception, or a stranger's way to import
        return ""


def cure(module: str) -> str:
    """Return how to add the package that `module` is in; "" if that is here, or none to install."""
    top = module.partition(".")[0]
    if not MODULE.fullmatch(top) or top in sys.stdlib_module_names:
        return ""
    if importlib.util.find_spec(top) is not None:
        return ""
    package = PACKAGES.get(top, top)
    return f"Whoever runs this server can add it: {_how(package)}."


def _how(package: str) -> str:
    if "DYNO" in os.environ:
        return f"a line {package} in requirements.txt, and a deployment to Heroku"
    if any(map(os.path.exists, CONTAINERS)):
        return f"a line {package} in requirements.txt, and the image built again"
    return f"pip install {package} with the server's Python, and a restart"
