"""Nuclei of known size, shape and chromatin, and whether synthetic ones differ from them."""

import json

import numpy as np
import pytest
from scipy import ndimage
from scipy.stats import wasserstein_distance

from histosynth.core.nuclei import Nuclei
from histosynth.metrics.morphology.conclude import conclude_morphology
from histosynth.metrics.morphology.features import (
    NUCLEUS_FEATURES,
    crofton_perimeter,
    fine_power,
    measure_morphology,
    shape_of,
)
from histosynth.metrics.morphology.segment import HALF_WINDOW, SAMPLE_UM, local_otsu
from histosynth.metrics.morphology.two_sample import folds_by_patient, out_of_fold
from histosynth.metrics.nuclei_classes import classed_by_request
from histosynth.metrics.sample import Sample, TileMeasurements
from histosynth.metrics.structure.measure import STRICT_UM
from histosynth.tissue.density import from_density

CLASSES = ("round", "mitotic")
HAEM = np.array([1.044, 1.314, 0.648])
EOSIN = np.array([0.240, 0.820, 0.520])


def ellipses(
    long_um,
    short_um,
    *,
    seed=0,
    mpp=0.5,
    grain=0.12,
    side=256,
):
    """A tile of ellipses (half axes in um) 12 um or more from the border, at fractions of a
    pixel."""
    random = np.random.default_rng(seed)
    step = 30 / mpp
    line = np.arange(24 / mpp, side - 20 / mpp, step)
    xy = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2) + random.uniform(
        -2, 2, (len(line) ** 2, 2)
    )
    rows, columns = np.mgrid[:side, :side]
    amount = np.full((side, side), 0.05)
    fine = ndimage.gaussian_filter(random.standard_normal((side, side)), 0.7)
    for x, y in xy:
        turn = random.uniform(0, np.pi)
        dx = (columns - x) * mpp
        dy = (rows - y) * mpp
        along = dx * np.cos(turn) + dy * np.sin(turn)
        across = dy * np.cos(turn) - dx * np.sin(turn)
        # a soft edge half a pixel wide, as any lens makes it
        away = (1 - np.hypot(along / long_um, across / short_um)) * np.sqrt(long_um * short_um)
        inside = np.clip(away / mpp + 0.5, 0, 1)
        amount = np.maximum(amount, inside * (0.8 + grain * fine))
    eosin = 0.5 + 0.1 * ndimage.gaussian_filter(random.standard_normal((side, side)), 3)
    pixels = from_density((amount[..., None] * HAEM + eosin[..., None] * EOSIN).astype(np.float32))
    names = [CLASSES[i % 2] for i in range(len(xy))]
    nuclei = Nuclei.of(
        xy,
        names,
        size=(side, side),
        mpp=mpp,
        classes=CLASSES,
    )
    return pixels.round().astype(np.uint8), nuclei


def column(values, name):
    return values["morphology/values"][:, NUCLEUS_FEATURES.index(name)]


@pytest.mark.parametrize(
    ("long_um", "short_um", "mpp"), [(4.0, 4.0, 0.5), (6.0, 3.0, 0.5), (5.0, 4.0, 0.25)]
)
def test_area_and_eccentricity_of_ellipses_are_the_true_ones(long_um, short_um, mpp):
    pixels, nuclei = ellipses(long_um, short_um, mpp=mpp, side=round(128 / mpp))
    seen = measure_morphology(pixels, nuclei)
    assert len(column(seen, "area_um2")) == len(nuclei)
    assert np.median(column(seen, "area_um2")) == pytest.approx(
        np.pi * long_um * short_um, rel=0.05
    )
    eccentricity = np.sqrt(1 - (short_um / long_um) ** 2)
    if eccentricity:
        assert np.median(column(seen, "eccentricity")) == pytest.approx(eccentricity, abs=0.03)
    else:
        assert np.median(column(seen, "eccentricity")) < 0.35
    assert seen["morphology/class_ids"].tolist() == nuclei.class_ids.tolist()


def test_outlines_of_discs_and_squares_have_their_length():
    line = np.arange(-HALF_WINDOW, HALF_WINDOW + 1) * SAMPLE_UM
    x, y = np.meshgrid(line, line)
    disc = np.hypot(x, y) < 5
    ellipse = np.hypot(x / 8, y / 4) < 1
    length = crofton_perimeter(np.stack([disc, ellipse])) * SAMPLE_UM
    from scipy.special import ellipe

    assert length == pytest.approx([2 * np.pi * 5, 4 * 8 * ellipe(1 - (4 / 8) ** 2)], rel=0.03)
    area, eccentricity, irregularity = shape_of(np.stack([disc, ellipse]))
    assert area == pytest.approx([np.pi * 25, np.pi * 32], rel=0.01)
    assert eccentricity[1] == pytest.approx(np.sqrt(0.75), abs=0.01)
    assert abs(irregularity[0]) < 0.03
    assert irregularity[1] > 0.1


def test_dents_make_an_outline_irregular():
    line = np.arange(-HALF_WINDOW, HALF_WINDOW + 1) * SAMPLE_UM
    x, y = np.meshgrid(line, line)
    around = np.arctan2(y, x)
    masks = np.stack([np.hypot(x, y) < 5, np.hypot(x, y) < 5 * (1 + 0.25 * np.cos(6 * around))])
    plain, dented = shape_of(masks)[2]
    assert dented > plain + 0.15


def test_a_blurred_tile_is_over_smoothed_and_not_smaller():
    pixels, nuclei = ellipses(5, 4, grain=0.5)
    blurred = np.stack(
        [ndimage.gaussian_filter(layer, 1.2) for layer in np.moveaxis(pixels, 2, 0)], 2
    )
    sharp = measure_morphology(pixels, nuclei)
    soft = measure_morphology(blurred, nuclei)
    for name in ("fine_power", "chromatin_gradient", "chromatin_roughness"):
        assert np.median(column(soft, name)) < np.median(column(sharp, name)) - 0.03, name
    area = [np.median(column(each, "area_um2")) for each in (sharp, soft)]
    assert area[1] == pytest.approx(area[0], rel=0.06)


def test_fine_power_separates_waves_by_their_length_whatever_the_scale():
    for mpp in (0.25, 0.5):
        x = np.arange(round(40 / mpp)) * mpp
        for cycles, fine in ((0.15, False), (0.7, True)):
            wave = np.broadcast_to(np.sin(2 * np.pi * cycles * x), (len(x), len(x))).astype(
                np.float32
            )
            share = 10 ** fine_power(wave, np.array([[len(x) / 2, len(x) / 2]], np.float32), mpp)[0]
            assert (share > 0.9) if fine else (share < 0.5)


def test_touching_nuclei_are_cut_between_their_centroids():
    rows, columns = np.mgrid[:128, :128]
    both = np.minimum(np.hypot(rows - 64, columns - 55), np.hypot(rows - 64, columns - 73)) < 10
    density = np.where(both, 0.9, 0.05)[..., None] * HAEM + 0.5 * EOSIN
    density = density + np.random.default_rng(0).normal(0, 0.02, (128, 128, 1)) * (HAEM - EOSIN)
    pixels = from_density(density.astype(np.float32)).round().astype(np.uint8)
    nuclei = Nuclei.of(
        [(55, 64), (73, 64)],
        ["round"] * 2,
        size=(128, 128),
        mpp=0.5,
        classes=CLASSES,
    )
    seen = measure_morphology(pixels, nuclei)
    assert column(seen, "area_um2") == pytest.approx([both.sum() * 0.25 / 2] * 2, rel=0.06)


def test_nuclei_that_cannot_be_outlined_are_counted_by_reason():
    pixels, nuclei = ellipses(5, 4)
    # one on plain ground far from all, one cut in half by the border
    cut = pixels[:, int(nuclei.xy[0, 0]) :]
    moved = nuclei.xy - np.array([int(nuclei.xy[0, 0]), 0])
    keep = moved[:, 0] > -0.5
    xy = np.concatenate([moved[keep], [[moved[keep][0, 0] + 30, moved[keep][0, 1] + 30]]])
    size = (cut.shape[1], cut.shape[0])
    requested = Nuclei.of(
        xy,
        ["round"] * len(xy),
        size=size,
        mpp=0.5,
        classes=CLASSES,
    )
    seen = measure_morphology(cut, requested)
    column_of_first = int((np.abs(nuclei.xy[:, 0] - nuclei.xy[0, 0]) < 5).sum())
    many, unseen, at_border, absurd = seen["morphology/left_out"]
    assert many == len(requested)
    assert at_border >= 1
    assert at_border <= column_of_first
    assert unseen + absurd == 1
    assert len(seen["morphology/values"]) == many - unseen - at_border - absurd


@pytest.mark.parametrize("value", [0, 255, 128])
def test_odd_tiles_give_no_nuclei_and_no_error(value):
    nuclei = Nuclei.of(
        [(10, 10), (10, 10)],
        ["round"] * 2,
        size=(40, 30),
        mpp=0.5,
        classes=CLASSES,
    )
    flat = np.full((30, 40, 3), value, np.uint8)
    for requested in (nuclei, Nuclei.none((40, 30), 0.5, CLASSES)):
        seen = measure_morphology(flat, requested)
        assert seen["morphology/values"].shape == (0, len(NUCLEUS_FEATURES))
        assert seen["morphology/class_ids"].shape == (0,)
        assert seen["morphology/left_out"][0] == len(requested)


def test_otsu_parts_two_heaps():
    random = np.random.default_rng(0)
    values = np.where(random.random((1, 40, 40)) < 0.3, 0.8, 0.2) + random.normal(
        0, 0.04, (1, 40, 40)
    )
    threshold = local_otsu(values.astype(np.float32), np.ones(values.shape, bool))
    assert 0.3 < threshold[0] < 0.7


def sample(
    seed,
    *,
    patients=8,
    shift=0.0,
    squeeze=1.0,
    prefix="p",
    nuclei=60,
):
    """Tiles of nuclei with normal features; each patient lies a little off the others."""
    random = np.random.default_rng(seed)
    tiles = []
    for patient in range(patients):
        values = (
            random.normal(0, 1, (nuclei, len(NUCLEUS_FEATURES))) * squeeze
            + random.normal(0, 0.2)
            + shift
        )
        seen = {
            "morphology/values": values,
            "morphology/class_ids": np.arange(nuclei) % 2.0,
            "morphology/left_out": np.array([nuclei + 4, 1, 2, 1.0]),
        }
        tiles.append(TileMeasurements(f"t{patient}", f"{prefix}{patient}", "", seen))
    return Sample(tuple(tiles))


def findings(section):
    return {each.name: each for each in section.findings}


def test_identical_samples_are_no_distance_apart_and_not_distinguished():
    real = sample(0)
    by_name = findings(conclude_morphology(real, real, sample(1, prefix="q"), CLASSES))
    assert by_name["W1_round"].value.value == pytest.approx(0, abs=1e-9)
    assert by_name["AUC_nuclei"].value.value == pytest.approx(0.5, abs=0.02)
    assert by_name["outlined"].ratio.value == by_name["outlined"].ratio.low == 1
    assert by_name["smoothed_round"].value.value == pytest.approx(0.05, abs=0.01)


def test_other_nuclei_of_one_class_are_like_the_baseline_and_shifted_ones_are_not():
    real = sample(0)
    reference = sample(1, prefix="q")
    alike = findings(conclude_morphology(sample(2), real, reference, CLASSES))
    assert 0.4 < alike["W1_round"].ratio.value < 2.5
    assert alike["AUC_nuclei"].value.low < 0.55
    apart = findings(
        conclude_morphology(
            sample(2, shift=-1.0),
            real,
            reference,
            CLASSES,
        )
    )
    assert apart["W1_round"].value.value == pytest.approx(1, abs=0.25)
    assert apart["W1_round"].ratio.low > 2
    assert apart["AUC_round"].value.low > 0.8
    assert apart["inside_round"].ratio.high < 1
    assert apart["smoothed_mitotic"].value.low > 2 * apart["smoothed_mitotic"].real.value
    assert "SarcoDiff" in apart["smoothed_mitotic"].note
    assert "SarcoDiff" not in apart["smoothed_round"].note


def test_nuclei_that_differ_only_in_spread_are_distinguished():
    by_name = findings(
        conclude_morphology(
            sample(2, squeeze=0.4),
            sample(0),
            None,
            CLASSES,
        )
    )
    assert by_name["AUC_nuclei"].value.low > 0.7 > by_name["AUC_nuclei"].real.value


def test_smoothed_nuclei_of_generated_tiles_are_detected():
    def side(blur, first):
        tiles = []
        for patient in range(4):
            pixels, nuclei = ellipses(5, 4, seed=first + patient, grain=0.5)
            soft = (
                ndimage.gaussian_filter(pixels.astype(float), (blur, blur, 0))
                .round()
                .astype(np.uint8)
            )
            tiles.append(
                TileMeasurements(
                    f"t{patient}",
                    f"p{patient}",
                    "",
                    measure_morphology(soft, nuclei),
                )
            )
        return Sample(tuple(tiles))

    by_name = findings(
        conclude_morphology(
            side(1.0, 0),
            side(0.0, 10),
            side(0.0, 20),
            CLASSES,
        )
    )
    assert by_name["AUC_nuclei"].value.value > 0.9 > 0.75 > by_name["AUC_nuclei"].real.value


def test_distances_are_those_of_scipy():
    synthetic = sample(2, shift=0.4)
    real = sample(0)
    by_name = findings(conclude_morphology(synthetic, real, None, CLASSES))
    first, second = (
        np.concatenate(
            [
                t.values["morphology/values"][t.values["morphology/class_ids"] == 0, 0]
                for t in s.tiles
            ]
        )
        for s in (synthetic, real)
    )
    expected = wasserstein_distance(first, second) / second.std()
    assert by_name[f"W1_round_{NUCLEUS_FEATURES[0]}"].value.value == pytest.approx(
        expected, rel=0.02
    )


def test_no_patient_is_learnt_from_and_scored():
    random = np.random.default_rng(0)
    patients = [f"p{i}" for i in random.integers(0, 7, 300)]
    truth = random.random(300) < 0.5
    scored = np.zeros(300, int)
    for learnt, held in folds_by_patient(truth, patients):
        assert not {patients[i] for i in learnt} & {patients[i] for i in held}
        scored[held] += 1
    assert (scored == 1).all()


def test_features_that_only_mark_the_patient_distinguish_nothing():
    random = np.random.default_rng(0)
    patients = np.repeat(np.arange(20), 30)
    truth = patients % 2 == 0
    # a mark of each patient: rows of a patient all alike, no rule that carries over to others
    marks = random.normal(0, 1, (20, len(NUCLEUS_FEATURES)))[patients] + random.normal(
        0, 0.05, (600, len(NUCLEUS_FEATURES))
    )
    scores, scored = out_of_fold(marks, truth, patients.tolist())
    from histosynth.core.roc import auc_interval

    value, low, high = auc_interval(scores[scored], truth[scored], patients[scored].tolist())
    assert low < 0.5 < high or value < 0.5


def test_too_few_nuclei_are_reported_with_how_many_it_takes():
    section = conclude_morphology(
        sample(2, patients=1, nuclei=6),
        sample(0),
        None,
        CLASSES,
    )
    by_name = findings(section)
    assert not by_name["W1_round"].value.is_defined
    assert "20" in by_name["W1_round"].value.reason
    assert not by_name["AUC_nuclei"].value.is_defined
    none = conclude_morphology(Sample(()), sample(0), None, CLASSES)
    assert not any(each.value.is_defined for each in none.findings)
    for each in (section, none):
        json.dumps(each.as_dict(), allow_nan=False)


def test_detected_nuclei_take_the_class_of_the_requested_one_nearby_and_keep_their_place():
    seen = Nuclei.of(
        [[10, 10], [60, 60], [90, 20]],
        ["any"] * 3,
        size=(128, 128),
        mpp=0.5,
        classes=("x",),
    )
    requested = Nuclei.of(
        [[13, 10], [90, 27], [30, 100]],
        ["a", "b", "b"],
        size=(128, 128),
        mpp=0.5,
        classes=("a", "b"),
    )
    named = classed_by_request(seen, requested, reach_um=STRICT_UM)
    np.testing.assert_array_equal(named.xy, seen.xy)
    assert named.names() == ["a", "any", "any"]  # 3.5 um are too far
