"""Searches for tiles: which training tiles are searched, and what is written down."""

import numpy as np
import pytest

from histosynth.metrics.copying import search
from histosynth.metrics.copying.register import Match
from histosynth.metrics.copying.search import find_matches
from histosynth.metrics.sample import Sample, TileMeasurements


class Recorded:
    """Stands for a library of `count` training tiles; remembers what it was searched for."""

    def __init__(self, count, *places):
        self.count = count
        self.places = places
        self.searches = []

    def __len__(self):
        return self.count

    def find_places(self, pattern, candidates, owners):
        if not len(candidates):
            return []
        self.searches.append((pattern, np.asarray(candidates)))
        self.owners = owners
        return list(self.places)

    def rows(self):
        return [candidates.tolist() for _, candidates in self.searches]


def tile(name="a", patient="p", **values):
    values = {"copy/texture": np.ones((4, 4), np.float16), **values}
    return TileMeasurements(name, patient, "breast", values)


def featured(row, width=200):
    return tile(**{"embed/features": np.eye(width, dtype=np.float32)[row]})


def test_a_match_is_written_as_eight_numbers_next_to_what_was_measured():
    library = Recorded(3, Match(0.75, 2, 5, -3.0, 4.0, 1, 0.8, 0.5))
    found = find_matches(Sample((tile("a", "p"), tile("b", "q"))), library, ["x", "y", "z"])
    assert [(each.name, each.patient, each.label) for each in found.tiles] == [
        ("a", "p", "breast"),
        ("b", "q", "breast"),
    ]
    for each in found.tiles:
        assert list(each.values) == ["copy/texture", "copy/match", "copy/tissue_match"]
        for name in ("copy/match", "copy/tissue_match"):
            assert each.values[name].tolist() == [0.75, 2, 5, -3.0, 4.0, 1, 0.8, 0.5]
    assert library.owners == ["x", "y", "z"]
    assert library.rows() == [[0, 1, 2]] * 2
    assert library.searches[0][0].dtype == np.float32


def test_the_place_that_is_most_alike_beyond_the_layout_is_written_too():
    by_layout = Match(0.75, 2, 5, -3.0, 4.0, 1, 0.76, 0.1)
    copied = Match(0.7, 0, 1, 2.0, 6.0, 4, 0.9, 0.65)
    alike_elsewhere = Match(0.4, 1, 0, 0.0, 0.0, 0, 0.42, 0.9)
    library = Recorded(3, by_layout, alike_elsewhere, copied)
    (found,) = find_matches(Sample((tile(),)), library, ["x", "y", "z"]).tiles
    assert found.values["copy/match"].tolist() == [0.75, 2, 5, -3.0, 4.0, 1, 0.76, 0.1]
    assert found.values["copy/tissue_match"].tolist() == [0.7, 0, 1, 2.0, 6.0, 4, 0.9, 0.65]


def test_where_nothing_is_left_beyond_the_layout_the_score_counts():
    assert Match(0.5, 0, 0, 0.0, 0.0, 0, 0.6, np.nan).likeness == 0.6
    assert Match(0.5, 0, 0, 0.0, 0.0, 0, 0.6, 0.2).likeness == 0.2
    assert Match(0.5, 0, 0, 0.0, 0.0, 0, 0.6, 0.8).likeness == 0.6


def test_a_tile_without_a_match_has_eight_times_nan():
    found = find_matches(Sample((tile(),)), Recorded(3), ["x"] * 3)
    for name in ("copy/match", "copy/tissue_match"):
        assert found.tiles[0].values[name].shape == (8,)
        assert np.isnan(found.tiles[0].values[name]).all()


def test_tiles_of_the_same_patient_are_left_out_only_on_request():
    sample = Sample((tile(patient="x"), tile(patient="y"), tile(patient="only")))
    library = Recorded(3)
    find_matches(sample, library, ["x", "y", "x"])
    assert library.rows() == [[0, 1, 2]] * 3
    library = Recorded(3)
    find_matches(sample, library, ["x", "y", "x"], exclude_own_patient=True)
    assert library.rows() == [[1], [0, 2], [0, 1, 2]]
    assert library.searches[0][1].dtype == np.intp


def test_nothing_is_searched_where_no_training_tile_is_left():
    library = Recorded(2, Match(1.0, 0, 0, 0.0, 0.0, 0, 1.0, 0.9))
    sample = Sample((tile(patient="x"), tile(patient="y")))
    found = find_matches(sample, library, ["x", "x"], exclude_own_patient=True)
    assert np.isnan(found.tiles[0].values["copy/match"]).all()
    assert found.tiles[1].values["copy/match"][0] == 1.0
    assert library.rows() == [[0, 1]]


def test_progress_is_reported_after_each_tile():
    calls = []
    find_matches(
        Sample((tile(), tile(), tile())),
        Recorded(1),
        ["x"],
        on_progress=lambda: calls.append(1),
    )
    assert len(calls) == 3


@pytest.mark.parametrize(("count", "searched"), [(128, 128), (129, 64)])
def test_a_library_of_more_than_128_tiles_is_searched_by_a_shortlist_of_64(count, searched):
    library = Recorded(count)
    crops = (np.eye(200)[:count], np.arange(count))
    find_matches(Sample((featured(100),)), library, ["x"] * count, crops=crops)
    (rows,) = library.rows()
    assert len(rows) == searched
    assert 100 in rows
    without = Recorded(count)
    find_matches(Sample((featured(100),)), without, ["x"] * count)
    assert without.rows() == [list(range(count))]
    bare = Recorded(count)
    find_matches(Sample((tile(),)), bare, ["x"] * count, crops=crops)
    assert bare.rows() == [list(range(count))]


def test_the_shortlist_is_of_the_nearest_tiles_of_other_patients_nearest_first(monkeypatch):
    monkeypatch.setattr(search, "MAX_SEARCHED_WHOLE", 3)
    monkeypatch.setattr(search, "SHORTLIST", 3)
    # crops along a line, two of each training tile; the tile lies at 10
    places = np.array([10.0, 10.5, 13.0, 9.0, 30.0, 12.0, 16.0, 40.0, 50.0, 60.0, 70.0, 80.0])
    tiles = np.array([4, 4, 0, 1, 0, 1, 2, 2, 3, 3, 5, 5])
    owners = ["x", "y", "y", "y", "p", "y"]
    found = tile(patient="p", **{"embed/features": np.array([10.0], np.float32)})
    for exclude, expected in ((False, [4, 1, 0]), (True, [1, 0, 2])):
        library = Recorded(6)
        find_matches(
            Sample((found,)),
            library,
            owners,
            crops=(places[:, None], tiles),
            exclude_own_patient=exclude,
        )
        assert library.rows() == [expected]
        assert library.searches[0][1].dtype == np.intp


def test_eight_crops_of_each_listed_tile_are_considered(monkeypatch):
    monkeypatch.setattr(search, "MAX_SEARCHED_WHOLE", 1)
    monkeypatch.setattr(search, "SHORTLIST", 2)
    # 15 crops of one training tile are nearer than those of the others
    places = np.arange(1.0, 19.0)
    tiles = np.array([0] * 15 + [1, 2, 2])
    library = Recorded(3)
    found = tile(**{"embed/features": np.zeros(1, np.float32)})
    find_matches(Sample((found,)), library, ["x"] * 3, crops=(places[:, None], tiles))
    assert library.rows() == [[0, 1]]
    library = Recorded(3)
    tiles[15] = 0
    find_matches(Sample((found,)), library, ["x"] * 3, crops=(places[:, None], tiles))
    assert library.rows() == [[0]]
