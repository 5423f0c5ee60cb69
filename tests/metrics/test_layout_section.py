"""The section on layout, and the metric."""

import numpy as np
import pytest
from layout_samples import CLASSES, by_name, nuclei, sample

from histosynth.core.nuclei import ANY, Nuclei
from histosynth.detectors.detector import DetectedNuclei
from histosynth.metrics import METRICS
from histosynth.metrics.comparison import (
    PatientSums,
    baseline_pair,
    compare,
    mean_comparison,
    mean_difference,
    total_variation,
    wasserstein,
)
from histosynth.metrics.finding import Plot, Series
from histosynth.metrics.layout.conclude import conclude_layout
from histosynth.metrics.layout.measure import (
    excess,
    measure_layout,
    pcf_of,
    ripley_of,
)
from histosynth.metrics.layout.patterns import RADII_UM
from histosynth.metrics.metric import Settings, Sides, TileInput, Tools
from histosynth.metrics.sample import Sample, TileMeasurements


def curve_distance(curve):
    """Mean over r of |difference of curves|, r by r."""

    def distance(left, right):
        gaps = []
        for r in range(30):
            one = curve(left[:, r] / left[:, 30 + r], 2.0 * (r + 1))
            other = curve(right[:, r] / right[:, 30 + r], 2.0 * (r + 1))
            gaps.append(np.abs(one - other))
        return np.nansum(gaps, axis=0) / np.isfinite(gaps).sum(axis=0)

    return distance


def expected_findings(name, sides, baseline, note):
    """All findings of one comparison, from the definition of each."""
    samples = [*sides, *(baseline or ())]

    def compared(statistic, sums_of):
        sums = [sums_of(each) for each in samples]
        return compare(statistic, tuple(sums[:2]), tuple(sums[2:]) or None)

    def sums(*keys_and_rows):
        def of(each):
            columns = [np.nan_to_num(each.stack(key)[:, row]) for key, row in keys_and_rows]
            return PatientSums.of(np.concatenate(columns, axis=1), each.patients)

        return of

    def density(each):
        counts = each.stack("layout/counts").sum(axis=1)
        areas = each.stack("layout/area")[:, 0]
        return PatientSums.of(np.stack([counts, areas], axis=1), each.patients)

    def neighbours(one, other):
        def of(each):
            return PatientSums.histograms(
                each.each(f"layout/nn/{one}>{other}"),
                each.patients,
                np.arange(401) / 4,
                each.each(f"layout/nn_weight/{one}>{other}"),
            )

        return of

    composition = compared(
        total_variation,
        lambda each: PatientSums.of(each.stack("layout/counts")[:, :2], each.patients),
    )
    nearest = {
        pair: compared(wasserstein(np.arange(401) / 4), neighbours(*pair))
        for pair in [("a", "a"), ("a", "b"), ("b", "a"), ("b", "b"), ("all", "all")]
    }
    ripley = {}
    pcf = {}
    for row, pair in enumerate([("a", "a"), ("a", "b"), ("b", "b"), ("all", "all")]):
        ripley[pair] = compared(
            curve_distance(lambda k, r: np.sqrt(k / np.pi) - r),
            sums(("layout/ripley", row), ("layout/products", row)),
        )
        pcf[pair] = compared(
            curve_distance(lambda g, r: g),
            sums(("layout/pcf", row), ("layout/products", row)),
        )
    found = [
        (f"composition_from_{name}", "low", "", composition, True, note),
        (
            f"density_from_{name}",
            "real",
            "per mm2",
            compared(mean_difference, density),
            False,
            f"difference of densities; {note}",
        ),
    ]
    tables = {}
    for what, unit, by_pair, of in [
        ("nearest", "um", nearest, "4 of 4"),
        ("L", "um", ripley, "3 of 3"),
        ("g", "", pcf, "3 of 3"),
    ]:
        *classes, together = by_pair.values()
        found.append((f"{what}_from_{name}_all", "low", unit, together, True, note))
        pairs_note = f"mean over {of} pairs of classes; {note}"
        mean = mean_comparison(classes)
        found.append((f"{what}_from_{name}_classes", "low", unit, mean, True, pairs_note))
        tables[f"{what}_from_{name}"] = [
            {
                "pair": list(pair),
                "value": each.estimate(unit=unit).as_dict(),
                "real": each.real(unit=unit).as_dict() if baseline else None,
            }
            for pair, each in by_pair.items()
        ]
    return found, tables


def plain(estimate):
    return estimate.as_dict() if estimate else None


def assert_findings(findings, expected):
    assert [each.name for each in findings] == [each[0] for each in expected]
    for finding, (name, better, unit, comparison, distance, note) in zip(
        findings, expected, strict=True
    ):
        assert finding.better == better, name
        assert finding.note == note
        pairs = [
            (finding.value, comparison.estimate(unit=unit, distance=distance)),
            (finding.real, comparison.real(unit=unit, distance=distance)),
            (finding.ratio, comparison.ratio() if distance else None),
        ]
        for one, other in pairs:
            assert_same(plain(one), plain(other), name)


def assert_same(one, other, name):
    if one is None or other is None:
        assert one is other, name
        return
    assert list(one) == list(other)
    for key, value in other.items():
        if isinstance(value, dict):
            assert_same(one[key], value, name)
        elif isinstance(value, float):
            assert one[key] == pytest.approx(value, rel=1e-6, abs=1e-9), (name, key)
        else:
            assert one[key] == value, (name, key)


@pytest.fixture(scope="module")
def five():
    """Requested, obtained, real, marked and reference; some tiles are too small for large radii."""
    requested = sample(1, number=70)
    obtained = sample(2, number=60)
    real = sample(3, ("p1", "p4", "p4", "p5"), share=0.4)
    marked = sample(4, ("p1", "p4", "p4", "p5"), number=66)
    reference = sample(5, ("q1", "q2", "q3"), number=90, size_um=(90, 110))
    return requested, obtained, real, marked, reference


def test_every_finding_of_both_comparisons(five):
    requested, obtained, real, marked, reference = five
    section = conclude_layout(
        requested, obtained, real, CLASSES, marked=marked, reference=reference
    )
    assert (section.key, section.title) == ("layout", "Layout of nuclei")
    assert section.about == (
        "Composition (total variation distance), density, nearest neighbours (Wasserstein "
        "distance, weighted after Hanisch 1984), L(r) - r and pair correlation g(r) with "
        "translation correction (Ohser & Stoyan 1981; mean absolute difference of curves over r). "
        "K and g are ratios of sums over tiles."
    )
    first, first_tables = expected_findings(
        "requested",
        (obtained, requested),
        (real, marked),
        "baseline: found in real tiles against marked there",
    )
    second, second_tables = expected_findings(
        "real",
        (obtained, real),
        (reference, real),
        "baseline: real tiles of other patients against these",
    )
    assert_findings(section.findings, [*first, *second])
    assert list(section.facts) == ["pairs"]
    tables = section.facts["pairs"]
    expected = {**first_tables, **second_tables}
    assert list(tables) == list(expected)
    for name, rows in expected.items():
        assert [row["pair"] for row in tables[name]] == [row["pair"] for row in rows]
        for one, other in zip(tables[name], rows, strict=True):
            assert_same(one, other, name)


@pytest.mark.parametrize("without", ["real", "marked", "empty"])
def test_without_marks_of_real_tiles_there_is_no_baseline_of_the_request(five, without):
    requested, obtained, real, marked, _ = five
    if without == "real":
        real = None
    elif without == "marked":
        marked = None
    else:
        real = marked = Sample(())
    section = conclude_layout(requested, obtained, real, CLASSES, marked=marked)
    expected, tables = expected_findings(
        "requested",
        (obtained, requested),
        None,
        "no baseline: there are no marks of real tiles",
    )
    assert_findings(section.findings[:8], expected)
    assert len(section.findings) == (16 if without == "marked" else 8)
    assert_same(section.facts["pairs"]["L_from_requested"][0], tables["L_from_requested"][0], "L")
    marked_only = conclude_layout(requested, obtained, None, CLASSES, marked=marked)
    assert len(marked_only.findings) == 8
    assert marked_only.findings[0].real is None


@pytest.mark.parametrize("seed", [0, 1])
def test_halves_of_real_tiles_follow_the_seed(five, seed):
    _, obtained, _, _, _ = five
    real = sample(3, [f"p{number}" for number in range(6)])
    how = {"seed": seed} if seed else {}
    section = conclude_layout(None, obtained, real, CLASSES, **how)
    pair, note = baseline_pair(real, None, seed)
    expected, _ = expected_findings("real", (obtained, real), pair, note)
    assert_findings(section.findings, expected)


def test_nothing_obtained_is_compared_with_nothing(five):
    requested, _, real, marked, _ = five
    section = conclude_layout(requested, Sample(()), real, CLASSES, marked=marked)
    assert section.findings == ()
    assert section.facts == {"pairs": {}}
    assert {series.role for series in section.plots[0].series} == {"requested", "real"}
    section = conclude_layout(Sample(()), Sample(()), None, CLASSES)
    assert (section.findings, section.plots) == ((), ())


def test_plots_show_the_curves_of_each_class_and_of_all(five):
    requested, obtained, real, _, reference = five
    section = conclude_layout(requested, obtained, reference, CLASSES)
    samples = {"requested": requested, "real": reference, "synthetic": obtained}
    expected = []
    for row, name in ((0, "a"), (2, "b"), (3, "all")):
        for title, axis, curve in [
            ("L(r) - r", "L(r) - r (micrometres)", lambda each: excess(ripley_of(each))),
            ("g(r)", "g(r)", pcf_of),
        ]:
            series = []
            for role, each in samples.items():
                # half of 90 um
                radii = RADII_UM[RADII_UM <= 45] if role == "real" else RADII_UM
                y = curve(each)[row][: len(radii)]
                series.append(Series(role, role, radii.tolist(), y.tolist()))
            expected.append(
                Plot(f"{title}, {name}", "distance r (micrometres)", axis, tuple(series))
            )
    assert section.plots == tuple(expected)
    assert section.plots[0].form == "line"
    only = conclude_layout(None, obtained, real, ("a", "b"))
    assert [series.role for series in only.plots[0].series] == ["real", "synthetic"]


def test_a_class_without_nuclei_has_no_plot():
    alone = sample(6, share=1.0)
    section = conclude_layout(None, alone, None, CLASSES)
    assert [plot.title for plot in section.plots] == [
        "L(r) - r, a",
        "g(r), a",
        "L(r) - r, all",
        "g(r), all",
    ]


def exactly(a, b, unclassified=0):
    """One tile of so many nuclei of each class."""
    random = np.random.default_rng([a, b, unclassified])
    names = ["a"] * a + ["b"] * b + [ANY] * unclassified
    xy = random.uniform(1, 127, (len(names), 2))
    return Sample((TileMeasurements("t", "p", "", measure_layout(nuclei(xy, names))),))


def test_a_class_takes_fifty_nuclei_on_every_side():
    enough = exactly(50, 50)
    for one, other in ((enough, exactly(50, 49)), (exactly(50, 49), enough)):
        found = by_name(conclude_layout(one, other, None, CLASSES))
        note = "no baseline: there are no marks of real tiles"
        assert found["g_from_requested_classes"].note == (
            f"mean over 1 of 3 pairs of classes; {note}"
        )
        assert found["nearest_from_requested_classes"].note == (
            f"mean over 1 of 4 pairs of classes; {note}"
        )
        assert found["g_from_requested_classes"].value.is_defined
    pairs = conclude_layout(enough, exactly(50, 49), None, CLASSES).facts["pairs"]
    assert [row["pair"] for row in pairs["L_from_requested"]] == [["a", "a"], ["all", "all"]]
    pairs = conclude_layout(enough, enough, None, CLASSES).facts["pairs"]
    assert len(pairs["nearest_from_requested"]) == 5


def test_distances_take_fifty_nuclei_in_all():
    many = exactly(60, 60)
    found = by_name(conclude_layout(many, exactly(20, 20, 10), None, CLASSES))
    assert found["g_from_requested_all"].value.is_defined
    assert not found["g_from_requested_classes"].value.is_defined
    few = exactly(20, 20, 9)
    two = Sample(few.tiles * 2)
    assert by_name(conclude_layout(many, two, None, CLASSES))[
        "L_from_requested_all"
    ].value.is_defined
    found = by_name(conclude_layout(many, few, None, CLASSES))
    for name, unit in [
        ("nearest_from_requested_all", "um"),
        ("nearest_from_requested_classes", "um"),
        ("L_from_requested_classes", "um"),
        ("g_from_requested_all", ""),
        ("g_from_requested_classes", ""),
    ]:
        finding = found[name]
        assert finding.value.as_dict() == {
            "value": None,
            "low": None,
            "high": None,
            "n": 1,
            "interval": "none",
            "reason": "a side holds fewer than 50 nuclei",
            "unit": unit,
            "groups": 0,
        }
        assert (finding.better, finding.real, finding.ratio) == ("low", None, None)
        assert finding.note == "no baseline: there are no marks of real tiles"


def test_a_composition_takes_fifty_nuclei_with_a_class():
    many = exactly(60, 60)
    for a, is_defined in ((30, True), (29, False)):
        found = by_name(conclude_layout(many, exactly(a, 20, 9), None, CLASSES))
        composition = found["composition_from_requested"]
        assert composition.value.is_defined == is_defined
        if is_defined:
            assert composition.value.value == pytest.approx(0.1)
        else:
            assert composition.value.n == 1
            assert composition.better == "low"
            assert composition.value.reason == (
                "one side has 49 nuclei with a class; give at least 50"
            )


# the metric


class Finder:
    """Finds given nuclei, whatever the picture is."""

    mpp = 0.5
    halo_px = 0
    lattice_px = 1

    def __init__(self, name, xy, class_ids, classes):
        self.name = name
        self.classes = classes
        self.xy = np.asarray(xy, np.float32).reshape(-1, 2)
        self.class_ids = np.asarray(class_ids, np.uint8)

    def __call__(self, pixels):
        return DetectedNuclei(self.xy, self.class_ids, np.ones(len(self.xy), np.float32))


BLANK = np.full((256, 256, 3), 240, np.uint8)


def test_a_tile_is_measured_by_the_detector_of_the_requested_classes():
    detectors = {
        "blobs": Finder("blobs", [(9, 9)], [0], ("nucleus",)),
        "fine": Finder("fine", [(20, 20), (30, 20), (90, 90)], [1, 0, 2], ("b", "a", "c")),
    }
    requested = nuclei([(10, 20), (13, 24), (60, 80)], ["a", "b", "b"])
    metric = METRICS["layout"]
    tools = Tools(detectors=detectors, classes=CLASSES)
    values = metric.measure(TileInput(BLANK, 0.5, requested), tools)
    found = Nuclei.of(
        [(20, 20), (30, 20), (90, 90)],
        ["a", "b", ANY],
        size=(256, 256),
        mpp=0.5,
        classes=CLASSES,
    )
    expected = {f"found/{key}": each for key, each in measure_layout(found).items()}
    expected |= {f"requested/{key}": each for key, each in measure_layout(requested).items()}
    assert list(values) == list(expected)
    for key, value in expected.items():
        np.testing.assert_array_equal(values[key], value, err_msg=key)
    unknown = metric.measure(TileInput(BLANK, 0.5), Tools(detectors=detectors, classes=("x",)))
    assert unknown["found/layout/counts"].tolist() == [1, 0]
    assert unknown["found/layout/area"] == pytest.approx([0.128**2])
    assert not any(key.startswith("requested/") for key in unknown)
    assert metric.measure(TileInput(BLANK, 0.5, requested), Tools()) == {}


def with_prefix(prefix, measured):
    return [
        {f"{prefix}{key}": value for key, value in tile.values.items()} for tile in measured.tiles
    ]


def test_the_metric_concludes_from_found_requested_and_marked_nuclei(five):
    requested, obtained, real, marked, reference = five

    def both(found, other=None):
        tiles = []
        values = with_prefix("found/", found)
        if other is not None:
            for each, more in zip(values, with_prefix("requested/", other), strict=True):
                each |= more
        for tile, each in zip(found.tiles, values, strict=True):
            tiles.append(TileMeasurements(tile.name, tile.patient, tile.label, each))
        return Sample(tuple(tiles))

    settings = Settings(classes=CLASSES, detector_classes={"d": ("b", "a")}, seed=1)
    conclude = METRICS["layout"].conclude
    section = conclude(
        Sides(both(real, marked), both(obtained, requested), both(reference)),
        settings,
    )
    expected = conclude_layout(
        requested,
        obtained,
        real,
        CLASSES,
        marked=marked,
        reference=reference,
        seed=1,
    )
    assert section.as_dict() == expected.as_dict()
    assert section.plots == expected.plots
    alone = conclude(Sides(both(real), Sample(())), settings)
    assert alone.findings == ()
    assert [series.role for series in alone.plots[0].series] == ["real"]
    halved = sample(3, ("p1", "p2", "p3", "p4", "p5"))
    section = conclude(Sides(both(halved), both(halved)), settings)
    expected = conclude_layout(None, halved, halved, CLASSES, seed=1)
    assert section.as_dict() == expected.as_dict()
    # classes that no detector detects: one class for all nuclei
    single = conclude(
        Sides(Sample(()), both(obtained)),
        Settings(classes=("x",), detector_classes={"d": ("nucleus",)}),
    )
    assert single.findings == ()
