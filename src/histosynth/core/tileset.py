"""Tile sets: a folder of Parquet files, one row a tile, refused tiles included with their reason.

Hugging Face datasets, DuckDB, Polars and Ray Data read them as they are. A set in which a patient
stands in two splits cannot be opened.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .errors import BadTileSet, NoFiles, SplitLeak, first_line
from .geometry import Box
from .nuclei import Nuclei
from .store import atomic_write
from .tile import Tile, TileRef, decode_rgb, read_picture_info

_VERSION = 1
"""Of the columns below. A reader refuses versions it does not know."""
GATE_NAMES = ("tissue", "blur", "pen", "fold", "air", "saturation", "artefact")
"""Gates of a set whose writer names none; a `quality_` column each, empty where not measured."""
_QUALITY = "quality_"
MAX_IMAGE_BYTES = 256 << 20
_KEY = b"histosynth"


def schema_of(gates: Sequence[str]) -> Any:
    """The columns of a set with these gates, as a `pyarrow.Schema`.

    x, y, width, height: level-0 px of the slide. Nuclei: px of the tile, (0, 0) the centre of its
    first.
    """
    return pa.schema(
        [
            pa.field("tile_id", pa.string(), nullable=False),
            pa.field("slide", pa.string(), nullable=False),
            pa.field("patient", pa.string(), nullable=False),
            pa.field("x", pa.int64(), nullable=False),
            pa.field("y", pa.int64(), nullable=False),
            pa.field("width", pa.int64(), nullable=False),
            pa.field("height", pa.int64(), nullable=False),
            pa.field("mpp", pa.float64(), nullable=False),
            pa.field("label", pa.string()),
            pa.field("split", pa.string()),
            pa.field("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
            pa.field("nuclei_x", pa.list_(pa.float32())),
            pa.field("nuclei_y", pa.list_(pa.float32())),
            pa.field("nuclei_kind", pa.list_(pa.string())),
            *(pa.field(f"{_QUALITY}{gate}", pa.float32()) for gate in gates),
            pa.field("refused", pa.string()),
        ]
    )


TILE_SCHEMA = schema_of(GATE_NAMES)
_REQUIRED_COLUMNS = schema_of(()).names
"""Columns without which a file is no part of a set; gates may differ."""


@dataclass(frozen=True)
class Row:
    """One tile of a set, kept or refused.

    Attributes:
        ref: slide, patient, box (level-0 px) and the scale of the picture.
        image: the encoded picture; None for a tile refused before it was read.
        nuclei: in the picture's pixels; None where nobody looked.
        quality: value by gate.
        refused: the reason, or "" for a tile that is kept.
    """

    ref: TileRef
    label: str = ""
    split: str = ""
    image: bytes | None = None
    nuclei: Nuclei | None = None
    quality: Mapping[str, float] = field(default_factory=dict)
    refused: str = ""

    @property
    def tile_id(self) -> str:
        """Slide and corner."""
        return f"{self.ref.slide}_{self.ref.box.x}_{self.ref.box.y}"


def write_rows(
    path: Path,
    rows: Sequence[Row],
    about: Mapping[str, Any],
    *,
    gates: Sequence[str] = GATE_NAMES,
) -> None:
    """Write one file of a set, whole or not at all. Equal rows give equal bytes.

    Args:
        path: `*.parquet`.
        rows: the tiles.
        about: JSON-able facts kept in the file's metadata.
        gates: names of the `quality_` columns, in their order.

    Raises:
        NotWritable: the folder cannot be written, or the disk is full.
    """
    schema = schema_of(gates)
    metadata = {
        _KEY: json.dumps({"version": _VERSION, **about}, sort_keys=True).encode(),
        b"huggingface": json.dumps(_hugging_face(schema)).encode(),
    }
    table = pa.Table.from_pylist(
        [_flat(row, gates) for row in rows], schema
    ).replace_schema_metadata(metadata)
    with atomic_write(path) as temporary:
        # pictures are packed already; small groups let readers take a few tiles at a time
        packed = {
            name: "NONE" if name.startswith("image") else "ZSTD" for name in _leaves(table.schema)
        }
        pq.write_table(
            table,
            temporary,
            compression=packed,
            row_group_size=16,
            use_dictionary=["slide", "patient"],
            write_statistics=["slide", "patient", "label", "split"],
        )


def read_metadata(path: Path) -> dict[str, Any]:
    """The facts that a file of a set keeps in its metadata.

    Raises:
        BadTileSet: it is no such file, or of a version that is not known.
    """
    try:
        metadata = pq.read_schema(path).metadata or {}
        about = json.loads(metadata.get(_KEY, b"{}"))
    except (OSError, ValueError, RecursionError, pa.ArrowException) as error:
        raise BadTileSet(path, first_line(error)) from error
    if not isinstance(about, dict) or about.get("version") != _VERSION:
        raise BadTileSet(path, f"its metadata are not of version {_VERSION}")
    return dict(about)


class TileSet:
    """A folder of Parquet files, opened for training or judging.

    Args:
        folder: the set.

    Raises:
        NoFiles: it holds no Parquet file.
        BadTileSet: a file is damaged, of another schema, or two rows are one tile.
        SplitLeak: a patient stands in two splits.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.files = parquet_files(self.folder)
        if not self.files:
            raise NoFiles(self.folder, [".parquet"])
        for path in self.files:
            read_metadata(path)
            missing = set(_REQUIRED_COLUMNS) - set(pq.read_schema(path).names)
            if missing:
                raise BadTileSet(path, f"it lacks the column(s) {', '.join(sorted(missing))}")
        facts = self.table(["tile_id", "patient", "split", "refused"])
        ids = facts["tile_id"].to_pylist()
        if len(set(ids)) < len(ids):
            raise BadTileSet(
                self.folder, f"{len(ids) - len(set(ids))} of its {len(ids)} tiles stand twice"
            )
        refuse_split_leaks(
            zip(facts["patient"].to_pylist(), facts["split"].to_pylist(), strict=True)
        )
        self._kept = sum(not refused for refused in facts["refused"].to_pylist())

    def __len__(self) -> int:
        """Kept tiles."""
        return self._kept

    def table(self, columns: Sequence[str]) -> Any:
        """Columns of all rows as a `pyarrow.Table`, files in order of name.

        Raises:
            BadTileSet: a file is damaged.
        """
        tables = []
        for path in self.files:
            try:
                tables.append(
                    pq.ParquetFile(path).read(columns=list(columns)).replace_schema_metadata(None)
                )
            except (OSError, pa.ArrowException) as error:
                raise BadTileSet(path, first_line(error)) from error
        return pa.concat_tables(tables)

    def rows(self, *, split: str | None = None, refused: bool = False) -> Iterator[Row]:
        """Rows one after the other, a few in memory at a time.

        Args:
            split: only this one; None: all.
            refused: give refused tiles too.
        """
        for _, row in self.rows_with_files(split=split, refused=refused):
            yield row

    def rows_with_files(
        self, *, split: str | None = None, refused: bool = False
    ) -> Iterator[tuple[Path, Row]]:
        """The same, each with the file that it stands in."""
        for path in self.files:
            try:
                for batch in pq.ParquetFile(path).iter_batches(batch_size=16):
                    for values in batch.to_pylist():
                        if (refused or not values["refused"]) and split in (None, values["split"]):
                            yield path, _row(values)
            except (OSError, pa.ArrowException) as error:
                raise BadTileSet(path, first_line(error)) from error

    def rows_by_id(self, wanted: Collection[str]) -> Iterator[Row]:
        """The rows of these `tile_id`s; nothing else of the set is read than where they stand."""
        for path in self.files:
            yield from read_rows(path, wanted)

    def tiles(self, *, split: str | None = None) -> Iterator[tuple[Tile, Row]]:
        """Kept tiles with their pixels."""
        for row in self.rows(split=split):
            if row.image is None or len(row.image) > MAX_IMAGE_BYTES:
                raise BadTileSet(
                    self.folder, f"its kept tile {row.tile_id} has no picture, or one too large"
                )
            yield Tile(row.ref, decode_rgb(row.image, row.tile_id)), row


def read_rows(path: Path, wanted: Collection[str]) -> Iterator[Row]:
    """The rows of these `tile_id`s in one file of a set; only the groups that they stand in are
    read.

    Raises:
        BadTileSet: the file is damaged.
    """
    try:
        file = pq.ParquetFile(path)
        for group in range(file.num_row_groups):
            ids = file.read_row_group(group, columns=["tile_id"])["tile_id"].to_pylist()
            places = [place for place, name in enumerate(ids) if name in wanted]
            if places:
                for values in file.read_row_group(group).take(places).to_pylist():
                    yield _row(values)
    except (OSError, pa.ArrowException) as error:
        raise BadTileSet(path, first_line(error)) from error


def parquet_files(folder: Path) -> list[Path]:
    """The files of a set, by name. Hidden ones are what a killed writer left half-written."""
    return sorted(path for path in folder.glob("*.parquet") if not path.name.startswith("."))


def refuse_split_leaks(patients_and_splits: Iterable[tuple[str, str | None]]) -> None:
    """Refuse patients who stand in two splits; rows without a split stand in none.

    Raises:
        SplitLeak: naming them.
    """
    seen: dict[str, set[str]] = {}
    for patient, split in patients_and_splits:
        if split:
            seen.setdefault(patient, set()).add(split)
    if shared := sorted(patient for patient, splits in seen.items() if len(splits) > 1):
        raise SplitLeak(shared)


def _flat(row: Row, gates: Sequence[str]) -> dict[str, Any]:
    box = row.ref.box
    nuclei = row.nuclei
    return {
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
        "image": None if row.image is None else {"bytes": row.image, "path": f"{row.tile_id}.png"},
        "nuclei_x": None if nuclei is None else nuclei.xy[:, 0],
        "nuclei_y": None if nuclei is None else nuclei.xy[:, 1],
        "nuclei_kind": None if nuclei is None else nuclei.names(),
        **{f"{_QUALITY}{gate}": row.quality.get(gate) for gate in gates},
        "refused": row.refused or None,
    }


def _row(values: Mapping[str, Any]) -> Row:
    box = Box(*(values[name] for name in ("x", "y", "width", "height")))
    ref = TileRef(
        values["slide"],
        values["patient"],
        box,
        values["mpp"],
    )
    image = (values["image"] or {}).get("bytes")
    nuclei = None
    if values["nuclei_x"] is not None and image is not None:
        (width, height), _ = read_picture_info(ref.slide, image)
        xy = np.array([values["nuclei_x"], values["nuclei_y"]], np.float32).T.reshape(-1, 2)
        names = values["nuclei_kind"]
        classes = tuple(sorted(set(names)))
        nuclei = Nuclei.of(
            xy,
            names,
            size=(width, height),
            mpp=ref.mpp,
            classes=classes,
        )
    quality = {
        column.removeprefix(_QUALITY): value
        for column, value in values.items()
        if column.startswith(_QUALITY) and value is not None
    }
    return Row(
        ref,
        values["label"] or "",
        values["split"] or "",
        image,
        nuclei,
        quality,
        values["refused"] or "",
    )


def _hugging_face(schema: Any) -> dict[str, Any]:
    features: dict[str, Any] = {"image": {"_type": "Image"}}
    names = {
        "string": "string",
        "int64": "int64",
        "double": "float64",
        "float": "float32",
    }
    for column in schema:
        if pa.types.is_list(column.type):
            inner = {"dtype": names[str(column.type.value_type)], "_type": "Value"}
            features[column.name] = {"feature": inner, "_type": "List"}
        elif column.name != "image":
            features[column.name] = {"dtype": names[str(column.type)], "_type": "Value"}
    return {"info": {"features": {name: features[name] for name in schema.names}}}


def _leaves(schema: Any) -> list[str]:
    """Parquet's own names of the columns: nested ones by their path."""
    out = []
    for column in schema:
        if pa.types.is_struct(column.type):
            out += [f"{column.name}.{inner.name}" for inner in column.type]
        else:
            out.append(
                f"{column.name}.list.element" if pa.types.is_list(column.type) else column.name
            )
    return out
