"""Arrow tables as scripts get and return them: values in both directions."""

import contextlib
import datetime
import json
import mmap
import os
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

if sys.platform != "linux":
    pytest.skip("memory of descriptors is Linux's", allow_module_level=True)
pytest.importorskip("pyarrow", reason="pyarrow isn't installed: pip install '.[flight]'")

import pyarrow as pa

from tabpy.tabpy_server import memfd
from tabpy.tabpy_server.errors import InvalidInputError, ScriptFailedError, UnknownTableError
from tabpy.tabpy_server.workers.worker import script
from tabpy.tabpy_server.workers.worker.tables import Tables
from tests.workers.worker.loading import WebProcess

PREP = """
result = work(pd.DataFrame(_arg1))
return result.to_dict(orient='list') if isinstance(result, pd.DataFrame) else result
"""
BOUND = 1 << 20


def in_memory(table: Any) -> int:
    descriptor = os.memfd_create("table")
    with os.fdopen(os.dup(descriptor), "wb") as file, pa.ipc.new_stream(file, table.schema) as to:
        to.write_table(table)
    return descriptor


class Work:
    """A script's work on a table: `answer` is the reply's body, `result` what it wrote."""

    def __init__(self, folder: Path, text: str, table: Any, body: dict[str, Any] | None = None):
        self.asked: list[str] = []
        result = memfd.bounded("tabpy-table", BOUND)
        self.descriptors = in_memory(table), os.dup(result.descriptor)
        self._kept = os.dup(self.descriptors[1])
        request = {"script": text, "dataPath": "p", **(body or {})}
        models = WebProcess(folder).worker()
        try:
            self.answer = script.evaluate(
                json.dumps(request).encode(), models, tables=Tables(self._ask)
            )
            self.size = os.fstat(self._kept).st_size
            self.result: Any = self._read() if self.size else None
        finally:
            os.close(self._kept)

    def _ask(self, path: str) -> list[int]:
        self.asked.append(path)
        return [*self.descriptors]

    def _read(self) -> Any:
        with mmap.mmap(self._kept, 0, prot=mmap.PROT_READ) as mapped:
            return pa.ipc.open_stream(mapped[:]).read_all()


VALUES = {
    "a text with a null": pa.array(["x", None, "z"]),
    "texts that are all null": pa.array([None, None, None], pa.string()),
    "numbers with a null": pa.array([1.5, None, 3.0]),
    "whole numbers": pa.array([1, 2, 2**62]),
    "booleans": pa.array([True, False, True]),
    "dates": pa.array([datetime.date(2024, 2, 29), None, datetime.date(1, 1, 1)]),
    "times of day": pa.array([datetime.time(1, 2, 3), None, datetime.time(23, 59, 59, 999999)]),
    "moments": pa.array([datetime.datetime(2024, 2, 29, 1, 2, 3, 4), None, None]),
    "moments of a zone": pa.array(
        [datetime.datetime(2024, 2, 29, tzinfo=datetime.UTC), None, None],
        pa.timestamp("us", "UTC"),
    ),
    "spans": pa.array([datetime.timedelta(1, 2, 3), None, None]),
    "decimals": pa.array([Decimal("1.10"), None, Decimal("-12345678901234567.89")]),
    "a dictionary": pa.array(["b", None, "b"]).dictionary_encode(),
    "lists": pa.array([[1, 2], None, []]),
    "bytes": pa.array([b"\xff", None, b""]),
}


@pytest.mark.parametrize("name", VALUES)
def test_values_come_back_as_they_were(tmp_path: Path, name: str) -> None:
    column = VALUES[name]
    work = Work(tmp_path, "return _arg1", pa.table({"c": column}))
    assert work.answer == b"null"  # the web process says where the result is
    assert work.result["c"].to_pylist() == column.to_pylist()
    if not pa.types.is_dictionary(column.type):
        assert strip_large(work.result["c"].type) == column.type


def strip_large(kind: Any) -> Any:
    """pandas has texts as large ones."""
    return pa.string() if kind == pa.large_string() else kind


def test_a_dictionary_is_a_category_and_stays_one(tmp_path: Path) -> None:
    text = "assert str(_arg1['c'].dtype) == 'category'\nreturn _arg1"
    work = Work(tmp_path, text, pa.table({"c": VALUES["a dictionary"]}))
    assert pa.types.is_dictionary(work.result["c"].type)


def test_a_script_gets_a_data_frame_that_it_may_change(tmp_path: Path) -> None:
    text = "_arg1.loc[0, 'n'] = 7.5\n_arg1['s'] = 'y'\nreturn _arg1"
    work = Work(tmp_path, text, pa.table({"n": [1.0, 2.0]}))
    assert work.result.to_pydict() == {"n": [7.5, 2.0], "s": ["y", "y"]}
    assert work.asked == ["p"]


def test_preps_wrapper_takes_a_null_in_a_text_column(tmp_path: Path) -> None:
    text = "import pandas as pd\ndef work(df):\n    df['n'] *= 2\n    return df\n" + PREP
    work = Work(tmp_path, text, pa.table({"s": ["x", None], "n": [1.0, None]}))
    assert work.result.to_pydict() == {"s": ["x", None], "n": [2.0, None]}


def test_the_index_and_pandas_own_notes_of_a_data_frame_go_along(tmp_path: Path) -> None:
    text = "return _arg1.set_index('key')"
    result = Work(tmp_path, text, pa.table({"key": ["x", "y"], "n": [1, 2]})).result
    assert result.column_names == ["n", "key"]
    assert json.loads(result.schema.metadata[b"pandas"])["index_columns"] == ["key"]


@pytest.mark.parametrize(
    "returned",
    [
        "{'a': [1, None], 'b': ['x', float('nan')]}",
        "pd.DataFrame({'a': pd.array([1, None], 'Int64'), 'b': ['x', float('nan')]})",
        "pa.table({'a': [1, None], 'b': ['x', None]})",
        "{'a': pd.Series([1, None], dtype='Int64'), 'b': pd.Series(['x', None])}",
    ],
    ids=["lists", "a DataFrame", "an Arrow table", "Series"],
)
def test_a_script_may_return(tmp_path: Path, returned: str) -> None:
    text = f"import pandas as pd, pyarrow as pa\nreturn {returned}"
    result = Work(tmp_path, text, pa.table({"n": [1]})).result
    assert result.to_pydict() == {"a": [1, None], "b": ["x", None]}


def test_a_table_without_rows_is_one(tmp_path: Path) -> None:
    result = Work(tmp_path, "return _arg1[_arg1['n'] > 5]", pa.table({"n": [1]})).result
    assert (result.num_rows, result.column_names) == (0, ["n"])


def test_none_is_no_table(tmp_path: Path) -> None:
    work = Work(tmp_path, "pass", pa.table({"n": [1]}))
    assert (work.answer, work.size) == (b"null", 0)


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("5", "TypeError : The script returned an int: return a DataFrame, a dictionary"),
        ("[1]", "TypeError : The script returned a list: return a DataFrame, a dictionary"),
        ("{'m': [1, 'a']}", "TypeError : Could not convert 'a' with type str"),
        ("{'m': 1}", "TypeError"),
        ("{'a': [1], 'b': [1, 2]}", "ArrowInvalid|TypeError : Column 1 named b expected length 1"),
        ("pd.DataFrame({'m': [1, 'a']})", "Conversion failed for column m with type object"),
        ("pd.DataFrame([[1, 2]], columns=['a', 'a'])", "ValueError : Duplicate column names"),
        ("{'m': ['x' * 2_000_000]}", r"a table of 2 MB: return one of less than 1 MB \(half of"),
    ],
)
def test_what_is_no_table_is_the_scripts_error(tmp_path: Path, returned: str, said: str) -> None:
    text = f"import pandas as pd\nreturn {returned}"
    with pytest.raises(ScriptFailedError, match=said) as failed:
        Work(tmp_path, text, pa.table({"n": [1]}))
    assert "/" not in failed.value.info.partition("\n")[0]


def test_a_table_that_pandas_cannot_have_is_no_error_of_the_script(tmp_path: Path) -> None:
    union = pa.UnionArray.from_sparse(pa.array([0, 1], pa.int8()), [pa.array([1, 2])] * 2)
    with pytest.raises(InvalidInputError, match="can't be a DataFrame"):
        Work(tmp_path, "return 1", pa.table({"u": union}))


def tables_open() -> int:
    """How many descriptors of such memory this process has; others come and go with its threads."""
    found = 0
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found += str(each.readlink()).startswith("/memfd:")
    return found


@pytest.mark.parametrize("text", ["return _arg1", "1/0", "return 5"])
def test_no_descriptor_is_left(tmp_path: Path, text: str) -> None:
    before = tables_open()
    try:
        Work(tmp_path, text, pa.table({"n": [1]}))
    except ScriptFailedError:
        assert text != "return _arg1"
    assert tables_open() == before


def test_with_a_table_the_data_is_not_looked_at(tmp_path: Path) -> None:
    work = Work(tmp_path, "return _arg1", pa.table({"n": [1]}), {"data": "anything"})
    assert work.result.to_pydict() == {"n": [1]}


def test_a_path_is_a_text(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match='"dataPath" is a number'):
        Work(tmp_path, "return 1", pa.table({"n": [1]}), {"dataPath": 5})


def test_without_a_path_nothing_is_asked_for(tmp_path: Path) -> None:
    body = json.dumps({"script": "return _arg1", "data": {"_arg1": [1]}}).encode()
    tables = Tables(lambda _: pytest.fail("asked"))
    assert script.evaluate(body, WebProcess(tmp_path).worker(), tables=tables) == b"[1]"


def test_an_unknown_table_is_no_error_of_the_script(tmp_path: Path) -> None:
    def ask(path: str) -> list[int]:
        raise UnknownTableError(path)

    body = b'{"script": "return 1", "dataPath": "p"}'
    with pytest.raises(UnknownTableError):
        script.evaluate(body, WebProcess(tmp_path).worker(), tables=Tables(ask))
