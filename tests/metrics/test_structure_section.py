"""The section on structure: each finding against sums by hand, with its notes, tables and plots."""

import json

import numpy as np
import pytest

from histosynth.core.nuclei import ANY, Nuclei
from histosynth.detectors.detector import DetectedNuclei
from histosynth.metrics import METRICS
from histosynth.metrics.finding import Plot, Series
from histosynth.metrics.metric import Settings, Sides, TileInput, Tools
from histosynth.metrics.proportions import share_finding
from histosynth.metrics.sample import Sample, TileMeasurements
from histosynth.metrics.structure.conclude import conclude_structure, median_um
from histosynth.metrics.structure.measure import measure_structure

CLASSES = ("large", "small")
PATIENTS = ["p1", "p2", "p2", "p3"]


def counts_of(seed, nuclei=(24, 30)):
    """(2, 3, 3) of a tile: matched, found, requested; fewer are matched at the strict distance."""
    random = np.random.default_rng(seed)
    requested = random.integers(*nuclei, 3)
    found = random.integers(*nuclei, 3)
    wide = random.integers(12, 20, 3)
    strict = random.integers(4, 12, 3)
    return np.array(
        [
            np.stack([wide, found, requested], axis=1),
            np.stack([strict, found, requested], axis=1),
        ],
        float,
    )


def side(seed, names=("d",), patients=PATIENTS, **replaced):
    """Tiles with all values of these detectors."""
    tiles = []
    for number, patient in enumerate(patients):
        values = {}
        for place, name in enumerate(names):
            random = np.random.default_rng([seed, number, place])
            values |= {
                f"structure/{name}/counts": counts_of([seed, number, place, 1]),
                f"structure/{name}/chance": counts_of([seed, number, place, 2]),
                f"structure/{name}/confusion": random.integers(1, 15, (3, 3)).astype(float),
                f"structure/{name}/errors_um": random.uniform(0, 6, 17),
            }
        values |= {key: np.asarray(each[number], float) for key, each in replaced.items()}
        tiles.append(TileMeasurements(f"t{number}", patient, "", values))
    return Sample(tuple(tiles))


def by_name(section):
    return {finding.name: finding for finding in section.findings}


def expected_score(name, better, sides, key, row, counted, **more):
    """`share_finding` of rows (numerator, denominator, ...) of every tile."""
    rows = []
    totals = []
    for sample in sides:
        numbers = np.array([row(values) for values in sample.each(key)], float)
        rows.append((numbers, sample.patients))
        totals.append(int(numbers[:, counted].sum()))
    return share_finding(name, better, *rows, n=tuple(totals), min_count=20, **more).as_dict()


def test_every_finding_of_a_detector():
    sides = (side(1), side(2, patients=["p1", "p4", "p5", "p6", "p6"]))
    section = conclude_structure(*sides, CLASSES, ["d"])
    assert (section.key, section.title) == ("structure", "Structure")
    assert section.about == (
        "Nuclei found where they were requested, one to one within 6 micrometres (and 3), by "
        "detectors that are independent of the generator. A detector misses nuclei of real tissue "
        "too: read the ratio to its score there."
    )

    def f1(reach, group):
        def row(counts):
            matched, found, requested = counts[reach, group]
            return [2 * matched, found + requested, requested]

        return row

    def precision(counts):
        return [counts[0, 0, 0], counts[0, 0, 1], counts[0, 0, 2]]

    def recall(counts):
        return [counts[0, 0, 0], counts[0, 0, 2], counts[0, 0, 2]]

    scores = [
        ("F1_d", f1(0, 0)),
        ("precision_d", precision),
        ("recall_d", recall),
        ("F1_d_3um", f1(1, 0)),
        ("F1_d_large", f1(0, 1)),
        ("F1_d_small", f1(0, 2)),
    ]
    expected = []
    chance = {}
    for name, row in scores:
        by_chance = expected_score(name, "high", sides, "structure/d/chance", row, 2)
        chance[name] = by_chance
        level = by_chance["value"]["value"]
        note = f"as many points placed anywhere, classes shuffled: {level:.2f}"
        expected.append(
            expected_score(name, "high", sides, "structure/d/counts", row, 2, note=note)
        )
    expected.append(
        expected_score(
            "count_error_d",
            "low",
            sides,
            "structure/d/counts",
            lambda counts: [abs(counts[0, 0, 1] - counts[0, 0, 2]), counts[0, 0, 2]],
            1,
            note="sum over tiles of |found - requested|, as a share of those requested",
        )
    )

    def histogram(errors):
        counts = [((errors >= low) & (errors < low + 0.025)).sum() for low in np.arange(240) / 40]
        return [*counts, len(errors)]

    expected.append(
        expected_score(
            "localisation_d",
            "low",
            sides,
            "structure/d/errors_um",
            histogram,
            -1,
            unit="um",
            score=lambda sums: median_um(sums[:, :-1]),
        )
    )
    expected.append(
        expected_score(
            "class_accuracy_d",
            "high",
            sides,
            "structure/d/confusion",
            lambda table: [table[0, 0] + table[1, 1], table[:2, :2].sum()],
            1,
            note="among the nuclei that were found",
        )
    )
    found = [finding.as_dict() for finding in section.findings]
    assert [each["name"] for each in found] == [each["name"] for each in expected]
    for one, other in zip(found, expected, strict=True):
        assert one == other
        assert one["real"]["value"] is not None
    assert section.facts == {
        "reach_um": 6.0,
        "strict_um": 3.0,
        "chance": {"d": chance},
        "confusion": {
            "d": {
                "requested": ["large", "small", "extra"],
                "found": ["large", "small", "missed"],
                "synthetic": sides[0].stack("structure/d/confusion").sum(0).astype(int).tolist(),
                "real": sides[1].stack("structure/d/confusion").sum(0).astype(int).tolist(),
            }
        },
    }


def test_plots_of_a_detector():
    sides = (side(1), side(2))
    section = conclude_structure(*sides, CLASSES, ["d"])
    counts = [sample.stack("structure/d/counts")[:, 0, 0] for sample in sides]
    errors = [np.concatenate(sample.each("structure/d/errors_um")).tolist() for sample in sides]
    roles = ("synthetic", "real")
    assert section.plots == (
        Plot(
            "Nuclei of each tile, d",
            "requested",
            "found",
            tuple(
                Series(role, role, each[:, 2].tolist(), each[:, 1].tolist())
                for role, each in zip(roles, counts, strict=True)
            ),
            "scatter",
        ),
        Plot(
            "Places of nuclei, d",
            "distance from the requested place (micrometres)",
            "",
            tuple(Series(role, role, each) for role, each in zip(roles, errors, strict=True)),
            "density",
        ),
    )


@pytest.mark.parametrize(("errors", "step"), [(1000, 1), (3999, 1), (4000, 2), (6001, 3)])
def test_at_most_about_two_thousand_errors_are_plotted(errors, step):
    off = np.linspace(0, 6, errors)
    sample = side(1, patients=["p"], **{"structure/d/errors_um": [off]})
    (series,) = conclude_structure(sample, None, CLASSES, ["d"]).plots[1].series
    assert series.x == off[::step].tolist()


def test_detectors_follow_each_other_and_unmeasured_ones_are_left_out():
    sample = side(3, names=("b", "a"))
    section = conclude_structure(sample, side(4, names=("a",)), CLASSES, ["none", "a", "b"])
    names = [finding.name for finding in section.findings]
    per_detector = [
        "F1_{}",
        "precision_{}",
        "recall_{}",
        "F1_{}_3um",
        "F1_{}_large",
        "F1_{}_small",
        "count_error_{}",
        "localisation_{}",
    ]
    assert names == [
        *(each.format("a") for each in per_detector),
        *(each.format("b") for each in per_detector),
        "class_accuracy_a",
        "class_accuracy_b",
    ]
    found = by_name(section)
    assert found["F1_a"].real is not None
    assert found["F1_b"].real is None
    assert list(section.facts["chance"]) == ["a", "b"]
    assert section.facts["confusion"]["b"]["real"] is None
    assert [plot.title for plot in section.plots] == [
        "Nuclei of each tile, a",
        "Places of nuclei, a",
        "Nuclei of each tile, b",
        "Places of nuclei, b",
    ]
    assert [series.role for series in section.plots[2].series] == ["synthetic"]


def test_rings_have_an_accuracy_without_any_detector():
    tables = [[[9, 1], [2, 8]], [[5, 5], [1, 9]]]
    key = "structure/rings/confusion"
    sample = side(1, names=(), patients=["a", "b"], **{key: tables})
    section = conclude_structure(sample, sample, CLASSES, ["d"])
    (accuracy,) = section.findings
    expected = expected_score(
        "class_accuracy_rings",
        "high",
        (sample, sample),
        key,
        lambda table: [table[0, 0] + table[1, 1], table.sum()],
        1,
        note="by rings of colour around each requested place, fitted on real tiles; no detector "
        "is involved",
    )
    assert accuracy.as_dict() == expected
    assert accuracy.value.value == 31 / 40
    assert section.facts["confusion"] == {
        "rings": {
            "requested": ["large", "small"],
            "found": ["large", "small"],
            "synthetic": [[14, 6], [3, 17]],
            "real": [[14, 6], [3, 17]],
        }
    }
    assert json.dumps(section.facts["confusion"]["rings"]["real"]) == "[[14, 6], [3, 17]]"
    assert section.plots == ()


@pytest.mark.parametrize(("requested", "is_defined"), [(19, False), (20, True)])
def test_a_score_takes_twenty_nuclei(requested, is_defined):
    counts = np.zeros((2, 3, 3))
    counts[:, :, 1:] = requested
    counts[:, :, 0] = 5
    keys = {f"structure/d/{key}": [counts] for key in ("counts", "chance")}
    sample = side(1, patients=["p"], **keys)
    found = by_name(conclude_structure(sample, None, CLASSES, ["d"]))
    for name in ("F1_d", "precision_d", "recall_d", "F1_d_3um", "F1_d_small", "count_error_d"):
        assert found[name].value.is_defined == is_defined, name
        assert found[name].value.n == requested
    assert ("anywhere" in found["F1_d"].note) == is_defined
    if not is_defined:
        assert found["F1_d"].note == ""
        assert found["F1_d"].value.reason == ("19 such nuclei on the synthetic side; it takes 20")


def test_places_off_by_more_than_the_reach_do_not_count():
    off = [[*[1.0] * 19, 6.0, 6.01, 9.0]]
    sample = side(1, patients=["p"], **{"structure/d/errors_um": off})
    found = by_name(conclude_structure(sample, None, CLASSES, ["d"]))["localisation_d"]
    assert found.value.n == 20
    assert found.value.value == pytest.approx(1.0, abs=0.025)


def test_a_class_that_only_some_tiles_measure_is_scored_on_those():
    nan = counts_of(1)
    nan[:, 1] = np.nan
    keys = {f"structure/d/{key}": [nan, nan] for key in ("counts", "chance")}
    found = by_name(conclude_structure(side(1, patients=["p", "q"], **keys), None, CLASSES, ["d"]))
    assert "F1_d_large" not in found
    assert "F1_d_small" in found
    keys = {f"structure/d/{key}": [nan, counts_of(2)] for key in ("counts", "chance")}
    found = by_name(conclude_structure(side(1, patients=["p", "q"], **keys), None, CLASSES, ["d"]))
    assert found["F1_d_large"].value.n == counts_of(2)[0, 1, 2]


def test_a_median_between_two_bins_is_the_upper_end_of_the_lower_one():
    counts = np.zeros((2, 240))
    counts[0, [3, 7]] = 1
    counts[1, [3, 4]] = 1
    assert median_um(counts).tolist() == pytest.approx([0.1, 0.1])


# what is measured of a tile


class Finder:
    """Finds given nuclei, whatever the picture is."""

    name = "finder"
    mpp = 0.5
    halo_px = 0
    lattice_px = 1

    def __init__(self, xy, class_ids, classes=CLASSES):
        self.classes = classes
        self.xy = np.asarray(xy, np.float32).reshape(-1, 2)
        self.class_ids = np.asarray(class_ids, np.uint8)

    def __call__(self, pixels):
        return DetectedNuclei(self.xy, self.class_ids, np.ones(len(self.xy), np.float32))


BLANK = np.full((96, 128, 3), 240, np.uint8)


def nuclei(xy, names, classes=CLASSES, mpp=0.5):
    return Nuclei.of(xy, names, size=(128, 96), mpp=mpp, classes=classes)


def test_a_nucleus_exactly_in_reach_is_found():
    requested = nuclei([(20, 20), (60, 20), (100, 20), (20, 60)], ["large"] * 4)
    # 6 um; just beyond; 3 um; just beyond that
    found = Finder([(32, 20), (72.25, 20), (106, 20), (26.25, 60)], [0] * 4)
    values = measure_structure(BLANK, requested, detectors={"d": found})
    assert sorted(values) == [
        "structure/d/chance",
        "structure/d/confusion",
        "structure/d/counts",
        "structure/d/errors_um",
    ]
    assert values["structure/d/counts"][:, 0].tolist() == [[3, 4, 4], [1, 4, 4]]
    assert sorted(values["structure/d/errors_um"]) == pytest.approx([3, 3.125, 6])
    short = measure_structure(
        BLANK,
        requested,
        detectors={"d": found},
        reach_um=3.0,
        strict_um=2.9,
    )
    assert short["structure/d/counts"][:, 0].tolist() == [[1, 4, 4], [0, 4, 4]]
    assert short["structure/d/confusion"].tolist() == [[1, 0, 3], [0, 0, 0], [3, 0, 0]]
    assert short["structure/d/errors_um"] == pytest.approx([3])


def test_only_nuclei_of_requested_classes_are_in_the_table():
    requested = nuclei(
        [(20, 20), (60, 20), (100, 20), (20, 60), (60, 60), (100, 60)],
        ["small", "large", ANY, ANY, "small", "small"],
    )
    # found: as requested; as another class; as `large`; missed; missed; without a class
    found = Finder(
        [(20, 90), (20, 20), (100, 20), (100, 60), (60, 20), (60, 90), (90, 90)],
        [0, 1, 2, 255, 0, 2, 255],
        ("other", "small", "large"),
    )
    values = measure_structure(BLANK, requested, detectors={"d": found})
    # the extra nuclei are of no requested class, or `large`
    assert values["structure/d/confusion"].tolist() == [[0, 0, 0], [0, 1, 1], [1, 0, 0]]
    assert values["structure/d/counts"][0].tolist() == [[4, 7, 6], [0, 2, 1], [1, 1, 3]]


def test_a_detector_of_one_of_the_classes():
    requested = nuclei([(20, 20), (60, 20)], ["small", "large"])
    found = Finder([(20, 20), (60, 20)], [0, 0], ("small",))
    values = measure_structure(BLANK, requested, detectors={"d": found})
    counts = values["structure/d/counts"][0]
    assert np.isnan(counts[1]).all()
    assert counts[[0, 2]].tolist() == [[2, 2, 2], [1, 2, 1]]
    assert values["structure/d/confusion"].tolist() == [[0, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert values["structure/d/confusion"].dtype == np.float64


def test_chance_is_the_same_in_every_run_and_whatever_else_is_measured():
    random = np.random.default_rng(0)
    xy = random.uniform(0, 95, (60, 2))
    names = [CLASSES[index] for index in random.integers(0, 2, 60)]
    requested = nuclei(xy, names)
    found = Finder(random.uniform(0, 95, (50, 2)), random.integers(0, 2, 50))
    other = Finder(random.uniform(0, 95, (40, 2)), random.integers(0, 2, 40))
    alone = measure_structure(BLANK, requested, detectors={"d": found})
    both = measure_structure(BLANK, requested, detectors={"o": other, "d": found})
    assert np.array_equal(alone["structure/d/chance"], both["structure/d/chance"])
    assert both["structure/o/chance"][0, 0].tolist()[1:] == [40, 60]
    assert alone["structure/d/chance"].tolist() == [
        [[30, 50, 60], [12, 27, 28], [10, 23, 32]],
        [[16, 50, 60], [5, 27, 28], [6, 23, 32]],
    ]
    moved = nuclei(xy + 0.5, names)
    swapped = Nuclei(requested.xy, 1 - requested.class_ids, CLASSES, requested.size, 0.5)
    for changed in (moved, swapped):
        values = measure_structure(BLANK, changed, detectors={"d": found})
        assert (
            values["structure/d/chance"][:, 0].tolist()
            != alone["structure/d/chance"][:, 0].tolist()
        )


def test_random_points_lie_anywhere_in_the_tile():
    # of very many points, some lie within 2 px of each corner
    corners = nuclei([(-0.5, -0.5), (127.4, -0.5), (-0.5, 95.4), (127.4, 95.4)], ["large"] * 4)
    found = Finder(np.tile([60, 50], (40_000, 1)), np.zeros(40_000))
    values = measure_structure(
        BLANK,
        corners,
        detectors={"d": found},
        reach_um=1.0,
        strict_um=0.001,
    )
    assert values["structure/d/chance"][:, 0].tolist() == [[4, 40_000, 4], [0, 40_000, 4]]
    outside = nuclei([(63, 47)], ["large"])
    near = measure_structure(
        BLANK,
        outside,
        detectors={"d": Finder(np.tile([60, 50], (3, 1)), np.zeros(3))},
        reach_um=40.0,
        strict_um=0.001,
    )
    # no point is farther from the centre than a corner
    assert near["structure/d/chance"][0, 0].tolist() == [1, 3, 1]


def test_rings_classify_nuclei_of_a_class_only():
    requested = nuclei([(20, 20), (60, 20), (100, 20)], ["small", ANY, "large"])
    calls = []

    def rings(pixels, classified):
        calls.append((pixels, classified.xy.tolist()))
        return np.zeros(len(classified), np.intp)

    values = measure_structure(BLANK, requested, detectors={}, rings=rings)
    assert values["structure/rings/confusion"].tolist() == [[1, 0], [1, 0]]
    assert calls[0][0] is BLANK
    assert calls[0][1] == [[20, 20], [100, 20]]
    none = nuclei([(60, 20)], [ANY])
    values = measure_structure(BLANK, none, detectors={}, rings=rings)
    assert values["structure/rings/confusion"].tolist() == [[0, 0], [0, 0]]
    assert len(calls) == 1


def test_the_metric_measures_tiles_of_known_nuclei_by_detectors():
    requested = nuclei([(20, 20), (60, 20)], ["small", "large"])
    tools = Tools(
        detectors={"d": Finder([(20, 20)], [1])},
        rings=lambda pixels, each: each.class_ids.astype(np.intp),
    )
    metric = METRICS["structure"]
    tile = TileInput(BLANK, 0.5, requested)
    values = metric.measure(tile, tools)
    expected = measure_structure(BLANK, requested, detectors=tools.detectors, rings=tools.rings)
    assert list(values) == list(expected)
    for key, value in expected.items():
        np.testing.assert_array_equal(values[key], value)
    assert metric.measure(TileInput(BLANK, 0.5), tools) == {}
    assert metric.measure(tile, Tools(rings=tools.rings)) == {}


def test_the_metric_concludes_from_the_measured_tiles_of_both_sides():
    synthetic = side(1, names=("a", "b"))
    real = side(2, names=("a", "b"))
    unmeasured = TileMeasurements("x", "p9", "", {"stain/od": np.ones(3)})
    settings = Settings(classes=CLASSES, detector_classes={"b": ("x",), "a": CLASSES})
    sides = Sides(
        Sample((*real.tiles, unmeasured)),
        Sample((unmeasured, *synthetic.tiles)),
    )
    section = METRICS["structure"].conclude(sides, settings)
    expected = conclude_structure(synthetic, real, CLASSES, ["b", "a"])
    assert section.as_dict() == expected.as_dict()
    assert section.plots == expected.plots
