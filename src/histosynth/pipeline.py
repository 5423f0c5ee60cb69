"""READ FIRST: the whole data flow, one short function per verb."""

from __future__ import annotations

import torch

from .core.tile import Pixels
from .model.bundle import Bundle
from .sample.painter import Settings, decode_canonical, paint_latents
from .sample.solver import item_generator, item_noise
from .train.diffusion import Batch


def paint_batch(bundle: Bundle, batch: Batch) -> list[Pixels]:
    """Pictures of a training batch's conditions, for its validation sheet."""
    shape = tuple(batch.latents.shape[1:])
    noise = item_noise(shape, [item_generator(0, index) for index in range(len(batch.latents))])  # type: ignore[arg-type]
    latents = paint_latents(bundle, batch.maps, batch.style, noise, Settings(steps=16))
    images = decode_canonical(bundle, latents).round().to(torch.uint8).numpy()
    return list(images)
