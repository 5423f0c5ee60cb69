"""A bundle tried out once, as small as it can be: parts that do not fit show on loading, not in
painting.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..core.errors import BundleMismatch, first_line
from .autoencoder import FACTOR, decode, encode
from .maps import style_length
from .structure import NUCLEI_CELL, StructureMaps

if TYPE_CHECKING:
    from .bundle import Bundle

BROKEN = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What building and running networks raises where their settings make no sense."""


@torch.inference_mode()
def check_runs(bundle: Bundle, folder: Path) -> None:
    """Run every network once on two grid cells a side (one if least_px is that small) of nothing.

    Raises:
        BundleMismatch: they do not take what `bundle.json` says, or each other's results.
    """
    info = bundle.info
    try:
        side = bundle.grid_px * min(-(-info.least_px // bundle.grid_px), 2)
        maps = StructureMaps(
            torch.zeros(
                1,
                len(info.classes),
                side // NUCLEI_CELL,
                side // NUCLEI_CELL,
            ),
            torch.zeros(1),
            torch.zeros(1, 3, side, side),
            torch.ones(1, 1, side, side),
        )
        latents = torch.zeros(
            1,
            len(info.latent_mean),
            side // FACTOR,
            side // FACTOR,
        )
        style = torch.zeros(1, style_length(len(info.style_mean), len(info.labels)))
        said = bundle.denoiser.raw(
            latents,
            torch.ones(1),
            bundle.features(maps),
            style,
        )
        painted = decode(bundle.autoencoder, latents)
        back = encode(bundle.autoencoder, maps.known)
        shapes = {
            "base": (said, latents),
            "decoder": (painted, maps.known),
            "encoder": (back, latents),
        }
        for name, (found, wanted) in shapes.items():
            if found.shape != wanted.shape:
                raise ValueError(
                    f"its {name} gives {tuple(found.shape)} in place of {tuple(wanted.shape)}"
                )
    except BROKEN as error:
        raise BundleMismatch(
            folder, f"its networks do not fit bundle.json ({first_line(error)})"
        ) from error
