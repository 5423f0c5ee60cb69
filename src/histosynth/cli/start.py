"""How the program starts: signals are understood before the rest of it is loaded.

Nothing is imported here that takes time: until `start` begins, Ctrl-C ends in Python's traceback.
"""

from __future__ import annotations

import os
import signal

_CTRL_C = b"histosynth: Stopped by Ctrl-C: nothing was written. Run the same command again.\n"


def start() -> None:
    """Load and run the command line; nothing disturbs the end of the process."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _end_at_once)
    _wait_briefly()
    from ..core.stopping import Stopped, ignore_stop_signals, stop_signals

    try:
        with stop_signals():
            from .main import run

            run()
    except Stopped as stop:
        os.write(2, f"histosynth: {stop}\n".encode())
        raise SystemExit(stop.exit_code) from stop
    finally:
        ignore_stop_signals()


def _wait_briefly() -> None:
    """Let threads that wait for each other leave the processor to others soon.

    OpenMP reads this when it is loaded, with torch. Its usual wait costs a busy machine a third of
    its time; none at all costs an idle one (docs/log.md). A user's own choice stays.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
        os.environ.setdefault("KMP_BLOCKTIME", "1")


def _end_at_once(number: int, frame: object) -> None:
    """End a process that has not loaded `stopping` yet, with its sentence and exit code."""
    os.write(2, _CTRL_C)
    os._exit(128 + number)
