"""Features of nuclei are those of a plain procedure, and tables keep them with their tiles."""

import math

import numpy as np
import pytest
from scipy import ndimage, signal
from skimage.measure import perimeter_crofton
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from histosynth.core.nuclei import Nuclei
from histosynth.metrics.morphology import two_sample
from histosynth.metrics.morphology.features import (
    NUCLEUS_FEATURES,
    chromatin_of,
    crofton_perimeter,
    fine_power,
    measure_morphology,
    shape_of,
)
from histosynth.metrics.morphology.nucleus_table import NucleusTable
from histosynth.metrics.morphology.segment import HALF_WINDOW, SAMPLE_UM, NucleusMasks, segment
from histosynth.metrics.morphology.two_sample import (
    folds_by_patient,
    out_of_fold,
    two_sample_auc,
)
from histosynth.metrics.sample import Sample, TileMeasurements
from histosynth.tissue.appearance import CANONICAL_DYES
from histosynth.tissue.density import from_density

SIDE = 2 * HALF_WINDOW + 1


def odd_masks():
    """Masks of several forms, off the middle, none at the window's border."""
    offset = np.arange(SIDE) - HALF_WINDOW
    x, y = np.meshgrid(offset, offset)
    around = np.arctan2(y, x)
    return np.stack(
        [
            (x == 3) & (y == -2),
            ((x == 2) | (x == 6)) & (y == 5),  # one pair of places at 1 um
            np.hypot(x - 5, y + 3) < 16,
            np.hypot((x + y) / 20, (x - y) / 8) < 1,
            np.hypot(x / 30, (y - 6) / 7) < 1,
            np.hypot(x, y) < 18 * (1 + 0.25 * np.cos(5 * around)),
            (abs(x - 2) <= 1) & (abs(y + 9) <= 1),  # nothing is left without its rim
        ]
    )


def nucleus_masks(mask, density):
    return NucleusMasks(np.arange(len(mask)), mask, density, density[0], (0, 0, 0))


def test_shapes_are_those_of_moments_and_of_another_library():
    masks = odd_masks()
    area, eccentricity, irregularity = shape_of(masks)
    for number, mask in enumerate(masks):
        y, x = np.nonzero(mask)
        covariance = np.cov(np.stack([x, y]), bias=True) + np.eye(2) / 12
        short, long = np.linalg.eigvalsh(covariance)
        perimeter = perimeter_crofton(mask, directions=4)
        assert area[number] == pytest.approx(mask.sum() / 16)
        assert eccentricity[number] == pytest.approx(math.sqrt(1 - short / long), abs=1e-6)
        assert irregularity[number] == pytest.approx(
            1 - 4 * math.pi * mask.sum() / perimeter**2, rel=1e-9
        )
        assert crofton_perimeter(mask[None])[0] == pytest.approx(perimeter)


def test_an_empty_mask_breaks_nothing():
    area, eccentricity, irregularity = shape_of(np.zeros((1, SIDE, SIDE), bool))
    # counted as one sample with an outline of one
    assert area.tolist() == [SAMPLE_UM**2]
    assert eccentricity.tolist() == [0]
    assert irregularity == pytest.approx([1 - 4 * math.pi])
    none = shape_of(np.zeros((0, SIDE, SIDE), bool))
    assert [each.shape for each in none] == [(0,)] * 3


def one_chromatin(density, mask):
    """Mean, spread, slope and roughness of one nucleus."""
    core = ndimage.binary_erosion(mask, iterations=2)
    if not core.any():
        core = mask
    slopes = []
    squares = []
    for row, column in zip(*np.nonzero(core), strict=True):
        across = density[row, column + 2] - density[row, column - 2]
        down = density[row + 2, column] - density[row - 2, column]
        slopes.append(math.hypot(across, down) / 1.0)  # four samples are 1 um
        for other in ((row + 4, column), (row, column + 4)):
            if core[other]:
                squares.append((density[other] - density[row, column]) ** 2)
    contrast = np.mean(squares) if squares else 0.0
    return (
        density[mask].mean(),
        density[mask].std(),
        np.mean(slopes),
        contrast / max(2 * density[core].var(), 1e-9),
    )


def test_chromatin_is_that_of_one_nucleus_at_a_time():
    masks = odd_masks()
    random = np.random.default_rng(0)
    density = ndimage.gaussian_filter(random.uniform(0, 1, masks.shape), (0, 1, 1.5))
    density += np.linspace(0, 1, SIDE)
    found = np.stack(chromatin_of(nucleus_masks(masks, density.astype(np.float32))), axis=1)
    assert found.dtype == np.float64
    expected = [one_chromatin(*each) for each in zip(density, masks, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-9)


def test_even_chromatin_has_no_spread_and_no_roughness():
    masks = odd_masks()
    density = np.full(masks.shape, 0.75, np.float32)
    mean, spread, slope, roughness = chromatin_of(nucleus_masks(masks, density))
    assert mean.tolist() == [0.75] * len(masks)
    for each in (spread, slope, roughness):
        assert each.tolist() == [0] * len(masks)


def test_chromatin_of_no_nucleus():
    none = np.zeros((0, SIDE, SIDE))
    masks = NucleusMasks(np.zeros(0, int), none > 0, none.astype(np.float32), none[:0], (0, 0, 0))
    found = chromatin_of(masks)
    assert [each.shape for each in found] == [(0,)] * 4


def one_fine_power(density, place, mpp):
    """Of one place, from a tile that is reflected at its borders."""
    half = max(round(8 / mpp / 2), 2)
    wide = np.pad(density.astype(np.float64), half, mode="symmetric")
    column, row = np.rint(place).astype(int)
    patch = wide[row : row + 2 * half, column : column + 2 * half]
    hann = signal.get_window("hann", 2 * half)
    window = hann[:, None] * hann
    patch = (patch - np.average(patch, weights=window)) * window
    power = np.abs(np.fft.fft2(patch)) ** 2
    cycles = np.fft.fftfreq(2 * half) / mpp
    fine = np.hypot(*np.meshgrid(cycles, cycles)) > 0.3
    return math.log10(max(power[fine].sum() / power.sum(), 1e-6))


@pytest.mark.parametrize("mpp", [0.25, 0.5, 1.0, 3.0])
def test_fine_power_is_that_of_one_place_at_a_time(mpp):
    random = np.random.default_rng(1)
    density = ndimage.gaussian_filter(random.uniform(0, 1, (50, 70)), 0.8).astype(np.float32)
    places = np.array([[30.2, 20.7], [0.0, 0.0], [69.0, 49.0], [-0.4, 44.6]], np.float32)
    found = fine_power(density, places, mpp)
    assert found.dtype == np.float64
    expected = [one_fine_power(density, place, mpp) for place in places]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_fine_power_has_a_least_value():
    flat = np.full((40, 40), 0.5, np.float32)
    places = np.array([[20.0, 20.0]], np.float32)
    assert fine_power(flat, places, 0.5).tolist() == [-6]
    noise = np.random.default_rng(0).uniform(0, 1, (40, 40)).astype(np.float32)
    assert fine_power(noise, places, 3.0).tolist() == [-6]  # no detail of 0.3 cycles/um
    pale = fine_power(noise * np.float32(1e-3), places, 0.5)
    assert pale == pytest.approx(fine_power(noise, places, 0.5), rel=1e-4)
    # power that is hardly above nothing is no power
    tiny = (noise * 1e-12).astype(np.float32)
    assert fine_power(tiny, places, 0.5)[0] == -6


def discs(mpp=0.5):
    rows, columns = np.mgrid[:90, :110]
    xy = np.array([[25.0, 30.0], [70.0, 30.0], [45.0, 65.0], [3.0, 80.0]])
    amount = np.full((90, 110), 0.05)
    for number, (x, y) in enumerate(xy):
        amount[np.hypot(columns - x, rows - y) < 8 + number] = 0.7
    grain = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((90, 110)), 0.8)
    amount *= 1 + 0.3 * grain
    density = amount[..., None] * CANONICAL_DYES[0] + 0.4 * CANONICAL_DYES[1]
    pixels = from_density(density.astype(np.float32)).round().astype(np.uint8)
    nuclei = Nuclei.of(xy, ["a", "any", "b", "a"], size=(110, 90), mpp=mpp, classes=("a", "b"))
    return pixels, nuclei


def test_a_row_holds_the_features_of_one_nucleus_in_order():
    pixels, nuclei = discs()
    found = measure_morphology(pixels, nuclei)
    masks = segment(pixels, nuclei)
    assert list(found) == [
        "morphology/values",
        "morphology/class_ids",
        "morphology/left_out",
    ]
    assert all(each.dtype == np.float64 for each in found.values())
    assert found["morphology/class_ids"].tolist() == [0, 255, 1]
    assert found["morphology/left_out"].tolist() == [4, 0, 1, 0]
    assert NUCLEUS_FEATURES == (
        "area_um2",
        "eccentricity",
        "irregularity",
        "density",
        "density_spread",
        "chromatin_gradient",
        "chromatin_roughness",
        "fine_power",
    )
    expected = [
        *shape_of(masks.mask),
        *chromatin_of(masks),
        fine_power(masks.tile_density, nuclei.xy[masks.row], nuclei.mpp),
    ]
    np.testing.assert_array_equal(found["morphology/values"], np.stack(expected, axis=1))


def measured_tile(name, patient, values, class_ids):
    left_out = np.array([len(values), 0, 0, 0.0])
    seen = {
        "morphology/values": values,
        "morphology/class_ids": np.asarray(class_ids, float),
        "morphology/left_out": left_out,
    }
    return TileMeasurements(name, patient, "", seen)


def table_of_three_tiles():
    values = np.arange(4.0 * 8).reshape(4, 8)
    return NucleusTable.of(
        Sample(
            (
                measured_tile("t0", "p", values[:1], [1]),
                measured_tile("t1", "q", values[:0], []),
                measured_tile("t2", "", values[1:], [0, 1, 255]),
            )
        )
    )


def test_a_table_keeps_nuclei_with_their_tiles():
    table = table_of_three_tiles()
    assert len(table) == 4
    np.testing.assert_array_equal(table.values, np.arange(32.0).reshape(4, 8))
    assert table.values.dtype == np.float64
    assert table.class_ids.tolist() == [1, 0, 1, 255]
    assert table.class_ids.dtype == np.intp
    assert table.tile.tolist() == [0, 2, 2, 2]
    assert table.patients == ["p", "q", "\0t2"]
    assert table.owners == ["p", "\0t2", "\0t2", "\0t2"]
    assert [each.tolist() for each in table.by_tile(1)] == [[1], [], [9, 17, 25]]
    ones = table.where(table.class_ids == 1)
    assert ones.values[:, 0].tolist() == [0, 16]
    assert ones.class_ids.tolist() == [1, 1]
    assert ones.tile.tolist() == [0, 2]
    assert ones.patients == table.patients
    some = table.only(["fine_power", "area_um2"])
    assert some.values.tolist() == [[7, 0], [15, 8], [23, 16], [31, 24]]
    assert some.tile is table.tile
    assert some.class_ids is table.class_ids
    sums, patients = table.share(np.array([True, False, True, True]))
    assert sums.tolist() == [[1, 1], [0, 0], [2, 3]]
    assert sums.dtype == np.float64
    assert patients == table.patients
    only_first, _ = table.where(np.array([True, False, False, False])).share(np.array([0.5]))
    assert only_first.tolist() == [[0.5, 1], [0, 0], [0, 0]]


def test_a_table_of_nothing():
    table = NucleusTable.of(Sample(()))
    assert table.values.shape == (0, 8)
    assert table.class_ids.shape == table.tile.shape == (0,)
    assert table.owners == table.patients == []


def side(seed, counts, *, shift=0.0, prefix="p", columns=8):
    """A table with so many nuclei of each patient, two features of which are shifted."""
    random = np.random.default_rng(seed)
    values = random.normal(0, 1, (sum(counts), columns))
    values[:, :2] += shift
    values[:, 2] *= 1 + shift  # also spreads differ
    tile = np.repeat(np.arange(len(counts)), counts)
    patients = [f"{prefix}{number}" for number in range(len(counts))]
    return NucleusTable(values, np.zeros(len(values), int), tile, patients)


def test_scores_are_those_of_a_pipeline_of_another_library():
    first = side(0, [40] * 6, shift=0.5)
    second = side(1, [30] * 6)
    values = np.concatenate([first.values, second.values])
    values[3, 4] = 50  # clipped at four standard deviations
    values[300, 5] = -50
    truth = np.arange(len(values)) < len(first)
    patients = [*first.owners, *second.owners]
    scores, scored = out_of_fold(values, truth, patients, seed=3)
    assert scored.all()
    assert scored.dtype == np.bool_
    expected = np.zeros(len(values))
    for learnt, held_out in folds_by_patient(truth, patients, seed=3):
        scale = StandardScaler().fit(values[learnt])
        products = PolynomialFeatures(2, include_bias=False)
        rows = products.fit_transform(scale.transform(values).clip(-4, 4))
        model = LogisticRegression(C=0.1, class_weight="balanced", max_iter=500)
        model.fit(rows[learnt], truth[learnt])
        expected[held_out] = model.decision_function(rows[held_out])
    np.testing.assert_allclose(scores, expected, atol=1e-3)


def test_folds_are_five_or_one_a_patient_and_depend_on_the_seed():
    truth = np.arange(80) % 2 == 0
    patients = [f"p{number}" for number in np.arange(80) % 8]

    def held_out(names, *seed):
        return [rows.tolist() for _, rows in folds_by_patient(truth, names, *seed)]

    assert len(held_out(patients)) == 5
    assert len(held_out([name if name < "p3" else "p0" for name in patients])) == 3
    assert held_out(patients) == held_out(patients, 0) != held_out(patients, 1)
    for learnt, rows in folds_by_patient(truth, patients):
        assert sorted([*learnt, *rows]) == list(range(80))
        assert learnt.dtype == rows.dtype == np.intp


def test_out_of_fold_has_a_default_seed():
    table = side(0, [10] * 8)
    truth = np.arange(80) % 3 == 0
    default, _ = out_of_fold(table.values, truth, table.owners)
    zero, _ = out_of_fold(table.values, truth, table.owners, 0)
    one, _ = out_of_fold(table.values, truth, table.owners, 1)
    np.testing.assert_array_equal(default, zero)
    assert not np.allclose(default, one)


def test_a_fold_that_leaves_one_side_only_is_not_scored():
    table = side(0, [10] * 3)
    truth = table.tile == 0  # all true ones are of one patient
    scores, scored = out_of_fold(table.values, truth, table.owners)
    assert scored.tolist() == [False] * 10 + [True] * 20
    assert scores[:10].tolist() == [0] * 10
    assert (scores[10:] != 0).all()


def test_the_area_is_that_of_scores_of_held_out_patients():
    first = side(0, [12] * 6, shift=0.4)
    second = side(1, [10] * 7, prefix="q")
    found = two_sample_auc(first, second, seed=4)
    truth = np.arange(142) < 72
    scores, _ = out_of_fold(
        np.concatenate([first.values, second.values]),
        truth,
        [*first.owners, *second.owners],
        4,
    )
    assert found.value == pytest.approx(roc_auc_score(truth, scores))
    assert found.low < found.value < found.high
    assert (found.n, found.groups, found.unit, found.reason) == (142, 13, "", "")
    assert found.interval == "bootstrap over 13 patients"
    assert two_sample_auc(first, second) == two_sample_auc(first, second, seed=0) != found


@pytest.mark.parametrize(
    ("first", "second", "n", "groups", "reason"),
    [
        ([10, 9], [10] * 3, 19, 3, "one side has 19 nuclei; at least 20 would be needed"),
        ([10] * 4, [0, 5, 5], 10, 4, "one side has 10 nuclei; at least 20 would be needed"),
        ([30], [10] * 3, 30, 3, "one side has nuclei of 1 patient; at least 2 would be needed"),
        ([20] * 3, [0, 30], 30, 3, "one side has nuclei of 1 patient; at least 2 would be needed"),
    ],
)
def test_what_is_too_few_to_distinguish(first, second, n, groups, reason):
    found = two_sample_auc(side(0, first), side(1, second))
    assert not found.is_defined
    assert (found.reason, found.n, found.groups) == (reason, n, groups)


def test_twenty_nuclei_of_two_patients_are_enough():
    found = two_sample_auc(side(0, [10, 10]), side(1, [10, 10]))
    assert found.is_defined
    assert (found.n, found.groups) == (40, 2)
    assert found.interval == "bootstrap over 2 patients (few, so too narrow)"
    ten = two_sample_auc(side(0, [4] * 5), side(1, [4] * 5, prefix="q"))
    assert ten.interval == "bootstrap over 10 patients"


def test_of_many_nuclei_a_random_part_is_taken(monkeypatch):
    first = side(0, [20] * 5, shift=0.4)
    second = side(1, [10] * 5, prefix="q")
    whole = two_sample_auc(first, second)
    monkeypatch.setattr(two_sample, "MAX_NUCLEI", 50)
    part = two_sample_auc(first, second)
    assert (whole.n, part.n) == (150, 100)  # all 50 of the second side are kept
    assert part.value == pytest.approx(whole.value, abs=0.15)
    assert part.groups == 10
    assert two_sample_auc(first, second, seed=1) != part
    assert two_sample_auc(first, second, seed=0) == part
