"""A few kills and pairs of runs; `make hostile` tries many."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from histosynth.core.store import write_json
from hostile.verbs import half_written

TESTS = Path(__file__).parents[1]
QUICK = ("synthesize", "train", "bundle pack")
BAD = ("tracebacks", "hangs", "half_written", "unequal")
CODE = """
import json, sys
from hostile import {experiment} as experiment
from hostile.verbs import VERBS
chosen = [verb for verb in VERBS if verb.name in {names}]
print(json.dumps(experiment.run(len(chosen), chosen)))
"""


@pytest.mark.parametrize("experiment", ["kills", "two_at_once"])
def test_nothing_is_lost_or_mixed(experiment):
    """In a process of its own: forks of this one would inherit what other tests left in it."""
    paths = [str(TESTS), str(TESTS / "support"), *sys.path]
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(experiment=experiment, names=QUICK)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    rows = json.loads(done.stdout.splitlines()[-1])
    assert [row["tried"] for row in rows] == [1, 1, 1]
    for row in rows:
        assert not any(row[name] for name in BAD), row


def test_what_a_kill_leaves_hidden_is_not_half_written(tmp_path):
    """A kill between creating a temporary file and filling it leaves it empty."""
    code = """
import os, sys
from pathlib import Path
from histosynth.core.store import atomic_write
with atomic_write(Path(sys.argv[1]) / "facts.json"):
    os.kill(os.getpid(), 9)
"""
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert killed.returncode == -9
    left = list(tmp_path.iterdir())
    assert [path.suffix for path in left] == [".json"]
    assert half_written(tmp_path) == []
    (tmp_path / "facts.json").write_text('{"width": 12')
    (tmp_path / "table.parquet").write_bytes(b"PAR1 no end")
    assert half_written(tmp_path) == ["facts.json", "table.parquet"]
    write_json(tmp_path / "facts.json", {"width": 128})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["facts.json", "table.parquet"]
    assert half_written(tmp_path) == ["table.parquet"]
