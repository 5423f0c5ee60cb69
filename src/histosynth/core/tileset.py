"""Tile sets: a folder of Parquet files, one row a tile, refused tiles included with their reason.

Hugging Face datasets, DuckDB, Polars and Ray Data read them as they are. A set with a patient in
two splits cannot be opened.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .barcode import shared_patients
from .errors import BadTileSet, HistosynthError, NoFiles, SplitLeak, first_line
from .geometry import Box
from .images import decode_rgb, read_picture_info
from .line_of_facts import line_of_facts
from .nuclei import Nuclei
from .plain_files import open_plain
from .store import atomic_write
from .tile import Tile, TileRef
from .tileset_columns import check_types, opened_file, plain_rows, same_types, shown
from .tileset_readers import hugging_face_features, parquet_names
from .tileset_schema import GATE_NAMES, QUALITY_PREFIX, schema_of

_PARQUET_START = b"PAR1"
_VERSION = 1
"""Of the columns below. A reader refuses other versions."""
MAX_IMAGE_BYTES = 256 << 20
_ROWS_AT_A_TIME = 16
"""Rows of a group in a file: small groups let readers take a few tiles at a time."""
_KEY = b"histosynth"
_MAX_FACTS_BYTES = 16 << 20

TILE_SCHEMA = schema_of(GATE_NAMES)
_REQUIRED_COLUMNS = schema_of(()).names
"""Columns without which a file is no part of a set; gates may differ."""


@dataclass(frozen=True)
class Row:
    """One tile of a set, kept or refused.

    Attributes:
        ref: slide, patient, box (level-0 px) and the scale of the picture.
        image: the encoded picture; None for a tile refused before it was read.
        nuclei: in the picture's pixels; None where they are not known.
        quality: value by gate.
        refused: the reason, or "" for a tile that is kept.
        recipe: JSON of what created a synthetic tile; "" for tissue of a slide.
    """

    ref: TileRef
    label: str = ""
    split: str = ""
    image: bytes | None = None
    nuclei: Nuclei | None = None
    quality: Mapping[str, float] = field(default_factory=dict)
    refused: str = ""
    recipe: str = ""

    def __repr__(self) -> str:
        state = f"refused: {self.refused}" if self.refused else "kept"
        return line_of_facts("Row", [repr(self.tile_id), f"patient {self.ref.patient!r}", state])

    @property
    def tile_id(self) -> str:
        """Slide and corner."""
        return f"{self.ref.slide}_{self.ref.box.x}_{self.ref.box.y}"


def _nothing(temporary: Path) -> None:
    pass


def write_rows(
    path: Path,
    rows: Sequence[Row],
    metadata: Mapping[str, Any],
    *,
    gates: Sequence[str] = GATE_NAMES,
    before: Callable[[Path], None] = _nothing,
) -> None:
    """Write one file of a set atomically. Equal rows give equal bytes.

    Args:
        path: `*.parquet`.
        rows: the tiles.
        metadata: JSON-able facts kept in the file's metadata.
        gates: names of the `quality_` columns, in their order.
        before: called with the temporary file, before it gets its name.

    Raises:
        NotWritable: the folder cannot be written, or the disk is full.
    """
    with atomic_write(path) as temporary:
        write_rows_into(temporary, rows, metadata, gates=gates)
        before(temporary)


def write_rows_into(
    path: Path,
    rows: Sequence[Row],
    metadata: Mapping[str, Any],
    *,
    gates: Sequence[str] = GATE_NAMES,
) -> None:
    """The same into a file that the caller puts in its place."""
    facts = {"version": _VERSION, **metadata}
    schema = schema_of(gates, synthetic=any(row.recipe for row in rows))
    columns = [_to_columns(row, gates) for row in rows]
    table = pa.Table.from_pylist(columns, schema)
    table = table.replace_schema_metadata(
        {
            _KEY: json.dumps(facts, sort_keys=True).encode(),
            b"huggingface": json.dumps(hugging_face_features(schema)).encode(),
        }
    )
    compression = {}
    for name in parquet_names(table.schema):
        is_packed = name.startswith("image")
        compression[name] = "NONE" if is_packed else "ZSTD"
    pq.write_table(
        table,
        path,
        compression=compression,
        row_group_size=_ROWS_AT_A_TIME,
        use_dictionary=["slide", "patient"],
        write_statistics=["slide", "patient", "label", "split"],
    )


def read_metadata(path: Path) -> dict[str, Any]:
    """The facts that a file of a set keeps in its metadata.

    Raises:
        BadTileSet: it is no such file, or of another version.
    """
    return _facts_of(path, opened_file(path).schema_arrow)


def _facts_of(path: Path, schema: Any) -> dict[str, Any]:
    text = (schema.metadata or {}).get(_KEY, b"{}")
    if len(text) > _MAX_FACTS_BYTES:
        raise BadTileSet(path, f"its metadata hold {len(text):,} bytes")
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadTileSet(path, first_line(error)) from error
    if not isinstance(facts, dict) or facts.get("version") != _VERSION:
        raise BadTileSet(path, f"its metadata are not of version {_VERSION}")
    return dict(facts)


def is_foreign_parquet(path: Path) -> bool:
    """Whether a file is no file of a set; one that is damaged may be."""
    try:
        with open_plain(path) as file:
            metadata = pq.read_schema(file).metadata or {}
    except (OSError, ValueError, pa.ArrowException):
        return not _may_be_damaged(path)
    return _KEY not in metadata


def _may_be_damaged(path: Path) -> bool:
    """Whether a file that cannot be read may once have been one of a set."""
    try:
        with open_plain(path) as file:
            return file.read(4) in (b"", _PARQUET_START)
    except OSError:
        return False


class TileSet:
    """A folder of Parquet files, opened for training or evaluation.

    Args:
        folder: the set.

    Raises:
        NoFiles: it holds no Parquet file.
        BadTileSet: a file is damaged, of another schema, or two rows are one tile.
        SplitLeak: a patient is in two splits, by its name or by a barcode in names of slides.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.files = parquet_files(self.folder)
        if not self.files:
            raise NoFiles(self.folder, [".parquet"])
        for path in self.files:
            _check_columns(path)
        table = self.table(["tile_id", "slide", "patient", "split", "refused"])
        self._refuse_repeated(table["tile_id"].to_pylist())
        slides = table["slide"].to_pylist()
        patients = table["patient"].to_pylist()
        splits = table["split"].to_pylist()
        refuse_split_leaks(zip(slides, patients, splits, strict=True))
        reasons = table["refused"].to_pylist()
        self._kept = sum(not reason for reason in reasons)

    def _refuse_repeated(self, tile_ids: Sequence[str]) -> None:
        count = len(tile_ids)
        repeated = count - len(set(tile_ids))
        if repeated:
            raise BadTileSet(self.folder, f"{repeated} of its {count} tiles stand twice")

    def __len__(self) -> int:
        """Kept tiles."""
        return self._kept

    def __repr__(self) -> str:
        return line_of_facts("TileSet", [f"{self._kept:,} tiles kept", f"folder {self.folder}"])

    def table(self, columns: Sequence[str]) -> Any:
        """Columns of all rows as a `pyarrow.Table`, files in order of name.

        Raises:
            BadTileSet: a file is damaged.
        """
        tables = []
        for path in self.files:
            tables.append(_read_table(path, columns))
        try:
            return pa.concat_tables(tables)
        except pa.ArrowException as error:
            raise BadTileSet(self.folder, "its files have columns of different types") from error

    def rows(
        self,
        *,
        split: str | None = None,
        refused: bool = False,
    ) -> Iterator[Row]:
        """Rows one after the other, a few in memory at a time.

        Args:
            split: only this one; None: all.
            refused: include refused tiles.
        """
        for _, row in self.rows_with_files(split=split, refused=refused):
            yield row

    def rows_with_files(
        self,
        *,
        split: str | None = None,
        refused: bool = False,
    ) -> Iterator[tuple[Path, Row]]:
        """The same, each with the file that holds it."""
        for path in self.files:
            for columns in _read_columns(path):
                if columns["refused"] and not refused:
                    continue
                if split is not None and columns["split"] != split:
                    continue
                yield path, _from_columns(path, columns)

    def rows_by_id(self, tile_ids: Collection[str]) -> Iterator[Row]:
        """The rows of these tiles; of the others only the `tile_id` is read."""
        for path in self.files:
            yield from read_rows(path, tile_ids)

    def tiles(self, *, split: str | None = None) -> Iterator[tuple[Tile, Row]]:
        """Kept tiles with their pixels."""
        for row in self.rows(split=split):
            if row.image is None or len(row.image) > MAX_IMAGE_BYTES:
                raise BadTileSet(
                    self.folder, f"its kept tile {row.tile_id} has no picture, or one too large"
                )
            pixels = decode_rgb(row.image, row.tile_id)
            yield Tile(row.ref, pixels), row


def _check_columns(path: Path) -> None:
    schema = opened_file(path).schema_arrow
    _facts_of(path, schema)
    missing = set(_REQUIRED_COLUMNS) - set(schema.names)
    if missing:
        raise BadTileSet(path, f"it lacks the column(s) {', '.join(sorted(missing))}")
    check_types(path, schema)


def _read_table(path: Path, columns: Sequence[str]) -> Any:
    """Columns of a file; of names none is null."""
    file = opened_file(path)
    try:
        found = file.read(columns=list(columns))
        found = same_types(found.replace_schema_metadata(None))
    except (OSError, ValueError, pa.ArrowException) as error:
        for _ in _read_columns(path):  # names the tile, if one is to blame
            pass
        raise BadTileSet(path, first_line(error)) from error
    if any(_is_bad(found, name) for name in found.column_names):
        for _ in _read_columns(path):  # names the tile
            pass
    return found


def _is_bad(table: Any, name: str) -> bool:
    """Whether a column that must be whole is not: names, sizes or classes of nuclei."""
    column = table[name]
    if name == "nuclei_kind":
        nulls = [chunk.flatten().null_count for chunk in column.chunks]
        return any(nulls)
    if name in ("width", "height"):
        least = pc.min(column).as_py()
        return least is not None and least <= 0
    is_needed = name in (
        "tile_id",
        "slide",
        "patient",
        "mpp",
    )
    return is_needed and column.null_count > 0


def _read_columns(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a file as plain values, a few in memory at a time."""
    file = opened_file(path)
    try:
        for batch in file.iter_batches(batch_size=_ROWS_AT_A_TIME):
            yield from plain_rows(path, batch)
    except (OSError, pa.ArrowException) as error:
        raise BadTileSet(path, first_line(error)) from error


def read_rows(
    path: Path,
    tile_ids: Collection[str],
) -> Iterator[Row]:
    """The rows of these tiles in one file of a set; only the row groups that hold them are read.

    Raises:
        BadTileSet: the file is damaged.
    """
    file = opened_file(path)
    check_types(path, file.schema_arrow)
    try:
        for group in range(file.num_row_groups):
            found = file.read_row_group(group, columns=["tile_id"])["tile_id"].to_pylist()
            indices = [index for index, tile_id in enumerate(found) if tile_id in tile_ids]
            if not indices:
                continue
            for columns in plain_rows(path, file.read_row_group(group).take(indices)):
                yield _from_columns(path, columns)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise BadTileSet(path, first_line(error)) from error


def read_all_rows(path: Path) -> Iterator[Row]:
    """All rows of one file of a set, refused ones too.

    Raises:
        BadTileSet: the file is damaged.
    """
    check_types(path, opened_file(path).schema_arrow)
    for columns in _read_columns(path):
        yield _from_columns(path, columns)


def parquet_files(folder: Path) -> list[Path]:
    """The files of a set, by name. Hidden ones are left over from writers that were killed."""
    return sorted(path for path in folder.glob("*.parquet") if not path.name.startswith("."))


def refuse_split_leaks(tiles: Iterable[tuple[str, str, str | None]]) -> None:
    """Refuse patients that are in two splits, by their name or by a barcode in names of slides.

    Args:
        tiles: slide, patient and split of each; tiles without a split are in none.

    Raises:
        SplitLeak: naming them.
    """
    sides: dict[str, set[tuple[str, str]]] = {}
    for slide, patient, split in tiles:
        if split:
            sides.setdefault(split, set()).add((slide, patient))
    shared = shared_patients(sides)
    if shared:
        raise SplitLeak(shared)


def _to_columns(row: Row, gates: Sequence[str]) -> dict[str, Any]:
    """Values of a row by column; a column that is left out is null in the file."""
    box = row.ref.box
    columns = {
        "tile_id": row.tile_id,
        "slide": row.ref.slide,
        "patient": row.ref.patient,
        "x": box.x,
        "y": box.y,
        "width": box.width,
        "height": box.height,
        "mpp": row.ref.mpp,
        "label": row.label or None,
        "split": row.split or None,
        "refused": row.refused or None,
    }
    if row.image is not None:
        columns["image"] = {
            "bytes": row.image,
            "path": f"{row.tile_id}.png",
        }
    if row.nuclei is not None:
        columns["nuclei_x"] = row.nuclei.xy[:, 0]
        columns["nuclei_y"] = row.nuclei.xy[:, 1]
        columns["nuclei_kind"] = row.nuclei.names()
    if row.recipe:
        columns["synthetic"] = True
        columns["recipe"] = row.recipe
    for gate in gates:
        columns[f"{QUALITY_PREFIX}{gate}"] = row.quality.get(gate)
    return columns


def _from_columns(path: Path, columns: Mapping[str, Any]) -> Row:
    """A row of checked values.

    Raises:
        BadTileSet: its picture or its nuclei cannot be used.
    """
    try:
        return _row_of(columns)
    except HistosynthError as error:
        name = shown(columns["tile_id"])
        problem = error.problem.rstrip(".")
        raise BadTileSet(path, f"its tile {name}: {problem}") from error


def _row_of(columns: Mapping[str, Any]) -> Row:
    box = Box(
        columns["x"],
        columns["y"],
        columns["width"],
        columns["height"],
    )
    ref = TileRef(
        columns["slide"],
        columns["patient"],
        box,
        columns["mpp"],
    )
    image = (columns["image"] or {}).get("bytes")
    quality = {}
    for name, value in columns.items():
        if name.startswith(QUALITY_PREFIX) and value is not None:
            quality[name.removeprefix(QUALITY_PREFIX)] = value
    return Row(
        ref,
        label=columns["label"] or "",
        split=columns["split"] or "",
        image=image,
        nuclei=_read_nuclei(columns, ref, image),
        quality=quality,
        refused=columns["refused"] or "",
        recipe=columns.get("recipe") or "",
    )


def _read_nuclei(
    columns: Mapping[str, Any],
    ref: TileRef,
    image: bytes | None,
) -> Nuclei | None:
    """The nuclei of a row, of the classes found among them, on a tile of the size of `image`."""
    if columns["nuclei_x"] is None or image is None:
        return None
    size, _ = read_picture_info(str(columns["tile_id"]), image)
    xy = np.array([columns["nuclei_x"], columns["nuclei_y"]])
    names = columns["nuclei_kind"]
    return Nuclei.of(
        xy.T,
        names,
        size=size,
        mpp=ref.mpp,
        classes=tuple(sorted(set(names))),
    )
