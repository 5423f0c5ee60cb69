"""Sentences of a report: what they state follows from the intervals and from nothing else."""

import math

import pytest

from histosynth.core.estimate import Estimate, undefined
from histosynth.metrics.copying.words import copying_verdict
from histosynth.metrics.finding import Finding, Section
from histosynth.metrics.inpainting.words import inpainting_titles, inpainting_verdict
from histosynth.metrics.layout.words import layout_titles, layout_verdict
from histosynth.metrics.membership import membership_verdict
from histosynth.metrics.morphology.words import morphology_titles, morphology_verdict
from histosynth.metrics.quality.words import quality_verdict
from histosynth.metrics.realism.words import realism_titles, realism_verdict
from histosynth.metrics.stain.words import stain_verdict
from histosynth.metrics.standing import conclusive, ends_for_patients, standing, widening
from histosynth.metrics.structure.words import structure_titles, structure_verdict
from histosynth.metrics.titles import with_titles
from histosynth.metrics.verdict import general_verdict

ONE_PATIENT = "an interval needs tiles of at least 2 patients; there is 1"


def estimate(value, low, high, groups=30, n=90, interval=None):
    interval = interval or f"bootstrap over {groups} patients"
    return Estimate(value, low, high, n, interval, groups=groups)


def alone(value):
    """Of one patient."""
    return Estimate(value, math.nan, math.nan, 9, "none", ONE_PATIENT, groups=1)


def compared(name, *ratio, better="low", value=(1.0, 0.9, 1.1), real=(1.0, 0.9, 1.1), **of):
    return Finding(
        name,
        estimate(*value),
        better,
        estimate(*real) if real else None,
        estimate(*ratio, **of) if ratio else None,
    )


def section(*findings, verdict="", **facts):
    return Section("key", "Title", "About.", findings, facts, verdict=verdict)


@pytest.mark.parametrize(
    ("groups", "factor"),
    # Student's t at 0.975 from tables (12.706, 2.365, 2.045) / 1.960 x sqrt(G / (G - 1))
    [(2, 9.168), (8, 1.290), (30, 1.061)],
)
def test_intervals_over_few_patients_are_widened_as_t_widens_them(groups, factor):
    assert widening(groups) == pytest.approx(factor, abs=0.002)


def test_positive_intervals_are_widened_by_their_ratio_and_others_by_their_difference():
    factor = widening(8)
    low, high = ends_for_patients(estimate(2.0, 1.0, 4.0, groups=8))
    assert (low, high) == pytest.approx((2 / 2**factor, 2 * 2**factor))
    low, high = ends_for_patients(estimate(1.0, -1.0, 2.0, groups=8))
    assert (low, high) == pytest.approx((1 - 2 * factor, 1 + factor))
    exact = estimate(0.0, 0.0, 0.37, groups=8, interval="exact, over 8 patients")
    assert ends_for_patients(exact) == (0.0, 0.37)


def test_a_difference_that_two_patients_show_is_not_stated():
    few = compared("a", 1.5, 1.3, 1.7, groups=2)
    assert standing(few) == ("wide", "too uncertain")
    assert standing(compared("a", 1.5, 1.3, 1.7)) == ("worse", "worse than real")
    assert standing(compared("a", 1.1, 1.01, 1.2, groups=4)) == ("wide", "too few patients")


def test_no_difference_counts_only_where_a_large_one_is_excluded():
    assert conclusive(compared("a", 1.2, 0.9, 1.6)) == "like"
    assert conclusive(compared("a", 1.2, 0.9, 2.6)) == "wide"
    assert conclusive(compared("a", 1.2, 0.9, 1.6), margin=1.25) == "wide"
    assert conclusive(compared("a")) == "wide"


REALISM = {
    (1.05, 0.9, 1.2): "As a set, the synthetic tiles are as near to the held-out real tiles as "
    "real tiles of other patients are, no difference was found: 1.05 (0.90 to 1.20) times as far.",
    (1.8, 1.4, 2.3): "As a set, the synthetic tiles are farther from the held-out real tiles than "
    "real tiles of other patients are: 1.80 (1.40 to 2.30) times as far.",
    (0.5, 0.4, 0.6): "As a set, the synthetic tiles are nearer to the held-out real tiles than "
    "real tiles of other patients are: 0.50 (0.40 to 0.60) times as far.",
    (1.0, 0.3, 3.0): "It cannot be told whether the synthetic tiles as a set are as near to the "
    "held-out real tiles as other real tissue is: the ratio to real tissue is anywhere from 0.28 "
    "to 3.2 over 30 patients.",
}


@pytest.mark.parametrize("ratio", REALISM)
def test_realism_states_where_the_set_stands(ratio):
    recall = Finding(
        "recall_histo",
        estimate(0.4, 0.35, 0.45),
        "high",
        estimate(0.7, 0.65, 0.75, interval="range of 16 groups"),
    )
    verdict = realism_verdict(section(compared("FD_histo", *ratio), recall, encoder="histo"))
    assert verdict == (
        f"{REALISM[ratio]} They cover less of the variety of real tissue than real tiles of other "
        "patients do: 0.40 (0.35 to 0.45), real tissue 0.70 (0.65 to 0.75)."
    )


def test_recall_of_other_numbers_of_tiles_is_not_compared():
    recall = Finding(
        "recall_histo",
        estimate(0.4, 0.35, 0.45, n=24),
        "high",
        estimate(0.7, 0.65, 0.75, n=16),
    )
    findings = (
        compared("FD_histo", 1.8, 1.4, 2.3),
        compared("KID_histo", 3.0, 2.0, 4.0),
        recall,
    )
    assert realism_verdict(section(*findings, encoder="histo")).endswith(
        "By a second distance, the kernel distance, they are farther: 3.00 (2.00 to 4.00) times "
        "as far."
    )


def test_too_few_tiles_are_the_reason_in_the_sentence():
    why = "5 tiles of one side cannot support a distance; give at least 16 of each"
    findings = (Finding("FD_histo", undefined(why), "low"),)
    assert realism_verdict(section(*findings, encoder="histo")) == (
        "It cannot be told whether the synthetic tiles as a set are as near to the held-out real "
        f"tiles as other real tissue is: {why}. It cannot be told whether they are as near by a "
        "second distance, the kernel distance: nothing was measured."
    )


def test_structure_states_places_and_classes():
    findings = (
        compared("F1_blobs", 1.0, 0.95, 1.05, better="high"),
        compared("class_accuracy_rings", 0.8, 0.75, 0.85, better="high"),
    )
    assert structure_verdict(section(*findings, chance={"blobs": {}})) == (
        "Nuclei stand where they were requested: a detector finds them as it finds nuclei of real "
        "tissue, no difference was found: 1.00 (0.95 to 1.05) times the F1 score on real tissue. "
        "Their classes are recognised less often than those of real nuclei: 0.80 (0.75 to 0.85) "
        "times as often."
    )


@pytest.mark.parametrize(
    ("score", "reason"),
    [
        (
            compared("F1_blobs", 1.0, 0.95, 1.05, real=(0.3, 0.2, 0.4)),
            "the score on real tissue is only 0.300",
        ),
        (
            compared("F1_blobs", real=None),
            "there is no such number of real tissue to compare 1.00 with",
        ),
        (Finding("F1_blobs", alone(0.9), "high", alone(0.8), alone(1.1)), ONE_PATIENT),
        (
            compared("F1_blobs", 1.0, 0.7, 1.4, better="high"),
            "the ratio to real tissue is anywhere from 0.68 to 1.4 over 30 patients",
        ),
    ],
)
def test_what_a_detector_cannot_show_is_not_stated(score, reason):
    first = structure_verdict(section(score, chance={"blobs": {}})).split(". It cannot")[0]
    assert first == f"It cannot be told whether nuclei stand where they were requested: {reason}"


def test_layout_counts_what_is_worse_and_what_is_uncertain():
    requested = [
        compared("composition_from_requested", 1.1, 0.8, 1.4),
        compared("L_from_requested_all", 1.1, 0.8, 1.4),
        compared("g_from_requested_all", 1.0, 0.1, 9.0),
        compared("density_from_requested"),
    ]
    real = [
        compared("composition_from_real", 3.0, 2.0, 4.0),
        compared("L_from_real_all", 1.1, 0.8, 1.4),
    ]
    assert layout_verdict(section(*requested, *real)) == (
        "Nuclei are arranged as requested, as far as a detector can find out: none of 3 numbers is "
        "found to be worse than in real tissue, 1 of them is too uncertain for a conclusion. Their "
        "arrangement differs from real tissue more than that of other patients does in 1 of 2 "
        "numbers: composition_from_real."
    )
    assert layout_verdict(section(requested[2])) == (
        "It cannot be told whether nuclei are arranged as requested: 1 of 1 number is too "
        "uncertain. It cannot be told whether nuclei are arranged as in real tissue: there is no "
        "real tissue."
    )


def area(name, value, real=(0.5, 0.45, 0.55)):
    return Finding(name, estimate(*value), "real", estimate(*real) if real else None)


def test_morphology_states_by_what_nuclei_are_distinguished():
    smoothed = compared(
        "smoothed_stromal",
        5.0,
        3.0,
        9.0,
        better="real",
        value=(0.41, 0.3, 0.5),
        real=(0.08, 0.05, 0.1),
    )
    findings = (
        area("AUC_nuclei", (0.9, 0.88, 0.92)),
        area("AUC_nuclei_shape", (0.52, 0.45, 0.6)),
        area("AUC_nuclei_chromatin", (0.85, 0.8, 0.9)),
        smoothed,
    )
    assert morphology_verdict(section(*findings)) == (
        "Synthetic nuclei can be distinguished from real ones: a classifier ranks 90\u202f% of "
        "pairs right (50\u202f% is guessing, and real nuclei of other patients reach 50\u202f%). "
        "They differ in chromatin (85\u202f% right); there is too little fine detail in 41\u202f% "
        "of stromal nuclei (real 8\u202f%)."
    )


@pytest.mark.parametrize(
    ("value", "begins"),
    [
        ((0.52, 0.47, 0.57), "Synthetic nuclei could not be distinguished from real ones more"),
        ((0.55, 0.1, 0.95), "It cannot be told whether synthetic nuclei can be distinguished"),
    ],
)
def test_nuclei_that_are_alike_and_nuclei_that_are_too_few(value, begins):
    verdict = morphology_verdict(section(area("AUC_nuclei", value)))
    assert verdict.startswith(begins)
    assert verdict.endswith(
        "It cannot be told whether they differ in shape, dye or chromatin: nothing was measured."
    )


@pytest.mark.parametrize(
    ("difference", "clause"),
    [
        ((-1.0, -1.2, -0.8), "Compared with real tissue, the texture is smoother."),
        ((1.0, 0.8, 1.2), "Compared with real tissue, the texture is rougher."),
        (
            (0.1, -0.3, 0.5),
            "Of 1 quantity that could be compared, none was found to be lower or higher than "
            "between real patients.",
        ),
    ],
)
def test_quality_states_the_direction(difference, clause):
    findings = (
        compared("quality_W1", 4.0, 3.0, 6.0),
        compared("quality_slope_difference", value=difference, better="real"),
        compared("quality_slope_W1", 5.0, 3.0, 9.0),
    )
    assert quality_verdict(section(*findings)) == (
        "The picture quality differs from real tissue more than other patients do: 4.00 (3.00 to "
        f"6.00) times as far. {clause}"
    )


def test_hues_of_one_dye_are_named_once():
    findings = [compared("stain_W1", 1.0, 0.8, 1.3)]
    for quantity in ("stain_eosin_azimuth", "stain_eosin_elevation"):
        findings.append(compared(f"{quantity}_difference", value=(3.0, 2.0, 4.0), better="real"))
        findings.append(compared(f"{quantity}_W1", 3.0, 2.0, 4.0))
    assert stain_verdict(section(*findings)).endswith(
        "Compared with real tissue, the hue of eosin differs."
    )


@pytest.mark.parametrize(
    ("ratio", "begins"),
    [
        ((1.0, 0.9, 1.1), "The boundary of the filled regions does not show in its colours"),
        ((1.5, 1.3, 1.7), "The boundary of the filled regions shows in its colours: 1.50"),
        ((0.7, 0.6, 0.8), "The boundary of the filled regions is smoother in its colours than"),
    ],
)
def test_inpainting_states_whether_the_boundary_shows(ratio, begins):
    given = section(compared("boundary_step", *ratio, better="real"), verdict="No pixel changed.")
    assert inpainting_verdict(given).startswith(f"No pixel changed. {begins}")


@pytest.mark.parametrize(
    ("value", "second"),
    [
        (
            (-3.3, -5.2, -1.4),
            "As a set, the tiles are nearer to training tissue than unseen real tissue is: C_T is "
            "−3.30 (−5.20 to −1.40), where 0 is unseen real tissue.",
        ),
        (
            (0.5, -1.0, 2.0),
            "As a set, the tiles are not found to be nearer to training tissue than unseen real "
            "tissue is: C_T is 0.50 (−1.00 to 2.00), where 0 is unseen real tissue.",
        ),
        (
            (0.5, -20.0, 20.0),
            "It cannot be told whether the tiles as a set are too near to training tissue: C_T is "
            "0.5 (−20.0 to 20.0), where 0 is unseen real tissue, is too uncertain.",
        ),
    ],
)
def test_copying_keeps_its_search_and_adds_the_set(value, second):
    given = section(Finding("C_T", estimate(*value), "real"), verdict="None is a copy.")
    assert copying_verdict(given) == f"None is a copy. {second}"


@pytest.mark.parametrize(
    ("value", "first"),
    [
        ((0.8, 0.7, 0.9), "The losses show which patients the model was trained on: the area is "),
        ((0.5, 0.4, 0.6), "No sign was found that the losses show which patients the model was "),
        ((0.7, 0.3, 0.9), "It cannot be told whether the losses show which patients the model "),
    ],
)
def test_membership_states_what_the_losses_show(value, first):
    losses = {"training": 1.5, "unseen": 1.75}
    verdict = membership_verdict(section(area("membership_AUC", value), mean_loss=losses))
    assert verdict.startswith(first)
    assert verdict.endswith(
        "The mean loss is 1.50 on training tiles and 1.75 on tiles of unseen patients."
    )


def test_a_metric_without_words_counts_and_names_its_worst():
    findings = (
        compared("a", 1.0, 0.9, 1.1),
        compared("b", 2.0, 1.5, 2.5),
        compared("c", 5.0, 4.0, 6.0),
    )
    assert general_verdict(section(*findings)) == (
        "The synthetic tiles differ from real tissue in 2 of 3 numbers: b and c. Farthest from it "
        "is c: 5.00 (4.00 to 6.00) times the value of real tissue."
    )
    assert general_verdict(section(findings[0])) == (
        "The synthetic tiles are like real tissue in this: none of 1 number is found to be worse "
        "than in real tissue."
    )
    assert general_verdict(section()) == (
        "It cannot be told whether the synthetic tiles are like real tissue in this: nothing was "
        "measured."
    )


def test_a_name_of_two_things_gets_no_title():
    """A class may have the name of a family of features."""
    finding = Finding("AUC_nuclei_shape", alone(0.5), "real")
    classes = {"tumour": "Nuclei ranked right by a classifier, by shape alone", "nuclei_shape": ""}
    for class_name, title in classes.items():
        (titled,) = with_titles([finding], morphology_titles((class_name,)))
        assert titled.title == title


@pytest.mark.parametrize(
    ("titles", "name", "title"),
    [
        (realism_titles("histo"), "FD_histo", "Distance between the sets of tiles (Fréchet)"),
        (
            structure_titles(("blobs",), ("a_b",)),
            "F1_blobs_a_b",
            "Agreement of a_b nuclei (F1), by the detector blobs",
        ),
        (
            structure_titles(("blobs",), ()),
            "F1_blobs_3um",
            "Agreement within 3 micrometres (F1), by the detector blobs",
        ),
        (
            layout_titles(),
            "nearest_from_requested_classes",
            "Distances to the nearest nucleus, between classes, found against requested",
        ),
        (
            morphology_titles(("tumour",)),
            "W1_tumour_area_um2",
            "Area: distance of tumour nuclei from real ones",
        ),
        (
            inpainting_titles("lpips"),
            "lpips_inside",
            "Perceived difference from the original, inside the mask",
        ),
    ],
)
def test_plain_names(titles, name, title):
    assert dict(titles)[name] == title
