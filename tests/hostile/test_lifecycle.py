"""A few kills and pairs of runs; `make hostile` tries many."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

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
        assert not any(row[name] for name in BAD), row["failures"]
