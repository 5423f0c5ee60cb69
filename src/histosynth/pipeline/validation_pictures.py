"""Pictures of a training batch's conditions, for the validation sheets of a run."""

from __future__ import annotations

from ..core.tile import Pixels
from ..model.bundle import Bundle
from ..sampling.painter import SamplingSettings, decode_canonical, paint_latents
from ..sampling.solvers import item_generator, item_noise
from ..training.tasks.diffusion.batches import Batch

VALIDATION_STEPS = 16
"""Sampling steps: fewer than a bundle's own, because a sheet is a preview."""


def paint_batch(bundle: Bundle, batch: Batch) -> list[Pixels]:
    """Sample one picture per item; its noise depends on its row in the batch alone."""
    _, channels, height, width = batch.latents.shape
    generators = [item_generator(0, index) for index in range(len(batch.latents))]
    noise = item_noise((channels, height, width), generators)
    settings = SamplingSettings(steps=VALIDATION_STEPS)
    latents = paint_latents(bundle, batch.maps, batch.style, noise, settings)
    return list(decode_canonical(bundle, latents).round().byte().numpy())
