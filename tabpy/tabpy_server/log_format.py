"""Log lines for the operator: logfmt on standard output, or what a `[loggers]` section asks for.

No script, data, password or credentials header is ever logged.
"""

import configparser
import functools
import json
import logging
import re
import sys
import time
from pathlib import Path

from tabpy.tabpy_server.errors import StartError

NUMBERS = (int, float)  # half of what a request's line says
PLAIN = re.compile(r"[^\s\"=\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class Logfmt(logging.Formatter):
    """Writes `time=… level=… msg=…`, then what the call gave as `extra={"fields": {...}}`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line, without its end."""
        line = (
            f"time={_moment(int(record.created))}.{int(record.msecs):03d}Z "
            f"level={record.levelname.lower()} msg={quote(record.getMessage())}"
        )
        if fields := _fields(record):
            line += f" {fields}"
        if record.exc_info:
            line += f" trace={quote(self.formatException(record.exc_info))}"
        return line


@functools.lru_cache(maxsize=4)  # many lines have the same second
def _moment(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _fields(record: logging.LogRecord) -> str:
    fields: dict[str, object] = getattr(record, "fields", {})
    return " ".join(
        [
            f"{key}={value if type(value) in NUMBERS else quote(value)}"
            for key, value in fields.items()
            if value is not None
        ]
    )


def _with_fields(record: logging.LogRecord) -> bool:
    """Put the fields into the message, once: a filter that refuses nothing."""
    if hasattr(record, "fields"):
        record.msg = f"{record.getMessage()} {_fields(record)}".rstrip()
        record.args = ()
        del record.fields
    return True


def quote(value: object) -> str:
    """Return a value as logfmt has it: in quotes, with line ends and control characters escaped, if
    it has to be."""
    if isinstance(value, (int, float)):
        return str(value)
    text = str(value)
    return text if PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=True)


def set_up(config_file: Path, level: str) -> None:
    """Send log lines where the config file's logging sections say, else to standard output.

    Raises StartError for sections that `logging.config.fileConfig` can't use.
    """
    parser = configparser.RawConfigParser(strict=False)
    parser.read(config_file, encoding="utf-8-sig")
    if parser.has_section("loggers"):
        from logging.config import fileConfig  # late: few config files need it, or its servers

        try:
            fileConfig(parser, disable_existing_loggers=False)
        except Exception as error:  # noqa: BLE001 - it evaluates the file's text, so: anything
            raise StartError(
                f"The logging sections of {config_file} can't be used: "
                f"{type(error).__name__}: {error}"
            ) from None
        for handler in logging.getLogger().handlers:
            handler.addFilter(_with_fields)  # their formats know nothing of our fields
    else:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(Logfmt())
        logging.basicConfig(level=level, handlers=[handler], force=True)
        # Our form shows none of these, and finding them out is most of what a line costs:
        # https://docs.python.org/3/howto/logging.html#optimization
        logging._srcfile = None
        logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
        if sys.version_info >= (3, 12):
            logging.logAsyncioTasks = False
    logging.captureWarnings(True)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
