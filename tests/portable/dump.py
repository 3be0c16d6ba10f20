"""A program that archives all kinds of functions in a folder, on whatever Python runs it."""

import json
import pathlib
import sys
import time
import warnings

from tabpy.tabpy_tools.archive import archived
from tabpy.tabpy_tools.custom_query_object import CustomQueryObject
from tests.portable.kinds import KINDS

folder = pathlib.Path(sys.argv[1])
report = {}
warnings.simplefilter("error")
for name, kind in KINDS.items():
    start = time.perf_counter()
    try:
        with archived(CustomQueryObject(kind.function)) as archive:
            (folder / name).write_bytes(archive.file.read())
            report[name] = {"compiled": archive.compiled, "problem": ""}
    except Exception as error:
        report[name] = {"compiled": [], "problem": f"{type(error).__name__}: {error}"}
    report[name]["seconds"] = time.perf_counter() - start
(folder / "report.json").write_text(json.dumps(report))
