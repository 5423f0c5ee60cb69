"""READ FIRST: the whole data flow, one short function per verb.

nuclei ──► Condition ──► StructureEncoder ──► features ─┐   once per image
reference tile ──► Appearance (stain frame, style) ─────┤
noise(seed, item) ──► solver ◄── Denoiser (base + adapter)  at every step
                        │
                        ▼
        clean latents ──► autoencoder ──► canonical stain ──► the reference's stain
                                                                   │
complete only:   known pixels + hole ──► paste (bit for bit outside) ◄┘
                        │
                        └──► tissue copied into the hole, which the solver starts from
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..core.appearance import Appearance, measure_appearance
from ..core.condition import Condition, Context
from ..core.errors import BadHole, BadOption
from ..core.nuclei import Nuclei
from ..core.shipped import COMPACT
from ..core.synthetic import Synthetic
from ..core.tile import Mask, Pixels, check_rgb

if TYPE_CHECKING:
    from ..model.bundle import Bundle
    from ..sample.painter import Settings

MAX_VARIANTS = 10_000
Verb = Literal["synthesize", "complete"]


def open_bundle(
    path: Path | str | None = None,
    *,
    device: str | None = None,
    dtype: str | None = None,
    base: str | None = None,
) -> Bundle:
    """Load a bundle with its adapters, ready to paint.

    Args:
        path: the bundle's folder; None: the compact one inside the package.
        device: e.g. "cpu", "cuda"; None: a GPU if there is one.
        dtype: "bf16" or "fp32"; None: bf16 where this machine is faster in it.
        base: where the base lies, for a bundle that does not hold it; None: where HISTOSYNTH_BASE
            says, else where it lay.

    Raises:
        BundleMismatch, BadWeights, AdapterMismatch: the folder is not whole.
    """
    from ..model.bundle import load_bundle
    from ..model.device import itemwise_norms, pick_device, pick_dtype
    from ..model.info import adapter_folders

    folder = Path(path) if path is not None else COMPACT
    bundle = load_bundle(folder, base=base or os.environ.get("HISTOSYNTH_BASE"))
    for adapter in adapter_folders(folder):
        bundle.give_adapter(adapter)
    for network in (bundle.unet, bundle.structure, *bundle.structures.values()):
        itemwise_norms(network)
    target = pick_device(device)
    return bundle.to(device=target, dtype=pick_dtype(target, dtype))


def synthesize(
    nuclei: Nuclei | Sequence[Nuclei],
    *,
    appearance: Pixels | Appearance | str | None = None,
    label: str | None = None,
    n: int = 1,
    seed: int = 0,
    steps: int | None = None,
    guidance: float | None = None,
    bundle: Bundle | None = None,
    batch: int = 8,
) -> list[Synthetic]:
    """Paint whole tiles from nuclei.

    Args:
        nuclei: of one tile, or of several; their `size` and `mpp` are the tiles'.
        appearance: a reference tile (H, W, 3) uint8 RGB whose stain and style to take, a measured
            `Appearance`, or a name from the bundle's palette; None: the bundle's default.
        label: one of the bundle's labels.
        n: variants per set of nuclei.
        seed: the same seed gives the same pictures of the same nuclei, whatever the batch and the
            order.
        steps: solver steps; None: the bundle's default.
        guidance: 1 as trained, above 1 stricter with the nuclei; None: the bundle's default.
        bundle: from `open_bundle`; None: the compact one.
        batch: pictures painted at a time.

    Returns:
        n pictures for each set of nuclei, in order.
    """
    from ..sample.synthesize import synthesize as paint

    bundle = bundle or _compact()
    check_seed(seed)
    sets = [nuclei] if isinstance(nuclei, Nuclei) else list(nuclei)
    if not 1 <= n <= MAX_VARIANTS:
        raise BadOption("n", n, f"from 1 to {MAX_VARIANTS}")
    conditions = [Condition(one, one.size, label) for one in sets]
    look = resolve_appearance(appearance, bundle)
    settings = settings_for(bundle, "synthesize", steps, guidance)
    made = paint(
        bundle,
        conditions,
        [look] * len(sets),
        seed=seed,
        variants=n,
        settings=settings,
        batch=batch,
    )
    return [picture for _, _, picture in sorted(made, key=lambda each: each[:2])]


def complete(
    image: Pixels,
    hole: Mask,
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
        hole: (H, W) bool or whole numbers, not zero where tissue is missing.
        nuclei: which to paint where, on the whole tile; None: the model's choice.
        label: one of the bundle's labels.
        seed: the same seed gives the same picture.
        steps: solver steps; None: the bundle's default.
        guidance: 1 as trained, above 1 stricter with the nuclei; None: the bundle's default.
        exemplar: start from tissue copied from around the hole (core/exemplar.py), which carries
            fibres and ground over its edge; False: from noise alone.
        bundle: from `open_bundle`; None: the compact one.
    """
    from ..sample.complete import complete as paint

    bundle = bundle or _compact()
    check_seed(seed)
    check_rgb(image, "image")
    context = Context(image.copy(), _as_mask(hole))
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


@cache
def _compact() -> Bundle:
    """The bundle inside the package, opened once per process."""
    return open_bundle()


def resolve_appearance(appearance: Pixels | Appearance | str | None, bundle: Bundle) -> Appearance:
    """An appearance from whatever the user gave.

    Raises:
        BadOption: no palette entry of that name.
    """
    if isinstance(appearance, Appearance):
        return appearance
    if appearance is None or isinstance(appearance, str):
        palette = {entry.name: entry.appearance for entry in bundle.info.palette}
        if appearance is None:
            return next(iter(palette.values()))
        if appearance not in palette:
            raise BadOption(
                "the appearance",
                appearance,
                f"a picture or one of {', '.join(palette)}",
            )
        return palette[appearance]
    check_rgb(appearance, "the appearance")
    return measure_appearance(appearance)


def _as_mask(hole: Mask) -> Mask:
    found = np.asarray(hole)
    if found.ndim != 2 or found.dtype.kind not in "bui":
        raise BadHole(
            f"The hole is an array of shape {found.shape} and type {found.dtype}.",
            "Hand in (height, width) of bool, or of whole numbers with 0 where tissue is known.",
        )
    return np.asarray(found != 0)


def check_seed(seed: int) -> None:
    """Refuse what is no seed.

    Raises:
        BadOption: naming it.
    """
    if not isinstance(seed, int | np.integer) or not 0 <= seed < 2**63:
        raise BadOption("seed", seed, "a whole number from 0 to 2^63 - 1")


def settings_for(
    bundle: Bundle,
    verb: Verb,
    steps: int | None,
    guidance: float | None,
) -> Settings:
    """The bundle's default settings for a verb, with the user's in their place.

    An adapter that has learnt guidance needs none: with it the default is 1.
    """
    from ..sample.painter import Settings
    from ..sample.provenance import verb_adapter

    info = bundle.info
    adapter = bundle.adapters.get(verb_adapter(bundle, verb) or "")
    usual = info.guidance if adapter is None or adapter.guidance is None else 1.0
    settings = Settings(
        info.steps,
        usual,
        info.solver,
        info.shift,
        info.guidance_span,
    )
    if guidance is not None and not 0 <= guidance <= 20:
        raise BadOption("--guidance", guidance, "from 0 to 20")
    if steps is not None and not 1 <= steps <= 200:
        raise BadOption("--steps", steps, "from 1 to 200")
    return replace(
        settings,
        steps=settings.steps if steps is None else steps,
        guidance=settings.guidance if guidance is None else guidance,
    )
