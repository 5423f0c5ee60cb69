"""Balance: rare labels are drawn more often, never for free, and never without a report."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histosynth.core.errors import BadOption, BadRecipe
from histosynth.training.balance.weights import (
    draws_by_label,
    draws_markdown,
    effective_tiles,
    refuse_rare,
    shares_by_label,
)

LABELS = ["a"] * 90 + ["b"] * 9 + ["c"]
SHARES = [1.0] * 89 + [3.0] + [1.0] * 10


def part(shares: np.ndarray, label: str) -> float:
    return float(
        sum(s for s, each in zip(shares, LABELS, strict=True) if each == label) / sum(shares)
    )


def test_strength_0_gives_the_shares_back_bit_for_bit():
    random = np.random.default_rng(0).random(100) * 1e-3
    assert (shares_by_label(LABELS, random, strength=0) == random).all()


def test_strength_1_draws_every_label_equally_often():
    shares = shares_by_label(LABELS, SHARES, strength=1)
    assert [part(shares, each) for each in "abc"] == pytest.approx([1 / 3] * 3)


def test_strength_between_lifts_the_rare_and_lowers_the_frequent_step_by_step():
    parts = np.array(
        [
            [part(shares_by_label(LABELS, SHARES, strength=s), each) for each in "abc"]
            for s in (0, 0.3, 0.7, 1)
        ]
    )
    assert (np.diff(parts[:, 0]) < 0).all() and (np.diff(parts[:, 2]) > 0).all()
    # 92 : 9 : 1 to the power 0.5
    half = shares_by_label(LABELS, SHARES, strength=0.5)
    assert part(half, "a") / part(half, "b") == pytest.approx((92 / 9) ** 0.5)


@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.floats(0, 1e6)),
        min_size=1,
        max_size=30,
    ),
    st.floats(0, 1),
)
def test_proportions_within_a_label_and_the_sum_stay(tiles, strength):
    labels = [label for label, _ in tiles]
    shares = np.array([share for _, share in tiles])
    if not shares.any():
        return
    out = shares_by_label(labels, shares, strength=strength)
    assert np.isfinite(out).all() and (out[shares == 0] == 0).all()
    assert out.sum() == pytest.approx(shares.sum())
    for label in set(labels):
        own = np.array([each == label for each in labels])
        assert out[own] * shares[own].sum() == pytest.approx(
            shares[own] * out[own].sum(), rel=1e-6, abs=1e-6
        )


def test_a_label_that_is_never_drawn_takes_nothing_from_the_others():
    shares = shares_by_label(["a", "b", "c"], [1.0, 3.0, 0.0], strength=1)
    assert shares.tolist() == pytest.approx([2, 2, 0])


def test_tiny_shares_do_not_overflow():
    shares = shares_by_label(["a", "b"], [1e-310, 1.0], strength=1)
    assert shares.tolist() == pytest.approx([0.5, 0.5])
    assert effective_tiles([1e-200, 1e-200]) == pytest.approx(2)


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_a_strength_out_of_range_is_refused(strength):
    with pytest.raises(BadOption, match=r"strength is .* in \[0, 1\]"):
        shares_by_label(["a"], [1.0], strength=strength)


@pytest.mark.parametrize(
    "shares", [[1.0, -1.0], [1.0, float("nan")], [float("inf"), 1.0], [0.0, 0.0]]
)
def test_shares_that_are_none_are_refused(shares):
    with pytest.raises(BadRecipe, match="of 2"):
        shares_by_label(["a", "b"], shares, strength=0.5)
    with pytest.raises(ValueError, match="do not belong together"):
        shares_by_label(["a"], shares, strength=0.5)


def test_a_label_of_few_patients_is_refused_by_name_unless_it_is_allowed():
    labels = ["a", "a", "a", "b", "b", ""]
    patients = ["1", "2", "3", "4", "4", "5"]
    with pytest.raises(
        BadRecipe, match=r"'b' has 1 patient, fewer than 3.*balance.allow_rare = true"
    ) as refused:
        refuse_rare(labels, patients, 3, False)
    assert "'a'" not in str(refused.value) and "''" not in str(refused.value)
    with pytest.raises(BadRecipe, match=r"'a' has 3 patients.*loop.few = true"):
        refuse_rare(labels, patients, 4, False, key="loop.few")
    refuse_rare(labels, patients, 3, True)
    refuse_rare(labels, patients, 1, False)


def test_draws_report_how_often_tiles_of_rare_labels_are_drawn():
    patients = [str(i // 10) for i in range(90)] + [f"b{i // 3}" for i in range(9)] + ["c0"]
    shares = shares_by_label(LABELS, SHARES, strength=1)
    rows = {row.label: row for row in draws_by_label(LABELS, patients, shares)}
    assert list(rows) == ["c", "b", "a"], "rarest first"
    assert rows["c"].per_tile == pytest.approx(100 / 3) and rows["c"].patients == 1
    assert rows["b"].patients == 3 and rows["b"].per_tile == pytest.approx(100 / 27)
    assert rows["a"].most == pytest.approx(3 * rows["a"].per_tile * 90 / 92)
    assert sum(row.per_tile * row.tiles for row in rows.values()) == pytest.approx(100)
    assert sum(row.share for row in rows.values()) == pytest.approx(1)
    assert rows["b"].effective_tiles == pytest.approx(9)
    assert rows["a"].effective_tiles == pytest.approx(92**2 / (89 + 9))


def test_the_table_of_draws_is_markdown():
    text = draws_markdown(draws_by_label(["a|b", ""], ["1", "2"], [3.0, 1.0]))
    assert "| a\\|b | 1 | 1 | 75.0% | 1.50 |" in text and "| not stated | 1 |" in text
