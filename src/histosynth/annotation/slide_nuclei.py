"""Nuclei that other tools found: CSV, QuPath GeoJSON, HoVer-Net and CellViT JSON, PanNuke arrays.

Classes go through an explicit map: one that is not in it is an error that lists all of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..core.errors import BadNuclei, UnmappedClasses
from ..core.geometry import Size
from ..core.nuclei import Nuclei
from .nuclei_files import read_points

PANNUKE = ("neoplastic", "inflammatory", "connective", "dead", "epithelial")
"""Channels of PanNuke's masks, in order; a sixth is background (Gamper et al. 2020)."""
MAX_BYTES = 1 << 30
MAX_NUCLEI = 5_000_000
FAR = 2**24
"""Beyond this float32 no longer tells neighbouring pixels apart."""


def read_slide_nuclei(path: Path, mapping: Mapping[str, str]) -> Nuclei:
    """Nuclei of a whole slide.

    Args:
        path: `.csv`, `.geojson`, or `.json` of HoVer-Net, CellViT or QuPath; level-0 px.
        mapping: their class names (or numbers, as text) to yours; empty: names stay as they are.

    Returns:
        In level-0 px; the size reaches as far as the nuclei do, and `mpp` is 1, as the file knows
        no scale.

    Raises:
        BadNuclei: the file is too large, not of a known form, or a coordinate is no number.
        UnmappedKinds: a class is not in the map; lists all of them.
    """
    xy, names = _points_of(path)
    if len(xy) > MAX_NUCLEI:
        raise BadNuclei(
            f"{path} holds {len(xy):,} nuclei, over the limit of {MAX_NUCLEI:,}.", "Split it."
        )
    broken = ~(np.isfinite(xy) & (np.abs(xy) < FAR)).all(axis=1)
    if broken.any():
        first = int(np.flatnonzero(broken)[0]) + 1
        raise BadNuclei(
            f"{path}: {int(broken.sum()):,} of {len(xy):,} centroids are no numbers (first: "
            f"{first}).",
            "Remove those nuclei.",
        )
    mapped = map_all(names, mapping, str(path))
    classes = tuple(sorted(set(mapped)))
    index = {name: place for place, name in enumerate(classes)}
    if len(classes) > 250:
        raise BadNuclei(
            f"{path} holds {len(classes)} classes, over the limit of 250.", "Map them to fewer."
        )
    inside = (xy >= -0.5).all(axis=1)
    far = np.ceil(xy.max(axis=0) + 1).astype(int) if len(xy) else np.array([1, 1])
    class_ids = np.array([index[name] for name in mapped], np.uint8)
    return Nuclei(
        xy[inside].astype(np.float32),
        class_ids[inside],
        classes,
        Size(max(int(far[0]), 1), max(int(far[1]), 1)),
        1.0,
    )


def map_all(names: Sequence[str], mapping: Mapping[str, str], what: str) -> list[str]:
    """Every name through the map; an empty map leaves them as they are.

    Raises:
        UnmappedKinds: names that are not in it, all of them.
    """
    if not mapping:
        return list(names)
    if unmapped := sorted(set(names) - mapping.keys()):
        raise UnmappedClasses(what, unmapped, sorted(mapping))
    return [mapping[name] for name in names]


def _points_of(path: Path) -> tuple[NDArray[np.float64], list[str]]:
    if path.suffix.lower() != ".json":
        return read_points(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            size = path.stat().st_size
            raise BadNuclei(
                f"{path} holds {size:,} bytes, over the limit of {MAX_BYTES:,}.", "Split it."
            )
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadNuclei(
            f"{path} cannot be read: {error}.", "Give JSON of HoVer-Net or CellViT."
        ) from error
    cells = data.get("nuc", data.get("cells")) if isinstance(data, dict) else None
    if cells is None:
        return read_points(path)  # QuPath writes GeoJSON under .json too
    try:
        return _instances(data, cells)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BadNuclei(
            f"{path} is not as HoVer-Net or CellViT write it ({type(error).__name__}: {error}).",
            "Each nucleus needs a centroid of two numbers and a type.",
        ) from error


def _instances(data: Mapping[str, Any], cells: Any) -> tuple[NDArray[np.float64], list[str]]:
    """HoVer-Net: `nuc` by number; CellViT: a list `cells`. Types are numbers, named by
    `type_map`.
    """
    each = list(cells.values()) if isinstance(cells, dict) else list(cells)
    named = {str(key): _name(value) for key, value in dict(data.get("type_map") or {}).items()}
    xy = np.array([cell["centroid"][:2] for cell in each], np.float64).reshape(-1, 2)
    types = [str(cell.get("type", "any")) for cell in each]
    return xy, [named.get(name, name) for name in types]


def _name(value: Any) -> str:
    return str(value[0] if isinstance(value, list | tuple) else value)


def pannuke_nuclei(
    masks: NDArray[Any], *, mpp: float = 0.25, mapping: Mapping[str, str] | None = None
) -> Nuclei:
    """Centroids of one PanNuke item.

    Args:
        masks: (H, W, 5 or 6) instance numbers, a channel a class.
        mpp: PanNuke's is 0.25.
        mapping: PanNuke's class names to yours.

    Raises:
        BadNuclei: another shape.
        UnmappedKinds: a class that occurs is not in the map.
    """
    if masks.ndim != 3 or masks.shape[2] not in (5, 6):
        raise BadNuclei(
            f"PanNuke's masks are (H, W, 6), not {masks.shape}.", "Hand in one item of masks.npy."
        )
    points: list[tuple[float, float]] = []
    names: list[str] = []
    for channel, name in enumerate(PANNUKE):
        labels = masks[..., channel].astype(np.int64)
        numbers = np.unique(labels[labels > 0])
        if len(numbers):
            centres = np.array(ndimage.center_of_mass(labels > 0, labels, numbers)).reshape(-1, 2)
            points += [(float(x), float(y)) for y, x in centres]
            names += [name] * len(numbers)
    mapped = map_all(names, mapping or {}, "PanNuke's masks")
    classes = tuple(dict.fromkeys(mapped)) or PANNUKE
    size = (masks.shape[1], masks.shape[0])
    return Nuclei.of(
        np.array(points).reshape(-1, 2),
        mapped,
        size=size,
        mpp=mpp,
        classes=classes,
    )
