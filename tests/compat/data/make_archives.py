"""Writes the archives beside this file. To be run with TabPy's own client installed, not ours:

    pip install tabpy==2.16.0 && python make_archives.py

The one by value holds bytecode, so it loads on the Python version that its name tells, only.
"""

import operator
import sys
from pathlib import Path

from tabpy.tabpy_tools.custom_query_object import CustomQueryObject

factor = 3


def scaled(values: list[float], offset: float = 0.0) -> list[float]:
    """Three times each value, and an offset."""
    return [factor * value + offset for value in values]


here = Path(__file__).parent
by_value = f"by_value_python{sys.version_info.major}.{sys.version_info.minor}"
CustomQueryObject(operator.add, "adds").save(str(here / "by_reference"))
CustomQueryObject(scaled, "scales").save(str(here / by_value))
