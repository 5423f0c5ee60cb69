"""Detectors that are known to err in known ways, and their scores."""

import json

import numpy as np
import pytest

from histosynth.core.nuclei import ANY_CLASS, Nuclei
from histosynth.detectors.blobs import BlobDetector
from histosynth.detectors.detector import DetectedNuclei
from histosynth.metrics.ring_classifier import RingClassifier
from histosynth.metrics.sample import Sample, TileMeasurements
from histosynth.metrics.structure.conclude import ERROR_BINS, conclude_structure, median_um
from histosynth.metrics.structure.measure import measure_structure

CLASSES = ("large", "small")
BLANK = np.full((128, 128, 3), 240, np.uint8)


class Fixed:
    """Finds given nuclei, whatever the picture is."""

    name = "fixed"
    mpp = 0.5
    halo_px = 0
    lattice_px = 1

    def __init__(
        self,
        xy,
        class_ids,
        classes=CLASSES,
    ):
        self.classes = classes
        self.xy = np.asarray(xy, np.float32).reshape(-1, 2)
        self.class_ids = np.asarray(class_ids, np.uint8)

    def __call__(self, pixels):
        return DetectedNuclei(self.xy, self.class_ids, np.ones(len(self.xy), np.float32))


def requested_nuclei(n=12, seed=0):
    """Nuclei on a grid 16 um apart."""
    random = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(np.arange(12, 128, 32), np.arange(12, 128, 32)), -1).reshape(-1, 2)[
        :n
    ]
    return Nuclei.of(
        grid,
        [CLASSES[i] for i in random.integers(0, 2, n)],
        size=(128, 128),
        mpp=0.5,
        classes=CLASSES,
    )


@pytest.mark.parametrize("level", [0, 1, 128, 255])
def test_what_is_evenly_dark_holds_no_blob(level):
    assert not len(BlobDetector()(np.full((120, 131, 3), level, np.uint8)).xy)


def test_counts_of_a_detector_that_errs_in_known_ways():
    grid = [(12, 12), (44, 12), (76, 12), (108, 12)]
    nuclei = Nuclei.of(
        grid,
        ["large", "large", "small", "small"],
        size=(128, 128),
        mpp=0.5,
        classes=CLASSES,
    )
    # right 1 um off; wrong class 4 um off; missed; right; and one extra `small`
    found = Fixed([(14, 12), (52, 12), (108, 12), (60, 90)], [0, 1, 1, 1])
    seen = measure_structure(BLANK, nuclei, detectors={"d": found})
    wide, strict = seen["structure/d/counts"]
    assert wide.tolist() == [[3, 4, 4], [1, 1, 2], [1, 3, 2]]
    assert strict.tolist() == [[2, 4, 4], [1, 1, 2], [1, 3, 2]]
    # rows requested: large, small, extra; columns found: large, small, missed
    assert seen["structure/d/confusion"].tolist() == [[1, 1, 0], [0, 1, 1], [0, 1, 0]]
    assert sorted(seen["structure/d/errors_um"].tolist()) == pytest.approx([0, 1, 4])


def test_a_detector_without_the_classes_has_no_scores_of_them():
    nuclei = requested_nuclei()
    seen = measure_structure(
        BLANK,
        nuclei,
        detectors={"d": Fixed(nuclei.xy, nuclei.class_ids * 0, ("nucleus",))},
    )
    counts = seen["structure/d/counts"][0]
    assert counts[0].tolist() == [12, 12, 12]
    assert np.isnan(counts[1:]).all()
    assert "structure/d/confusion" not in seen
    section = conclude_structure(
        Sample((TileMeasurements("t", "p", "", seen),) * 2),
        None,
        CLASSES,
        ["d"],
    )
    assert {f"F1_d_{name}" for name in CLASSES}.isdisjoint(each.name for each in section.findings)


def test_classes_are_matched_by_name_and_nuclei_without_one_count_for_all_only():
    nuclei = Nuclei.of(
        [(12, 12), (44, 12)],
        ["large", "any"],
        size=(128, 128),
        mpp=0.5,
        classes=CLASSES,
    )
    assert nuclei.class_ids[1] == ANY_CLASS
    found = Fixed([(12, 12), (44, 12), (90, 90)], [2, 1, 0], ("other", "small", "large"))
    seen = measure_structure(BLANK, nuclei, detectors={"d": found})
    assert seen["structure/d/counts"][0].tolist() == [[2, 3, 2], [1, 1, 1], [0, 1, 0]]
    assert seen["structure/d/confusion"].sum() == 1 == seen["structure/d/confusion"][0, 0]


@pytest.mark.parametrize("value", [0, 255])
def test_odd_tiles_are_no_error(value):
    flat = np.full((30, 40, 3), value, np.uint8)
    none = Nuclei.none((40, 30), 0.5, CLASSES)
    # what is found on a black tile does not matter
    for detector in [Fixed([], []), *([BlobDetector()] if value else [])]:
        seen = measure_structure(flat, none, detectors={"d": detector})
        assert seen["structure/d/counts"][0, 0].tolist() == [0, 0, 0]
        assert seen["structure/d/errors_um"].shape == (0,)
        json.dumps(
            conclude_structure(
                Sample((TileMeasurements("t", "p", "", seen),)),
                None,
                CLASSES,
                ["d"],
            ).as_dict(),
            allow_nan=False,
        )
    assert json.dumps(
        conclude_structure(Sample(()), None, CLASSES, ["d"]).as_dict(), allow_nan=False
    )


def seen_of(
    patient,
    *,
    share=1.0,
    off=0.0,
    swap=0.0,
    moved=False,
):
    """A tile of one patient, seen by a detector that finds a share of its nuclei."""
    nuclei = requested_nuclei(seed=patient)
    random = np.random.default_rng(100 + patient)
    keep = random.random(len(nuclei)) < share
    class_ids = np.where(random.random(len(nuclei)) < swap, 1 - nuclei.class_ids, nuclei.class_ids)
    xy = random.uniform(0, 127, nuclei.xy.shape) if moved else nuclei.xy + np.array([off / 0.5, 0])
    return measure_structure(BLANK, nuclei, detectors={"d": Fixed(xy[keep], class_ids[keep])})


def sample(patients, name="p", **how):
    return Sample(
        tuple(TileMeasurements(f"t{i}", f"{name}{i}", "", seen_of(i, **how)) for i in patients)
    )


def findings(section):
    return {each.name: each for each in section.findings}


def test_identical_samples_have_ratio_one_without_any_doubt():
    both = sample(
        range(8),
        share=0.7,
        off=1.0,
        swap=0.2,
    )
    found_by_name = findings(conclude_structure(both, both, CLASSES, ["d"]))
    for name in (
        "F1_d",
        "recall_d",
        "F1_d_large",
        "class_accuracy_d",
        "localisation_d",
        "count_error_d",
    ):
        ratio = found_by_name[name].ratio
        assert (ratio.value, ratio.low, ratio.high) == pytest.approx((1, 1, 1)), name


def test_paired_patients_are_resampled_jointly_and_others_are_not():
    hard = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]

    def side(name, worse):
        return Sample(
            tuple(
                TileMeasurements(
                    f"t{i}",
                    f"{name}{i}",
                    "",
                    seen_of(i, share=worse * each),
                )
                for i, each in enumerate(hard)
            )
        )

    synthetic = side("p", 0.9)
    paired, strangers = (
        findings(conclude_structure(synthetic, side(name, 1.0), CLASSES, ["d"]))["recall_d"].ratio
        for name in ("p", "q")
    )
    assert paired.value == strangers.value
    assert paired.high - paired.low < 0.6 * (strangers.high - strangers.low)


def test_some_common_patients_still_give_finite_intervals():
    found_by_name = findings(
        conclude_structure(
            sample(range(6), share=0.8),
            sample(range(3, 9)),
            CLASSES,
            ["d"],
        )
    )
    ratio = found_by_name["recall_d"].ratio
    assert ratio.low < ratio.value < ratio.high < 1.01


def test_scores_are_those_counted_by_hand():
    synthetic = sample(range(8), share=0.6, off=2.0)
    found_by_name = findings(conclude_structure(synthetic, None, CLASSES, ["d"]))
    matched, found, wanted = synthetic.stack("structure/d/counts")[:, 0, 0].sum(axis=0)
    assert found_by_name["recall_d"].value.value == pytest.approx(matched / wanted)
    assert found_by_name["precision_d"].value.value == pytest.approx(matched / found)
    assert found_by_name["F1_d"].value.value == pytest.approx(2 * matched / (found + wanted))
    assert found_by_name["count_error_d"].value.value == pytest.approx((wanted - found) / wanted)
    assert found_by_name["localisation_d"].value.value == pytest.approx(2.0, abs=0.03)
    assert found_by_name["F1_d"].real is None
    assert found_by_name["F1_d"].value.n == wanted


def test_nuclei_placed_anywhere_score_as_chance_does():
    right = findings(conclude_structure(sample(range(12)), None, CLASSES, ["d"]))
    section = conclude_structure(
        sample(range(12), moved=True),
        None,
        CLASSES,
        ["d"],
    )
    moved = findings(section)["F1_d"].value
    chance = section.facts["chance"]["d"]["F1_d"]
    assert right["F1_d"].value.value == 1
    assert moved.value < 0.6
    assert moved.low < chance["value"]["value"] + 0.1
    assert moved.high > chance["value"]["value"] - 0.1
    assert "anywhere" in right["F1_d"].note


def test_confused_classes_lower_their_scores_but_not_that_of_all():
    found_by_name = findings(
        conclude_structure(
            sample(range(8), swap=0.5),
            sample(range(8)),
            CLASSES,
            ["d"],
        )
    )
    assert found_by_name["F1_d"].value.value == 1
    assert found_by_name["class_accuracy_d"].value.high < 0.75
    assert found_by_name["class_accuracy_d"].real.value == 1
    assert found_by_name["F1_d_large"].ratio.high < 0.8


def test_rings_classify_without_any_detector():
    from test_ring_classifier import discs as blobs

    rings = RingClassifier.fit([blobs(seed) for seed in range(3)])
    picture, nuclei = blobs(9)
    seen = measure_structure(
        picture,
        nuclei,
        detectors={"blobs": BlobDetector()},
        rings=rings,
    )
    table = seen["structure/rings/confusion"]
    assert table.sum() == len(nuclei)
    assert np.trace(table) > 0.95 * len(nuclei)
    swapped = Nuclei(
        nuclei.xy,
        1 - nuclei.class_ids,
        nuclei.classes,
        nuclei.size,
        nuclei.mpp,
    )
    wrong = measure_structure(
        picture,
        swapped,
        detectors={},
        rings=rings,
    )["structure/rings/confusion"]
    assert np.trace(wrong) < 0.05 * len(nuclei)
    assert seen["structure/blobs/counts"][0, 0, 0] > 0.9 * len(nuclei)
    section = conclude_structure(
        Sample((TileMeasurements("t", "p", "", seen),)),
        None,
        CLASSES,
        ["blobs"],
    )
    assert findings(section)["class_accuracy_rings"].value.value > 0.95
    assert section.facts["confusion"]["rings"]["synthetic"] == table.astype(int).tolist()


def test_too_few_nuclei_are_reported_with_how_many_it_takes():
    found_by_name = findings(
        conclude_structure(
            sample(range(1)),
            sample(range(8)),
            CLASSES,
            ["d"],
        )
    )
    assert not found_by_name["F1_d"].value.is_defined
    assert "20" in found_by_name["F1_d"].value.reason


def test_medians_of_histograms_are_those_of_their_values():
    values = np.random.default_rng(0).gamma(2, 0.8, 500).clip(0, 6)
    counts = np.histogram(values, ERROR_BINS, (0, 6))[0].astype(float)
    assert median_um(counts[None])[0] == pytest.approx(np.median(values), abs=0.03)


def test_a_median_is_interpolated_within_its_bin():
    bin_um = 6.0 / ERROR_BINS
    one_bin = np.zeros((1, ERROR_BINS))
    one_bin[0, 3] = 4
    assert median_um(one_bin) == pytest.approx([3.5 * bin_um])
    two_bins = np.zeros((1, ERROR_BINS))
    two_bins[0, :2] = 1, 3
    assert median_um(two_bins) == pytest.approx([(1 + 1 / 3) * bin_um])
    last = np.zeros((1, ERROR_BINS))
    last[0, -1] = 2
    assert median_um(last) == pytest.approx([6.0 - bin_um / 2])
