"""Density maps of a slide as TIFF: a page a class, float32, nuclei per mm2.

Channel names of the OME-XML are the classes, its PhysicalSizeX the side of a cell; the first cell
begins at the slide's corner.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import tifffile

from ..core.arrays import Float64Array
from ..core.errors import BadField, first_line
from ..core.nuclei import MAX_PER_MM2
from ..core.plain_files import refuse_special_file
from ..core.store import atomic_write
from ..slides.ome_xml import OmePicture, is_ome_xml, parse_ome
from .slide_nuclei import MAX_CLASSES

FIELD_SUFFIXES = (".tif", ".tiff")
CELL_RANGE_UM = (1.0, 500.0)
_MAX_SIDE = 16_384
_MAX_BYTES = 1 << 30
_FLOAT64_BYTES = 8
_SAME_SCALE = 1e-3
_XML = """<?xml version="1.0" encoding="UTF-8"?>
<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" Creator="histosynth">
<Image ID="Image:0" Name="nuclei per mm2">
<Description>{about}</Description>
<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="float" SizeX="{width}" SizeY="{height}"
 SizeC="{count}" SizeZ="1" SizeT="1" PhysicalSizeX="{cell!r}" PhysicalSizeXUnit="&#181;m"
 PhysicalSizeY="{cell!r}" PhysicalSizeYUnit="&#181;m">
{channels}
<TiffData IFD="0" PlaneCount="{count}"/>
</Pixels>
</Image>
</OME>"""


@dataclass(frozen=True, eq=False)
class DensityField:
    """Densities of a slide.

    Attributes:
        per_mm2: (K, R, C) nuclei per mm2.
        classes: K names.
        cell_um: side of a cell.
    """

    per_mm2: Float64Array
    classes: tuple[str, ...]
    cell_um: float

    @property
    def size_um(self) -> tuple[float, float]:
        """Width and height."""
        rows, columns = self.per_mm2.shape[1:]
        return columns * self.cell_um, rows * self.cell_um


def write_field(
    path: Path,
    field: DensityField,
    *,
    about: str = "",
    writing: Callable[[Path], AbstractContextManager[Path]] = atomic_write,
) -> None:
    """Write a density map, whole or not at all. Equal fields give equal bytes.

    Raises:
        NotWritable: the file cannot be written.
    """
    count, rows, columns = field.per_mm2.shape
    channels = []
    for number, name in enumerate(field.classes):
        channels.append(
            f'<Channel ID="Channel:0:{number}" SamplesPerPixel="1" Name="{escape(name)}"/>'
        )
    text = _XML.format(
        about=escape(about),
        width=columns,
        height=rows,
        count=count,
        cell=float(field.cell_um),
        channels="\n".join(channels),
    )
    with writing(path) as temporary:
        tifffile.imwrite(
            temporary,
            field.per_mm2.astype(np.float32),
            photometric="minisblack",
            compression="zlib",
            description=text.encode(),
            metadata=None,
            software="histosynth",
        )


def read_field(
    path: Path,
    *,
    classes: Sequence[str] | None = None,
    cell_um: float | None = None,
) -> DensityField:
    """Read a density map.

    Args:
        path: of the TIFF file.
        classes: names of its pages in order; None: those of its OME-XML.
        cell_um: side of a cell; None: that of its OME-XML.

    Raises:
        BadField: it is no such file, states no classes or scale, or others than are given, or holds
            values that are no densities.
    """
    try:
        refuse_special_file(path)
        with tifffile.TiffFile(path) as tiff:
            maps, description = _pages(tiff)
        picture = _picture(description)
        names = _names(
            picture,
            classes,
            len(maps),
        )
        cell = _cell(picture, cell_um)
        check_per_mm2(maps)
    except (
        OSError,
        ValueError,
        LookupError,
        RuntimeError,
        TypeError,
        AttributeError,
        ArithmeticError,
        AssertionError,
        MemoryError,
    ) as error:
        raise BadField(path, first_line(error)) from error
    return DensityField(
        maps,
        names,
        cell,
    )


def check_per_mm2(maps: Float64Array) -> None:
    """Raises ValueError: a value of (K, R, C) is no density, or too dense for tissue."""
    is_usable = np.isfinite(maps) & (maps >= 0)
    if not is_usable.all():
        raise ValueError(f"{int((~is_usable).sum()):,} densities are negative or no numbers")
    densest = float(maps.sum(axis=0).max())
    if densest > MAX_PER_MM2:
        raise ValueError(
            f"its densest place has {densest:,.0f} nuclei per mm2, and tissue {MAX_PER_MM2:,.0f} "
            "at most"
        )


def _pages(tiff: tifffile.TiffFile) -> tuple[Float64Array, str]:
    """(K, R, C) of all pages, and the first one's description."""
    count = len(tiff.pages)
    if not 1 <= count <= MAX_CLASSES:
        raise ValueError(f"it has {count:,} pages, not 1 to {MAX_CLASSES}, one a class")
    first = tiff.pages.first
    for number, page in enumerate(tiff.pages):
        if page.shape != first.shape or page.dtype != first.dtype:
            raise ValueError(f"page {number + 1} is {page.shape} of {page.dtype}, page 1 other")
    if (
        len(first.shape) != 2 or first.dtype is None or first.dtype.kind not in "fui"
    ):  # type of numpy
        raise ValueError(f"its pages are {first.shape} of {first.dtype}, not numbers in two axes")
    if max(first.shape) > _MAX_SIDE or first.size * count * _FLOAT64_BYTES > _MAX_BYTES:
        rows, columns = first.shape
        raise ValueError(f"it has {count} x {rows:,} x {columns:,} cells, too many")
    maps = np.empty((count, *first.shape), np.float64)
    for number, page in enumerate(tiff.pages):
        maps[number] = page.asarray()
    return maps, str(first.description)


def _picture(description: str) -> OmePicture | None:
    if not is_ome_xml(description):
        return None
    pictures = parse_ome(description).pictures
    return pictures[0] if pictures else None


def _names(
    picture: OmePicture | None,
    classes: Sequence[str] | None,
    count: int,
) -> tuple[str, ...]:
    stated = _stated_names(picture, count)
    if classes is None and not stated:
        raise ValueError(
            "its OME-XML does not name a class for each page; state --field-classes A,B,…"
        )
    if classes is not None and stated and list(classes) != stated:
        raise ValueError(
            f"its pages are {', '.join(stated)}, and --field-classes {', '.join(classes)}"
        )
    names = tuple(classes or stated)
    if len(names) != count or len(set(names)) < count:
        raise ValueError(f"it has {count} pages, and {len(set(names))} classes are named")
    return names


def _stated_names(picture: OmePicture | None, count: int) -> list[str]:
    """Names of the channels; none where one lacks its name."""
    if picture is None:
        return []
    names = [channel.get("Name", "") for channel in picture.channels]
    return names if len(names) == count and all(names) else []


def _cell(picture: OmePicture | None, cell_um: float | None) -> float:
    stated = None if picture is None else _stated_cell(picture)
    cell = cell_um or stated
    if cell is None:
        raise ValueError("it does not state the side of its cells in um; state --field-cell UM")
    if stated is not None and abs(cell / stated - 1) > _SAME_SCALE:
        raise ValueError(f"its cells are {stated:g} um, and --field-cell is {cell:g}")
    least, most = CELL_RANGE_UM
    if not least <= cell <= most:
        raise ValueError(f"its cells are {cell:g} um, not {least:g} to {most:g}")
    return float(cell)


def _stated_cell(picture: OmePicture) -> float | None:
    scale = picture.scale
    if scale.problem:
        raise ValueError(str(scale))
    if scale.x and scale.y and abs(scale.x / scale.y - 1) > _SAME_SCALE:
        raise ValueError(f"its cells are {scale.x:g} x {scale.y:g} um, not square")
    return scale.mpp
