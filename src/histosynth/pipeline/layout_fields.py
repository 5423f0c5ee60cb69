"""Density maps of slides: estimated from nuclei, and given to draw others by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage

from ..annotation.field_files import (
    CELL_RANGE_UM,
    FIELD_SUFFIXES,
    DensityField,
    read_field,
    write_field,
)
from ..annotation.layout_files import FileLayout
from ..annotation.layout_geojson import HeldLayout
from ..core.arrays import Float64Array
from ..core.errors import BadField, BadOption
from ..core.folder_lock import share_folder
from ..core.geometry import Box
from ..core.own_files import OwnFiles
from ..core.slide_layout import SlideLayout
from ..tissue.layouts.given_fields import read_densities
from ..tissue.layouts.model import LayoutModel
from ..tissue.layouts.slide_rows import HUNDREDTHS, SlideRows

DEFAULT_CELL_UM = 16.0
DEFAULT_KERNEL_UM = 20.0
KERNEL_RANGE_UM = (5.0, 500.0)
_PART_PX = 8192
_UM2_PER_MM2 = 1e6


@dataclass(frozen=True)
class FieldFile:
    """What `estimate_field_file` wrote.

    Attributes:
        out: TIFF file.
        field: what it holds.
    """

    out: Path
    field: DensityField


def given_field(
    field: Path | str | DensityField,
    model: LayoutModel,
    size_um: tuple[float, float],
) -> tuple[Float64Array, tuple[float, float]]:
    """Maps (K, R, C) in the order of the model's classes, and width and height of a cell, um.

    Raises:
        BadField, BadLayouts: they cannot be used, or are not of a slide of this size.
    """
    path = Path("the field")
    if not isinstance(field, DensityField):
        path = Path(field)
        if path.suffix.lower() not in FIELD_SUFFIXES:
            maps = read_densities(
                path,
                model,
                size_um,
            )
            rows, columns = maps.shape[1:]
            return maps, (size_um[0] / columns, size_um[1] / rows)
        field = read_field(path)
    if sorted(field.classes) != sorted(model.classes):
        found = ", ".join(field.classes[:5])
        known = ", ".join(model.classes)
        raise BadField(path, f"its classes are {found}, those of the model {known}")
    cell = field.cell_um
    for found_um, side_um in zip(
        field.size_um,
        size_um,
        strict=True,
    ):
        if not -cell < found_um - side_um < cell:
            raise BadField(
                path,
                f"it covers {field.size_um[0]:,.0f} x {field.size_um[1]:,.0f} um, and the slide is "
                f"{size_um[0]:,.0f} x {size_um[1]:,.0f} um",
            )
    order = [field.classes.index(name) for name in model.classes]
    return field.per_mm2[order], (cell, cell)


def held_field(field: Path | str | DensityField | None) -> Path | str | DensityField | None:
    """A field with its TIFF file read; one in .npz, which states no size, as it is.

    Raises:
        BadField: see `read_field`.
    """
    if field is None or isinstance(field, DensityField):
        return field
    path = Path(field)
    return read_field(path) if path.suffix.lower() in FIELD_SUFFIXES else field


def field_of(
    path: Path | None,
    classes: str | None = None,
    cell_um: float | None = None,
) -> Path | DensityField | None:
    """The field that `draw_slide_layout` takes.

    Args:
        path: of its file; None: none is given.
        classes: names of its pages, with commas between; None: it states them.
        cell_um: side of its cells; None: it states it.

    Raises:
        BadOption: something is stated of a field that is not given, or of one in .npz.
        BadField: see `read_field`.
    """
    stated = {
        "--field-classes": classes,
        "--field-cell": cell_um,
    }
    given = {name: value for name, value in stated.items() if value is not None}
    if not given:
        return path
    if path is None or path.suffix.lower() not in FIELD_SUFFIXES:
        name, value = next(iter(given.items()))
        raise BadOption(
            name,
            value,
            "given together with a --field in TIFF",
        )
    names = None
    if classes is not None:
        names = [name.strip() for name in classes.split(",")]
    return read_field(
        path,
        classes=names,
        cell_um=cell_um,
    )


def layout_parts(layout: SlideLayout) -> Iterator[SlideRows]:
    """All nuclei of a layout, some at a time, each once."""
    if isinstance(layout, FileLayout):
        for number in range(layout.groups):
            yield layout.group(number)
    elif isinstance(layout, HeldLayout):
        yield layout.rows
    else:
        width, height = layout.size
        for top in range(0, height, _PART_PX):
            for left in range(0, width, _PART_PX):
                box = Box(
                    left,
                    top,
                    min(_PART_PX, width - left),
                    min(_PART_PX, height - top),
                )
                yield SlideRows.of(layout.window(box), (left, top))


def estimate_field(
    layout: SlideLayout,
    *,
    cell_um: float = DEFAULT_CELL_UM,
    kernel_um: float = DEFAULT_KERNEL_UM,
) -> DensityField:
    """Densities of the nuclei of a slide by a Gaussian kernel, corrected for the slide's border.

    Args:
        layout: of the slide; nuclei whose class is not known do not count.
        cell_um: side of a cell.
        kernel_um: standard deviation of the kernel.

    Raises:
        BadOption: a number out of its range.
    """
    _check("--cell", cell_um, CELL_RANGE_UM)
    _check("--kernel", kernel_um, KERNEL_RANGE_UM)
    sides_um = [side * layout.mpp for side in layout.size]
    columns, rows = (int(np.ceil(side / cell_um)) for side in sides_um)
    counts = np.zeros((len(layout.classes), rows, columns), np.float32)
    scale = layout.mpp / cell_um
    for part in layout_parts(layout):
        known = part.take(part.class_ids < len(layout.classes))
        column = ((known.x / HUNDREDTHS + 0.5) * scale).astype(np.intp)
        row = ((known.y / HUNDREDTHS + 0.5) * scale).astype(np.intp)
        places = (known.class_ids, row.clip(0, rows - 1), column.clip(0, columns - 1))
        np.add.at(counts, places, 1)
    covered = _covered(sides_um[1], rows, cell_um)[:, None] * _covered(
        sides_um[0],
        columns,
        cell_um,
    )
    sigma = kernel_um / cell_um
    below = _smooth(covered, sigma).clip(1e-6)
    maps = []
    for of_class in counts:
        smooth = _smooth(of_class.astype(np.float64), sigma)
        maps.append(smooth / below / cell_um**2 * _UM2_PER_MM2)
    return DensityField(
        np.stack(maps),
        layout.classes,
        cell_um,
    )


def estimate_field_file(
    layout: SlideLayout,
    out: Path,
    *,
    cell_um: float = DEFAULT_CELL_UM,
    kernel_um: float = DEFAULT_KERNEL_UM,
) -> FieldFile:
    """Estimate the densities of a slide's nuclei into a TIFF file.

    Args:
        layout: of the slide.
        out: `*.tif`.
        cell_um: side of a cell.
        kernel_um: standard deviation of the kernel.

    Raises:
        BadOption: a number out of its range, or another name.
        NotWritable: the file cannot be written.
    """
    if out.suffix.lower() not in FIELD_SUFFIXES:
        raise BadOption("--out", out.name, f"a name that ends in {' or '.join(FIELD_SUFFIXES)}")
    with share_folder(out.parent, [out.name]):
        own = OwnFiles(out.parent)
        own.refuse_foreign([out.name])
        field = estimate_field(
            layout,
            cell_um=cell_um,
            kernel_um=kernel_um,
        )
        write_field(
            out,
            field,
            about=f"Gaussian kernel of {kernel_um:g} um",
            writing=lambda path: own.writing(path.name),
        )
    return FieldFile(out, field)


def _check(
    option: str,
    value: float,
    limits: tuple[float, float],
) -> None:
    least, most = limits
    if not least <= value <= most:
        raise BadOption(option, f"{value:g}", f"{least:g} to {most:g} um")


def _covered(
    length: float,
    cells: int,
    cell_um: float,
) -> Float64Array:
    """(cells,) share of each cell along an axis that lies on the slide."""
    ends = np.minimum(np.arange(1, cells + 1) * cell_um, length)
    return np.asarray(ends / cell_um - np.arange(cells))


def _smooth(values: Float64Array, sigma: float) -> Float64Array:
    return np.asarray(
        ndimage.gaussian_filter(
            values,
            sigma,
            mode="constant",
            truncate=3.0,
        )
    )
