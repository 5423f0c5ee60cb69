"""The quick part of `bundles.run`: a few altered bundles, bases, adapters and detectors."""

import importlib.util
import sys
from pathlib import Path


def test_altered_bundles_and_bases_are_refused_or_whole():
    place = Path(__file__).with_name("bundles.py")
    spec = importlib.util.spec_from_file_location("hostile_bundles", place)
    bundles = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = bundles
    spec.loader.exec_module(bundles)
    (row,) = bundles.run(14)
    assert row["failures"] == []
    assert row["tried"] == 14 == row["refused"] + row["accepted"]
