"""Runs a format's workers, and starts another where one hung or died."""

from __future__ import annotations

import json
import selectors
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from .rows import Row
from .worker import MAX_SECONDS

START_SECONDS = 180.0
_GRACE = 5.0
"""A worker ends itself after `MAX_SECONDS`; this long after that it is killed."""


def try_format(name: str, *, seed: int, count: int, folder: Path, keep: Path | None = None) -> Row:
    """Try `count` inputs of a format.

    Args:
        name: in `FORMATS`.
        seed: of all changes.
        count: inputs.
        folder: working place; emptied.
        keep: gets the bytes of inputs that failed, outside the repository; None: nowhere.
    """
    row = Row(name)
    begin = time.monotonic()
    at = 0
    while at < count:
        at = _one_worker(row, seed, at, count, folder)
    row.seconds = round(time.monotonic() - begin, 1)
    if keep and row.failures:
        _keep_inputs(row, seed, folder, keep)
    shutil.rmtree(folder, ignore_errors=True)
    return row


def _one_worker(row: Row, seed: int, start: int, stop: int, folder: Path) -> int:
    """Try inputs from `start` on until one ends the worker; returns the next."""
    arguments = [row.what, str(seed), str(start), str(stop), str(folder)]
    errors = folder.with_name(f"{folder.name}.stderr")
    errors.parent.mkdir(parents=True, exist_ok=True)
    with errors.open("w+", encoding="utf-8", errors="replace") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "hostile.worker", *arguments],
            stdout=subprocess.PIPE,
            stderr=stderr,
            stdin=subprocess.DEVNULL,
        )
        try:
            at, hung = _read(row, process, start, stop)
        finally:
            process.kill()
            process.wait()
        stderr.seek(0)
        said = stderr.read()
    errors.unlink()
    if at >= stop:
        return stop
    if at < 0:
        raise RuntimeError(f"the worker of {row.what} did not start:\n{said[-3000:]}")
    is_hang = hung or "Timeout (" in said
    row.tried += 1
    if is_hang:
        row.hangs += 1
        row.worst_s = max(row.worst_s, MAX_SECONDS)
    else:
        row.tracebacks += 1
    what = "hang" if is_hang else f"died ({process.returncode})"
    row.failures.append({"index": at, "seed": seed, "outcome": what, "stack": said[-3000:]})
    return at + 1


def _read(row: Row, process: Any, start: int, stop: int) -> tuple[int, bool]:
    """Lines of a worker until it ends; returns the input in work, or `stop`, and whether it hung.

    -1: it did not start.
    """
    at = -1
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        wait = START_SECONDS
        while selector.select(wait):
            line = process.stdout.readline()
            if not line:
                return at, False
            index, outcome, *numbers = json.loads(line)
            wait = MAX_SECONDS + _GRACE
            if outcome == "ready":
                at = start
            elif outcome == "began":
                at = index
            else:
                _count(row, index, outcome, *numbers)
                at = index + 1
                if at >= stop:
                    return stop, False
    return at, True


def _count(row: Row, index: int, outcome: str, seconds: float, peak_mb: float) -> None:
    row.tried += 1
    row.worst_s = max(row.worst_s, seconds)
    row.peak_mb = max(row.peak_mb, peak_mb)
    if outcome == "accepted":
        row.accepted += 1
    elif outcome.startswith("refused"):
        row.refused += 1
    else:
        if outcome.startswith("half-written"):
            row.half_written += 1
        else:
            row.tracebacks += 1
        row.failures.append({"index": index, "outcome": outcome, "seconds": seconds})


def _keep_inputs(row: Row, seed: int, folder: Path, keep: Path) -> None:
    """Write the inputs that failed, for a look at them."""
    from .formats import FORMATS
    from .trial import Trial

    trial = Trial(FORMATS[row.what], folder, seed)
    for failure in row.failures:
        path, content = trial.changed(failure["index"])
        target = keep / row.what.replace(" ", "_") / f"{seed}-{failure['index']}-{path.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        failure["file"] = str(target)
