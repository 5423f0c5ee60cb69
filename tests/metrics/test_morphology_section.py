"""The section on morphology: each number by hand or by scipy, each sentence as users read it."""

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from histosynth.core.nuclei import Nuclei
from histosynth.detectors.blobs import BlobDetector
from histosynth.metrics import METRICS
from histosynth.metrics.metric import Settings, Sides, TileInput, Tools
from histosynth.metrics.morphology.conclude import conclude_morphology
from histosynth.metrics.morphology.features import NUCLEUS_FEATURES, measure_morphology
from histosynth.metrics.morphology.nucleus_table import NucleusTable
from histosynth.metrics.morphology.two_sample import two_sample_auc
from histosynth.metrics.sample import Sample, TileMeasurements
from histosynth.tissue.density import from_density

CLASSES = ("round", "Mitotic figure", "rare")
BASELINE = "baseline: real tiles of other patients against these"
CHANCE = "0.5: cannot be distinguished from real ones; "
MIXED = (
    "all classes; the two sides of the baseline may contain other shares of them, which a "
    "classifier distinguishes as well; "
)
SARCODIFF = (
    "mitotic figures; SarcoDiff (Lomte et al. 2025) reports 12 % over-smoothed, counted in its "
    "own way; "
)
WITHIN = "mean over features of the share within the middle 95 % of real ones; "
BELOW = "below the 5th percentile of real fine power; "


def side(
    seed,
    *,
    patients=1,
    nuclei=60,
    shift=0.0,
    prefix="p",
    left_out=(1, 2, 3),
    rare=0,
):
    """A tile of each patient; nuclei alternate between the first two classes, the last are rare."""
    random = np.random.default_rng(seed)
    tiles = []
    for patient in range(patients):
        class_ids = np.arange(nuclei) % 2.0
        class_ids[nuclei - rare :] = 2
        values = {
            "morphology/values": random.normal(shift, 1, (nuclei, len(NUCLEUS_FEATURES))),
            "morphology/class_ids": class_ids,
            "morphology/left_out": np.array([nuclei + sum(left_out), *left_out], float),
        }
        tiles.append(TileMeasurements(f"t{patient}", f"{prefix}{patient}", "", values))
    return Sample(tuple(tiles))


def findings(section):
    return {each.name: each for each in section.findings}


def of_class(sample, class_id):
    table = NucleusTable.of(sample)
    return table.where(table.class_ids == class_id)


# of one patient nothing can be distinguished, which saves the time of fits
SYNTHETIC = side(2, shift=0.5, nuclei=62, rare=2, left_out=(0, 4, 2))
REAL = side(0)
REFERENCE = side(1, prefix="q", nuclei=80)


@pytest.fixture
def section():
    return conclude_morphology(SYNTHETIC, REAL, REFERENCE, CLASSES)


def test_findings_have_their_names_and_order(section):
    expected = ["outlined"]
    expected += ["AUC_nuclei", "AUC_nuclei_shape", "AUC_nuclei_dye", "AUC_nuclei_chromatin"]
    for name in CLASSES[:2]:
        expected += [f"W1_{name}", *(f"W1_{name}_{feature}" for feature in NUCLEUS_FEATURES)]
        expected += [f"AUC_{name}", f"inside_{name}", f"smoothed_{name}"]
    expected += ["W1_rare", "AUC_rare"]
    assert [each.name for each in section.findings] == expected
    better = {each.name: each.better for each in section.findings}
    for name, way in better.items():
        assert way == ("low" if name.startswith("W1") else "real"), name


def test_the_section_states_what_it_measures(section):
    assert section.key == "morphology"
    assert section.title == "Morphology of nuclei"
    assert section.about == (
        "Nuclei that a detector finds, outlined by a threshold, each in the class of the one "
        "requested within 3 micrometres, compared with real nuclei of the same class. Outlines "
        "err alike on both sides: read every number with its baseline."
    )
    assert list(section.facts) == ["features", "units", "classes"]
    assert section.facts["features"] == list(NUCLEUS_FEATURES)
    assert section.facts["units"] == {
        "area_um2": "um2",
        "density": "doses",
        "density_spread": "doses",
        "chromatin_gradient": "doses/um",
        "fine_power": "log10 of a share",
    }


def test_facts_are_counts_and_medians_of_each_class(section):
    facts = section.facts["classes"]
    assert list(facts) == list(CLASSES)
    synthetic = of_class(SYNTHETIC, 0).values
    assert facts["round"]["synthetic"]["nuclei"] == 30
    assert facts["round"]["real"]["nuclei"] == 30
    medians = facts["round"]["synthetic"]["medians"]
    assert list(medians) == list(NUCLEUS_FEATURES)
    assert list(medians.values()) == np.median(synthetic, axis=0).round(4).tolist()
    assert facts["rare"] == {
        "synthetic": {
            "nuclei": 2,
            "medians": dict(
                zip(
                    NUCLEUS_FEATURES,
                    np.median(of_class(SYNTHETIC, 2).values, axis=0).round(4).tolist(),
                    strict=True,
                )
            ),
        },
        "real": {"nuclei": 0, "medians": dict.fromkeys(NUCLEUS_FEATURES)},
    }


def test_outlined_is_the_share_of_the_nuclei_that_no_border_cuts(section):
    found = findings(section)["outlined"]
    # 68 nuclei, 4 of them cut, 2 of a wrong size; real: 66, 2 cut, 4 not usable
    assert found.value.value == pytest.approx(62 / 64)
    assert found.real.value == pytest.approx(60 / 64)
    assert found.ratio.value == pytest.approx(62 / 60)
    assert (found.value.n, found.real.n) == (64, 64)
    assert found.note == "of those that the border of their tile does not cut"


@pytest.mark.parametrize("class_id", [0, 1])
def test_distances_are_those_of_scipy_in_real_standard_deviations(section, class_id):
    name = CLASSES[class_id]
    found = findings(section)
    note = (SARCODIFF if class_id else "") + BASELINE
    expected = []
    for column, feature in enumerate(NUCLEUS_FEATURES):
        synthetic, real, reference = (
            of_class(sample, class_id).values[:, column] for sample in (SYNTHETIC, REAL, REFERENCE)
        )
        value = wasserstein_distance(synthetic, real) / real.std()
        baseline = wasserstein_distance(reference, real) / real.std()
        one = found[f"W1_{name}_{feature}"]
        assert one.value.value == pytest.approx(value)
        assert one.real.value == pytest.approx(baseline)
        assert one.ratio.value == pytest.approx(value / baseline)
        assert (one.value.unit, one.real.unit) == ("real sd", "real sd")
        assert (one.value.n, one.real.n) == (len(synthetic), len(reference))
        assert (one.value.groups, one.real.groups) == (1, 1)
        assert one.note == note
        expected.append((value, baseline))
    mean = found[f"W1_{name}"]
    value, baseline = np.mean(expected, axis=0)
    assert (mean.value.value, mean.real.value) == pytest.approx((value, baseline))
    assert mean.ratio.value == pytest.approx(value / baseline)
    assert (mean.value.unit, mean.real.unit) == ("real sd", "real sd")
    assert mean.note == note


def test_areas_are_those_of_the_two_sample_test():
    sides = (
        side(2, shift=0.5, patients=2, nuclei=40),
        side(0, patients=2, nuclei=40),
        side(1, prefix="q", patients=2, nuclei=50),
    )
    found = findings(conclude_morphology(*sides, CLASSES[1:2]))
    tables = [NucleusTable.of(each) for each in sides]
    distance = found["W1_Mitotic figure_density"]
    assert distance.value.low < distance.value.value < distance.value.high
    families = {
        "": NUCLEUS_FEATURES,
        "_shape": NUCLEUS_FEATURES[:3],
        "_dye": NUCLEUS_FEATURES[3:4],
        "_chromatin": NUCLEUS_FEATURES[4:],
    }
    alone = {
        "": "",
        "_shape": "by area_um2, eccentricity, irregularity alone; ",
        "_dye": "by density alone; ",
        "_chromatin": (
            "by density_spread, chromatin_gradient, chromatin_roughness, fine_power alone; "
        ),
    }
    for family, features in families.items():
        synthetic, real, reference = (table.only(features) for table in tables)
        one = found[f"AUC_nuclei{family}"]
        assert one.value == two_sample_auc(synthetic, real)
        if family in ("", "_dye"):
            assert one.real == two_sample_auc(reference, real)
        assert one.real.is_defined
        assert one.ratio is None
        assert one.note == CHANCE + alone[family] + MIXED + BASELINE
    one = found["AUC_Mitotic figure"]
    assert one.value == two_sample_auc(*(of_class(each, 0) for each in sides[:2]))
    assert one.real.n == 50 + 40
    assert one.note == CHANCE + SARCODIFF + BASELINE


def test_shares_are_of_the_range_of_real_nuclei(section):
    found = findings(section)
    synthetic, real, reference = (of_class(each, 0).values for each in (SYNTHETIC, REAL, REFERENCE))
    low, high = np.percentile(real, [2.5, 97.5], axis=0)
    limit = np.percentile(real[:, -1], 5)
    for name, value, baseline, note in (
        (
            "inside_round",
            ((synthetic >= low) & (synthetic <= high)).mean(),
            ((reference >= low) & (reference <= high)).mean(),
            WITHIN + BASELINE,
        ),
        (
            "smoothed_round",
            (synthetic[:, -1] < limit).mean(),
            (reference[:, -1] < limit).mean(),
            BELOW + BASELINE,
        ),
    ):
        one = found[name]
        assert one.value.value == pytest.approx(value)
        assert one.real.value == pytest.approx(baseline)
        assert (one.value.n, one.real.n) == (30, 40)
        assert one.note == note
    assert found["AUC_round"].note == CHANCE + BASELINE
    assert found["inside_Mitotic figure"].note == WITHIN + SARCODIFF + BASELINE
    assert found["smoothed_Mitotic figure"].note == BELOW + SARCODIFF + BASELINE


def test_a_value_at_the_end_of_the_real_range_is_inside_and_not_smoothed():
    tiles = []
    for number in range(1):
        values = np.tile(np.arange(41.0)[:, None], (1, len(NUCLEUS_FEATURES)))
        seen = {
            "morphology/values": values,
            "morphology/class_ids": np.zeros(41),
            "morphology/left_out": np.array([41, 0, 0, 0.0]),
        }
        tiles.append(TileMeasurements(f"t{number}", f"p{number}", "", seen))
    both = Sample(tuple(tiles))
    found = findings(conclude_morphology(both, both, both, ("round",)))
    assert found["inside_round"].value.value == pytest.approx(39 / 41)  # 1 to 39, both counted
    assert found["smoothed_round"].value.value == pytest.approx(2 / 41)  # 0 and 1, 2 is the limit


def test_a_class_of_few_nuclei_is_reported_with_how_many_it_takes(section):
    found = findings(section)
    for name, better in (("W1_rare", "low"), ("AUC_rare", "real")):
        value = found[name].value
        assert value.reason == "one side has 0 nuclei of this class; it takes 20"
        assert (value.n, found[name].better, found[name].real) == (0, better, None)
    for nuclei, defined in ((38, False), (40, True)):
        few = side(5, nuclei=nuclei)
        for sides in ((few, REAL), (SYNTHETIC, few)):
            found = findings(conclude_morphology(*sides, None, CLASSES[:1]))
            assert found["W1_round"].value.is_defined == defined
            assert found["AUC_round"].value.n == nuclei // 2


@pytest.mark.parametrize(("nuclei", "has_baseline"), [(38, False), (40, True)])
def test_a_baseline_of_few_nuclei_of_a_class_is_none(nuclei, has_baseline):
    few = side(6, nuclei=nuclei, prefix="q")
    found = findings(conclude_morphology(SYNTHETIC, REAL, few, CLASSES[:1]))
    assert (found["W1_round"].real is not None) == has_baseline
    assert (found["inside_round"].real is not None) == has_baseline
    assert (found["AUC_round"].real is not None) == has_baseline
    assert found["W1_round"].value.is_defined


def test_halves_of_the_real_patients_are_a_baseline():
    section = conclude_morphology(SYNTHETIC, side(0, patients=2, nuclei=40), None, CLASSES[:1])
    found = findings(section)
    half = "baseline: one half of the real patients against the other, which overstates it a little"
    assert found["W1_round"].note == half
    assert found["W1_round"].real.n == 20
    assert found["AUC_nuclei"].real.n == 40
    assert [series.role for series in section.plots[0].series] == ["synthetic", "real"]


def test_one_real_patient_has_no_baseline():
    section = conclude_morphology(SYNTHETIC, REAL, None, CLASSES[:1])
    found = findings(section)
    for name in ("W1_round", "W1_round_density", "AUC_nuclei", "AUC_nuclei_dye", "inside_round"):
        assert found[name].real is None
    assert found["W1_round"].note == "no baseline: it takes real tiles of at least 2 patients"
    assert found["W1_round"].value.is_defined


def test_a_feature_that_does_not_vary_has_no_standard_deviation_to_divide_by():
    def even(value):
        tiles = []
        for number in range(1):
            seen = dict(REAL.tiles[number].values)
            seen["morphology/values"] = np.full((30, len(NUCLEUS_FEATURES)), value)
            seen["morphology/class_ids"] = np.zeros(30)
            tiles.append(TileMeasurements(f"t{number}", f"p{number}", "", seen))
        return Sample(tuple(tiles))

    found = findings(conclude_morphology(even(3.0), even(2.0), even(2.0), CLASSES[:1]))
    for name in ("W1_round", "W1_round_density"):
        assert found[name].value.reason == (
            "all real nuclei are alike in it, so that there is no standard deviation to divide by"
        )
    same = findings(conclude_morphology(even(2.0), even(2.0), even(2.0), CLASSES[:1]))
    assert same["W1_round_density"].value.value == 0
    assert same["W1_round_density"].real.value == 0


def test_many_nuclei_are_compared_on_fewer_points_and_within_a_percent():
    synthetic = side(2, shift=0.4, nuclei=1200)
    real = side(0, nuclei=1200)
    found = findings(conclude_morphology(synthetic, real, None, CLASSES[:1]))
    for column in (0, 7):
        first, second = (of_class(each, 0).values[:, column] for each in (synthetic, real))
        assert found[f"W1_round_{NUCLEUS_FEATURES[column]}"].value.value == pytest.approx(
            wasserstein_distance(first, second) / second.std(), rel=0.01
        )


def test_plots_show_at_most_500_nuclei_of_each_side(section):
    titles = [(plot.title, plot.x, plot.y, plot.form) for plot in section.plots]
    assert titles == [
        ("Nuclei: area", "Area (square micrometres)", "", "density"),
        ("Nuclei: eccentricity of the outline", "Eccentricity of the outline", "", "density"),
        ("Nuclei: irregularity of the outline", "Irregularity of the outline", "", "density"),
        ("Nuclei: haematoxylin", "Haematoxylin (doses)", "", "density"),
        ("Nuclei: spread of haematoxylin", "Spread of haematoxylin (doses)", "", "density"),
        (
            "Nuclei: sharpness of the chromatin",
            "Sharpness of the chromatin (doses per micrometre)",
            "",
            "density",
        ),
        ("Nuclei: roughness of the chromatin", "Roughness of the chromatin", "", "density"),
        ("Nuclei: fine detail", "Fine detail (power of ten of the share)", "", "density"),
    ]
    for column, plot in enumerate(section.plots):
        assert [(each.role, each.name) for each in plot.series] == [
            ("synthetic", "synthetic"),
            ("real", "real"),
            ("reference", "reference"),
        ]
        for series, sample in zip(plot.series, (SYNTHETIC, REAL, REFERENCE), strict=True):
            assert series.x == NucleusTable.of(sample).values[:, column].tolist()
    for nuclei, shown in ((500, 500), (501, 251)):
        many = side(7, nuclei=nuclei)
        plot = conclude_morphology(many, Sample(()), None, ()).plots[0]
        assert [len(each.x) for each in plot.series] == [shown, 0]
        step = nuclei // 500 + (nuclei > 500)
        assert plot.series[0].x == NucleusTable.of(many).values[::step, 0].tolist()


def test_no_tiles_give_a_section_without_numbers():
    section = conclude_morphology(Sample(()), Sample(()), Sample(()), CLASSES[:1])
    assert [each.name for each in section.findings][-2:] == ["W1_round", "AUC_round"]
    assert not any(each.value.is_defined for each in section.findings)
    outlined = findings(section)["outlined"].value
    assert outlined.reason == "0 such nuclei on the synthetic side; it takes 20"
    assert [len(series.x) for series in section.plots[0].series] == [0, 0]


class Named(BlobDetector):
    """A detector of blobs that calls all of them by one name."""

    def __init__(self, *classes):
        super().__init__()
        self.classes = classes


def blob_tile():
    rows, columns = np.mgrid[:128, :128]
    amount = np.full((128, 128), 0.05)
    centres = [(40.0, 40.0), (90.0, 40.0), (64.0, 90.0)]
    for x, y in centres:
        amount[np.hypot(columns - x, rows - y) < 9] = 0.8
    density = amount[..., None] * np.array([1.044, 1.314, 0.648]) + np.array([0.12, 0.41, 0.26])
    return from_density(density.astype(np.float32)).round().astype(np.uint8), centres


def test_nuclei_are_measured_where_they_are_detected_in_the_class_of_the_request():
    pixels, centres = blob_tile()
    metric = METRICS["morphology"]
    requested = Nuclei.of(
        np.array([centres[1], (10.0, 120.0)]),
        ["b", "a"],
        size=(128, 128),
        mpp=0.5,
        classes=("a", "b"),
    )
    assert metric.measure(TileInput(pixels, 0.5, requested), Tools()) == {}
    tools = Tools(detectors={"x": Named("other"), "y": Named("a", "b")}, classes=("a", "b"))
    found = metric.measure(TileInput(pixels, 0.5, requested), tools)
    assert sorted(found["morphology/class_ids"].tolist()) == [1, 255, 255]
    assert found["morphology/left_out"].tolist() == [3, 0, 0, 0]
    # without a request each nucleus is in the class that was detected
    bare = metric.measure(TileInput(pixels, 0.5), tools)
    assert bare["morphology/class_ids"].tolist() == [0, 0, 0]
    turned = Tools(detectors={"y": Named("a", "b")}, classes=("b", "a"))
    assert metric.measure(TileInput(pixels, 0.5), turned)["morphology/class_ids"].tolist() == [
        1,
        1,
        1,
    ]
    anything = Tools(detectors={"x": Named("other")})
    assert metric.measure(TileInput(pixels, 0.5), anything)["morphology/class_ids"].tolist() == [
        0,
        0,
        0,
    ]
    np.testing.assert_array_equal(bare["morphology/values"], found["morphology/values"])


def test_a_request_within_3_um_gives_its_class():
    pixels, centres = blob_tile()
    tools = Tools(detectors={"x": Named("a")})
    for away_px, class_id in ((5.5, 0), (6.9, 255)):
        requested = Nuclei.of(
            [(centres[0][0] + away_px, centres[0][1])],
            ["a"],
            size=(128, 128),
            mpp=0.5,
            classes=("a",),
        )
        found = METRICS["morphology"].measure(TileInput(pixels, 0.5, requested), tools)
        by_place = dict(
            zip(
                found["morphology/class_ids"].tolist(),
                found["morphology/values"][:, 0],
                strict=True,
            )
        )
        assert (0 in by_place) == (class_id == 0)


def test_the_metric_concludes_in_the_requested_classes_or_in_those_of_the_detector():
    sides = Sides(REAL, SYNTHETIC, REFERENCE)
    detected = {"x": ("round", "Mitotic figure")}
    metric = METRICS["morphology"]
    requested = metric.conclude(sides, Settings(classes=("round",), detector_classes=detected))
    assert (
        requested.as_dict()
        == conclude_morphology(sides.synthetic, sides.real, sides.reference, ("round",)).as_dict()
    )
    default = metric.conclude(sides, Settings(detector_classes=detected))
    assert list(default.facts["classes"]) == ["round", "Mitotic figure"]
    assert metric.name == "morphology"


def test_measured_tiles_can_be_concluded_from():
    pixels, centres = blob_tile()
    nuclei = Nuclei.of(np.array(centres), ["a"] * 3, size=(128, 128), mpp=0.5, classes=("a",))
    seen = measure_morphology(pixels, nuclei)
    sample = Sample((TileMeasurements("t", "p", "", seen),))
    facts = conclude_morphology(sample, sample, None, ("a",)).facts["classes"]["a"]
    assert facts["synthetic"] == facts["real"]
    assert facts["real"]["nuclei"] == 3
