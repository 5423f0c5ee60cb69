"""The model of layouts: its file, its fields and forces, and what is drawn from a seed."""

import json

import numpy as np
import pytest
from scipy.spatial import cKDTree

from histosynth.core.errors import BadLayouts
from histosynth.core.nuclei import Nuclei
from histosynth.tissue.layouts.drawing import draw_nuclei_like
from histosynth.tissue.layouts.fitting import fit_layouts, points_of
from histosynth.tissue.layouts.model import LayoutModel, read_layouts
from histosynth.tissue.layouts.tile_facts import pair_ratios
from histosynth.tissue.layouts.tile_samples import Points, sample_tiles

CORE_UM = 6.0


def model(per_mm2=2000.0, core_um=0.0, classes=("one", "two")):
    count = len(classes)
    forces = np.zeros((count, count, 12))
    forces[:, :, : int(core_um / 2)] = 6.0
    densities = np.tile([0.5 * per_mm2, per_mm2, 1.5 * per_mm2], (count, 1))
    mixing = np.stack([np.eye(count)])
    return LayoutModel(classes, densities, np.array([30.0]), mixing, forces)


def nearest(points):
    return cKDTree(points.xy).query(points.xy, k=2)[0][:, 1]


def write(path, **changes):
    values = model().as_dict() | changes
    path.write_text(json.dumps(values))
    return path


def test_a_file_reads_back_equal(tmp_path):
    written = model(core_um=CORE_UM)
    path = write(tmp_path / "a.json", **written.as_dict())
    assert read_layouts(path).as_dict() == written.as_dict()
    assert read_layouts(path).sha256 == written.sha256 != model().sha256


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format": 2}, "its format is 2, not 1"),
        ({"classes": []}, "it names 0 classes, not 1 to 20 different ones"),
        ({"classes": ["a", "a"]}, "it names 2 classes, not 1 to 20 different ones"),
        ({"densities": [[0, 1]]}, "densities has the shape (1, 2)"),
        ({"densities": [[0, 1], [2, 1]]}, "densities must not be negative, and must ascend"),
        ({"densities": [[-1, 1], [2, 3]]}, "densities must not be negative, and must ascend"),
        ({"densities": [[0, 1e9], [2, 3]]}, "densities holds values beyond 1,000,000, or no numb"),
        ({"scales_um": [0.0]}, "scales_um must lie in (0, 2000]"),
        ({"scales_um": [1.0, 2.0]}, "mixing has the shape (1, 2, 2)"),
        ({"mixing": [[[1, 2], [2, 1]]]}, "mixing holds a matrix that is no covariance"),
        ({"forces": [[[0], [1]], [[2], [0]]]}, "forces differ between a pair of classes and the"),
    ],
)
def test_files_of_others_are_refused(tmp_path, changes, reason):
    path = write(tmp_path / "a.json", **changes)
    with pytest.raises(BadLayouts) as refusal:
        read_layouts(path)
    assert str(refusal.value).startswith(f"{path} is no model of layouts: {reason}")


def test_damaged_files_are_refused(tmp_path):
    path = tmp_path / "a.json"
    for text in ("", "[]", "{}", '{"format": 1}', "[" * 100_000):
        path.write_text(text)
        with pytest.raises(BadLayouts):
            read_layouts(path)
    path.write_text(write(path).read_text().replace("2000.0", "NaN"))
    with pytest.raises(BadLayouts, match="densities holds values beyond"):
        read_layouts(path)


def test_sampled_tiles_hold_the_nuclei_of_their_densities():
    sample = sample_tiles(model(core_um=CORE_UM), 30, side_cells=20, seed=1)
    expected = sum(field.sum(axis=(1, 2)) * 1e-4 for field in sample.fields)
    found = sum(np.bincount(each.class_ids, minlength=2) for each in sample.points)
    np.testing.assert_allclose(found, expected, rtol=0.12)
    for each, field in zip(sample.points, sample.fields, strict=True):
        assert field.shape == (2, 20, 20)
        assert (each.xy >= 0).all() and (each.xy < sample.side_um).all()
    close = np.concatenate([nearest(each) for each in sample.points])
    assert (close < CORE_UM).mean() < 0.02


def test_pairs_of_nuclei_without_order_have_a_ratio_of_the_bins_area():
    random = np.random.default_rng(0)
    tiles = [Points(random.random((300, 2)) * 200, np.zeros(300, np.intp)) for _ in range(20)]
    found = pair_ratios(tiles, [(200.0, 200.0)] * 20, 1)[0, 0]
    edges = np.arange(43) * 2.0
    np.testing.assert_allclose(found[5:], np.pi * np.diff(edges**2)[5:], rtol=0.1)


def test_a_layout_depends_on_seed_and_number_alone():
    known = model(core_um=CORE_UM)
    first = draw_nuclei_like(known, (128, 96), mpp=0.5, seed=1, number=3)
    again = draw_nuclei_like(known, (128, 96), mpp=0.5, seed=1, number=3)
    assert (first.xy == again.xy).all() and first.names() == again.names()
    assert first.size == (128, 96) and first.mpp == 0.5 and first.classes == ("one", "two")
    for seed, number in ((1, 4), (2, 3)):
        other = draw_nuclei_like(known, (128, 96), mpp=0.5, seed=seed, number=number)
        assert len(other) != len(first) or (other.xy != first.xy).any()


def test_a_tile_has_no_rim():
    known = model(per_mm2=4000, core_um=CORE_UM, classes=("one",))
    xy = np.concatenate(
        [draw_nuclei_like(known, (128, 128), mpp=0.5, seed=4, number=n).xy for n in range(6)]
    )
    rim = (np.minimum(xy, 127 - xy).min(axis=1) < 8).mean()
    share = 1 - (112 / 128) ** 2
    assert rim == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / len(xy)))


def test_the_fit_finds_the_core_of_a_pattern(monkeypatch):
    monkeypatch.setattr("histosynth.tissue.layouts.fitting._AREA_MM2", 3.0)
    known = model(core_um=CORE_UM, classes=("one",))
    tiles = [draw_nuclei_like(known, (400, 400), mpp=0.5, seed=5, number=n) for n in range(5)]
    fitted = fit_layouts(tiles, rounds=3)
    energies = fitted.forces[0, 0]
    assert (energies[:2] > 1.5).all() and (np.abs(energies[4:]) < 0.6).all()
    drawn = [draw_nuclei_like(fitted, (400, 400), mpp=0.5, seed=6, number=n) for n in range(5)]
    count = sum(map(len, tiles))
    assert sum(map(len, drawn)) == pytest.approx(count, rel=0.25)


def test_the_class_any_does_not_count():
    tile = Nuclei.of([[0, 0], [1, 1]], ["a", "any"], size=(4, 4), mpp=0.5, classes=("a",))
    points = points_of(tile)
    assert points.xy.tolist() == [[0.25, 0.25]] and points.class_ids.tolist() == [0]


def test_the_model_in_the_package():
    shipped = read_layouts()
    assert shipped.classes == ("epithelial", "lymphocyte", "stromal")
    assert "brca-m2c" in shipped.about and "75 patients" in shipped.about
    nuclei = draw_nuclei_like(shipped, (256, 256), mpp=0.5, seed=0)
    assert 20 < len(nuclei) < 400
    gaps = cKDTree(nuclei.xy).query(nuclei.xy, k=2)[0][:, 1] * 0.5
    assert (gaps < 2).mean() < 0.05
