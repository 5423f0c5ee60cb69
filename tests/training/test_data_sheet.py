"""The data sheet: everybody is counted once, and nobody can be found who should not be."""

import json
from collections.abc import Mapping

import numpy as np
import pytest

from histosynth.core.errors import BadTable, SplitLeak
from histosynth.core.geometry import Box
from histosynth.core.nuclei import Nuclei
from histosynth.core.tile import Tile, TileRef
from histosynth.training.balance.data_sheet import (
    MIN_SHOWN_PATIENTS,
    CountedTile,
    counted_tiles,
    data_sheet,
    sheet_markdown,
)
from histosynth.training.balance.patient_table import PatientTraits
from histosynth.training.data.sources import Example


def tiles(
    patients: Mapping[str, int],
    label: str = "a",
    split: str = "train",
    each: int = 2,
) -> list[CountedTile]:
    """`each` tiles with ten nuclei a tile of so many patients by prefix."""
    return [
        CountedTile(
            f"s-{name}{i}-{tile}",
            f"{name}{i}",
            label,
            split,
            10,
        )
        for name, count in patients.items()
        for i in range(count)
        for tile in range(each)
    ]


def sexes(**of: str) -> PatientTraits:
    return PatientTraits({patient: {"sex": sex} for patient, sex in of.items()}, columns=("sex",))


def names(rows: list) -> dict:
    return {row["name"]: (row["patients"], row["tiles"], row["nuclei"]) for row in rows}


def test_tiles_patients_and_nuclei_are_counted_by_label_split_and_trait():
    rows = (
        tiles({"x": 3})
        + tiles({"y": 2}, "b", "validation", 1)
        + [CountedTile("s", "", "", "train", None)]
    )
    sheet = data_sheet(
        rows,
        sexes(
            x0="female",
            x1="female",
            y0="male",
        ),
    )
    assert names([sheet["total"]]) == {"all": (5, 9, 80)}
    assert names(sheet["by"]["label"]) == {
        "a": (3, 6, 60),
        "b": (2, 2, 20),
        "not stated": (0, 1, 0),
    }
    assert names(sheet["by"]["split"]) == {"train": (3, 7, 60), "validation": (2, 2, 20)}
    assert names(sheet["by"]["sex"]) == {
        "female": (2, 4, 40),
        "male": (1, 1, 10),
        "not stated": (2, 4, 30),
    }
    assert list(names(sheet["by"]["sex"]))[-1] == "not stated"
    assert sheet["not_counted"] == ["ancestry", "site", "age"]
    assert sheet["unmarked_tiles"] == 1 and sheet["tiles_of_unknown_patients"] == 1
    assert json.loads(json.dumps(sheet)) == sheet


def test_a_patient_of_many_tiles_is_one_patient_in_each_row_and_in_all():
    rows = [CountedTile("s1", "P", "a", "train", 1), CountedTile("s2", "P", "b", "train", 1)]
    sheet = data_sheet(rows)
    assert sheet["total"]["patients"] == 1
    assert names(sheet["by"]["label"]) == {"a": (1, 1, 1), "b": (1, 1, 1)}


def test_a_slide_gives_the_patient_that_a_tile_lacks():
    people = PatientTraits({"P": {"sex": "male"}}, patient_of={"s1": "P"}, columns=("sex",))
    sheet = data_sheet([CountedTile("s1", "")], people)
    assert (
        names(sheet["by"]["sex"]) == {"male": (1, 1, 0)} and sheet["tiles_of_unknown_patients"] == 0
    )
    with pytest.raises(BadTable, match="gives slide s1 to P, the tiles to Q"):
        data_sheet([CountedTile("s1", "Q")], people)


def test_a_patient_in_two_splits_is_refused():
    with pytest.raises(SplitLeak, match="P"):
        data_sheet([CountedTile("s1", "P", "", "train"), CountedTile("s2", "P", "", "validation")])


def test_small_groups_are_hidden_where_privacy_is_requested():
    rows = tiles({"x": 20}) + tiles({"y": 4}, "b") + tiles({"z": 9}, "c")
    open_ = data_sheet(rows)
    shut = data_sheet(rows, private=True)
    assert names(open_["by"]["label"])["b"] == (4, 8, 80)
    assert names(shut["by"]["label"]) == {
        "a": (20, 40, 400),
        "c": ("withheld", "withheld", "withheld"),  # else 33 - 20 - 9 would tell
        "b": ("<5", "withheld", "withheld"),
    }
    assert names([shut["total"]]) == {"all": (33, 66, 660)}


def test_several_small_groups_hide_each_other_only_if_their_sum_does():
    two = data_sheet(tiles({"x": 20}) + tiles({"y": 1}, "b") + tiles({"z": 1}, "c"), private=True)
    assert names(two["by"]["label"])["a"][0] == "withheld", "20 of 22 would tell 1 and 1"
    more = data_sheet(tiles({"x": 20}) + tiles({"y": 4}, "b") + tiles({"z": 3}, "c"), private=True)
    assert names(more["by"]["label"])["a"][0] == 20
    assert [row["patients"] for row in more["by"]["label"]].count("<5") == 2


def test_the_order_of_hidden_rows_is_that_of_their_names():
    rows = tiles({"x": 20}) + tiles({"y": 1}, "b") + tiles({"z": 4}, "c") + tiles({"w": 9}, "d")
    hidden = list(names(data_sheet(rows, private=True)["by"]["label"]))
    assert hidden == ["a", "d", "b", "c"] and list(names(data_sheet(rows)["by"]["label"])) == [
        "a",
        "d",
        "c",
        "b",
    ]


def test_a_whole_set_of_few_patients_shows_no_number():
    sheet = data_sheet(tiles({"x": MIN_SHOWN_PATIENTS - 1}), sexes(x0="male"), private=True)
    text = sheet_markdown(sheet)
    assert sheet["total"]["patients"] == "<5" and sheet["total"]["tiles"] == "withheld"
    assert all(row["patients"] == "<5" for rows in sheet["by"].values() for row in rows)
    assert "4 patients" not in text and "| 4 |" not in text


def test_ages_stand_in_their_order():
    ages = {
        "P1": "90+",
        "P2": "10-19",
        "P3": "60-69",
        "P4": "60-69",
    }
    people = PatientTraits({p: {"age": age} for p, age in ages.items()}, columns=("age",))
    sheet = data_sheet([CountedTile("s", p) for p in (*ages, "P5")], people)
    assert list(names(sheet["by"]["age"])) == ["10-19", "60-69", "90+", "not stated"]


def test_the_card_s_text_has_tables_what_is_missing_and_the_warning():
    rows = [*tiles({"x": 1200}, "a|b <i>\n# `c`", each=1), CountedTile("s", "", "a", "train", None)]
    text = sheet_markdown(data_sheet(rows, sexes(x0="female")))
    assert text.startswith(
        "1,201 tiles of 1,200 patients with 12,000 marked nuclei. Nobody marked nuclei on 1 "
    )
    assert "| a\\|b &lt;i&gt; # \\`c\\` | 1,200 | 1,200 | 12,000 |" in text
    assert "Not counted, since no table states it: ancestry, site, age." in text
    assert "What is not counted cannot be balanced" in text and "SarcoDiff" in text
    assert "withheld" not in text
    assert "`<5`" in sheet_markdown(data_sheet(rows, private=True))


def test_examples_are_counted_with_their_marked_nuclei():
    def example(patient: str, nuclei: Nuclei | None) -> Example:
        ref = TileRef("t", patient, Box(0, 0, 8, 8), 0.5)
        return Example(Tile(ref, np.zeros((8, 8, 3), np.uint8)), nuclei, "a")

    marked = Nuclei.of(
        [(1, 1), (2, 2)],
        ["k", "k"],
        size=(8, 8),
        mpp=0.5,
        classes=["k"],
    )
    got = counted_tiles([example("P", marked), example("unknown of images", None)], "train")
    assert got == [CountedTile("t", "P", "a", "train", 2), CountedTile("t", "", "a", "train", None)]
