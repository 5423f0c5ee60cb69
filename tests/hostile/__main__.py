"""`python -m hostile`: the long run. See `--help`."""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .formats import FORMATS
from .rows import is_clean, text_of, write_rows_json
from .trying import try_format

EXPERIMENTS = {
    "servers": 300,
    "bundles": 400,
    "kills": 320,
    "two_at_once": 80,
    "links": 1000,
    "large": None,
}
"""Modules of this package with `run(trials)`, or `run()`, that returns rows; and their trials."""


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m hostile", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="formats and experiments")
    parser.add_argument("--skip", nargs="+", metavar="NAME", default=[])
    parser.add_argument("--count", type=int, default=400, help="inputs a format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, default=Path("hostile.json"), help="rows, kept")
    parser.add_argument("--resume", action="store_true", help="keep rows that the JSON holds")
    parser.add_argument("--keep", type=Path, help="folder for inputs that failed")
    parser.add_argument("--list", action="store_true")
    return parser.parse_args(arguments)


def _experiments() -> list[str]:
    return [name for name in EXPERIMENTS if importlib.util.find_spec(f"hostile.{name}")]


def _wanted(options: argparse.Namespace) -> list[str]:
    known = [*FORMATS, *_experiments()]
    unknown = [name for name in options.only or () if name not in known]
    if unknown:
        raise SystemExit(f"unknown: {', '.join(unknown)} (known: {', '.join(known)})")
    return [name for name in options.only or known if name not in options.skip]


def _rows_of(name: str, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    if name in FORMATS:
        with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
            row = try_format(
                name,
                seed=options.seed,
                count=options.count,
                folder=Path(folder) / "trial",
                keep=options.keep,
            )
        yield row.as_dict()
        return
    yield from _experiment(name)


def _experiment(name: str) -> list[dict[str, Any]]:
    """Rows of a module of this package, in a process of its own: it may bound its own memory."""
    trials = EXPERIMENTS[name]
    arguments = "" if trials is None else str(trials)
    code = f"import json, hostile.{name} as it; print(json.dumps(list(it.run({arguments}))))"
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    if done.returncode:
        raise RuntimeError(done.stderr.decode(errors="replace")[-3000:])
    rows: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    for row in rows:
        row.setdefault("seconds", round(time.monotonic() - begin, 1))
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Run what is wanted; 1 where anything bad came of it."""
    options = _parse(arguments)
    if options.list:
        print("\n".join([*FORMATS, *_experiments()]))
        return 0
    rows: list[dict[str, Any]] = []
    if options.resume and options.json.is_file():
        rows = json.loads(options.json.read_text(encoding="utf-8"))
    finished = {row.get("of", row["what"]) for row in rows}
    for name in _wanted(options):
        if name in finished:
            continue
        for row in _rows_of(name, options):
            row["of"] = name
            rows.append(row)
            print(text_of([row]).splitlines()[1], flush=True)
            for failure in row.get("failures", ())[:5]:
                print(f"    {str(failure)[:600]}", flush=True)
        write_rows_json(options.json, rows)
    print()
    print(text_of(rows))
    return 0 if is_clean(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
