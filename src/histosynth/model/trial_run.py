"""One forward pass of every network, as small as possible: parts that do not fit each other are
found on loading, not in sampling.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ..core.errors import BundleMismatch, first_line
from ..core.geometry import Size
from ..tensors.faults import BROKEN
from .autoencoder import FACTOR, check_factor, decode, encode
from .bundle import Bundle
from .conditioning import ItemConditions, encode_conditions
from .families.family import MAX_GRID_PX

_MAX_GRID_CELLS = 2


@torch.inference_mode()
def check_runs(bundle: Bundle, path: Path) -> None:
    """Run every network once, without conditions, on two grid cells a side (one if least_px is that
    small).

    Args:
        bundle: the networks.
        path: of the bundle or its base, for the message.

    Raises:
        BundleMismatch: they do not take what `bundle.json` states, or each other's results.
    """
    try:
        _run_networks(bundle)
    except BROKEN as error:
        reason = f"its networks do not fit bundle.json ({first_line(error)})"
        raise BundleMismatch(path, reason) from error


def _run_networks(bundle: Bundle) -> None:
    info = bundle.info
    check_factor(bundle.autoencoder)
    if bundle.grid_px > MAX_GRID_PX:
        raise ValueError(f"its base takes multiples of {bundle.grid_px:,} px only")
    least_cells = -(-info.least_px // bundle.grid_px)
    side = bundle.grid_px * min(least_cells, _MAX_GRID_CELLS)
    conditioning = encode_conditions([ItemConditions()], info, size=Size(side, side))
    pixels = torch.zeros(1, 3, side, side)
    cells = side // FACTOR
    latents = torch.zeros(1, len(info.latent_mean), cells, cells)
    features = bundle.features(conditioning.maps)
    output = bundle.denoiser.predict(
        latents,
        torch.ones(1),
        features,
        conditioning.style,
    )
    _check_shape("base", output, latents)
    _check_shape(
        "decoder",
        decode(bundle.autoencoder, latents),
        pixels,
    )
    _check_shape(
        "encoder",
        encode(bundle.autoencoder, pixels),
        latents,
    )


def _check_shape(
    network: str,
    output: Tensor,
    expected: Tensor,
) -> None:
    if output.shape != expected.shape:
        found = tuple(output.shape)
        raise ValueError(f"its {network} gives {found} in place of {tuple(expected.shape)}")
