"""The recipe of a picture: everything that is needed to create it again, and its inputs' digests.

Keys and digests of recipes are a file format: pictures written by earlier versions have the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from ..core.condition import Condition, Context
from ..core.nuclei import Nuclei
from ..core.nucleus_shapes import known_shapes
from ..core.orientation import FibreOrientation
from ..core.tile import Mask, Pixels
from ..core.version import __version__
from ..model.adapters import AdapterInfo, adapter_names
from ..model.bundle import Bundle
from ..model.info import BundleInfo
from ..tissue.appearance import Appearance
from ..tissue.hue import HueCurve
from ..tissue.nucleus_sizes import gets_size
from .few_steps import with_few_steps
from .items import SampleItem
from .painter import SamplingSettings

Recipe = dict[str, Any]
"""Plain values."""
GLOBAL = "global"
LOCAL = "local"
_ADAPTERS = {"synthesize": GLOBAL, "complete": LOCAL}


def describe(
    bundle: Bundle,
    item: SampleItem,
    *,
    verb: str,
    place: tuple[int, ...],
    seed: int,
    settings: SamplingSettings,
) -> Recipe:
    """The recipe of one picture, in plain values."""
    key, *variant = place
    condition = item.condition
    adapter = condition_adapter(bundle, condition)
    sampled_by, settings = with_few_steps(bundle, adapter, settings)
    used = sampled_by if sampled_by in adapter_names(bundle.unet) else None
    recipe: Recipe = {
        "histosynth": __version__,
        "verb": verb,
        "synthetic": True,
        "extent": "tile",
        "bundle": bundle_facts(
            bundle,
            used,
        ),
        "seed": seed,
        "place": [f"{key:016x}", *variant],
        "settings": settings_facts(
            settings,
            bundle.info,
        ),
        "size": list(condition.size),
        "mpp": bundle.info.mpp,
        "label": condition.label,
        "nuclei": None,
        "appearance": appearance_facts(item.appearance),
        "context": None,
    }
    if condition.nuclei is not None:
        recipe["mpp"] = condition.nuclei.mpp
        recipe["nuclei"] = nuclei_facts(condition.nuclei)
        followed = bundle.follows_shapes(used)
        recipe["nuclei"] |= _shape_facts(
            condition.nuclei,
            followed=followed,
        )
        recipe["nuclei"] |= _drawn_facts(
            condition.nuclei,
            bundle.adapters.get(adapter),
        )
    if condition.empty is not None:
        recipe["empty"] = _empty_facts(condition.empty)
    if condition.orientation is not None and condition.orientation.known.any():
        recipe["orientation"] = _orientation_facts(
            condition.orientation,
            followed="drawn_shapes" in (recipe["nuclei"] or {})
            and bundle.follows_orientation(used),
        )
    if condition.context is not None:
        recipe["extent"] = "hole"
        recipe["settings"]["exemplar"] = settings.exemplar
        recipe["context"] = _context_facts(condition.context)
    return recipe


def bundle_facts(
    bundle: Bundle,
    adapter: str | None,
) -> dict[str, Any]:
    """Which networks, in which numbers and where; `adapter` is the one that is used."""
    return {
        "name": bundle.info.name,
        "sha256": bundle.info.sha256,
        "adapter": adapter,
        "dtype": str(bundle.unet.dtype).removeprefix("torch."),
        "device": bundle.device.type,
        "torch": torch.__version__,
    }


def settings_facts(
    settings: SamplingSettings,
    info: BundleInfo,
) -> dict[str, Any]:
    """How it was sampled."""
    return {
        "steps": settings.steps,
        "guidance": settings.guidance,
        "guidance_span": list(settings.guidance_span),
        "solver": settings.solver,
        "shift": settings.shift,
        "grain": settings.grain and info.grain is not None,
    }


def _context_facts(context: Context) -> dict[str, Any]:
    return {
        "image_sha256": array_sha256(context.pixels),
        "hole_sha256": array_sha256(context.mask),
        "hole_px": int(context.mask.sum()),
    }


def condition_key(condition: Condition) -> int:
    """A number that depends on a condition's content alone; with the seed it decides the noise.

    So a picture does not depend on other pictures of the same call, nor on its position in a list
    or a folder; and the same nuclei in another stain are the same tissue. Values inside the mask do
    not count.
    """
    size = repr(tuple(condition.size))
    content = hashlib.sha256(size.encode())
    if condition.nuclei is not None:
        content.update(_nuclei_bytes(condition.nuclei))
    if condition.context is not None:
        mask = condition.context.mask
        is_unknown = mask[..., None]
        known = np.where(
            is_unknown,
            0,
            condition.context.pixels,
        )
        content.update(known.tobytes())
        content.update(mask.tobytes())
    if condition.empty is not None:
        content.update(b"empty")
        content.update(condition.empty.tobytes())
    first_bytes = content.digest()[:8]
    return int.from_bytes(
        first_bytes,
        "big",
    )


def condition_adapter(bundle: Bundle, condition: Condition) -> str:
    """Name of the adapter for a condition."""
    if condition.context is not None:
        return LOCAL
    has_empty = condition.empty is not None and condition.empty.any()
    return regions_adapter(bundle) if has_empty else GLOBAL


def regions_adapter(bundle: Bundle) -> str:
    """Name of the adapter for whole tiles with stated places without tissue.

    Stated glass is known pixels: `local` has learnt with masks what stands beside them, and
    `global` only if its file says so.
    """
    info = bundle.adapters.get(GLOBAL)
    has_learnt = info is not None and bool(info.mask_share)
    if has_learnt or LOCAL not in adapter_names(bundle.unet):
        return GLOBAL
    return LOCAL


def adapter_of_verb(verb: str) -> str:
    """Name of the adapter that a verb uses where a bundle has it."""
    return _ADAPTERS[verb]


def verb_adapter(
    bundle: Bundle,
    verb: str,
) -> str | None:
    """The adapter that a verb uses with this bundle, or None where the base samples alone."""
    name = adapter_of_verb(verb)
    return name if name in adapter_names(bundle.unet) else None


def appearance_facts(appearance: Appearance) -> dict[str, Any]:
    """Stain, style, hue, noise and extremes in plain numbers."""
    facts: dict[str, Any] = {
        "scale": rounded(appearance.frame.scale),
        "style": rounded(appearance.style),
        "hue": None,
    }
    hue = appearance.hue
    if isinstance(hue, HueCurve):
        facts["hue"] = {
            "top": round(
                hue.top,
                6,
            ),
            "hue": rounded(hue.hue.ravel()),
            "pixels": rounded(hue.pixels),
        }
    measured = {
        "noise": appearance.noise,
        "extremes": appearance.extremes,
    }
    for name, values in measured.items():
        facts[name] = None
        if values is not None:
            facts[name] = rounded(values.ravel())
    if appearance.has_blocks:
        facts["has_blocks"] = True
    return facts


def rounded(values: Iterable[float]) -> list[float]:
    """Plain numbers of six digits after the point."""
    return [
        round(
            float(value),
            6,
        )
        for value in values
    ]


def nuclei_facts(nuclei: Nuclei) -> dict[str, Any]:
    """The number of nuclei of each class, and a digest of positions and classes in any order."""
    sha256 = hashlib.sha256(_nuclei_bytes(nuclei)).hexdigest()
    return {"counts": nuclei.counts(), "sha256": sha256}


def _shape_facts(
    nuclei: Nuclei,
    *,
    followed: bool,
) -> dict[str, Any]:
    """How many shapes are known and a digest of them, in any order; nothing where none is."""
    shapes = nuclei.shapes_or_unknown()
    known = known_shapes(shapes)
    if not known.any():
        return {}
    x, y = nuclei.xy.T
    order = np.lexsort((nuclei.class_ids, y, x))
    # one nan for all: others have other bits
    values = np.where(
        known[:, None],
        shapes,
        np.float32(np.nan),
    )[order]
    facts = {
        "known": int(known.sum()),
        "followed": followed,
        "sha256": hashlib.sha256(values.tobytes()).hexdigest(),
    }
    return {"shapes": facts}


def _empty_facts(empty: Mask) -> dict[str, Any]:
    """The share of a tile that is to hold no tissue, and a digest of where."""
    return {
        "share": round(float(empty.mean()), 4),
        "sha256": hashlib.sha256(np.packbits(empty).tobytes()).hexdigest(),
    }


def _orientation_facts(orientation: FibreOrientation, *, followed: bool) -> dict[str, Any]:
    """Where it is stated, a digest of it, and whether nuclei were drawn by it."""
    return {
        "share": round(orientation.known_share, 4),
        "followed": followed,
        "sha256": hashlib.sha256(orientation.known_bytes()).hexdigest(),
    }


def _drawn_facts(nuclei: Nuclei, adapter: AdapterInfo | None) -> dict[str, Any]:
    """How many nuclei have a size that was drawn; nothing where none is drawn."""
    if adapter is None or not adapter.sizes:
        return {}
    count = int(gets_size(nuclei, adapter.sizes).sum())
    return {"drawn_shapes": count} if count else {}


def _nuclei_bytes(nuclei: Nuclei) -> bytes:
    """Positions and classes, sorted: nuclei have no order."""
    x, y = nuclei.xy.T
    order = np.lexsort((nuclei.class_ids, y, x))
    positions = nuclei.xy[order]
    classes = nuclei.class_ids[order]
    return positions.tobytes() + classes.tobytes()


def array_sha256(array: Pixels | Mask) -> str:
    """Hex sha256 of an array's values."""
    values = np.ascontiguousarray(array)
    return hashlib.sha256(values.tobytes()).hexdigest()
