"""`complete`: a tile with a hole in, the same tile mended out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..core.condition import Condition, Context
from ..core.errors import BadMask
from ..core.nuclei import Nuclei
from ..core.seeds import check_seed
from ..core.synthetic import Synthetic
from ..core.tile import Mask, Pixels, check_rgb

if TYPE_CHECKING:
    from ..model.bundle import Bundle


def complete(
    image: Pixels,
    mask: Mask,
    *,
    nuclei: Nuclei | None = None,
    label: str | None = None,
    seed: int = 0,
    steps: int | None = None,
    guidance: float | None = None,
    exemplar: bool = True,
    bundle: Bundle | None = None,
) -> Synthetic:
    """Paint the hole of a tile; every pixel outside it stays as it is.

    Args:
        image: (H, W, 3) uint8 RGB, 128 to 1,024 px a side; values inside the hole do not matter.
        mask: (H, W) bool or whole numbers, not zero where tissue is missing.
        nuclei: which to paint where, on the whole tile; None: the model's choice.
        label: one of the bundle's labels.
        seed: the same seed gives the same picture.
        steps: solver steps; None: the bundle's default.
        guidance: 1 as trained, above 1 stricter with the nuclei; None: the bundle's default.
        exemplar: start from tissue copied from around the hole (tissue/exemplar.py), which carries
            fibres and ground over its edge; False: from noise alone.
        bundle: from `open_bundle`; None: the compact one.
    """
    from ..sampling.complete import complete as paint
    from ..sampling.settings import settings_for
    from .default_bundle import default_bundle

    bundle = bundle or default_bundle()
    check_seed(seed)
    check_rgb(image, "image")
    context = Context(image.copy(), _as_mask(mask))
    condition = Condition(
        nuclei,
        (image.shape[1], image.shape[0]),
        label,
        context,
    )
    settings = replace(settings_for(bundle, "complete", steps, guidance), exemplar=exemplar)
    ((_, picture),) = paint(
        bundle,
        [condition],
        seed=seed,
        settings=settings,
        batch=1,
    )
    return picture


def _as_mask(mask: Mask) -> Mask:
    found = np.asarray(mask)
    if found.ndim != 2 or found.dtype.kind not in "bui":
        raise BadMask(
            f"The hole is an array of shape {found.shape} and type {found.dtype}.",
            "Hand in (height, width) of bool, or of whole numbers with 0 where tissue is known.",
        )
    return np.asarray(found != 0)
