"""Altered and damaged headers: refused in a sentence, or read at the scale that is stated.

tests/support/mutated.py says how to try thousands.
"""

import pytest
from mutated import run, seeds, try_one


@pytest.mark.parametrize("seed", [1, 2])
def test_no_altered_header_ends_in_a_traceback_or_another_scale(seed):
    outcomes, other_scales = run(100, seed)
    assert sum(outcomes.values()) == 100 and not other_scales
    assert outcomes["read"] and outcomes["UnreadableImage"] and outcomes["MissingScale"]


@pytest.mark.parametrize("seed", range(5))
def test_no_beginning_of_a_file_ends_in_a_traceback(tmp_path, seed):
    whole = seeds(tmp_path)[seed]
    content = whole.read_bytes()
    cut = tmp_path / "cut" / whole.name
    cut.parent.mkdir()
    for length in (*range(64), *range(64, 600, 9)):
        cut.write_bytes(content[:length])
        outcome, mpp = try_one(cut)
        assert outcome != "read" and mpp is None
