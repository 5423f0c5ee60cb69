"""Maps of the nuclei of a whole batch at once, on the device of the networks.

The values are those of `Nuclei.rasterize` and `Nuclei.rasterize_shapes`, which go through one tile
after another on a CPU. On a GPU that loop takes longer than the network does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..core.arrays import Float64Array, IndexArray
from ..core.geometry import Size
from ..core.nuclei import ANY_CLASS, SHAPE_MAPS, SHAPE_SIGMA_PX, SPLAT_SIGMA_PX, Nuclei
from ..core.nucleus_shapes import known_shapes

_MAX_VALUES = 1 << 24
"""Values that are computed at a time: 128 MiB in float64."""
_AREA_MAP = 0
_SPLAT_MAP = 1


@dataclass(
    frozen=True,
    eq=False,
)
class _Splats:
    """Gaussians to draw.

    Attributes:
        planes: (N,) the plane that each is drawn on, of (B, K) in one row.
        centres: (N, 2) x and y in cells.
        peaks: (N,).
    """

    planes: IndexArray
    centres: Float64Array
    peaks: Float64Array


def splat_maps(
    nuclei: Sequence[Nuclei | None],
    *,
    classes: int,
    size: Size,
    cell: int,
    device: torch.device,
) -> Tensor:
    """One Gaussian a nucleus, one channel a class, of a batch; see `Nuclei.rasterize`.

    Args:
        nuclei: per item; None: its maps are zeros.
        classes: number of nucleus classes.
        size: of the pictures, px.
        cell: side of a cell, px.
        device: of the result.

    Returns:
        (B, K, ceil(H / cell), ceil(W / cell)) float32 in [0, 1].
    """
    parts = []
    for item, each in enumerate(nuclei):
        if each is not None and len(each):
            parts += _splats_of(
                each,
                item * classes,
                classes,
                cell,
            )
    maps = _blank(
        len(nuclei) * classes,
        size,
        cell,
        device,
    )
    _raise_to_gaussians(
        maps,
        parts,
        SPLAT_SIGMA_PX / cell,
    )
    return maps.view(
        len(nuclei),
        classes,
        *maps.shape[1:],
    )


def shape_maps(
    nuclei: Sequence[Nuclei | None],
    *,
    size: Size,
    cell: int,
    device: torch.device,
) -> Tensor:
    """Ellipses of the nuclei of a batch whose shapes are known; see `Nuclei.rasterize_shapes`.

    Args:
        nuclei: per item; None: its maps are zeros.
        size: of the pictures, px.
        cell: side of a cell, px.
        device: of the result.

    Returns:
        (B, 2, ceil(H / cell), ceil(W / cell)) float32 in [0, 1].
    """
    splats = []
    ellipses = []
    for item, each in enumerate(nuclei):
        if each is None or each.shapes is None:
            continue
        known = known_shapes(each.shapes)
        centres = _in_cells(
            each.xy[known],
            cell,
        )
        plane = item * SHAPE_MAPS
        planes = np.full(
            len(centres),
            plane,
            np.intp,
        )
        splats.append(
            _Splats(
                planes + _SPLAT_MAP,
                centres,
                np.ones(len(centres)),
            )
        )
        area, elongation, angle = each.shapes[known].astype(np.float64).T
        radius = np.sqrt(area / np.pi) / each.mpp / cell
        shape = [radius, elongation, np.radians(angle)]
        ellipses.append(np.column_stack([planes + _AREA_MAP, centres, *shape]))
    maps = _blank(
        len(nuclei) * SHAPE_MAPS,
        size,
        cell,
        device,
    )
    _raise_to_gaussians(
        maps,
        splats,
        SHAPE_SIGMA_PX / cell,
    )
    if ellipses:
        _raise_to_ellipses(
            maps,
            np.concatenate(ellipses),
        )
    return maps.view(
        len(nuclei),
        SHAPE_MAPS,
        *maps.shape[1:],
    )


def _splats_of(
    nuclei: Nuclei,
    first_plane: int,
    classes: int,
    cell: int,
) -> list[_Splats]:
    """Gaussians of one item: those with a class, and those without one in every channel."""
    centres = _in_cells(
        nuclei.xy,
        cell,
    )
    is_any = nuclei.class_ids == ANY_CLASS
    of_class = nuclei.class_ids[~is_any].astype(np.intp)
    splats = [
        _Splats(
            first_plane + of_class,
            centres[~is_any],
            np.ones(len(of_class)),
        )
    ]
    without = centres[is_any]
    peaks = np.full(
        len(without),
        np.float32(1 / classes),
        np.float64,
    )
    for channel in range(classes if len(without) else 0):
        planes = np.full(
            len(without),
            first_plane + channel,
            np.intp,
        )
        splats.append(
            _Splats(
                planes,
                without,
                peaks,
            )
        )
    return splats


def _in_cells(xy: np.ndarray, cell: int) -> Float64Array:
    """Positions in pixels as positions in cells, rounded as in `Nuclei.rasterize`."""
    centres: Float64Array = ((xy - (cell - 1) / 2) / cell).astype(np.float64)
    return centres


def _blank(
    planes: int,
    size: Size,
    cell: int,
    device: torch.device,
) -> Tensor:
    rows = -(-size.height // cell)
    columns = -(-size.width // cell)
    return torch.zeros(
        planes,
        rows,
        columns,
        device=device,
    )


def _raise_to_gaussians(
    maps: Tensor,
    parts: Sequence[_Splats],
    sigma: float,
) -> None:
    """Raise maps (P, h, w) in place to Gaussians, each cut off at 3 sigma; `sigma` in cells."""
    if not parts:
        return
    planes = np.concatenate([part.planes for part in parts])
    centres = np.concatenate([part.centres for part in parts])
    peaks = np.concatenate([part.peaks for part in parts])
    radius = int(np.ceil(3 * sigma))
    window = torch.arange(
        -radius,
        radius + 1,
        device=maps.device,
    )
    scale = -1 / (2 * sigma**2)
    everything = np.arange(len(planes))
    for part in _at_a_time(everything, len(window)):
        x, y, peak = _on_device(
            maps,
            centres[part, 0],
            centres[part, 1],
            peaks[part],
        )
        columns = x.round().long() + window
        rows = y.round().long() + window[:, None]
        across = torch.exp(scale * (columns - x) ** 2)
        down = torch.exp(scale * (rows - y) ** 2)
        _raise(
            maps,
            planes[part],
            rows,
            columns,
            peak * down * across,
        )


def _raise_to_ellipses(
    maps: Tensor,
    ellipses: Float64Array,
) -> None:
    """Raise maps (P, h, w) in place to ellipses: 1 at a centre, 0.5 just inside the outline.

    Args:
        maps: changed in place.
        ellipses: (N, 6) plane, x, y, radius, elongation and angle; in cells and radians.
    """
    reaches = ellipses[:, 3] * np.sqrt(ellipses[:, 4]) + 1
    sides = 2 * np.ceil(reaches) + 1
    # windows of one size are computed at once, and sizes are few
    sizes = (2 ** np.ceil(np.log2(sides))).astype(np.intp)
    for side in np.unique(sizes).tolist():
        chosen = np.flatnonzero(sizes == side)
        for part in _at_a_time(chosen, side):
            _raise_to_windows(
                maps,
                ellipses[part],
                side,
            )


def _raise_to_windows(
    maps: Tensor,
    ellipses: Float64Array,
    side: int,
) -> None:
    """Raise maps to ellipses that each fit a window of `side` cells."""
    planes, *numbers = ellipses.T
    x, y, radius, elongation, angle = _on_device(
        maps,
        *numbers,
    )
    long_axis = radius * elongation.sqrt()
    reach = long_axis + 1
    window = torch.arange(
        side,
        device=maps.device,
    )
    columns = (x - reach).floor().long() + window
    rows = (y - reach).floor().long() + window[:, None]
    dx = columns - x
    dy = rows - y
    cosine = angle.cos()
    sine = angle.sin()
    turned_x = dx * cosine + dy * sine
    turned_y = dy * cosine - dx * sine
    along = turned_x / long_axis
    across = turned_y * elongation / long_axis
    squared = along**2 + across**2
    from_outline = (1 - squared.sqrt()) * radius
    inside = (from_outline + 0.5).clamp(0, 1)
    value = 1 - squared / 2
    value = value.clamp(0, 1) * inside
    # the edges of a long thin one end where its window does
    value *= columns <= (x + reach).ceil()
    value *= rows <= (y + reach).ceil()
    _raise(
        maps,
        planes.astype(np.intp),
        rows,
        columns,
        value,
    )


def _raise(
    maps: Tensor,
    planes: IndexArray,
    rows: Tensor,
    columns: Tensor,
    values: Tensor,
) -> None:
    """Raise maps (P, h, w) to values, where they have such a place.

    Args:
        maps: changed in place.
        planes: (N,).
        rows: (N, r, 1).
        columns: (N, 1, c).
        values: (N, r, c), not below 0.
    """
    _, height, width = maps.shape
    is_row = (rows >= 0) & (rows < height)
    is_column = (columns >= 0) & (columns < width)
    # what lies beyond the border raises nothing: maps hold no value below 0
    values = values * (is_row & is_column)
    plane = torch.from_numpy(planes).to(maps.device)
    first_of_plane = plane[:, None, None] * (height * width)
    row = rows.clamp(0, height - 1)
    column = columns.clamp(0, width - 1)
    places = first_of_plane + row * width + column
    maps.view(-1).scatter_reduce_(
        0,
        places.flatten(),
        values.to(maps.dtype).flatten(),
        reduce="amax",
    )


def _on_device(
    maps: Tensor,
    *numbers: Float64Array,
) -> tuple[Tensor, ...]:
    """Columns of numbers (N,), each as (N, 1, 1) on the maps' device, moved together."""
    stacked = torch.from_numpy(np.stack(numbers))
    moved = stacked.to(maps.device)
    return tuple(moved[..., None, None])


def _at_a_time(
    chosen: IndexArray,
    side: int,
) -> Iterator[IndexArray]:
    """Parts of the chosen rows whose windows of `side` x `side` cells fit into memory."""
    count = _MAX_VALUES // side**2
    count = max(count, 1)
    for first in range(0, len(chosen), count):
        yield chosen[first : first + count]
