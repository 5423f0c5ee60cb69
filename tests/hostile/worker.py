"""Tries many inputs of one format in one process, with little memory and little time for each.

    python -m hostile.worker NAME SEED START STOP FOLDER

writes one line of JSON an input on stdout: `[index, "began"]`, then `[index, outcome, seconds,
peak MB]`. An input that takes too long ends the process, with the stack on stderr.
"""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

MAX_SECONDS = 10.0
_GIB = 1 << 30


def limit_memory(more_gb: float) -> None:
    """No more address space than this process has, and so much more."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + int(more_gb * _GIB)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main(name: str, seed: int, start: int, stop: int, folder: Path) -> None:
    """Try inputs start to stop - 1."""
    from .formats import FORMATS
    from .trial import Trial

    results = os.fdopen(os.dup(1), "w", buffering=1)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    warnings.simplefilter("ignore")

    def write(*values: Any) -> None:
        results.write(json.dumps(values) + "\n")

    form = FORMATS[name]
    trial = Trial(form, folder, seed)
    trial.check_seeds()
    write(-1, "ready")
    limit_memory(form.needs_gb)
    for index in range(start, stop):
        write(index, "began")
        begin = time.monotonic()
        faulthandler.dump_traceback_later(MAX_SECONDS, exit=True)
        try:
            outcome = trial.run(index)
        except BaseException as error:  # noqa: BLE001 - this is what is counted
            outcome = f"traceback: {type(error).__name__}: {str(error)[:300]} | {where(error)}"
        faulthandler.cancel_dump_traceback_later()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        write(index, outcome, round(time.monotonic() - begin, 3), round(peak, 1))


def where(error: BaseException) -> str:
    """The innermost lines of our own source."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames]
    return " < ".join(reversed(lines[-8:]))


if __name__ == "__main__":
    main(sys.argv[1], *(int(each) for each in sys.argv[2:5]), Path(sys.argv[5]))
