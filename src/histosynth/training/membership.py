"""Does a bundle's loss tell who it was trained on? A judge of it is handed these numbers.

A model that learnt its tiles by heart errs less on them than on tiles like them (loss-gap
membership inference, Yeom et al. 2018; for diffusion at fixed noise levels and fixed noise,
Matsumoto et al. 2023).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ..core.geometry import Box
from ..core.nuclei import Nuclei
from ..core.tile import Pixels
from ..model import autoencoder as ae
from ..model.bundle import Bundle
from ..model.conditioning import ItemConditions, encode_conditions
from ..model.prediction import target_for
from ..tissue.appearance import measure_appearance
from .tasks.diffusion import PROBE_TIMES

DRAWS = 2
"""Draws of noise at each noise level, the same for every tile."""


@torch.inference_mode()
def tile_losses(
    bundle: Bundle,
    tiles: Sequence[tuple[Pixels, Nuclei | None]],
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float64]:
    """(N, T) mean squared error of the base's answer at each of `PROBE_TIMES`, in its own units.

    Args:
        bundle: its base is asked, without adapters.
        tiles: (H, W, 3) uint8 of the bundle's scale, with nuclei of the bundle's classes or None;
            sides are cut down to its grid.
        on_progress: told (done, total).

    Raises:
        ValueError: nuclei of other classes.
    """
    info = bundle.info
    out = np.zeros((len(tiles), len(PROBE_TIMES)))
    for row, (pixels, nuclei) in enumerate(tiles):
        if nuclei is not None and nuclei.classes != info.classes:
            raise ValueError(f"nuclei of {nuclei.classes}, but the bundle knows {info.classes}")
        height, width = (side // bundle.grid_px * bundle.grid_px for side in pixels.shape[:2])
        look = measure_appearance(pixels)
        canonical = torch.from_numpy(look.frame.to_canonical(pixels)[:height, :width])
        like = next(bundle.autoencoder.parameters())
        signal = ae.to_signal(canonical[None]).to(like)
        clean = bundle.standardise(ae.encode(bundle.autoencoder, signal).float().cpu())
        inside = None if nuclei is None else nuclei.crop(Box(0, 0, width, height))
        conditions = ItemConditions(inside, style=torch.from_numpy(look.style))
        conditioning = encode_conditions([conditions], info, size=(width, height))
        features = bundle.features(conditioning.maps)
        for column, time in enumerate(PROBE_TIMES):
            for draw in range(DRAWS):
                generator = torch.Generator().manual_seed(1000 * column + draw)
                noise = torch.randn(clean.shape, generator=generator)
                times = torch.full((1,), time, device=bundle.device)
                level = bundle.denoiser.level(times)
                latents = clean.to(bundle.device)
                noisy = noise.to(bundle.device)
                mixed = level.mix(latents, noisy)
                look_vector = conditioning.style.to(bundle.device)
                said = bundle.denoiser.predict(mixed, times, features, look_vector)
                wanted = target_for(info.prediction, latents, noisy, level)
                out[row, column] += float(((said.float() - wanted.float()) ** 2).mean()) / DRAWS
        if on_progress:
            on_progress(row + 1, len(tiles))
    return out
