"""A canvas in several windows: painted inside its mask only, the same on every run."""

import numpy as np
import pytest
from spoilt_slides import tissue

from histosynth.core.nuclei import Nuclei
from histosynth.model.loading import load_bundle
from histosynth.patching import canvas as canvas_module
from histosynth.patching.canvas import Canvas, paint_canvas
from histosynth.patching.nuclei import nuclei_around
from histosynth.sampling.painter import SamplingSettings

CLASSES = ("epithelial", "lymphocyte", "stromal")


@pytest.mark.parametrize("exemplar", [True, False])
def test_windows_change_nothing_outside_of_the_mask(bundle_folder, monkeypatch, exemplar):
    monkeypatch.setattr(canvas_module, "WINDOW_PX", 192)
    monkeypatch.setattr(canvas_module, "OVERLAP_PX", 64)
    bundle = load_bundle(bundle_folder)
    pixels = tissue(420, 210)
    mask = np.zeros((210, 420), bool)
    mask[80:130, 20:400] = True
    settings = SamplingSettings(steps=2, solver="euler", exemplar=exemplar, nuclei_time=0.4)
    nuclei = Nuclei.none((420, 210), 0.5, bundle.info.classes)
    painted = [
        paint_canvas(bundle, Canvas(pixels, mask, nuclei), settings, seed) for seed in (1, 1, 2)
    ]
    for each in painted:
        assert each.shape == pixels.shape
        assert (each[~mask] == pixels[~mask]).all()
    assert (painted[0] == painted[1]).all()
    assert (painted[0] != painted[2])[mask].any()
    assert (painted[0] != pixels).any(axis=2)[mask].mean() > 0.3


def test_windows_cover_a_canvas_and_overlap():
    for length in (200, 1024, 1025, 1600, 2560):
        spans = canvas_module._spans(length - length % 8, 1024)
        assert spans[0][0] == 0
        assert sum(spans[-1]) == length - length % 8
        assert all(start % 8 == 0 for start, _ in spans)
        starts = [start for start, _ in spans]
        assert all(1024 - step >= 248 for step in np.diff(starts))


def test_nuclei_in_the_mask_are_as_dense_as_those_around():
    pixels = tissue(480, 480, seed=2)[:, :360]
    mask = np.zeros((480, 360), bool)
    mask[180:300, 60:300] = True
    spoilt = pixels.copy()
    spoilt[mask] = 0
    nuclei = nuclei_around(spoilt, mask, mpp=0.5, classes=CLASSES, seed=1)
    rows, columns = nuclei.xy.round().astype(int).T[::-1]
    inside = mask[rows.clip(0, 479), columns.clip(0, 359)]
    share = inside.sum() / max(len(nuclei), 1)
    assert len(nuclei) > 60
    assert 0.6 < share / mask.mean() < 1.4
    assert nuclei_around(spoilt, mask, mpp=0.5, classes=("tumour",), seed=1) is None
