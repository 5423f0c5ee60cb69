"""Scales and seeds: one rule each, and its limits exactly."""

import numpy as np
import pytest

from histosynth.core.errors import BadOption
from histosynth.core.seeds import MAX_SEED, check_seed, is_seed
from histosynth.core.units import check_mpp, check_mpp_option, is_mpp, same_scale, um_to_px


@pytest.mark.parametrize(
    ("mpp", "valid"),
    [
        (0.05, True),
        (20.0, True),
        (0.0499, False),
        (20.01, False),
        (float("nan"), False),
        (float("inf"), False),
        (-0.5, False),
    ],
)
def test_scales_are_from_0_05_to_20_um_per_px(mpp, valid):
    assert is_mpp(mpp) is valid


def test_the_checks_of_a_scale_name_the_value_and_the_limits():
    check_mpp(0.5)
    check_mpp_option(0.5)
    with pytest.raises(ValueError, match=r"^tile_mpp must lie in \[0\.05, 20\], not 72\.0$"):
        check_mpp(72.0, "tile_mpp")
    with pytest.raises(BadOption, match=r"--mpp is 72, .* from 0\.05 to 20 micro"):
        check_mpp_option(72)


def test_scales_are_the_same_within_3_percent_of_the_reference_on_both_sides():
    assert same_scale(0.5, 0.5)
    assert same_scale(0.5149, 0.5) and same_scale(0.4851, 0.5)
    assert same_scale(0.515, 0.5) and same_scale(0.485, 0.5)  # 0.515 / 0.5 - 1 > 0.03 as floats
    assert not same_scale(0.5151, 0.5) and not same_scale(0.4849, 0.5)


def test_a_length_in_pixels_is_larger_at_a_finer_scale():
    assert um_to_px(8.0, 0.5) == 16.0
    assert um_to_px(8.0, 0.25) == 32.0


@pytest.mark.parametrize("seed", [0, 1, MAX_SEED, np.int64(7), np.uint32(7)])
def test_seeds_are_whole_numbers_up_to_2_to_the_63(seed):
    assert is_seed(seed)
    check_seed(seed)


@pytest.mark.parametrize("seed", [-1, MAX_SEED + 1, 1.0, "1", None])
def test_what_is_no_seed_is_refused_by_its_value(seed):
    assert not is_seed(seed)
    with pytest.raises(BadOption) as option:
        check_seed(seed)
    assert option.value.problem == f"seed is {seed}, but must be a whole number from 0 to 2^63 - 1."


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: check_mpp(0.0), ValueError, "mpp must lie in [0.05, 20], not 0.0"),
        (lambda: check_mpp(72, "tile_mpp"), ValueError, "tile_mpp must lie in [0.05, 20], not 72"),
        (
            lambda: check_mpp_option(72),
            BadOption,
            "--mpp is 72, but must be from 0.05 to 20 micrometres per pixel. Give another value.",
        ),
    ],
)
def test_the_checks_of_a_scale_have_these_words(call, error, sentence):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == sentence
