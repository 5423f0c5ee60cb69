"""Splits: patients, never tiles."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from histosynth.preparation.split import split_patients

SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}
labels = st.dictionaries(
    st.text("abc123", min_size=1, max_size=6),
    st.sampled_from(["UPS", "LMS", ""]),
    max_size=80,
)


@given(labels, st.integers(0, 5))
def test_every_patient_stands_in_one_split_whatever_the_order(table, seed):
    dealt = split_patients(table, SHARES, seed=seed)
    assert set(dealt) == set(table) and set(dealt.values()) <= set(SHARES)
    assert dealt == split_patients(dict(reversed(list(table.items()))), SHARES, seed=seed)


def test_shares_are_kept_in_all_and_within_each_label():
    table = {f"P{n}": ["UPS", "LMS", "DDLPS", "MFS"][n % 4] for n in range(400)}
    dealt = split_patients(table, SHARES)
    assert Counter(dealt.values()) == {"train": 280, "validation": 40, "test": 80}
    for label in set(table.values()):
        counts = Counter(dealt[name] for name in table if table[name] == label)
        assert abs(counts["train"] - 70) <= 2 and abs(counts["test"] - 20) <= 2


def test_a_rare_label_with_three_patients_reaches_every_split():
    table = {f"P{n}": "common" for n in range(60)} | {f"R{n}": "rare" for n in range(3)}
    dealt = split_patients(table, SHARES)
    assert {dealt[f"R{n}"] for n in range(3)} == set(SHARES)


def test_another_seed_is_another_deal():
    table = {f"P{n}": "" for n in range(50)}
    assert split_patients(table, SHARES, seed=0) != split_patients(table, SHARES, seed=1)


def test_one_patient_goes_to_training():
    assert split_patients({"P": "UPS"}, SHARES) == {"P": "train"}


def test_the_rarest_label_is_assigned_first():
    """Two patients of a rare label reach two splits; the common label evens out the shares."""
    table = {f"C{n}": "common" for n in range(8)} | {f"R{n}": "rare" for n in range(2)}
    splits = split_patients(table, SHARES)
    rare = Counter(splits[name] for name in table if table[name] == "rare")
    common = Counter(splits[name] for name in table if table[name] == "common")
    assert rare == {"train": 1, "test": 1}
    assert common == {"train": 6, "validation": 1, "test": 1}
