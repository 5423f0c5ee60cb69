"""Layouts of whole slides as Parquet: a window reads the row groups that it touches, and no more.

A row is a nucleus: `x` and `y` in px of the slide, (0, 0) the centre of the first pixel, to
hundredths; `class`; and `area_um2`, `elongation`, `angle` where shapes are known. Each row group is
a rectangle of the slide, its rows sorted by blocks of 512 px. The file's metadata state size, scale
and classes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..core.arrays import Float64Array
from ..core.errors import first_line
from ..core.geometry import Box
from ..core.nuclei import ANY, ANY_CLASS, Nuclei
from ..core.nucleus_shapes import SHAPE_NAMES
from ..core.plain_files import open_plain
from ..core.slide_layout import FramedLayout
from ..core.store import atomic_write
from ..core.tile import Mask
from ..tissue.layouts.slide_rows import HUNDREDTHS, SlideRows, joined_rows
from .layout_checks import (
    LAYOUT_KEY,
    LAYOUT_VERSION,
    bad_layout,
    check_layout_columns,
    class_ids_of_column,
    facts_of_layout,
    layout_extents,
    opened_layout,
    shapes_of_table,
)
from .layout_empty import SlideEmptyRegions, empty_path_of, read_slide_empty

LAYOUT_SUFFIX = ".parquet"
BLOCK_PX = 512
_DIGEST = re.compile("[0-9a-f]{64}")
_GROUPS_KEPT = 16


class FileLayout(FramedLayout):
    """Nuclei of a slide in a Parquet file, of which a window is read at a time: `SlideLayout`.

    Args:
        path: of the file.
        empty: regions without tissue; None: none are known.

    Raises:
        BadNuclei: it is no such file, or damaged.
    """

    def __init__(
        self,
        path: Path,
        empty: SlideEmptyRegions | None = None,
    ) -> None:
        self.path = path
        self._empty = empty
        self._metadata, schema = opened_layout(path)
        facts = facts_of_layout(
            path,
            schema,
        )
        self.facts = facts
        super().__init__(
            facts["classes"],
            facts["size"],
            float(facts["mpp"]),
        )
        self._has_shapes = check_layout_columns(
            path,
            schema,
        )
        self._extents = layout_extents(
            path,
            self._metadata,
            self._size,
        )
        self._groups: OrderedDict[int, SlideRows] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        """What other processes receive: what is kept in memory stays here."""
        return self.__dict__ | {"_groups": OrderedDict()}

    @cached_property
    def digest(self) -> str:
        """Hex digest of the file, and of the regions without tissue."""
        found = hashlib.sha256()
        with open_plain(self.path) as file:
            while part := file.read(1 << 20):
                found.update(part)
        if self._empty is not None:
            found.update(self._empty.digest.encode())
        return found.hexdigest()

    @property
    def origin(self) -> str:
        """See `core.slide_layout.origin_of`: what the file states of itself."""
        stated = self.facts.get("origin") or self.facts.get("layout")
        return stated if isinstance(stated, str) and _DIGEST.fullmatch(stated) else self.digest

    def __len__(self) -> int:
        return int(self._metadata.num_rows)

    def window(self, box: Box) -> Nuclei:
        """The nuclei inside a box, in its frame; see `SlideLayout`."""
        return self.rows_inside(box).nuclei(
            box,
            classes=self._classes,
            mpp=self._mpp,
        )

    def rows_inside(self, box: Box) -> SlideRows:
        """The nuclei inside a box, in the slide's frame."""
        left, top, right, bottom = self._extents.T
        touched = (left < box.right) & (right >= box.x - 1)
        touched &= (top < box.bottom) & (bottom >= box.y - 1)
        parts = []
        for number in np.flatnonzero(touched).tolist():
            parts.append(self.group(number).inside(box))
        return joined_rows(parts)

    @property
    def empty_regions(self) -> SlideEmptyRegions | None:
        """Regions without tissue; None: none are known."""
        return self._empty

    def empty(self, box: Box) -> Mask | None:
        """(H, W) bool, pixels of a box that show no tissue; None: no such regions are known."""
        return None if self._empty is None else self._empty.inside(box)

    @property
    def groups(self) -> int:
        """Number of row groups."""
        return len(self._extents)

    def group(self, number: int) -> SlideRows:
        """The nuclei of a row group.

        Raises:
            BadNuclei: it is damaged, or its nuclei are not those of its metadata.
        """
        found = self._groups.get(number)
        if found is None:
            found = self._read_group(number)
            self._groups[number] = found
            while len(self._groups) > _GROUPS_KEPT:
                self._groups.popitem(last=False)
        self._groups.move_to_end(number)
        return found

    def _read_group(self, number: int) -> SlideRows:
        names = ["x", "y", "class", *(SHAPE_NAMES if self._has_shapes else ())]
        try:
            with open_plain(self.path) as file:
                opened = pq.ParquetFile(
                    file,
                    metadata=self._metadata,
                )
                table = opened.read_row_group(
                    number,
                    columns=names,
                )
        except (OSError, ValueError, pa.ArrowException) as error:
            raise bad_layout(self.path, f"it is damaged: {first_line(error)}") from error
        if any(table[name].null_count for name in ("x", "y", "class")):
            raise bad_layout(
                self.path, f"row group {number + 1} holds nuclei without a place or a class"
            )
        xy = np.stack(
            [table["x"].to_numpy(), table["y"].to_numpy()],
            1,
        )
        self._check_places(
            xy,
            number,
        )
        steps = np.rint(xy * HUNDREDTHS).astype(np.int64)
        return SlideRows(
            steps[:, 0],
            steps[:, 1],
            class_ids_of_column(
                self.path,
                table["class"],
                self._classes,
            ),
            shapes_of_table(table) if self._has_shapes else None,
        )

    def _check_places(self, xy: Float64Array, number: int) -> None:
        broken = ~np.isfinite(xy).all(axis=1)
        if broken.any():
            raise bad_layout(
                self.path,
                f"{int(broken.sum()):,} of {len(xy):,} nuclei of row group {number + 1} have "
                "coordinates that are no numbers",
            )
        outside = (xy < -0.5) | (xy >= np.array(self._size) - 0.5)
        count = int(outside.any(axis=1).sum())
        if count:
            width, height = self._size
            raise bad_layout(
                self.path,
                f"{count:,} of {len(xy):,} nuclei of row group {number + 1} lie outside its slide "
                f"of {width:,} x {height:,} px",
            )
        left, top, right, bottom = self._extents[number]
        if (xy < [left, top]).any() or (xy > [right, bottom]).any():
            raise bad_layout(
                self.path,
                f"row group {number + 1} holds nuclei outside the extent that it states",
            )


def open_layout(path: Path | str) -> FileLayout:
    """Open the layout of a slide.

    Args:
        path: a Parquet file of `write_layout`. Regions without tissue are read from
            `NAME.empty.geojson` next to it, if it is there.

    Raises:
        BadNuclei: it is no such file, or damaged.
        BadRegions: the regions cannot be read.
    """
    path = Path(path)
    regions = empty_path_of(path)
    return FileLayout(
        path,
        read_slide_empty(regions) if regions.exists() else None,
    )


def write_layout(
    path: Path | str,
    parts: Iterable[SlideRows],
    *,
    classes: Sequence[str],
    size: tuple[int, int],
    mpp: float,
    facts: Mapping[str, Any],
    on_part: Callable[[int], None] = lambda rows: None,
    writing: Callable[[Path], AbstractContextManager[Path]] = atomic_write,
) -> int:
    """Write the layout of a slide, whole or not at all. Equal parts give equal bytes.

    Args:
        path: `*.parquet`.
        parts: nuclei of rectangles of the slide, each of which becomes a row group.
        classes: names of the classes.
        size: (width, height) of the slide, px.
        mpp: micrometres per pixel.
        facts: JSON-able, kept in the file's metadata; `synthetic` says whether it was drawn.
        on_part: called with the number of nuclei of each part that is written.
        writing: yields the temporary file that becomes the file.

    Returns:
        Number of nuclei.

    Raises:
        NotWritable: the folder cannot be written, or the disk is full.
    """
    stated = {
        **facts,
        "version": LAYOUT_VERSION,
        "classes": list(classes),
        "size": list(size),
        "mpp": mpp,
    }
    total = 0
    with writing(Path(path)) as temporary:
        writer: pq.ParquetWriter | None = None
        for rows in parts:
            if writer is None:
                writer = _writer(
                    temporary,
                    stated,
                    with_shapes=rows.shapes is not None,
                )
            if len(rows):
                writer.write_table(
                    _table_of(
                        rows,
                        classes,
                        writer.schema,
                    )
                )
            total += len(rows)
            on_part(len(rows))
        if writer is None:
            writer = _writer(
                temporary,
                stated,
                with_shapes=False,
            )
        writer.close()
    return total


def _writer(path: Path, facts: Mapping[str, Any], *, with_shapes: bool) -> pq.ParquetWriter:
    fields = [
        pa.field(
            "x",
            pa.float64(),
            nullable=False,
        ),
        pa.field(
            "y",
            pa.float64(),
            nullable=False,
        ),
        pa.field(
            "class",
            pa.dictionary(
                pa.int16(),
                pa.string(),
            ),
            nullable=False,
        ),
    ]
    if with_shapes:
        fields += [
            pa.field(
                name,
                pa.float32(),
            )
            for name in SHAPE_NAMES
        ]
    schema = pa.schema(
        fields,
        metadata={
            LAYOUT_KEY: json.dumps(
                facts,
                sort_keys=True,
            ).encode()
        },
    )
    return pq.ParquetWriter(
        path,
        schema,
        compression="ZSTD",
        use_dictionary=["class"],
        write_statistics=["x", "y"],
    )


def _table_of(rows: SlideRows, classes: Sequence[str], schema: pa.Schema) -> pa.Table:
    block = BLOCK_PX * HUNDREDTHS
    half = HUNDREDTHS // 2
    order = np.lexsort(
        (
            rows.class_ids,
            rows.x,
            rows.y,
            (rows.x + half) // block,
            (rows.y + half) // block,
        )
    )
    rows = rows.take(order)
    index = np.where(
        rows.class_ids == ANY_CLASS,
        len(classes),
        rows.class_ids,
    )
    columns = [
        pa.array(rows.x / HUNDREDTHS),
        pa.array(rows.y / HUNDREDTHS),
        pa.DictionaryArray.from_arrays(
            pa.array(index.astype(np.int16)),
            pa.array([*classes, ANY]),
        ),
    ]
    if rows.shapes is not None:
        columns += [
            pa.array(
                column,
                from_pandas=True,
            )
            for column in rows.shapes.T
        ]
    return pa.Table.from_arrays(
        columns,
        schema=schema,
    )
