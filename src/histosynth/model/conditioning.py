"""From conditions and appearances to the tensors that the networks take.

Training, sampling and every check of a bundle use this one way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..core.condition import Condition
from ..core.geometry import Size
from ..core.nuclei import Nuclei
from ..core.tile import Mask
from ..tissue.appearance import Appearance
from .autoencoder import to_signal
from .device_maps import shape_maps, splat_maps
from .info import BundleInfo
from .structure import NUCLEI_CELL, StructureMaps

_CPU = torch.device("cpu")
_TILE_BY_TILE = ("cpu", "mps")
"""Devices whose maps are drawn tile by tile; Apple's has no float64."""
MAX_STYLE_SD = 3.0
"""Styles are cut at this many standard deviations: networks are trained on nothing beyond."""


@dataclass(frozen=True, eq=False)
class ItemConditions:
    """The conditions of one picture; each that is None is left to the network.

    Attributes:
        nuclei: of the picture.
        known: (H, W, 3) in [0, 255] in canonical stain; None: all is to be filled.
        mask: (H, W) bool, True where tissue is to be filled; None: everywhere.
        style: (S,) raw style numbers.
        label: its index in the bundle's labels.
    """

    nuclei: Nuclei | None = None
    known: NDArray[Any] | None = None
    mask: Mask | None = None
    style: Tensor | None = None
    label: int | None = None


@dataclass(frozen=True, eq=False)
class Conditioning:
    """Conditions of a batch as tensors.

    Attributes:
        maps: of nuclei, mask and known tissue.
        style: (B, S + 1 + L) from `style_vector`.
    """

    maps: StructureMaps
    style: Tensor


def conditions_of(
    condition: Condition,
    appearance: Appearance,
    label: int | None,
) -> ItemConditions:
    """A user's condition, with its known tissue in canonical stain.

    Where there is no tissue, glass is known: networks have learnt what stands beside it.
    """
    context = condition.context
    known = None
    mask = None
    if context is not None:
        known = appearance.frame.to_canonical(context.pixels)
        mask = context.mask
    empty = condition.empty
    if empty is not None and empty.any():
        mask = condition.mask & ~empty
        if known is None:
            known = np.zeros((*condition.size.shape, 3), np.float32)
        known[condition.mask & empty] = appearance.frame.to_canonical(appearance.glass())
    return ItemConditions(
        condition.nuclei,
        known=known,
        mask=mask,
        style=torch.from_numpy(appearance.style),
        label=label,
    )


def encode_conditions(
    items: Sequence[ItemConditions],
    info: BundleInfo,
    *,
    size: Size,
    grid_px: int = NUCLEI_CELL,
    device: torch.device = _CPU,
) -> Conditioning:
    """Tensors of a batch of conditions of one size.

    Args:
        items: the conditions.
        info: classes, labels and style statistics.
        size: of the pictures, in pixels.
        grid_px: see `structure_maps`.
        device: of the maps; styles are few numbers, and stay on the CPU.
    """
    maps = structure_maps(
        [item.nuclei for item in items],
        [item.known for item in items],
        [item.mask for item in items],
        classes=len(info.classes),
        size=size,
        grid_px=grid_px,
        device=device,
    )
    mean = torch.tensor(info.style_mean)
    std = torch.tensor(info.style_std)
    labels = len(info.labels)
    styles = [
        style_vector(
            item.style,
            item.label,
            mean=mean,
            std=std,
            labels=labels,
        )
        for item in items
    ]
    return Conditioning(maps, torch.stack(styles))


def structure_maps(
    nuclei: Sequence[Nuclei | None],
    known: Sequence[NDArray[Any] | None],
    masks: Sequence[Mask | None],
    *,
    classes: int,
    size: Size,
    grid_px: int = NUCLEI_CELL,
    device: torch.device = _CPU,
) -> StructureMaps:
    """Maps of a batch of conditions of one size.

    Args:
        nuclei: per item, or None where they are not specified.
        known: per item, (H, W, 3) in [0, 255] in canonical stain, or None where all is masked.
        masks: per item, (H, W) bool, or None where all is masked.
        classes: number of nucleus classes.
        size: of the pictures, in pixels.
        grid_px: the maps' sides are rounded up to a multiple of this. What is added is masked and
            without nuclei, and is cut off after sampling.
        device: where they are computed; on another than the CPU for all items at once, with the
            same values to 1e-6.
    """
    width, height = size
    right = -width % grid_px
    bottom = -height % grid_px
    splats, shapes = _nuclei_maps(
        nuclei,
        classes=classes,
        size=size,
        device=device,
    )
    added_right = (width + right) // NUCLEI_CELL - splats.shape[-1]
    added_bottom = (height + bottom) // NUCLEI_CELL - splats.shape[-2]
    mask = _stacked_masks(masks, size, device)
    signal = to_signal(_stacked_pixels(known, size, device))
    has_nuclei = [0.0 if each is None else 1.0 for each in nuclei]
    return StructureMaps(
        nuclei=F.pad(splats, (0, added_right, 0, added_bottom)),
        has_nuclei=torch.tensor(has_nuclei, device=device),
        shapes=F.pad(shapes, (0, added_right, 0, added_bottom)),
        known=F.pad(signal * (1 - mask), (0, right, 0, bottom)),
        mask=F.pad(mask, (0, right, 0, bottom), value=1.0),
    )


def _nuclei_maps(
    nuclei: Sequence[Nuclei | None],
    *,
    classes: int,
    size: Size,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Splats (B, K, H / 2, W / 2) and shapes (B, 2, H / 2, W / 2), rounded up."""
    if device.type in _TILE_BY_TILE:
        splats = torch.from_numpy(_splats(nuclei, classes=classes, size=size))
        shapes = torch.from_numpy(_shape_maps(nuclei, size))
        return splats.to(device), shapes.to(device)
    return (
        splat_maps(
            nuclei,
            classes=classes,
            size=size,
            cell=NUCLEI_CELL,
            device=device,
        ),
        shape_maps(
            nuclei,
            size=size,
            cell=NUCLEI_CELL,
            device=device,
        ),
    )


def _splats(
    nuclei: Sequence[Nuclei | None],
    *,
    classes: int,
    size: Size,
) -> NDArray[np.float32]:
    """(B, K, H / 2, W / 2), rounded up."""
    width, height = size
    rows = -(-height // NUCLEI_CELL)
    columns = -(-width // NUCLEI_CELL)
    blank = np.zeros((classes, rows, columns), np.float32)
    return np.stack(
        [blank if each is None else each.rasterize(cell=NUCLEI_CELL) for each in nuclei]
    )


def _shape_maps(nuclei: Sequence[Nuclei | None], size: Size) -> NDArray[np.float32]:
    """(B, 2, H / 2, W / 2), rounded up."""
    none = Nuclei.none(size, 1.0, ())
    return np.stack(
        [(none if each is None else each).rasterize_shapes(cell=NUCLEI_CELL) for each in nuclei]
    )


def _stacked_masks(
    masks: Sequence[Mask | None],
    size: Size,
    device: torch.device,
) -> Tensor:
    """(B, 1, H, W) float32."""
    if all(each is None for each in masks):
        return torch.ones(len(masks), 1, *size.shape, device=device)
    everything = np.ones(size.shape, bool)
    stacked = np.stack([everything if each is None else each for each in masks])
    return torch.from_numpy(stacked).to(device).float()[:, None]


def _stacked_pixels(
    known: Sequence[NDArray[Any] | None],
    size: Size,
    device: torch.device,
) -> Tensor:
    """(B, H, W, 3) in [0, 255], zeros where all is masked."""
    if all(each is None for each in known):
        return torch.zeros(len(known), *size.shape, 3, device=device)
    nothing = np.zeros((*size.shape, 3), np.float32)
    stacked = np.stack([nothing if each is None else each for each in known])
    return torch.from_numpy(stacked).to(device)


def random_maps(
    count: int,
    *,
    classes: int,
    size: Size,
    generator: torch.Generator,
) -> StructureMaps:
    """Maps of random values in the ranges of real ones, to try networks out.

    Args:
        count: of items.
        classes: number of nucleus classes.
        size: of the pictures, in pixels.
        generator: of the values.
    """
    width, height = size
    rows = height // NUCLEI_CELL
    columns = width // NUCLEI_CELL
    nuclei = torch.randn(
        count,
        classes,
        rows,
        columns,
        generator=generator,
    )
    known = torch.randn(count, 3, height, width, generator=generator)
    mask = torch.randn(count, 1, height, width, generator=generator)
    return StructureMaps(
        nuclei=nuclei.sigmoid(),
        has_nuclei=torch.ones(count),
        known=known.tanh(),
        mask=(mask > 0).float(),
    )


def style_length(styles: int, labels: int) -> int:
    """Length of the result of `style_vector`."""
    return styles + 1 + labels


def style_vector(
    style: Tensor | None,
    label: int | None,
    *,
    mean: Tensor,
    std: Tensor,
    labels: int,
) -> Tensor:
    """The vector that joins the time embedding, (S + 1 + L,).

    It holds the standardised style, a flag that a style is given, and the label one-hot. Values
    beyond `MAX_STYLE_SD` standard deviations are cut there.

    Args:
        style: (S,), or None: the flag is 0.
        label: index of the label, or None.
        mean: (S,) of the training styles.
        std: (S,) of the training styles.
        labels: number of labels.
    """
    styles = len(mean)
    vector = torch.zeros(style_length(styles, labels))
    if style is not None:
        vector[:styles] = ((style - mean) / std).clamp(-MAX_STYLE_SD, MAX_STYLE_SD)
        vector[styles] = 1
    if label is not None:
        vector[styles + 1 + label] = 1
    return vector
