"""Altered and damaged headers: refused in a sentence, or read at the scale that is stated.

tests/support/mutated.py says how to try thousands.
"""

import pytest
from mutated import run


@pytest.mark.parametrize("seed", [1, 2])
def test_no_altered_header_ends_in_a_traceback_or_another_scale(seed):
    outcomes, other_scales = run(100, seed)
    assert sum(outcomes.values()) == 100 and not other_scales
    assert outcomes["read"] and outcomes["UnreadableImage"] and outcomes["MissingScale"]
