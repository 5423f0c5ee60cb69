"""Batches: painted together only where it changes nothing."""

import pytest

import histosynth as hs
from histosynth.model.families.compact import CompactDenoiser
from histosynth.sampling import batch_check, batches
from histosynth.testing import tiny_bundle


def layouts(count):
    return [hs.draw_layout((128, 128), mpp=0.5, seed=index) for index in range(count)]


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_a_batch_that_does_not_prove_exact_is_painted_one_by_one(monkeypatch, guidance):
    bundle = tiny_bundle()
    painted = []
    monkeypatch.setattr(batch_check, "_try_batch", lambda *_: False)
    inner = batches.paint_latents

    def watched(bundle, maps, style, noise, *rest, **how):
        painted.append(len(noise))
        return inner(bundle, maps, style, noise, *rest, **how)

    monkeypatch.setattr(batches, "paint_latents", watched)
    hs.synthesize(
        layouts(3),
        bundle=bundle,
        batch=3,
        steps=1,
        guidance=guidance,
    )
    assert painted == [1, 1, 1]


def test_each_kind_of_batch_is_tried_once(monkeypatch):
    bundle = tiny_bundle()
    tried = []
    monkeypatch.setattr(
        batch_check,
        "_try_batch",
        lambda _, *what: tried.append(what) or True,
    )
    for _ in range(2):
        hs.synthesize(
            layouts(5),
            bundle=bundle,
            batch=3,
            steps=1,
        )
    assert tried == [(128, 128, 3), (128, 128, 2)]


@pytest.mark.parametrize(("company", "agrees"), [(0.0, True), (1e-6, False)])
def test_the_trial_sees_a_network_whose_items_depend_on_their_company(monkeypatch, company, agrees):
    def raw(
        _self,
        noisy,
        time,
        features,
        style,
    ):
        own = noisy * time.reshape(-1, 1, 1, 1) + style.sum(1).reshape(-1, 1, 1, 1)
        return own + company * noisy.mean()

    monkeypatch.setattr(CompactDenoiser, "predict", raw)
    assert batch_check._try_batch(tiny_bundle(), 128, 128, 3) is agrees


def test_large_tiles_are_not_painted_together():
    bundle = tiny_bundle()
    assert batch_check.max_batch(bundle, (256, 256), 9) == 8
    assert batch_check.max_batch(bundle, (1024, 1024), 8) == 1
    assert batch_check.max_batch(bundle, (128, 128), 8) == 8
