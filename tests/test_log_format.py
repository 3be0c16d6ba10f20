"""Log lines: one a record, whatever is in it."""

import logging
import re
from pathlib import Path
from typing import Any

import pytest

from tabpy.tabpy_server import log_format
from tabpy.tabpy_server.errors import StartError


def line(message: str, **fields: Any) -> str:
    record = logging.LogRecord("x", logging.WARNING, "", 0, message, (), None)
    record.fields = fields
    return log_format.Logfmt().format(record)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain", "plain"),
        ("/route?x", "/route?x"),
        (1, "1"),
        (1.5, "1.5"),
        (True, "True"),
        ("", '""'),
        ("two words", '"two words"'),
        ("a=b", '"a=b"'),
        ('quo"te', '"quo\\"te"'),
        ("line\nend\r", '"line\\nend\\r"'),
        ("\x1b[31mred", '"\\u001b[31mred"'),
        ("\x85\u2028\u2029\x9b", '"\\u0085\\u2028\\u2029\\u009b"'),
        ("ä", "ä"),
    ],
)
def test_a_value_is_quoted_when_it_has_to_be(value: object, written: str) -> None:
    assert log_format.quote(value) == written


def test_a_line_has_time_level_message_and_fields() -> None:
    written = line("it is", user="ann", nobody=None, status=200)
    assert re.fullmatch(
        r'time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z level=warning msg="it is" '
        r"user=ann status=200",
        written,
    )


@pytest.mark.parametrize("forged", ["x\ntime=now level=error msg=forged", "x\u2028y", "\x1b[2J"])
def test_nothing_in_it_begins_a_new_line_or_moves_the_cursor(forged: str) -> None:
    written = line(forged, text=forged)
    assert len(written.splitlines()) == 1
    assert written.isprintable()


def test_an_exception_stays_on_the_line() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "failure", (), None)
        record.exc_info = (type(error), error, error.__traceback__)
    written = log_format.Logfmt().format(record)
    assert len(written.splitlines()) == 1
    assert "ValueError: two\\nlines" in written


def test_logging_sections_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    file = tmp_path / "tabpy.conf"
    file.write_text("[loggers]\nkeys = root\n")
    with pytest.raises(StartError, match=f"^The logging sections of {re.escape(str(file))} can't"):
        log_format.set_up(file, "INFO")
