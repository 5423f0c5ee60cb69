"""The section on inpainting: each finding, sentence, fact and plot, for given measurements."""

import math

import numpy as np
import pytest

from histosynth.core.estimate import Estimate
from histosynth.metrics.finding import Finding, Plot, Series
from histosynth.metrics.inpainting import INPAINTING
from histosynth.metrics.inpainting.conclude import conclude_inpainting
from histosynth.metrics.intervals import mean_over, ratio_over
from histosynth.metrics.metric import Settings, Sides, TileInput, Tools
from histosynth.metrics.sample import Sample, TileMeasurements

ABOUT = (
    "Inside is the mask, the boundary a band on both sides of its edge. An original is one of many "
    "tissues that fit, so PSNR and SSIM distinguish repair from blur only when compared with a "
    "baseline. SSIM: Wang et al. 2004."
)
NO_TILE = "there is no inpainted tile; it takes 1"


def side(count, seed, *, changed=(), perceptual=True, **given):
    """Tiles with random measurements; known pixels are changed in the tiles `changed`."""
    random = np.random.default_rng(seed)
    tiles = []
    for i in range(count):
        outside = [3.0 + i, 2.0, 1000.0 + i] if i in changed else [0.0, 0.0, 1000.0 + i]
        values = {
            "inpainting/psnr": random.uniform(10, 30, 2),
            "inpainting/ssim": random.uniform(0, 1, 2),
            "inpainting/outside": np.array(outside),
            "inpainting/boundary_step": random.uniform(1, 9, 2),
            "inpainting/fibres": random.uniform(1, 2, (2, 2)),
        }
        if perceptual:
            values["inpainting/perceptual"] = random.uniform(0, 1, 2)
        for name, rows in given.items():
            values[f"inpainting/{name}"] = np.array(rows[i], np.float64)
        tiles.append(TileMeasurements(f"{seed}t{i}", f"{seed}p{i // 2}", "", values))
    return Sample(tuple(tiles))


def by_name(section):
    return {finding.name: finding for finding in section.findings}


def test_means_of_regions_with_and_without_a_baseline():
    completed = side(24, 0)
    baseline = side(22, 1)
    alone = conclude_inpainting(completed, perceptual="LPIPS")
    compared = conclude_inpainting(completed, baseline, perceptual="LPIPS")
    named = conclude_inpainting(
        completed, baseline, baseline_name="tissue of other patients", perceptual="LPIPS"
    )
    regions = [
        ("psnr", "psnr", "high", "dB"),
        ("ssim", "ssim", "high", ""),
        ("LPIPS", "perceptual", "low", ""),
    ]
    expected = []
    for name, key, better, unit in regions:
        for column, region in enumerate(("inside", "boundary")):
            ours, theirs = (
                mean_over(
                    each.stack(f"inpainting/{key}")[:, column],
                    each.patients,
                    unit=unit,
                )
                for each in (completed, baseline)
            )
            expected.append((f"{name}_{region}", ours, better, theirs))
    note = "compared with: tissue of other patients"
    assert list(alone.findings[:6]) == [Finding(*each[:3]) for each in expected]
    assert list(compared.findings[:6]) == [Finding(*each) for each in expected]
    assert list(named.findings[:6]) == [Finding(*each, note=note) for each in expected]
    assert [each.name for each in alone.findings[6:]] == [
        "boundary_step",
        "fibres",
        "outside_largest",
        "outside_changed",
    ]


def test_an_unnamed_perceptual_distance_and_one_that_was_not_measured():
    names = [each.name for each in conclude_inpainting(side(4, 0)).findings]
    assert names[4:6] == ["perceptual_inside", "perceptual_boundary"]
    without = conclude_inpainting(side(4, 0, perceptual=False), side(4, 1), perceptual="LPIPS")
    assert [each.name for each in without.findings[:5]] == [
        "psnr_inside",
        "psnr_boundary",
        "ssim_inside",
        "ssim_boundary",
        "boundary_step",
    ]
    half = by_name(conclude_inpainting(side(4, 0), side(4, 1, perceptual=False), baseline_name="x"))
    assert half["perceptual_inside"].real is None
    assert half["perceptual_inside"].note == ""
    assert half["ssim_inside"].real.is_defined


def test_an_empty_baseline_is_none():
    completed = side(4, 0)
    empty = conclude_inpainting(completed, Sample(()), baseline_name="other tissue")
    assert empty.findings == conclude_inpainting(completed).findings


def test_tiles_without_any_difference_are_left_out_of_psnr_and_counted():
    infinite = [[math.inf, 20.0], [math.inf, math.nan], [30.0, 10.0], [math.inf, math.inf]]
    baseline = side(4, 1)
    section = conclude_inpainting(side(4, 0, psnr=infinite), baseline, baseline_name="other tissue")
    inside = by_name(section)["psnr_inside"]
    assert inside.value.value == 30.0
    assert inside.value.n == 1
    assert inside.note == (
        "3 tiles without any difference (infinite PSNR) left out; compared with: other tissue"
    )
    boundary = by_name(section)["psnr_boundary"]
    assert boundary.value.value == 15.0
    assert boundary.note.startswith("1 tile without any difference (infinite PSNR) left out; ")
    none = [[math.inf, math.inf], [math.inf, math.nan]]
    section = conclude_inpainting(side(2, 0, psnr=none), side(2, 1, psnr=none))
    for name, count in (("psnr_inside", 2), ("psnr_boundary", 1)):
        found = by_name(section)[name]
        for value in (found.value, found.real):
            assert value.reason == (
                f"nothing differs in {count} tile{'s' * (count > 1)}, so that PSNR is infinite"
            )
            assert (value.n, value.unit) == (count, "dB")
        assert found.note == ""


def test_steps_and_fibres_are_compared_with_those_of_the_original():
    completed = side(24, 0)
    found = by_name(conclude_inpainting(completed))
    patients = completed.patients
    steps = completed.stack("inpainting/boundary_step")
    assert found["boundary_step"] == Finding(
        "boundary_step",
        mean_over(steps[:, 0], patients, unit="grey levels"),
        "real",
        mean_over(steps[:, 1], patients, unit="grey levels"),
        ratio_over(steps[:, 0], steps[:, 1], patients),
        note="change of colour across the mask's boundary, compared with the original's at the "
        "same place",
    )
    fibres = completed.stack("inpainting/fibres")
    assert found["fibres"] == Finding(
        "fibres",
        ratio_over(fibres[:, 0, 0], fibres[:, 0, 1], patients),
        "real",
        ratio_over(fibres[:, 1, 0], fibres[:, 1, 1], patients),
        note="how far fibres keep their direction across the boundary, -1 to 1, compared with the "
        "original's",
    )


def test_changes_of_known_pixels():
    completed = side(24, 0, changed=[2, 5])
    found = by_name(conclude_inpainting(completed))
    largest = found["outside_largest"]
    assert largest.value.as_dict() == {
        "value": 8.0,
        "low": None,
        "high": None,
        "n": 24 * 1000 + sum(range(24)),
        "interval": "none",
        "reason": "the largest of all known pixels of these tiles, not a sample of them",
        "unit": "grey levels",
        "groups": 12,
    }
    assert largest.better == "zero"
    assert largest.note == "largest change of a known pixel"
    values = completed.stack("inpainting/outside")
    assert found["outside_changed"] == Finding(
        "outside_changed",
        ratio_over(values[:, 1], values[:, 2], completed.patients),
        "zero",
        note="share of known pixels that changed",
    )
    assert found["outside_changed"].value.value == pytest.approx(4 / (24 * 1000 + sum(range(24))))


@pytest.mark.parametrize(
    ("tiles", "changed", "verdict"),
    [
        (3, [], "No known pixel of 3 tiles was changed."),
        (3, [0, 2], "Known pixels were changed in 2 of 3 tiles: 0t0, 0t2."),
        (
            11,
            range(10),
            "Known pixels were changed in 10 of 11 tiles: 0t0, 0t1, 0t2, 0t3, 0t4, 0t5, 0t6, 0t7, "
            "0t8, 0t9.",
        ),
        (
            12,
            range(12),
            "Known pixels were changed in 12 of 12 tiles: 0t0, 0t1, 0t2, 0t3, 0t4, 0t5, 0t6, 0t7, "
            "0t8, 0t9 and 2 more.",
        ),
    ],
)
def test_the_verdict_names_up_to_ten_tiles(tiles, changed, verdict):
    section = conclude_inpainting(
        side(tiles, 0, changed=changed), about={"weights": "none", "input": "64 px"}
    )
    assert section.verdict == verdict
    assert section.facts == {
        "perceptual": {"weights": "none", "input": "64 px"},
        "changed_tiles": [f"0t{i}" for i in changed],
    }
    assert (section.key, section.title, section.about) == (
        "inpainting",
        "Inpainting of masks",
        ABOUT,
    )


def test_the_plot_shows_steps_of_tiles_of_which_both_were_measured():
    steps = [[1.0, 2.0], [math.nan, 3.0], [4.0, math.nan], [5.0, 6.0]]
    section = conclude_inpainting(side(4, 0, boundary_step=steps))
    assert section.plots == (
        Plot(
            "Change of colour across the boundary",
            "grey levels",
            "",
            (
                Series("real", "original", [2.0, 6.0]),
                Series("synthetic", "inpainted", [1.0, 5.0]),
            ),
            "density",
        ),
    )
    assert conclude_inpainting(side(2, 0, boundary_step=steps[1:3])).plots == ()


def test_a_section_without_tiles():
    section = conclude_inpainting(Sample(()), side(3, 1), perceptual="LPIPS")
    rows = [
        (each.name, each.better, each.value.reason, each.value.unit) for each in section.findings
    ]
    assert rows == [
        ("psnr_inside", "high", NO_TILE, "dB"),
        ("psnr_boundary", "high", NO_TILE, "dB"),
        ("ssim_inside", "high", NO_TILE, ""),
        ("ssim_boundary", "high", NO_TILE, ""),
        ("boundary_step", "real", NO_TILE, ""),
        ("fibres", "real", NO_TILE, ""),
        ("outside_largest", "zero", NO_TILE, "grey levels"),
        ("outside_changed", "zero", NO_TILE, "grey levels"),
    ]
    assert section.findings[0].note == ""
    assert section.verdict == ""
    assert section.plots == ()
    assert section.facts == {"perceptual": {}, "changed_tiles": []}


def test_the_metric_concludes_from_the_tiles_that_were_inpainted():
    whole = side(4, 0)
    unmeasured = TileMeasurements("x", "px", "", {"stain/doses": np.zeros(2)})
    sides = Sides(Sample(()), Sample((*whole.tiles, unmeasured)))
    section = INPAINTING.conclude(
        sides, Settings(perceptual="LPIPS", perceptual_facts={"weights": "none"})
    )
    expected = conclude_inpainting(whole, perceptual="LPIPS", about={"weights": "none"})
    assert section.as_dict() == expected.as_dict()


class MeanDifference:
    """A perceptual distance: the mean absolute difference in each mask."""

    name = "difference"

    def distance(self, first, second, masks):
        gaps = np.abs(first.astype(np.float32) - second).mean(axis=3)
        return np.array([[gaps[0][mask].mean() for mask in masks[0]]], np.float32)


def test_the_metric_measures_a_tile_only_with_its_original_and_mask():
    random = np.random.default_rng(0)
    original = random.integers(0, 255, (64, 64, 3)).astype(np.uint8)
    mask = np.zeros((64, 64), bool)
    mask[20:40, 20:40] = True
    completed = original.copy()
    completed[mask] = 255 - completed[mask]
    tools = Tools(perceptual=MeanDifference())
    found = INPAINTING.measure(TileInput(completed, 0.5, None, original, mask), tools)
    assert set(found) == {
        f"inpainting/{name}"
        for name in ("mse", "psnr", "ssim", "outside", "boundary_step", "fibres", "perceptual")
    }
    gap = np.abs(original.astype(float) - completed)[mask].mean()
    assert found["inpainting/perceptual"][0] == pytest.approx(gap, rel=1e-5)
    assert found["inpainting/perceptual"].dtype == np.float64
    assert found["inpainting/outside"].tolist() == [0, 0, 64**2 - 20**2]
    assert INPAINTING.measure(TileInput(completed, 0.5, None, original), tools) == {}
    assert INPAINTING.measure(TileInput(completed, 0.5, None, None, mask), tools) == {}


def test_an_estimate_without_an_interval_is_json_able():
    found = by_name(conclude_inpainting(side(2, 0)))["outside_largest"].value
    assert isinstance(found, Estimate)
    assert isinstance(found.value, float)
    assert isinstance(found.n, int)
