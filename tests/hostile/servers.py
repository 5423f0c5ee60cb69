"""A hostile server on this machine: altered lists, names and bodies, and faults in between."""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import served
from served import serving

from histosynth.core import web
from histosynth.core.errors import HistosynthError
from histosynth.preparation.fetch.project import fetch_project

from .mutating import ODD_TEXTS, Random, change_tree, pick
from .rows import Row
from .trial import leftovers
from .worker import MAX_SECONDS, where

_wait = web.RetryPolicy.wait

FAULTS = (
    "",
    "",
    "cut",
    "wrong",
    "long",
    "page",
    "ignore",
    "shift",
    "truncate",
    "500",
    "302",
    "416",
)
_ENDLESS = ("endless", "drip")
_KEPT = {"recipe.toml": b"mine\n", "notes.txt": b"mine too\n", "slide.svs": b"a slide of mine\n"}
_NAMES = ("recipe.toml", "../a.svs", "/tmp/a.svs", ".svs", "slide.svs", "a\0.svs", "con.svs", "~")
_HIT_TEXTS = (*_NAMES, *ODD_TEXTS)


class _Handler(served.Handler):
    """The same server with bodies that do not end, or come a byte at a time."""

    def data(self, body: bytes, fault: str) -> None:
        if body:
            super().data(body, fault)
        else:
            self.answer(404, b"")

    def answer(self, status: int, body: bytes, **more: Any) -> None:
        endless = self.server.commons.endless  # type: ignore[attr-defined]
        if not endless:
            super().answer(status, body, **more)
            return
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        piece = b" " * (1 if endless == "drip" else 1 << 16)
        try:
            for _ in range(2_000):
                self.wfile.write(piece)
                self.wfile.flush()
                time.sleep(0.005 if endless == "drip" else 0)
        except OSError:
            pass


def _wait_briefly(self: web.RetryPolicy, what: str, fault: web.TransientError) -> None:
    """The same without its pause, which is 15 s in all."""
    self.sleep = lambda _: None
    _wait(self, what, fault)


def _alter(commons: Any, random: Random) -> None:
    """Lists that lie, names that are no names, faults of the line."""
    commons.endless = pick(random, _ENDLESS) if random.random() < 0.05 else ""
    if random.random() < 0.6:
        hits = change_tree(commons.hits, random)
        commons.hits = hits if isinstance(hits, list) else [hits]
    for hit in commons.hits:
        if isinstance(hit, dict) and random.random() < 0.3:
            key = pick(random, ("file_name", "file_id", "md5sum", "file_size"))
            hit[key] = pick(random, _HIT_TEXTS)
    commons.faults = [pick(random, FAULTS) for _ in range(int(random.integers(0, 6)))]
    commons.retry_after = str(pick(random, ("", "0", "99999999999", "-1", "nan", "soon")))
    elsewhere = (
        "",
        "file:///etc/passwd",
        "http://127.0.0.1:1/",
        "ftp://x/",
        "//x",
        commons.endpoint,
    )
    commons.location = pick(random, elsewhere)


def _try(out: Path, seed: int, index: int) -> None:
    random = np.random.default_rng([seed, index])
    with serving() as commons:
        commons.bodies = defaultdict(bytes, {k: v[:3_000] for k, v in commons.bodies.items()})
        for hit in commons.hits:
            body = commons.bodies[hit["file_id"]]
            hit["file_size"] = len(body)
            hit["md5sum"] = hashlib.md5(body, usedforsecurity=False).hexdigest()
        _alter(commons, random)
        outcome, _ = fetch_project(
            "TCGA-SARC", out, limit=3, list_only=False, extra=None, endpoint=commons.endpoint
        )
        if outcome.refused:
            raise next(iter(outcome.refused.values()))


def run(trials: int, seed: int = 0) -> list[dict[str, Any]]:
    """Fetch from a server that lies, each time another way.

    Returns:
        One row. `half_written` counts files of the user that changed, and files outside the folder.
    """
    row = Row("servers")
    begin = time.monotonic()
    place = Path(tempfile.mkdtemp(prefix="hostile-servers-"))
    with (
        mock.patch.object(served, "Handler", _Handler),
        mock.patch.dict(os.environ, {"no_proxy": "127.0.0.1"}),
        mock.patch.object(web, "PACE_S", 0.5),
        mock.patch.object(web.RetryPolicy, "wait", _wait_briefly),
    ):
        for index in range(trials):
            _count(row, place, seed, index)
    shutil.rmtree(place)
    row.seconds = round(time.monotonic() - begin, 1)
    row.peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return [row.as_dict()]


def _count(row: Row, place: Path, seed: int, index: int) -> None:
    out = place / "folder" / "out"
    shutil.rmtree(place / "folder", ignore_errors=True)
    out.mkdir(parents=True)
    for name, content in _KEPT.items():
        (out / name).write_bytes(content)
    begin = time.monotonic()
    row.tried += 1
    try:
        _try(out, seed, index)
        row.accepted += 1
    except HistosynthError:
        row.refused += 1
    except Exception as error:  # noqa: BLE001 - this is what is counted
        row.tracebacks += 1
        what = f"{type(error).__name__}: {error} | {where(error)}"
        row.failures.append({"index": index, "seed": seed, "outcome": what[:600]})
    took = time.monotonic() - begin
    row.worst_s = max(row.worst_s, round(took, 2))
    row.hangs += took > MAX_SECONDS
    is_kept = all((out / name).read_bytes() == content for name, content in _KEPT.items())
    others = [path for path in place.rglob("*") if path.is_file() and out not in path.parents]
    if not is_kept or others or leftovers(out, refused=False):
        row.half_written += 1
        row.failures.append({"index": index, "seed": seed, "outcome": f"changed: {others}"})
