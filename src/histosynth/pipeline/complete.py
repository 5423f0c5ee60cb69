"""`complete`: a tile with a masked region in, the same tile with new tissue there out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..core.condition import Condition, Context
from ..core.errors import BadMask
from ..core.geometry import Size
from ..core.nuclei import Nuclei
from ..core.seeds import check_seed
from ..core.synthetic import Synthetic
from ..core.tile import Mask, Pixels, check_rgb
from ..sampling.options import SamplingOptions

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
    solver: str | None = None,
    exemplar: bool = True,
    bundle: Bundle | None = None,
) -> Synthetic:
    """Fill the masked region of a tile; every pixel outside it stays as it is.

    Args:
        image: (H, W, 3) uint8 RGB, 128 to 1,024 px a side; values inside the mask do not matter.
        mask: (H, W) bool or whole numbers, not zero where tissue is missing.
        nuclei: classes and positions on the whole tile; None: the model's choice.
        label: one of the bundle's labels.
        seed: the same seed gives the same picture.
        steps: solver steps; None: the bundle's default.
        guidance: 1 as trained, above 1 stricter with the nuclei; None: the bundle's default.
        solver: a name in `sampling.solvers.SOLVERS`, e.g. unipc; None: the bundle's default.
        exemplar: start from tissue copied from around the mask (tissue/exemplar.py), which carries
            fibres and ground over its boundary; False: from noise alone.
        bundle: from `open_bundle`; None: the compact one.

    Returns:
        The tile; outside the mask its pixels equal `image`.

    Raises:
        NotRGB, BadMask, BadSize: the image or the mask cannot be used.
        BadOption: an option cannot be used.
        UnknownClasses, ScaleMismatch, UnknownLabel: the nuclei or the label do not fit the bundle.
    """
    from ..sampling.complete import complete as sample
    from ..sampling.settings import settings_for
    from .default_bundle import default_bundle

    options = SamplingOptions(
        label=label,
        seed=seed,
        steps=steps,
        guidance=guidance,
        solver=solver,
        exemplar=exemplar,
    )
    bundle = bundle or default_bundle()
    check_seed(seed)
    check_rgb(image, "image")
    height, width = image.shape[:2]
    context = Context(image.copy(), _as_mask(mask))
    condition = Condition(nuclei, Size(width, height), label, context)
    ((_, picture),) = sample(
        bundle,
        [condition],
        seed=seed,
        settings=settings_for(bundle, "complete", options),
        batch=1,
    )
    return picture


def _as_mask(mask: Mask) -> Mask:
    found = np.asarray(mask)
    if found.ndim != 2 or found.dtype.kind not in "bui":
        raise BadMask(
            f"The mask is an array of shape {found.shape} and type {found.dtype}.",
            "Pass (height, width) of bool, or of whole numbers with 0 where tissue is known.",
        )
    return np.asarray(found != 0)
