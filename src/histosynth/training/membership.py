"""Per-tile losses of a bundle, for the membership metric: do they show whom it was trained on?

A model that memorised its tiles has lower losses on them than on tiles like them (loss-gap
membership inference, Yeom et al. 2018; for diffusion at fixed noise levels and fixed noise,
Matsumoto et al. 2023).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..core.arrays import Float64Array
from ..core.geometry import Box, Size
from ..core.nuclei import Nuclei
from ..core.progress import ProgressCallback
from ..core.tile import Pixels
from ..model import autoencoder as ae
from ..model.bundle import Bundle
from ..model.conditioning import Conditioning, ItemConditions, encode_conditions
from ..model.prediction import target_for
from ..tissue.appearance import measure_appearance
from .tasks.diffusion.train_task import PROBE_TIMES

NOISE_DRAWS = 2
"""Draws of noise at each noise level, the same for every tile."""


@torch.inference_mode()
def tile_losses(
    bundle: Bundle,
    tiles: Sequence[tuple[Pixels, Nuclei | None]],
    *,
    on_progress: ProgressCallback | None = None,
) -> Float64Array:
    """(N, T) mean squared error of the base's output at each of `PROBE_TIMES`, in its own units.

    Args:
        bundle: its base is measured, without adapters.
        tiles: (H, W, 3) uint8 of the bundle's scale, with nuclei of the bundle's classes or None;
            sides are cut down to its grid.
        on_progress: called with tiles done and in all.

    Raises:
        ValueError: nuclei of other classes.
    """
    classes = bundle.info.classes
    losses = np.zeros((len(tiles), len(PROBE_TIMES)))
    for row, (pixels, nuclei) in enumerate(tiles):
        if nuclei is not None and nuclei.classes != classes:
            raise ValueError(f"nuclei of {nuclei.classes}, but the bundle has {classes}")
        clean, conditioning = _encode(bundle, pixels, nuclei)
        features = bundle.features(conditioning.maps)
        style = conditioning.style.to(bundle.device)
        for column, time in enumerate(PROBE_TIMES):
            times = torch.full((1,), time, device=bundle.device)
            level = bundle.denoiser.level(times)
            for draw in range(NOISE_DRAWS):
                noise = _fixed_noise(clean, 1000 * column + draw).to(bundle.device)
                latents = clean.to(bundle.device)
                mixed = level.mix(latents, noise)
                output = bundle.denoiser.predict(
                    mixed,
                    times,
                    features,
                    style,
                )
                target = target_for(
                    bundle.info.prediction,
                    latents,
                    noise,
                    level,
                )
                error = (output.float() - target.float()) ** 2
                losses[row, column] += float(error.mean()) / NOISE_DRAWS
        if on_progress:
            on_progress(row + 1, len(tiles))
    return losses


def _fixed_noise(clean: Tensor, seed: int) -> Tensor:
    return torch.randn(
        clean.shape,
        generator=torch.Generator().manual_seed(seed),
    )


def _encode(
    bundle: Bundle,
    pixels: Pixels,
    nuclei: Nuclei | None,
) -> tuple[Tensor, Conditioning]:
    """Standardised latents and conditions of one tile, without a label."""
    height = pixels.shape[0] // bundle.grid_px * bundle.grid_px
    width = pixels.shape[1] // bundle.grid_px * bundle.grid_px
    appearance = measure_appearance(pixels)
    canonical = torch.from_numpy(appearance.frame.to_canonical(pixels)[:height, :width])
    like = next(bundle.autoencoder.parameters())
    signal = ae.to_signal(canonical[None]).to(like)
    clean = bundle.standardise(ae.encode(bundle.autoencoder, signal).float().cpu())
    conditions = ItemConditions(
        None if nuclei is None else nuclei.crop(Box(0, 0, width, height)),
        style=torch.from_numpy(appearance.style),
    )
    conditioning = encode_conditions(
        [conditions],
        bundle.info,
        size=Size(width, height),
    )
    return clean, conditioning
