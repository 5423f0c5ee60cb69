"""What Ray changes in the process that it runs in, kept as it was."""

from __future__ import annotations

import logging
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_THREADS = "ray_"
"""Begins the names of Ray's threads."""
_LOGGER = logging.getLogger("histosynth.ray")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class _StreamOfProgram:
    """A stdout to which Ray's threads do not write: what they print is logged, a line a record."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write to the stream, or to the log from a thread of Ray."""
        if threading.current_thread().name.startswith(_THREADS):
            for line in _COLOURS.sub("", text).splitlines():
                if line.strip():
                    _LOGGER.warning("%s", line.strip())
            return len(text)
        written: int = self._stream.write(text)
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def own_stdout() -> Iterator[None]:
    """Keep stdout for results: Ray prints there what it lost, with `log_to_driver=False` too."""
    stream = sys.stdout
    own: Any = _StreamOfProgram(stream)
    sys.stdout = own
    try:
        yield
    finally:
        if sys.stdout is own:
            sys.stdout = stream


@contextmanager
def own_signals() -> Iterator[None]:
    """Keep the handler of SIGTERM, in whose place `ray.init` puts its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


def as_raised(call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """The result of a call into Ray, whose compiled code wraps what a signal raises.

    Raises:
        BaseException: what the signal raised.
    """
    try:
        return call(*arguments, **options)
    except SystemError as error:
        cause = error.__cause__
        if cause is None or isinstance(cause, Exception):
            raise
        raise cause from None
