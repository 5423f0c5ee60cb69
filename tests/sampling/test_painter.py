"""The painter: guidance, styles and decoding."""

import pytest
import torch

import histosynth as hs
from histosynth.core.geometry import Size
from histosynth.model.conditioning import random_maps
from histosynth.model.families.compact import CompactDenoiser
from histosynth.sampling.painter import SamplingSettings, decode_canonical, paint_latents
from histosynth.sampling.solvers import SOLVERS
from histosynth.testing import tiny_bundle


@pytest.fixture
def styles(monkeypatch):
    """Styles of each call of the denoiser; the unconditional style is all sevens."""
    seen = []

    def predict_x0(denoiser, noisy, time, features, style):
        seen.append(style.clone())
        return noisy * 0

    monkeypatch.setattr(CompactDenoiser, "predict_x0", predict_x0)
    monkeypatch.setattr(
        CompactDenoiser, "unconditional", lambda denoiser, style: torch.full_like(style, 7.0)
    )
    return seen


def synthesize(**options):
    nuclei = hs.draw_layout((128, 128), mpp=0.5, seed=0)
    return hs.synthesize(nuclei, bundle=tiny_bundle(), steps=1, **options)


def test_guidance_compares_with_the_unconditional_style(styles):
    synthesize(guidance=2.0)
    (style,) = styles
    conditional, unconditional = style
    assert (unconditional == 7).all()
    assert not (conditional == 7).any()


def test_without_guidance_there_is_no_unconditional_branch(styles):
    synthesize()
    (style,) = styles
    assert len(style) == 1
    assert not (style == 7).any()


def test_guidance_compares_with_no_nuclei(monkeypatch):
    bundle = tiny_bundle()
    counts = []
    inner = type(bundle).features

    def features(self, maps):
        counts.append(float(maps.nuclei.sum()))
        return inner(self, maps)

    monkeypatch.setattr(type(bundle), "features", features)
    nuclei = hs.draw_layout((128, 128), mpp=0.5, seed=0)
    monkeypatch.setattr("histosynth.sampling.batch_check._try_batch", lambda *_: True)
    hs.synthesize(nuclei, bundle=bundle, steps=1, guidance=2.0)
    assert counts[0] > 0
    assert counts[1] == 0


def test_pictures_decode_to_the_same_bits_in_any_batch():
    bundle = tiny_bundle()
    latents = torch.randn(3, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    together = decode_canonical(bundle, 9 * latents)
    alone = torch.cat([decode_canonical(bundle, 9 * each[None]) for each in latents])
    assert torch.equal(together, alone)
    assert together.shape == (3, 128, 128, 3)
    assert together.min() >= 0
    assert together.max() <= 255


def test_the_default_settings_are_those_of_validation_sheets():
    settings = SamplingSettings()
    assert (settings.steps, settings.guidance, settings.shift) == (20, 1.0, 1.0)
    assert settings.solver in SOLVERS
    assert settings.guidance_span == (0.0, 1.0)
    assert settings.exemplar


@pytest.mark.parametrize(
    ("guidance", "span", "expected"),
    [
        (1.0, (0.0, 1.0), 2.0),
        (3.0, (0.0, 1.0), 6 - 2 * 7.0),
        (0.0, (0.0, 1.0), 7.0),
        (3.0, (0.0, 0.99), 2.0),
    ],
)
def test_guidance_leads_away_from_the_unconditional_estimate(monkeypatch, guidance, span, expected):
    """One step from pure noise ends at the estimate itself: 2 with the condition, 7 without."""
    bundle = tiny_bundle()
    fine = []

    def predict_x0(denoiser, noisy, time, features, style):
        fine.append(features.fine)
        return noisy * 0 + style.mean(dim=1).reshape(-1, 1, 1, 1)

    monkeypatch.setattr(CompactDenoiser, "predict_x0", predict_x0)
    monkeypatch.setattr(
        CompactDenoiser, "unconditional", lambda denoiser, style: torch.full_like(style, 7.0)
    )
    maps = random_maps(2, classes=3, size=Size(64, 64), generator=torch.Generator().manual_seed(0))
    latents = paint_latents(
        bundle,
        maps,
        torch.full((2, 15), 2.0),
        torch.zeros(2, 4, 8, 8),
        SamplingSettings(steps=1, guidance=guidance, guidance_span=span, solver="euler"),
    )
    torch.testing.assert_close(latents, torch.full((2, 4, 8, 8), expected), atol=0.01, rtol=0)
    conditional = bundle.features(maps).fine
    if expected == 2:
        assert torch.equal(fine[0], conditional)
    else:
        unconditional = bundle.features(maps.without_nuclei()).fine
        assert torch.equal(fine[0], torch.cat([conditional, unconditional]))
        assert not torch.equal(conditional, unconditional)
