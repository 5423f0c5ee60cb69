"""The file of `--log-file`: lines are appended to a log of ours, and to nothing else."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from ..core.errors import BadOption, first_line
from ..core.plain_files import open_plain
from ..core.store import open_to_append
from .streams import error_line

_FIRST_LINES = {
    "text": re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ [A-Z]+ histosynth "),
    "json": re.compile(rb'\{"schema": "urn:histosynth:log:\d+", '),
}
_MAX_FIRST_BYTES = 100


def open_log(path: Path, form: str) -> logging.Handler:
    """A handler that appends to a log; its folder must be there.

    Args:
        path: of the log; created if it is absent.
        form: `text` or `json`.

    Raises:
        BadOption: the file cannot be written, or holds other things than lines of this form.
    """
    try:
        if path.exists():
            with open_plain(path) as file:
                first = file.read(_MAX_FIRST_BYTES)
            if first and not _FIRST_LINES[form].match(first):
                wanted = f"a new file, or one that holds lines of --log-format {form}"
                raise BadOption("--log-file", f"{path}, which holds other things", wanted)
        return _FileHandler(path)
    except OSError as error:
        wanted = f"a file that can be written ({first_line(error)})"
        raise BadOption("--log-file", path, wanted) from error


class _FileHandler(logging.Handler):
    """Appends lines; each is on the disk before the work goes on.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._file = open_to_append(path)
        self._is_broken = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line. A full disk costs the log and not the work."""
        if self._is_broken:
            return
        try:
            self._file.write(f"{self.format(record)}\n".encode())
            self._file.flush()
        except (OSError, ValueError) as error:
            self._is_broken = True
            reason = first_line(error)
            error_line(f"Note: {self._path} is no longer written: {reason}.")

    def close(self) -> None:
        """Close the file."""
        try:
            self._file.close()
        except OSError:
            self._is_broken = True
        super().close()
