"""What a Parquet file of a layout must hold, checked before it is used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..core.arrays import Float64Array
from ..core.errors import BadNuclei, first_line
from ..core.geometry import Size
from ..core.nuclei import ANY, ANY_CLASS
from ..core.nucleus_shapes import SHAPE_NAMES
from ..core.plain_files import open_plain
from .slide_nuclei import MAX_CLASSES, MAX_COORDINATE_PX

MAX_ROWS_TOGETHER = 4_000_000
"""Of a row group."""
MAX_ROW_GROUPS = 200_000
LAYOUT_KEY = b"histosynth:layout"
LAYOUT_VERSION = 1
_MAX_FACTS_BYTES = 1 << 20
_REMEDY = "Give a file that `histosynth layout sample` or `hs.write_layout` wrote."


def opened_layout(path: Path) -> tuple[pq.FileMetaData, pa.Schema]:
    """Metadata and columns of a Parquet file."""
    try:
        with open_plain(path) as file:
            opened = pq.ParquetFile(file)
            return opened.metadata, opened.schema_arrow
    except OSError as error:
        raise bad_layout(
            path,
            error.strerror or first_line(error),
        ) from error
    except (ValueError, pa.ArrowException) as error:
        raise bad_layout(
            path,
            first_line(error),
        ) from error


def facts_of_layout(path: Path, schema: pa.Schema) -> dict[str, Any]:
    """Checked facts of a file's metadata."""
    text = (schema.metadata or {}).get(LAYOUT_KEY)
    if text is None or len(text) > _MAX_FACTS_BYTES:
        raise bad_layout(
            path,
            "its metadata do not state a slide's size, scale and classes",
        )
    try:
        facts = json.loads(text)
        _check_facts(facts)
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise bad_layout(path, f"its metadata cannot be used: {first_line(error)}") from error
    return dict(facts)


def _check_facts(facts: Any) -> None:
    """Raises ValueError: naming what is wrong."""
    if facts["version"] != LAYOUT_VERSION:
        raise ValueError(f"version {facts['version']!r:.40}, not {LAYOUT_VERSION}")
    width, height = facts["size"]
    if not (_is_side(width) and _is_side(height)):
        raise ValueError(f"a size of {width!r:.20} x {height!r:.20} px")
    mpp = facts["mpp"]
    is_number = isinstance(
        mpp,
        int | float,
    )
    if not is_number or not 0.01 <= mpp <= 100:
        raise ValueError(f"a scale of {mpp!r:.20} um/px")
    _check_classes(list(facts["classes"]))


def _is_side(side: Any) -> bool:
    return (
        isinstance(
            side,
            int,
        )
        and 1 <= side < MAX_COORDINATE_PX
    )


def _check_classes(classes: list[Any]) -> None:
    is_named = all(
        isinstance(
            name,
            str,
        )
        for name in classes
    )
    is_counted = 1 <= len(classes) <= MAX_CLASSES
    if not is_named or not is_counted or len(set(classes)) < len(classes):
        count = f"{len(classes):,} classes"
        raise ValueError(f"{count}, not 1 to {MAX_CLASSES} different names")


def check_layout_columns(path: Path, schema: pa.Schema) -> bool:
    """Whether there are shapes.

    Raises:
        BadNuclei: columns are missing or of other types.
    """
    shapes = [name for name in SHAPE_NAMES if name in schema.names]
    for name in ("x", "y", "class"):
        if name not in schema.names:
            raise bad_layout(path, f"it lacks the column {name}")
    for name in ("x", "y", *shapes):
        found = schema.field(name).type
        if not pa.types.is_floating(found):
            raise bad_layout(path, f"column {name} is of type {found}, not float")
    if not _is_text(schema.field("class").type):
        raise bad_layout(path, f"column class is of type {schema.field('class').type}, not text")
    return len(shapes) == len(SHAPE_NAMES)


def _is_text(of_class: pa.DataType) -> bool:
    if pa.types.is_dictionary(of_class):
        of_class = of_class.value_type
    return bool(pa.types.is_string(of_class))


def layout_extents(
    path: Path,
    metadata: pq.FileMetaData,
    size: Size,
) -> Float64Array:
    """(G, 4) least and largest x, y of each row group: left, top, right, bottom."""
    if metadata.num_row_groups > MAX_ROW_GROUPS:
        raise bad_layout(path, f"it has {metadata.num_row_groups:,} row groups")
    out = np.empty((metadata.num_row_groups, 4))
    names = [metadata.schema.column(number).name for number in range(len(metadata.schema))]
    columns = [names.index(name) for name in ("x", "y")]
    for number in range(len(out)):
        group = metadata.row_group(number)
        if group.num_rows > MAX_ROWS_TOGETHER:
            raise bad_layout(
                path,
                f"row group {number + 1} has {group.num_rows:,} rows, over the limit of "
                f"{MAX_ROWS_TOGETHER:,}",
            )
        for axis, column in enumerate(columns):
            statistics = group.column(column).statistics
            if statistics is None or not statistics.has_min_max:
                raise bad_layout(path, f"row group {number + 1} does not state its extent")
            out[number, axis] = statistics.min
            out[number, axis + 2] = statistics.max
    ends = out.reshape(
        -1,
        2,
        2,
    )
    is_on = (ends >= -0.5) & (ends < np.array(size) - 0.5)
    outside = np.flatnonzero(~is_on.all(axis=(1, 2)))
    if len(outside):
        left, top, right, bottom = out[outside[0]]
        raise bad_layout(
            path,
            f"nuclei of row group {outside[0] + 1} lie outside its slide of {size.width:,} x "
            f"{size.height:,} px: they reach from {left:g},{top:g} to {right:g},{bottom:g}",
        )
    return out


def class_ids_of_column(path: Path, column: pa.ChunkedArray, classes: tuple[str, ...]) -> Any:
    """(N,) uint8 index of each row's class among `classes`."""
    array = column.combine_chunks()
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    if isinstance(
        array,
        pa.ChunkedArray,
    ):
        array = array.unify_dictionaries().chunk(0) if array.num_chunks else array
    names = array.dictionary.to_pylist()
    index = {name: position for position, name in enumerate(classes)} | {ANY: ANY_CLASS}
    used = np.unique(array.indices.to_numpy())
    unknown = sorted({str(names[number]) for number in used.tolist()} - index.keys())
    if unknown:
        raise bad_layout(
            path,
            f"{len(unknown):,} of its classes are not among those that its metadata state: "
            f"{', '.join(unknown[:5])}",
        )
    ids = np.array(
        [
            index.get(
                name,
                0,
            )
            for name in names
        ]
        or [0],
        np.uint8,
    )
    return ids[array.indices.to_numpy()]


def shapes_of_table(table: pa.Table) -> Any:
    """(N, 3) float32."""
    columns = [table[name].to_numpy().astype(np.float32) for name in SHAPE_NAMES]
    return np.stack(
        columns,
        1,
    )


def bad_layout(path: Path, reason: str) -> BadNuclei:
    """The error of a file that cannot be used."""
    return BadNuclei(f"{path} is no layout of a slide that can be used: {reason}.", _REMEDY)
