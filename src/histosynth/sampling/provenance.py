"""The recipe of a picture: enough to make it again, and to see what it was made from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from ..core.condition import Condition
from ..core.nuclei import Nuclei
from ..core.store import digest
from ..core.tile import Mask, Pixels
from ..core.version import __version__
from ..model.adapters import adapter_names
from ..model.bundle import Bundle
from ..tissue.appearance import Appearance
from .batches import Item
from .painter import Settings


def describe(
    bundle: Bundle,
    item: Item,
    *,
    verb: str,
    place: tuple[int, ...],
    seed: int,
    settings: Settings,
) -> dict[str, Any]:
    """Plain values of one picture."""
    condition = item.condition
    info = bundle.info
    width, height = condition.size
    return {
        "histosynth": __version__,
        "verb": verb,
        "synthetic": True,
        "extent": "tile" if condition.context is None else "hole",
        "bundle": {
            "name": info.name,
            "sha256": digest(asdict(info)),
            "adapter": verb_adapter(bundle, verb),
            "dtype": str(bundle.unet.dtype).removeprefix("torch."),
            "device": bundle.device.type,
            "torch": torch.__version__,
        },
        "seed": seed,
        "place": [f"{place[0]:016x}", *place[1:]],
        "settings": {
            "steps": settings.steps,
            "guidance": settings.guidance,
            "guidance_span": list(settings.guidance_span),
            "solver": settings.solver,
            "shift": settings.shift,
            **({} if condition.context is None else {"exemplar": settings.exemplar}),
        },
        "size": [width, height],
        "mpp": info.mpp if condition.nuclei is None else condition.nuclei.mpp,
        "label": condition.label,
        "nuclei": None if condition.nuclei is None else nuclei_facts(condition.nuclei),
        "appearance": appearance_facts(item.appearance),
        "context": None
        if condition.context is None
        else {
            "image_sha256": array_sha256(condition.context.pixels),
            "hole_sha256": array_sha256(condition.context.mask),
            "hole_px": int(condition.context.mask.sum()),
        },
    }


def condition_key(condition: Condition) -> int:
    """A number for what is to be painted, from its content alone; with the seed it picks the noise.

    So a picture does not depend on what is painted beside it, nor on its place in a list or a
    folder; and the same nuclei in another stain are the same tissue. Values inside the hole do not
    count.
    """
    content = hashlib.sha256(repr(condition.size).encode())
    if condition.nuclei is not None:
        content.update(_nuclei_bytes(condition.nuclei))
    if condition.context is not None:
        known = np.where(condition.context.mask[..., None], 0, condition.context.pixels)
        content.update(known.tobytes() + condition.context.mask.tobytes())
    return int.from_bytes(content.digest()[:8], "big")


def verb_adapter(bundle: Bundle, verb: str) -> str | None:
    """The adapter a verb wears on this bundle, or None where the base paints alone."""
    name = {"synthesize": "global", "complete": "local"}[verb]
    return name if name in adapter_names(bundle.unet) else None


def appearance_facts(look: Appearance) -> dict[str, Any]:
    """Stain, style and hue in plain numbers."""
    hue = look.hue
    return {
        "scale": rounded(look.frame.scale),
        "style": rounded(look.style),
        "hue": None
        if hue is None
        else {
            "top": round(hue.top, 6),
            "hue": rounded(hue.hue.ravel()),
            "pixels": rounded(hue.pixels),
        },
    }


def rounded(values: Iterable[float]) -> list[float]:
    """As plain numbers of six digits after the point."""
    return [round(float(value), 6) for value in values]


def nuclei_facts(nuclei: Nuclei) -> dict[str, Any]:
    """How many of each kind, and a digest of places and kinds in any order."""
    return {"counts": nuclei.counts(), "sha256": hashlib.sha256(_nuclei_bytes(nuclei)).hexdigest()}


def _nuclei_bytes(nuclei: Nuclei) -> bytes:
    """Places and kinds, sorted: nuclei have no order."""
    order = np.lexsort((nuclei.class_ids, nuclei.xy[:, 1], nuclei.xy[:, 0]))
    return nuclei.xy[order].tobytes() + nuclei.class_ids[order].tobytes()


def array_sha256(array: Pixels | Mask) -> str:
    """Hex sha256 of an array's values."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
