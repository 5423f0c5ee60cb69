"""Batches: items are sampled together only where that changes no picture."""

import numpy as np
import pytest
import torch

import histosynth as hs
from histosynth.core.condition import Condition, Context
from histosynth.core.errors import BadSize, UnknownClasses
from histosynth.core.geometry import Size
from histosynth.core.nuclei import ANY_CLASS, Nuclei
from histosynth.model.families.compact import CompactDenoiser
from histosynth.sampling import batch_check, batches, groups
from histosynth.sampling.settings import default_settings
from histosynth.sampling.synthesize import synthesize
from histosynth.testing import tiny_bundle


def layouts(count):
    return [hs.draw_layout((128, 128), mpp=0.5, seed=index) for index in range(count)]


@pytest.fixture
def sampled(monkeypatch):
    """Number of items of each call that samples latents."""
    lengths = []
    inner = groups.paint_latents

    def recording(bundle, maps, style, noise, *rest, **options):
        lengths.append(len(noise))
        return inner(bundle, maps, style, noise, *rest, **options)

    monkeypatch.setattr(groups, "paint_latents", recording)
    return lengths


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_a_batch_that_is_not_exact_is_sampled_one_by_one(monkeypatch, sampled, guidance):
    monkeypatch.setattr(batch_check, "_try_batch", lambda *_: False)
    hs.synthesize(
        layouts(3),
        bundle=tiny_bundle(),
        batch=3,
        steps=1,
        guidance=guidance,
    )
    assert sampled == [1, 1, 1]


@pytest.mark.parametrize("inexact", [2, 3, 6])
def test_guidance_doubles_the_batch_that_must_be_exact(monkeypatch, sampled, inexact):
    tried = []

    def try_batch(bundle, width, height, count):
        tried.append(count)
        return count != inexact

    monkeypatch.setattr(batch_check, "_try_batch", try_batch)
    hs.synthesize(
        layouts(3),
        bundle=tiny_bundle(),
        batch=3,
        steps=1,
        guidance=2.0,
    )
    assert sampled == [1, 1, 1]
    assert inexact in tried and set(tried) <= {2, 3, 6}


def test_without_guidance_the_doubled_batch_is_not_tried(monkeypatch, sampled):
    monkeypatch.setattr(batch_check, "_try_batch", lambda bundle, width, height, count: count == 3)
    hs.synthesize(layouts(3), bundle=tiny_bundle(), batch=3, steps=1)
    assert sampled == [3]


def test_each_kind_of_batch_is_tried_once(monkeypatch):
    bundle = tiny_bundle()
    tried = []

    def try_batch(bundle, width, height, count):
        tried.append((width, height, count))
        return True

    monkeypatch.setattr(batch_check, "_try_batch", try_batch)
    for _ in range(2):
        hs.synthesize(
            layouts(5),
            bundle=bundle,
            batch=3,
            steps=1,
        )
    assert tried == [(128, 128, 3), (128, 128, 2)]


@pytest.mark.parametrize(("mixing", "is_exact"), [(0.0, True), (1e-6, False)])
def test_the_trial_detects_a_network_that_mixes_items(monkeypatch, mixing, is_exact):
    def predict(denoiser, noisy, time, features, style):
        own = noisy * time.reshape(-1, 1, 1, 1) + style.sum(1).reshape(-1, 1, 1, 1)
        return own + mixing * noisy.mean()

    monkeypatch.setattr(CompactDenoiser, "predict", predict)
    assert batch_check._try_batch(tiny_bundle(), 128, 128, 3) is is_exact


def test_the_trial_runs_on_the_grid_and_a_single_item_needs_none(monkeypatch):
    bundle = tiny_bundle()
    tried = []

    def try_batch(bundle, width, height, count):
        tried.append((width, height, count))
        return False

    monkeypatch.setattr(batch_check, "_try_batch", try_batch)
    assert batch_check.is_batch_exact(bundle, (130, 128), 1)
    assert tried == []
    assert not batch_check.is_batch_exact(bundle, (130, 128), 2)
    grid = bundle.grid_px
    assert tried == [(-(-130 // grid) * grid, 128, 2)]


def test_large_tiles_are_not_sampled_together():
    bundle = tiny_bundle()
    assert batch_check.max_batch(bundle, (256, 256), 9) == 8
    assert batch_check.max_batch(bundle, (1024, 1024), 8) == 1
    assert batch_check.max_batch(bundle, (128, 128), 8) == 8
    assert batch_check.max_batch(bundle, (128, 128), 99) == 32


def test_on_an_accelerator_batches_are_as_requested():
    class Elsewhere:
        device = torch.device("cuda")

    assert batch_check.max_batch(Elsewhere(), (1024, 1024), 8) == 8
    assert batch_check.is_batch_exact(Elsewhere(), (1024, 1024), 8)


def test_a_tile_to_complete_may_have_any_side_and_a_new_one_only_multiples():
    info = tiny_bundle().info
    pixels = np.zeros((130, 133, 3), np.uint8)
    mask = np.zeros((130, 133), bool)
    mask[40:60, 40:60] = True
    context = Context(pixels, mask)
    batches.check_condition(Condition(None, Size(133, 130), None, context), info)
    with pytest.raises(BadSize):
        batches.check_condition(Condition(None, Size(133, 130)), info)


def test_nuclei_of_any_class_need_a_bundle_trained_with_them():
    info = tiny_bundle().info
    nuclei = Nuclei(
        np.array([[5.0, 6.0]], np.float32),
        np.array([ANY_CLASS], np.uint8),
        info.classes,
        (128, 128),
        info.mpp,
    )
    condition = Condition(nuclei, (128, 128))
    if info.any_class:
        batches.check_condition(condition, info)
    else:
        with pytest.raises(UnknownClasses, match="any"):
            batches.check_condition(condition, info)


def test_progress_runs_over_all_batches(monkeypatch):
    monkeypatch.setattr(batch_check, "_try_batch", lambda *_: True)
    calls = []
    bundle = tiny_bundle()
    nuclei = layouts(1)[0]
    list(
        synthesize(
            bundle,
            [Condition(nuclei, (128, 128))],
            [bundle.info.palette[0].appearance],
            seed=0,
            variants=3,
            settings=default_settings(bundle, "synthesize"),
            batch=2,
            on_progress=lambda done, total: calls.append((done, total)),
        )
    )
    assert calls == [(0, 3), (2, 3), (3, 3)]
