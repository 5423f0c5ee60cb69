"""Two runs on one output: one is refused by name, or both results are whole."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import verbs
from .verbs import VERBS, Verb

REFUSALS = ("works in it", "writes it", "something is there already")


def run(trials: int, chosen: Sequence[Verb] = VERBS) -> list[dict[str, Any]]:
    """Start each verb twice at once on one output, `trials` times in all.

    Returns:
        A row a verb: tried, refused (one of the two, by name), accepted (both went through),
        tracebacks, half_written, unequal, seconds.
    """
    rows = []
    share = max(trials // len(chosen), 1)
    with verbs.inputs_in_a_folder() as (folder, inputs):
        for verb in chosen:
            rows.append(_row(verb, inputs, folder, share))
    return rows


def _row(
    verb: Verb,
    inputs: Path,
    folder: Path,
    trials: int,
) -> dict[str, Any]:
    begin = time.monotonic()
    place = folder / verb.name.replace(" ", "-")
    place.mkdir()
    shown = [place / "first.txt", place / "second.txt"]
    whole = place / "whole"
    verbs.end_of(verbs.start(verb, inputs, whole, shown[0]))
    expected = verbs.contents(whole, verb)
    row = verbs.new_row(f"two at once: {verb.name}", trials)
    for trial in range(trials):
        out = place / f"out-{trial}"
        processes = [verbs.start(verb, inputs, out, each) for each in shown]
        codes = [verbs.end_of(process) for process in processes]
        texts = [each.read_text() for each in shown]
        problem = _problem(codes, texts)
        if not problem and verbs.contents(out, verb) != expected:
            problem = "unequal"
        row[problem or ("accepted" if codes == [0, 0] else "refused")] += 1
        if problem:
            row["failures"].append({"trial": trial, "codes": codes, "shown": texts})
    row["facts"] = {"unequal": row["unequal"]}
    row["seconds"] = round(time.monotonic() - begin, 1)
    return row


def _problem(codes: Sequence[int], texts: Sequence[str]) -> str:
    """What went wrong with two runs; "" where one is refused by name, or both went through."""
    if any("Traceback" in text for text in texts):
        return "tracebacks"
    if 0 not in codes:
        return "half_written"
    for code, text in zip(codes, texts, strict=True):
        if code and not any(refusal in text for refusal in REFUSALS):
            return "half_written"
    return ""
