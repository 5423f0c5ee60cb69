"""The section on realism: its findings, facts and map."""

import numpy as np
import pytest
from realism_sides import normal_sides, sample

from histosynth.metrics import METRICS
from histosynth.metrics.metric import Settings, Sides
from histosynth.metrics.realism.conclude import conclude_realism
from histosynth.metrics.realism.coverage import neighbourhood
from histosynth.metrics.realism.distance import all_distances, frechet_finding, kernel_finding
from histosynth.metrics.realism.feature_sides import feature_sides
from histosynth.metrics.sample import Sample, TileMeasurements

LABELS = ["viable", "necrotic"]
ABOUT = (
    "Distances between sets of tiles in the encoder's features, with the real baseline: as many "
    "real tiles of other patients against the same held-out tiles. A ratio of 1 is real tissue; "
    "below 1 the synthetic tiles are nearer to the held-out tiles than other patients' real ones, "
    "which is possible where they were generated from the nuclei and stain of those very tiles."
)


def labelled_samples(sides):
    """The first two tiles of each side are necrotic."""
    out = []
    for role in ("real", "synthetic", "other"):
        count = len(getattr(sides, role))
        out.append(sample(sides, role, [LABELS[row < 2] for row in range(count)]))
    return out


def test_the_section_has_all_distances_and_those_of_each_label():
    sides = normal_sides(other=(3, 2))  # too few for a baseline, which saves time
    real, synthetic, other = labelled_samples(sides)
    section = conclude_realism(real, synthetic, other, encoder="x", seed=2)
    assert (section.key, section.title, section.about) == ("realism", "Realism", ABOUT)
    assert section.facts == {
        "encoder": "x",
        "baseline": (
            "2 patients with 2 tiles each, of the 2 in the reference, against the real tiles"
        ),
        "resampled_jointly": False,
    }
    spatial = feature_sides(real, synthetic, other, "embed/spatial")
    expected = all_distances(sides, "x", seed=2)
    assert expected[:2] == [
        frechet_finding(sides, "FD_x", seed=2),
        kernel_finding(sides, "KID_x", seed=2),
    ]
    expected.append(frechet_finding(spatial, "spatial_FD_x", seed=2))
    expected += neighbourhood(sides, "x", seed=2)
    for label in sorted(LABELS):
        parts = [
            each.where(lambda tile, label=label: tile.label == label)
            for each in (real, synthetic, other)
        ]
        part = feature_sides(*parts, "embed/features")
        expected.append(frechet_finding(part, "FD_x", label=label, seed=2))
        expected.append(kernel_finding(part, "KID_x", label=label, seed=2))
    assert [(each.name, each.label) for each in section.findings] == [
        (each.name, each.label) for each in expected
    ]
    assert [each.as_dict() for each in section.findings] == [each.as_dict() for each in expected]


def few(role, label="", *, seed=0, spatial=True, counts=(2, 2)):
    """A side that is too small for any distance, so that sections are cheap."""
    sides = normal_sides(seed, real=counts, synthetic=counts, other=counts)
    tiles = sample(sides, role, label).tiles
    if not spatial:
        tiles = [
            TileMeasurements(
                each.name,
                each.patient,
                each.label,
                {"embed/features": each.values["embed/features"]},
            )
            for each in tiles
        ]
    return Sample(tuple(tiles))


@pytest.mark.parametrize(
    ("real", "synthetic", "labels"),
    [
        (["a", "b"] * 2, ["a", "b"] * 2, ["a", "b"]),
        (["b", "a"] * 2, ["a", "b", "c", "c"], ["a", "b"]),
        (["a"] * 4, ["a"] * 4, []),  # one label is all tiles
        (["a", ""] * 2, ["a", ""] * 2, []),
        (["a", "b"] * 2, ["a", "c"] * 2, []),
    ],
)
def test_labels_count_where_both_sides_have_several(real, synthetic, labels):
    section = conclude_realism(few("real", real), few("synthetic", synthetic), None, encoder="x")
    assert [each.label for each in section.findings if each.label] == [
        label for label in labels for _ in range(2)
    ]


@pytest.mark.parametrize(
    ("real", "synthetic", "listed"),
    [(True, True, True), (False, True, False), (True, False, False)],
)
def test_spatial_features_count_where_both_sides_have_them(real, synthetic, listed):
    section = conclude_realism(
        few("real", spatial=real), few("synthetic", spatial=synthetic), None, encoder="x"
    )
    names = [each.name for each in section.findings]
    assert names == ["FD_x", "KID_x", *["spatial_FD_x"] * listed] + [
        f"{name}_x" for name in ("precision", "recall", "density", "coverage")
    ]


def test_facts_state_what_the_baseline_is_of():
    halves = conclude_realism(few("real"), few("synthetic"), None, encoder="x").facts
    assert halves["baseline"] == "1 patient with 2 tiles each, of halves of the 2 real patients"
    assert not halves["resampled_jointly"]
    paired = conclude_realism(few("real"), few("real"), few("other"), encoder="x").facts
    assert paired["resampled_jointly"]
    assert paired["baseline"] == (
        "2 patients with 2 tiles each, of the 2 in the reference, against the real tiles"
    )


def test_the_map_shows_all_sides_on_the_main_directions_of_real_tissue():
    real = few("real", counts=(3, 2))
    synthetic = few("synthetic")
    other = few("other", counts=(1, 2))
    (plot,) = conclude_realism(real, synthetic, other, encoder="x").plots
    assert (plot.title, plot.x, plot.y, plot.form) == (
        "Tiles in the features of x",
        "first direction of real tissue",
        "second",
        "scatter",
    )
    assert [(each.role, each.name) for each in plot.series] == [
        ("reference", "reference"),
        ("real", "real"),
        ("synthetic", "synthetic"),
    ]
    features = real.stack("embed/features")
    values, vectors = np.linalg.eigh(np.cov(features.T))
    main = vectors[:, np.argsort(values)[::-1][:2]]
    for series, side in zip(plot.series, (other, real, synthetic), strict=True):
        expected = (side.stack("embed/features") - features.mean(axis=0)) @ main
        found = np.stack([series.x, series.y], axis=1)
        np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-9)


def test_the_map_of_few_real_tiles_has_the_directions_of_synthetic_ones():
    real = few("real", counts=(1, 1))
    synthetic = few("synthetic", counts=(4, 4))
    (plot,) = conclude_realism(real, synthetic, None, encoder="x").plots
    features = synthetic.stack("embed/features")
    assert [each.role for each in plot.series] == ["real", "synthetic"]
    spread = np.linalg.svd(features - features.mean(axis=0))[1]
    assert np.linalg.norm(plot.series[1].x) == pytest.approx(spread[0])
    assert np.linalg.norm(plot.series[1].y) == pytest.approx(spread[1])
    three = few("real", counts=(2, 1))
    (plot,) = conclude_realism(three, synthetic, None, encoder="x").plots
    assert np.mean(plot.series[0].x) == pytest.approx(0, abs=1e-9)


def test_the_map_shows_at_most_2000_tiles_of_a_side_and_needs_two_directions():
    for count, shown in ((2000, 2000), (2001, 2000)):
        synthetic = few("synthetic", counts=(count,))
        (plot,) = conclude_realism(few("real"), synthetic, None, encoder="x").plots
        assert [len(each.x) for each in plot.series] == [4, shown]
    (empty,) = conclude_realism(Sample(()), Sample(()), None, encoder="x").plots
    assert empty.series == ()
    narrow = Sample(
        tuple(
            TileMeasurements(str(row), str(row), "", {"embed/features": np.array([float(row)])})
            for row in range(4)
        )
    )
    (plot,) = conclude_realism(narrow, narrow, None, encoder="x").plots
    assert plot.series == ()
    sides = normal_sides(real=(2, 2), synthetic=(2, 2), other=(2,), width=2)
    flat = [sample(sides, role) for role in ("real", "synthetic", "other")]
    (plot,) = conclude_realism(*flat, encoder="x").plots
    assert len(plot.series) == 3
    (plot,) = conclude_realism(few("real"), Sample(()), None, encoder="x").plots
    assert [each.role for each in plot.series] == ["real"]


def test_the_metric_passes_its_sides_encoder_and_seed():
    sides = normal_sides(other=(2, 2))
    real, synthetic, other = (sample(sides, role) for role in ("real", "synthetic", "other"))
    metric = METRICS["realism"]
    found = metric.conclude(Sides(real, synthetic, other), Settings(encoder="x", seed=5))
    expected = conclude_realism(real, synthetic, other, encoder="x", seed=5)
    assert found.as_dict() == expected.as_dict()
    assert metric.name == "realism"
    assert metric.headline == ("FD_", "KID_")
    default = conclude_realism(real, synthetic, other, encoder="x").as_dict()
    assert default == conclude_realism(real, synthetic, other, encoder="x", seed=0).as_dict()
    assert default != found.as_dict()
