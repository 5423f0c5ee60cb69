"""Sections on tiles without contrast, without nuclei, or unchanged."""

import math

import numpy as np
import pytest
from degenerate import ends, ends_of, flat, plain, sample

from histosynth.core.nuclei import Nuclei
from histosynth.detectors.detector import DetectedNuclei
from histosynth.metrics.inpainting.boundary import Boundary, boundary_fibres
from histosynth.metrics.inpainting.conclude import conclude_inpainting
from histosynth.metrics.inpainting.measure import measure_inpainting
from histosynth.metrics.layout.conclude import conclude_layout
from histosynth.metrics.layout.measure import measure_layout
from histosynth.metrics.marginals import Quantity, compare_marginals
from histosynth.metrics.membership import conclude_membership
from histosynth.metrics.morphology.conclude import conclude_morphology
from histosynth.metrics.morphology.features import measure_morphology
from histosynth.metrics.morphology.nucleus_table import NucleusTable
from histosynth.metrics.morphology.two_sample import two_sample_auc
from histosynth.metrics.quality.conclude import conclude_quality
from histosynth.metrics.quality.measure import measure_quality
from histosynth.metrics.ring_classifier import RingClassifier
from histosynth.metrics.sample import Sample, TileMeasurements
from histosynth.metrics.stain.conclude import conclude_stain
from histosynth.metrics.stain.measure import measure_stain
from histosynth.metrics.structure.conclude import conclude_structure
from histosynth.metrics.structure.measure import measure_structure

pytestmark = pytest.mark.filterwarnings("error")


def measured(pictures, measure, name, per_patient=2):
    tiles = []
    for i, pixels in enumerate(pictures):
        tiles.append(
            TileMeasurements(f"{name}{i}", f"{name}{i // per_patient}", "", measure(pixels, 0.5))
        )
    return Sample(tuple(tiles))


@pytest.mark.parametrize("value", [0, 3, 128, 255])
@pytest.mark.parametrize(
    ("measure", "conclude", "summary"),
    [
        (measure_stain, conclude_stain, "stain_W1"),
        (measure_quality, conclude_quality, "quality_W1"),
    ],
)
def test_even_tiles_have_no_standard_deviation_to_divide_by(measure, conclude, summary, value):
    even = measured([flat(value)] * 8, measure, "p")
    found = plain(conclude(even, even, None))
    assert found[summary]["value"]["reason"] == (
        "8 real tiles are alike in every quantity, so that there is no standard deviation to "
        "divide by; give real tiles that differ"
    )
    for name, finding in found.items():
        if finding["value"]["value"] is not None:
            assert finding["value"]["value"] == 0, name


def test_a_deviation_that_is_only_rounding_divides_nothing():
    quantities = (Quantity("a", "a", "", "x", 0), Quantity("b", "b", "", "x", 1))
    values = np.column_stack([np.full(12, 0.1), np.arange(12)])
    assert values[:, 0].std() > 0
    moved = values + 1
    sides = [sample("p", values, x=values), sample("q", moved, x=moved)]
    findings, _ = compare_marginals(quantities, *sides, None, name="s")
    assert findings[0].value.value == pytest.approx(1 / values[:, 1].std())
    assert findings[0].note.startswith("mean of 1 of 2 distances")


def test_equal_losses_are_those_of_guessing():
    patients = ([f"a{i}" for i in range(4)], [f"b{i}" for i in range(4)])
    section = conclude_membership(np.ones((4, 2)), np.ones((4, 2)), patients=patients)
    found = plain(section)["membership_AUC"]["value"]
    assert ends_of(found) == (0.5, 0.5, 0.5)
    assert found["interval"] == "bootstrap over 8 patients (no replicate differs)"


@pytest.mark.parametrize(
    ("trained", "unseen", "means", "reason"),
    [
        (
            np.ones((4, 2)),
            np.zeros((0, 2)),
            (1.0, None),
            "An ROC curve needs items of both classes; 4 are true and 0 false. "
            "Add items of the class that is missing.",
        ),
        (
            np.full((4, 2), math.nan),
            np.ones((4, 2)),
            (None, 1.0),
            "A score is not a finite number. Leave that item out, or score it again.",
        ),
    ],
)
def test_losses_that_cannot_be_compared_are_undefined_and_null(trained, unseen, means, reason):
    patients = ([f"a{i}" for i in range(4)], [f"b{i}" for i in range(len(unseen))])
    section = conclude_membership(trained, unseen, patients=patients)
    assert plain(section)["membership_AUC"]["value"]["reason"] == reason
    assert section.facts == {"mean_loss": {"training": means[0], "unseen": means[1]}}


@pytest.mark.parametrize("constant", [False, True])
def test_the_same_nuclei_cannot_be_distinguished(constant):
    values = np.random.default_rng(0).normal(size=(60, 8))
    if constant:
        values = np.full((60, 8), 0.1)
    tile = np.arange(60) // 10
    nuclei = NucleusTable(values, np.zeros(60, np.intp), tile, [f"p{i}" for i in range(6)])
    found = two_sample_auc(nuclei, nuclei)
    assert ends(found) == (0.5, 0.5, 0.5)
    assert found.interval == "bootstrap over 6 patients (no replicate differs; few, so too narrow)"


MASK = np.zeros((64, 64), bool)
MASK[20:40, 20:40] = True


def inpainted(mask, completed=None):
    values = measure_inpainting(flat(), flat() if completed is None else completed, mask)
    return Sample((TileMeasurements("a", "p", "", values), TileMeasurements("b", "q", "", values)))


def test_an_unchanged_tile_is_equal_in_every_region():
    section = conclude_inpainting(inpainted(MASK))
    found = plain(section)
    reason = "nothing differs in 2 tiles, so that PSNR is infinite"
    assert found["psnr_inside"]["value"]["reason"] == reason
    assert found["ssim_inside"]["value"]["value"] == 1
    assert found["boundary_step"]["ratio"]["reason"] == "there is nothing to divide by"
    assert found["fibres"]["value"]["reason"] == "no item could be measured"
    assert section.verdict == "No known pixel of 2 tiles was changed."


def test_a_mask_of_the_whole_tile_leaves_no_known_pixel_to_have_a_verdict_on():
    section = conclude_inpainting(inpainted(np.ones_like(MASK)))
    reason = "the masks cover all pixels of all tiles"
    assert section.verdict == f"No verdict on known pixels: {reason}."
    for name in ("outside_largest", "outside_changed"):
        assert plain(section)[name]["value"]["reason"] == reason


def test_a_mask_of_nothing_has_no_inside():
    found = plain(conclude_inpainting(inpainted(np.zeros_like(MASK))))
    for name in ("psnr_inside", "ssim_boundary", "boundary_step", "fibres"):
        assert found[name]["value"]["reason"] == "no item could be measured"


@pytest.mark.parametrize("value", [0, 77, (200, 120, 180), 255])
def test_even_colour_has_no_fibres(value):
    assert np.isnan(boundary_fibres(flat(value), Boundary.of(MASK))).all()


# nuclei


def nuclei(names):
    xy = [(10 + 4 * i, 30) for i in range(len(names))]
    return Nuclei.of(
        np.array(xy, np.float32).reshape(-1, 2),
        names,
        size=(64, 64),
        mpp=0.5,
        classes=("a", "b"),
    )


@pytest.mark.parametrize(
    ("names", "counts"), [([], "[]"), (["a"], "[1]"), (["b", "b"], "[0, 2]"), (["any"], "[]")]
)
def test_a_classifier_needs_nuclei_of_each_class(names, counts):
    with pytest.raises(ValueError) as caught:
        RingClassifier.fit([(flat(), nuclei(names))])
    assert str(caught.value) == f"nuclei of each class: {counts}; each takes 1, and all 2"


def test_nuclei_without_any_contrast_are_all_of_the_first_class():
    classifier = RingClassifier.fit([(flat(), nuclei(["a", "b", "b"]))])
    assert classifier(flat(), nuclei(["b", "a"])).tolist() == [0, 0]
    assert classifier(flat(), nuclei([])).tolist() == []


@pytest.mark.parametrize("value", [0, (200, 120, 180), 255])
@pytest.mark.parametrize("names", [[], ["a"], ["a", "b", "b"]])
def test_morphology_and_layout_of_few_nuclei_on_even_tiles_are_plain_numbers(value, names):
    marked = nuclei(names)
    tiles = []
    for i in range(4):
        values = measure_morphology(flat(value), marked) | {
            f"found/{key}": each for key, each in measure_layout(marked).items()
        }
        tiles.append(TileMeasurements(f"t{i}", f"p{i}", "", values))
    side = Sample(tuple(tiles))
    outlined = plain(conclude_morphology(side, side, None, ("a", "b")))["outlined"]["value"]
    assert outlined["reason"].endswith(" such nuclei on the synthetic side; it takes 20")
    found = side.under("found/")
    layout = plain(conclude_layout(found, found, found, ("a", "b"), marked=found))
    for of in ("requested", "real"):
        assert layout[f"density_from_{of}"]["value"]["value"] == 0
        assert layout[f"nearest_from_{of}_all"]["value"]["reason"] == (
            "a side holds fewer than 50 nuclei"
        )


class Finds:
    """A detector that finds what it is given."""

    def __init__(self, found):
        self.name = "d"
        self.mpp = 0.5
        self.classes = ("a", "b")
        self.halo_px = 0
        self.lattice_px = 1
        self.found = found

    def __call__(self, pixels):
        return DetectedNuclei(self.found.xy, self.found.class_ids, np.ones(len(self.found)))


@pytest.mark.parametrize(
    ("requested", "found", "f1", "precision"),
    [
        (["a", "b"] * 6, ["a", "b"] * 6, 1.0, 1.0),
        (["a", "b"] * 6, [], 0.0, None),
        ([], ["a", "b"] * 6, None, None),
        ([], [], None, None),
    ],
)
def test_structure_of_tiles_without_requested_or_found_nuclei(requested, found, f1, precision):
    values = measure_structure(flat(), nuclei(requested), detectors={"d": Finds(nuclei(found))})
    tiles = [TileMeasurements(f"t{i}", f"p{i}", "", values) for i in range(4)]
    side = Sample(tuple(tiles))
    by = plain(conclude_structure(side, side, ("a", "b"), ["d"]))
    assert by["F1_d"]["value"]["value"] == f1
    assert by["precision_d"]["value"]["value"] == precision
    reason = by["precision_d"]["value"]["reason"]
    if not requested:
        assert reason == "0 such nuclei on the synthetic side; it takes 20"
    elif not found:
        assert reason == "it is not defined for this sample"
