"""Kills at random moments: the run is started again, and its bytes equal an uninterrupted run's."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import verbs
from .verbs import VERBS, Verb

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
STOPPED = {signal.SIGTERM: 143, signal.SIGINT: 130}


def run(trials: int, chosen: Sequence[Verb] = VERBS, seed: int = 0) -> list[dict[str, Any]]:
    """Kill each verb `trials` times in all, by SIGKILL, SIGTERM and twice Ctrl-C in turn.

    Returns:
        A row a verb: tried, refused (the second run failed), accepted (its bytes are equal),
        tracebacks, half_written, unequal, seconds.
    """
    rows = []
    share = max(trials // len(chosen), 1)
    with verbs.inputs_in_a_folder() as (folder, inputs):
        for verb in chosen:
            rows.append(_row(verb, inputs, folder, share, seed))
    return rows


def _row(
    verb: Verb,
    inputs: Path,
    folder: Path,
    trials: int,
    seed: int,
) -> dict[str, Any]:
    begin = time.monotonic()
    place = folder / verb.name.replace(" ", "-")
    place.mkdir()
    shown = place / "shown.txt"
    whole = place / "whole"
    code = verbs.end_of(verbs.start(verb, inputs, whole, shown))
    if code:
        raise RuntimeError(f"{verb.name} fails without a kill: {shown.read_text()}")
    seconds = time.monotonic() - begin
    expected = verbs.contents(whole, verb)
    row = verbs.new_row(f"kills: {verb.name}", trials)
    generator = random.Random(seed)
    for trial in range(trials):
        number = SIGNALS[trial % len(SIGNALS)]
        out = place / f"out-{trial}"
        wait = verbs.moment(generator, seconds)
        problem = _try(verb, inputs, out, shown, number=number, wait_s=wait)
        found = verbs.contents(out, verb)
        if not problem and found != expected:
            problem = "unequal"
        row[problem or "accepted"] += 1
        if problem:
            row["failures"].append(
                {
                    "trial": trial,
                    "signal": number.name,
                    "wait_s": wait,
                    "problem": problem,
                    "half_written": verbs.half_written(out) if out.is_dir() else [],
                    "differ": sorted(
                        name
                        for name in {*found, *expected}
                        if found.get(name) != expected.get(name)
                    ),
                    "shown": shown.read_text(),
                }
            )
    row["facts"] = {"unequal": row["unequal"]}
    row["seconds"] = round(time.monotonic() - begin, 1)
    return row


def _try(
    verb: Verb,
    inputs: Path,
    out: Path,
    shown: Path,
    *,
    number: signal.Signals,
    wait_s: float,
) -> str:
    """Kill a run after a while and run it again; returns what went wrong, or ""."""
    process = verbs.start(verb, inputs, out, shown)
    time.sleep(wait_s)
    os.kill(process, number)
    if number == signal.SIGINT:
        os.kill(process, number)
    code = verbs.end_of(process)
    text = shown.read_text()
    if "Traceback" in text or "Exception" in text:
        return "tracebacks"
    if code not in (0, -number, STOPPED.get(number)):
        return "refused"
    if code == STOPPED.get(number) and "Stopped by" not in text:
        return "refused"
    if out.is_dir() and verbs.half_written(out):
        return "half_written"
    if verb.once and out.exists():
        return ""  # it was finished: a second is refused, for nothing is replaced
    again = verbs.end_of(verbs.start(verb, inputs, out, shown))
    if again:
        return "tracebacks" if "Traceback" in shown.read_text() else "refused"
    return ""
