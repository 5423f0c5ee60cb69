"""Logs of a verb: what it does, to a file and to stderr, as text or as JSON.

Python's `logging` under the name `histosynth`. Each record has an event: `begin` and `end` of the
verb, `stage` and `progress` of its work, `note`, `refused` and `stopped`.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import HistosynthError
from ..core.stopping import Stopped
from ..core.version import __version__
from ..core.visible import json_line, visible
from .json_schemas import schema_id
from .streams import error_line, shows_errors

LOG_FORMS = ("text", "json")
PROGRESS_EVENTS = ("stage", "progress")
_LOGGER = logging.getLogger("histosynth")


@dataclass(frozen=True)
class LogOptions:
    """What the user wants to be logged.

    Attributes:
        log_file: appended to; None or "": no file.
        log_format: `text` or `json`; None: text, and bars on a terminal.
        quiet: nothing on stderr but refusals.
    """

    log_file: str | None = None
    log_format: str | None = None
    quiet: bool = False


class _Current:
    """The verb that runs, or ran last, in this process.

    Attributes:
        verb: its words; "" where no verb was called.
        is_json: whether stderr carries lines of JSON only.
    """

    verb = ""
    is_json = False


current_verb = _Current()


def log(
    event: str,
    message: str,
    level: int = logging.INFO,
    **facts: Any,
) -> None:
    """Log an event of the present verb.

    Args:
        event: see above.
        message: for people, one line.
        level: of `logging`.
        facts: values for JSON.
    """
    extra = {"event": event, "facts": facts}
    _LOGGER.log(level, "%s", message, extra=extra)


@contextmanager
def logged_verb(verb: str, options: LogOptions) -> Iterator[None]:
    """Log a verb from its beginning to its end, whatever the end is.

    Raises:
        BadOption: the file cannot be appended to.
    """
    current_verb.verb = verb
    current_verb.is_json = options.log_format == "json"
    handlers = _handlers_of(options)
    before = (_LOGGER.level, _LOGGER.propagate)
    _LOGGER.setLevel(logging.INFO)
    _LOGGER.propagate = False  # libraries give the root handlers of their own
    for handler in handlers:
        _LOGGER.addHandler(handler)
    try:
        with _logged_end(verb):
            yield
    finally:
        for handler in handlers:
            _LOGGER.removeHandler(handler)
            handler.close()
        _LOGGER.setLevel(before[0])
        _LOGGER.propagate = before[1]


@contextmanager
def _logged_end(verb: str) -> Iterator[None]:
    """Log the beginning of a verb, and how it ended."""
    began = time.monotonic()
    log(
        "begin",
        f"begins, version {__version__}",
        version=__version__,
        arguments=sys.argv[1:],
        folder=os.getcwd(),
        process=os.getpid(),
    )
    exit_code = 0
    try:
        yield
    except HistosynthError as error:
        exit_code = 1
        log(
            "refused",
            str(error),
            logging.ERROR,
            error=type(error).__name__,
        )
        raise
    except Stopped as stop:
        exit_code = stop.exit_code
        log("stopped", str(stop), logging.ERROR)
        raise
    except SystemExit as end:
        exit_code = end.code if isinstance(end.code, int) else int(bool(end.code))
        raise
    except Exception as error:
        exit_code = getattr(error, "exit_code", 1)  # typer's own: usage, and an end without error
        if exit_code:
            log("failed", f"{type(error).__name__}: {error}", logging.ERROR)
        raise
    finally:
        seconds = time.monotonic() - began
        log(
            "end",
            f"ends with exit code {exit_code} after {seconds:.1f} s",
            exit_code=exit_code,
            seconds=round(seconds, 3),
        )


def _handlers_of(options: LogOptions) -> list[logging.Handler]:
    form = options.log_format or "text"
    handlers: list[logging.Handler] = [_stderr_handler(options)]
    if options.log_file and _is_first_process():
        from .log_file import open_log

        handlers.append(open_log(Path(options.log_file), form))
    formatter = FORMATTERS[form]()
    for handler in handlers:
        handler.setFormatter(formatter)
    return handlers


def _is_first_process() -> bool:
    """Whether this process writes the log, of several that a launcher started."""
    return os.environ.get("RANK", "") in ("", "0")


def _stderr_handler(options: LogOptions) -> logging.Handler:
    """JSON: every event. Text: progress and what Ray tells, for `Output` shows the rest in its own
    form.
    """
    handler = _LinesOnStderr()
    if options.quiet:
        handler.setLevel(logging.WARNING)
        handler.addFilter(_is_own)
    if options.log_format != "json":
        handler.addFilter(_is_progress_or_of_ray)
    return handler


def _is_own(record: logging.LogRecord) -> bool:
    """Whether a record is of this program, not of Ray below it."""
    return record.name == _LOGGER.name


def _is_progress_or_of_ray(record: logging.LogRecord) -> bool:
    """Whether a record is of progress, which on a terminal bars show, or of Ray."""
    is_progress = getattr(record, "event", "") in PROGRESS_EVENTS
    return not _is_own(record) or (is_progress and not shows_errors())


class _LinesOnStderr(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):  # stderr may be gone, and the work goes on
            error_line(self.format(record))


class TextLines(logging.Formatter):
    """`2026-11-29T11:40:02Z INFO histosynth train: message`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; hidden characters are shown as escapes."""
        message = visible(record.getMessage())
        return f"{_time_of(record)} {record.levelname} histosynth {current_verb.verb}: {message}"


class JsonLines(logging.Formatter):
    """One object a line, see `schemas/log.json`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line in plain ASCII characters."""
        facts: dict[str, Any] = getattr(record, "facts", {})
        line = {
            "schema": schema_id("log"),
            "time": _time_of(record),
            "level": record.levelname.lower(),
            "verb": current_verb.verb,
            "event": getattr(record, "event", "note"),
            "message": visible(record.getMessage()),
        }
        return json_line(line | facts)


FORMATTERS = {"text": TextLines, "json": JsonLines}
"""Of each form."""


def _time_of(record: logging.LogRecord) -> str:
    """In UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
