"""A few kills and pairs of runs; `make hostile` tries many."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from hostile import kills, two_at_once
from hostile.verbs import VERBS

QUICK = [verb for verb in VERBS if verb.name in ("synthesize", "train", "bundle pack")]
BAD = ("tracebacks", "hangs", "half_written", "unequal")


@pytest.mark.parametrize("experiment", [kills, two_at_once])
def test_nothing_is_lost_or_mixed(experiment):
    for row in experiment.run(len(QUICK), QUICK):
        assert not any(row[name] for name in BAD), row["failures"]
