"""A number with its interval, as people read it."""

import math

import pytest

from histosynth.core.estimate import Estimate, undefined


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(0.12345, 0.1, 0.2, 5, "bootstrap"), "0.123 (0.1 to 0.2)"),
        (
            Estimate(0.5, math.nan, math.nan, 5, "none", "one patient"),
            "0.5 (no interval: one patient)",
        ),
        (Estimate(0.5, math.nan, 0.6, 5, "none"), "0.5"),
        (undefined("there is no item"), "there is no item"),
        (undefined(""), "not defined"),
    ],
)
def test_an_estimate_in_words_never_says_nan(estimate, text):
    assert estimate.as_text() == text


def test_the_form_of_the_numbers_may_be_chosen():
    estimate = Estimate(0.12345, 0.1, 0.2, 5, "bootstrap")
    assert estimate.as_text(".2f") == "0.12 (0.10 to 0.20)"
    assert estimate.has_interval
    assert not undefined("why").has_interval
