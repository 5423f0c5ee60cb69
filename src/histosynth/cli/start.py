"""How the program starts: signals are understood before the rest of it is loaded."""

from __future__ import annotations

import os

from ..core.stopping import Stopped, ignore_stop_signals, stop_signals


def start() -> None:
    """Load and run the command line; nothing disturbs the end of the process."""
    try:
        with stop_signals():
            from .main import run

            run()
    except Stopped as stop:
        os.write(2, f"histosynth: {stop}\n".encode())
        raise SystemExit(stop.exit_code) from stop
    finally:
        ignore_stop_signals()
