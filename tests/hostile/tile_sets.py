"""Tile sets: damaged Parquet, and whole Parquet whose values lie."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from histosynth.core.errors import HistosynthError
from histosynth.core.geometry import Box, Size
from histosynth.core.images import encode_png
from histosynth.core.nuclei import Nuclei
from histosynth.core.tile import TileRef
from histosynth.core.tileset import Row, TileSet, write_rows
from histosynth.evaluation.config import InputOptions
from histosynth.evaluation.inputs.collections import classes_of, open_collection
from histosynth.evaluation.inputs.items import read_items
from histosynth.training.data.sources import open_source
from histosynth.training.recipes.tiles import TileSource

from .mutating import BYTE_CHANGES, ODD_TEXTS, ODD_VALUES, Random, change_tree, pick
from .trial import Format

SIDE = 32
CLASSES = ("epithelial", "lymphocyte")
_TEXTS = tuple(text for text in ODD_TEXTS if text.isascii())


def _row(number: int, split: str) -> Row:
    pixels = np.random.default_rng(number).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
    names = ["epithelial", "lymphocyte", "any"]
    nuclei = Nuclei.of(
        [[3, 4], [5.5, 6], [20, 21]], names, size=Size(SIDE, SIDE), mpp=0.5, classes=CLASSES
    )
    ref = TileRef(f"s{number % 2}", f"p{number % 2}", Box(number * SIDE, 0, SIDE, SIDE), 0.5)
    quality = {"blur": 0.5, "tissue": 1.0}
    return Row(ref, "breast", split, encode_png(pixels), nuclei, quality)


def write_set(folder: Path) -> None:
    """Two files of a set, one with a refused tile."""
    refused = Row(TileRef("s0", "p0", Box(900, 0, SIDE, SIDE), 0.5), refused="blur: 0.1")
    first = [_row(0, "train"), _row(2, "train"), refused]
    write_rows(folder / "s0-0.parquet", first, {"job": "a", "reasons": {"kept": 2}})
    write_rows(folder / "s1-0.parquet", [_row(1, "test"), _row(3, "test")], {"job": "b"})


def read_set(path: Path, out: Path) -> None:
    """A set as users, training and evaluation read it; the first refusal counts, in the end."""
    folder = path.parent
    refusals: list[HistosynthError] = []
    for read in (_read_rows, _train, _evaluate):
        try:
            read(folder)
        except HistosynthError as error:
            refusals.append(error)
    if refusals:
        raise refusals[0]


def _read_rows(folder: Path) -> None:
    tiles = TileSet(folder)
    list(tiles.rows(refused=True))
    list(tiles.rows_by_id({"s0_0_0", "s1_32_0"}))
    list(tiles.tiles())


def _train(folder: Path) -> None:
    source = TileSource(folder.name)
    open_source(source, root=folder.parent, mpp=0.5, classes=CLASSES)


def _evaluate(folder: Path) -> None:
    found = open_collection(folder, InputOptions(mpp=0.5))
    names = classes_of([found], {}, lambda note: None)
    list(read_items(found.items, names, {}))


def change_values(content: bytes, random: Random) -> bytes:
    """Values of the rows replaced by others of the same columns."""
    table = pq.read_table(io.BytesIO(content))
    rows = table.to_pylist()
    row = pick(random, rows)
    name = pick(random, table.column_names)
    field = table.schema.field(name)
    values: dict[str, Callable[[], Any]] = {
        "string": lambda: pick(random, _TEXTS),
        "int64": lambda: pick(random, (0, -1, 2**62, -(2**62), 2**31, 7)),
        "double": lambda: pick(random, (0.0, -1.0, float("nan"), float("inf"), 1e-300, 1e300)),
        "float": lambda: pick(random, (float("nan"), float("inf"), -1e30)),
        "list<element: float>": lambda: _list(random, (1.0, -5.0, float("nan"), float("inf"))),
        "list<element: string>": lambda: _list(random, ("any", "x", "", "\x00", "\x1b[2J", None)),
    }
    if name == "image":
        row[name] = pick(random, _images(row[name]))
    else:
        row[name] = values.get(str(field.type), lambda: None)()
    if random.random() < 0.1:
        row[name] = None
    fields = [each.with_nullable(True) for each in table.schema]
    return _written(pa.Table.from_pylist(rows, pa.schema(fields, table.schema.metadata)), random)


def _list(random: Random, items: tuple[Any, ...]) -> list[Any]:
    return [pick(random, items) for _ in range(int(random.integers(0, 6)))]


def _images(image: dict[str, Any] | None) -> list[Any]:
    data = (image or {}).get("bytes") or b""
    huge = data[:16] + b"\x7f\xff\xff\xff\x7f\xff\xff\xff" + data[24:]
    others: list[Any] = [None, b"", b"\x00", data[:40], huge, b"GIF89a" + data, b"II*\0" + data]
    return [{"bytes": each, "path": None} for each in others] + [None]


def change_columns(content: bytes, random: Random) -> bytes:
    """Columns dropped, doubled, renamed, of another type, as dictionaries, in other lengths."""
    table = pq.read_table(io.BytesIO(content))
    index = int(random.integers(table.num_columns))
    name = table.column_names[index]
    column = table.column(index)
    match int(random.integers(8)):
        case 0:
            table = table.remove_column(index)
        case 1:
            table = table.append_column(name, column)
        case 2:
            table = table.rename_columns([*table.column_names[:-1], name])
        case 3:
            table = table.set_column(
                index, name, pa.array([[[each]] for each in range(len(table))])
            )
        case 4:
            table = table.set_column(index, name, pa.nulls(len(table)))
        case 5 if not pa.types.is_nested(column.type):
            table = table.set_column(index, name, column.dictionary_encode())
        case 6:
            values = pa.array([b"\xff\xfe\x80"] * len(table), pa.binary())
            table = table.set_column(index, name, values)
        case _:
            table = table.set_column(index, name, _cast(column, random))
    return _written(table, random)


def _cast(column: Any, random: Random) -> Any:
    """A column of another type, where its values allow."""
    types = (pa.string(), pa.large_string(), pa.int8(), pa.uint64(), pa.float16(), pa.binary())
    try:
        return column.cast(pick(random, types))
    except pa.ArrowException:
        return pa.array(["x"] * len(column))


def change_bad_text(content: bytes, random: Random) -> bytes:
    """A text column whose bytes are no UTF-8, as a damaged writer leaves them."""
    table = pq.read_table(io.BytesIO(content))
    names = [field.name for field in table.schema if field.type == pa.string()]
    name = pick(random, names)
    raw = [b"a\xff" if each is None or random.random() < 0.5 else each.as_py().encode()
           if each.is_valid else b"\xc3" for each in table[name]]  # fmt: skip
    texts = pa.Array.from_buffers(pa.string(), len(raw), pa.array(raw, pa.binary()).buffers())
    fields = [each.with_nullable(True) for each in table.schema]
    columns = [texts if each == name else table[each] for each in table.column_names]
    return _written(pa.table(columns, schema=pa.schema(fields, table.schema.metadata)), random)


def change_metadata(content: bytes, random: Random) -> bytes:
    """Metadata that lie."""
    table = pq.read_table(io.BytesIO(content))
    facts = json.loads(table.schema.metadata[b"histosynth"])
    changed = change_tree(facts, random, ODD_VALUES[:-6])
    text = json.dumps(changed).encode("utf-8", "surrogatepass")
    metadata = pick(random, ({b"histosynth": text}, {b"histosynth": text[:-2]}, {}))
    return _written(table.replace_schema_metadata(metadata), random)


def change_rows(content: bytes, random: Random) -> bytes:
    """Rows doubled, or none at all."""
    table = pq.read_table(io.BytesIO(content))
    few = pick(random, (table.slice(0, 0), pa.concat_tables([table, table]), table.slice(1)))
    return _written(few, random)


def _written(table: Any, random: Random) -> bytes:
    sink = io.BytesIO()
    packing = pick(random, ("NONE", "ZSTD", "SNAPPY", "GZIP"))
    pq.write_table(table, sink, compression=packing, row_group_size=int(random.integers(1, 4)))
    return sink.getvalue()


FORMATS = (
    Format("tile set, bytes", write_set, read_set, BYTE_CHANGES),
    Format("tile set, values", write_set, read_set, (change_values, change_values, change_rows)),
    Format("tile set, columns", write_set, read_set, (change_columns, change_bad_text)),
    Format("tile set, metadata", write_set, read_set, (change_metadata,)),
)
