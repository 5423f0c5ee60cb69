"""Signals that end a run: what was done is stated, and what must be finished is finished.

The command line turns SIGINT (Ctrl-C), SIGTERM and SIGHUP into `Stopped`, which no `except
Exception` catches. Inside `deferred_stop` the first of them waits until the block is ready.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
_CTRL_C = "SIGINT"
_AGAIN_S = 0.02
"""After which a stop that nobody could catch is sent once more."""
_INSISTENT = 3
"""So many signals end the process at once, whatever it does."""


class Stopped(BaseException):
    """A signal ends the run.

    Attributes:
        number: of the signal.
        done: what was done, one sentence without its full stop; "" where nothing was begun.
        remedy: the next step.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.done = ""
        self.remedy = "Run the same command again."
        super().__init__(number)

    @property
    def exit_code(self) -> int:
        """As shells count: 128 and the signal's number."""
        return 128 + self.number

    @property
    def problem(self) -> str:
        """What stopped the run, and what was done."""
        name = signal.Signals(self.number).name
        cause = "Ctrl-C" if name == _CTRL_C else name
        return f"Stopped by {cause}: {self.done or 'nothing was written'}."

    def state(self, done: str, remedy: str) -> None:
        """State what was done, unless that is stated already."""
        if not self.done:
            self.done = done
            self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem} {self.remedy}"


WaitingStop = Callable[[], Stopped | None]
"""Returns the signal that waits, if one came."""


class _Signals:
    """What was received. Signals reach the main thread only, so that no lock is needed.

    Attributes:
        is_active: whether `stop_signals` handles them.
        count: signals so far.
        waiting: a signal that a `deferred_stop` has not raised yet.
        raised: the one that was raised.
        deferrals: blocks that finish first.
        note: shown when a signal has to wait.
    """

    def __init__(self) -> None:
        self.is_active = False
        self.count = 0
        self.waiting: Stopped | None = None
        self.raised: Stopped | None = None
        self.deferrals = 0
        self.note = ""

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal: the first raises or waits, a second raises what waits."""
        self.count += 1
        if self.count >= _INSISTENT:
            os._exit(128 + number)
        if self.raised is not None:
            return  # the run is ending
        if self.deferrals and self.waiting is None:
            self.waiting = Stopped(number)
            with suppress(OSError):  # the terminal may be gone
                os.write(2, self.note.encode())
            return
        self.raise_now(self.waiting or Stopped(number))

    def send_again(self, hook: Callable[[sys.UnraisableHookArgs], Any]) -> Any:
        """A hook that sends a stop once more that fell into a destructor, from which none rises.

        Args:
            hook: for all other exceptions.
        """

        def handle(unraisable: sys.UnraisableHookArgs) -> None:
            stop = unraisable.exc_value
            if not isinstance(stop, Stopped):
                hook(unraisable)
                return
            self.count -= 1
            self.raised = None
            timer = threading.Timer(_AGAIN_S, self._send, [stop.number])
            timer.daemon = True
            timer.start()

        return handle

    def _send(self, number: int) -> None:
        if self.is_active:
            os.kill(os.getpid(), number)

    def raise_now(self, stop: Stopped) -> None:
        """Raise a stop, and remember it in case that a library swallows it."""
        self.waiting = None
        self.raised = stop
        raise stop


_signals = _Signals()


@contextmanager
def stop_signals() -> Iterator[None]:
    """Turn signals that end a process into `Stopped` inside the block.

    Signals that are ignored (`nohup`) stay ignored. After a `Stopped` they are not given back: a
    second one must not disturb the end of the process.
    """
    global _signals
    is_main = threading.current_thread() is threading.main_thread()
    if _signals.is_active or not is_main:
        yield
        return
    _signals = _Signals()
    _signals.is_active = True
    before = {}
    for name in _NAMES:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, _signals.receive)
    hook = sys.unraisablehook
    sys.unraisablehook = _signals.send_again(hook)
    try:
        yield
    finally:
        sys.unraisablehook = hook
        _signals.is_active = False
        if _signals.raised is None:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def deferred_stop(note: str = "") -> Iterator[WaitingStop]:
    """Let the first signal wait until the block is ready for it; a second does not wait.

    Args:
        note: shown when a signal has to wait.

    Yields:
        A function that returns what waits. The block raises it; nothing is raised at its end.
    """
    signals = _signals
    signals.note = note
    signals.deferrals += 1
    try:
        yield lambda: signals.waiting
    finally:
        signals.deferrals -= 1


def raise_if_stopped() -> None:
    """Raise a stop once more that a library has swallowed."""
    if _signals.raised is not None:
        raise _signals.raised


def ignore_stop_signals() -> None:
    """Let the process end undisturbed: its result is shown."""
    for name in _NAMES:
        number = getattr(signal, name, None)
        if number is not None:
            signal.signal(number, signal.SIG_IGN)
