"""Columns of a tile set's files, read without trust: types, nulls, lengths and texts are checked.

Anybody may write Parquet, and a file that opens can still hold another type than its name promises,
lists of unequal length, or bytes that are no text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .errors import BadTable, BadTileSet, first_line
from .plain_files import refuse_special_file
from .visible import visible

MAX_SET_ROWS = 100_000_000
"""Of a file; nothing that is written comes near."""
MAX_ROW_BYTES = 320 << 20
"""Of a row of a set in the mean, unpacked: its picture and all else."""
MAX_NAME_LENGTH = 1_000
"""Characters of a tile's id, slide or patient."""
MAX_TILE_CLASSES = 250
_MIN_SCALE = 1e-6
_MAX_SCALE = 1e6
"""Of any picture, um/px; the verbs have limits of their own."""
_SHOWN = 80
"""Characters of a value in a message."""

_NAMES = ("tile_id", "slide", "patient")
_TEXTS = (
    *_NAMES,
    "label",
    "split",
    "refused",
    "recipe",
)
_WHOLE = ("x", "y", "width", "height")
_NEEDED = (*_NAMES, *_WHOLE, "mpp")
_LISTS = ("nuclei_x", "nuclei_y", "nuclei_kind")
_NOT_IN_NAMES = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Controls, and halves of pairs, which no UTF-8 has."""


def opened_file(path: Path) -> Any:
    """A file of a set as a `pyarrow.parquet.ParquetFile`, after its header was checked.

    Raises:
        BadTileSet: it is no plain file, damaged, or states more than a set can hold.
    """
    try:
        refuse_special_file(path)
        file = pq.ParquetFile(path)
        problem = _size_problem(file.metadata)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise BadTileSet(path, first_line(error)) from error
    if problem:
        raise BadTileSet(path, problem)
    return file


def _size_problem(metadata: Any) -> str:
    """Why a file is too large by its header; "" where it is not."""
    if not 0 <= metadata.num_rows <= MAX_SET_ROWS:
        return f"it states {metadata.num_rows:,} rows, over the limit of {MAX_SET_ROWS:,}"
    for index in range(metadata.num_row_groups):
        # not its columns: pyarrow 26.0 may end the process when it looks at those of a damaged file
        group = metadata.row_group(index)
        most_bytes = max(group.num_rows, 1) * MAX_ROW_BYTES  # a group of no rows has some too
        if group.total_byte_size > most_bytes:
            return f"it states {group.total_byte_size:,} bytes for {group.num_rows:,} rows"
    return ""


def check_types(path: Path, schema: Any) -> None:
    """Refuse columns that stand twice, or are of another type than a set's.

    Raises:
        BadTileSet: naming the first.
    """
    seen: set[str] = set()
    for field in schema:
        if field.name in seen:
            raise BadTileSet(path, f"it has two columns {field.name!r:.{_SHOWN}}")
        seen.add(field.name)
        wanted = _type_of(field.name)
        # only nulls, of a column that may be empty, have a type of their own
        is_empty = pa.types.is_null(field.type) and field.name not in _NEEDED
        if wanted and not is_empty and not wanted(field.type):
            raise BadTileSet(
                path, f"its column {field.name} is of the type {field.type!s:.{_SHOWN}}"
            )


def _type_of(name: str) -> Callable[[Any], bool] | None:
    """The check of a column's type; None for columns that no set has."""
    if name in _TEXTS:
        return _is_text
    if name in _WHOLE:
        return _is_whole
    if name == "mpp" or name.startswith("quality_"):
        return _is_number
    if name == "image":
        return _is_picture
    if name == "synthetic":
        return _is_truth
    if name == "nuclei_kind":
        return _is_list_of(_is_text)
    return _is_list_of(_is_number) if name in _LISTS else None


def _is_text(found: Any) -> bool:
    if pa.types.is_dictionary(found):
        found = found.value_type
    is_small = pa.types.is_string(found)
    return bool(is_small or pa.types.is_large_string(found))


def _is_truth(found: Any) -> bool:
    return bool(pa.types.is_boolean(found))


def _is_whole(found: Any) -> bool:
    return bool(pa.types.is_integer(found))


def _is_number(found: Any) -> bool:
    return bool(pa.types.is_floating(found)) or _is_whole(found)


def _is_picture(found: Any) -> bool:
    if not pa.types.is_struct(found) or found.get_field_index("bytes") < 0:
        return False
    inner = found.field("bytes").type
    is_binary = pa.types.is_binary(inner) or pa.types.is_large_binary(inner)
    return bool(is_binary or pa.types.is_null(inner))


def _is_list_of(is_item: Callable[[Any], bool]) -> Callable[[Any], bool]:
    def is_list(found: Any) -> bool:
        if pa.types.is_list(found) or pa.types.is_large_list(found):
            is_empty = bool(pa.types.is_null(found.value_type))
            return is_empty or is_item(found.value_type)
        return False

    return is_list


def plain_rows(path: Path, batch: Any) -> Iterator[dict[str, Any]]:
    """Rows of a table or batch as plain values, each checked.

    Raises:
        BadTileSet: naming the tile.
    """
    for index in range(batch.num_rows):
        one = batch.slice(index, 1)
        try:
            (row,) = one.to_pylist()
        except (ValueError, pa.ArrowException) as error:
            where = _name_of(batch, index)
            raise BadTileSet(path, f"{where} holds a text that is no UTF-8") from error
        problem = _problem_of(row)
        if problem:
            raise BadTileSet(path, f"its tile {shown(row.get('tile_id'))} {problem}")
        yield row


def shown(value: object) -> str:
    """A value of a stranger for a message: quoted, escaped and short."""
    return f"{value!r:.{_SHOWN}}"


def _name_of(batch: Any, index: int) -> str:
    try:
        return f"its tile {shown(batch['tile_id'][index].as_py())}"
    except (ValueError, KeyError, pa.ArrowException):
        return f"one of its rows, number {index + 1} of a group,"


def _problem_of(row: Mapping[str, Any]) -> str:
    """What is wrong with a row's values, as the end of a sentence; "" where nothing is."""
    for name in _NEEDED:
        if row.get(name) is None:
            return f"has no value for {name}"
    for name in (*_NAMES, "label"):
        if not is_plain_name(row.get(name) or ""):
            return f"has control characters, or more than {MAX_NAME_LENGTH}, in {name}"
    width = row["width"]
    height = row["height"]
    if min(width, height) <= 0:
        return f"states a size of {width} x {height} px"
    mpp = row["mpp"]
    if not _MIN_SCALE <= mpp <= _MAX_SCALE:
        return f"states a scale of {mpp} um/px"
    lists = [row.get(name) for name in _LISTS]
    return _problem_of_nuclei(lists)


def is_plain_name(text: str) -> bool:
    """Whether a name can be shown and used for files: no control characters, not endless."""
    if len(text) > MAX_NAME_LENGTH:
        return False
    return not _NOT_IN_NAMES.search(text)


def refuse_bad_names(names: Mapping[str, str], where: str) -> None:
    """Refuse names that no tile set could be read with, before any tile is written.

    Args:
        names: by what they name: slide, patient, label.
        where: they stand, as the beginning of a sentence.

    Raises:
        BadTable: naming the first.
    """
    for what, name in names.items():
        if is_plain_name(name):
            continue
        found = _NOT_IN_NAMES.search(name)
        held = f"the character {visible(found.group())}" if found else f"{len(name):,} characters"
        limit = "" if found else f", over the limit of {MAX_NAME_LENGTH:,}"
        raise BadTable(
            f"{where} has {held} in the {what} {shown(name)}{limit}.",
            "Correct that name.",
        )


def _problem_of_nuclei(lists: Sequence[Sequence[Any] | None]) -> str:
    """The same of the lists of x, y and class."""
    known = [each for each in lists if each is not None]
    if not known:
        return ""
    counts = [len(each or ()) for each in lists]
    if len(known) < len(lists) or len(set(counts)) > 1:
        return f"holds {counts[0]} x, {counts[1]} y and {counts[2]} classes of nuclei"
    for values in known:
        if None in values:
            return "holds a nucleus without a coordinate or class"
    classes = len(set(known[-1]))
    if classes > MAX_TILE_CLASSES:
        return f"holds {classes} classes of nuclei, over the limit of {MAX_TILE_CLASSES}"
    return ""


def same_types(table: Any) -> Any:
    """A table whose columns have the types that sets are written with, so that files can be joined.

    Raises:
        pyarrow.ArrowException: a value does not fit.
    """
    fields = []
    for field in table.schema:
        written = _WRITTEN.get(field.name, field.type)
        fields.append(pa.field(field.name, written))
    table = table.cast(pa.schema(fields))
    table.validate(full=True)  # texts that are no UTF-8
    return table


_WRITTEN: dict[str, Any] = {
    **dict.fromkeys(_TEXTS, pa.string()),
    **dict.fromkeys(_WHOLE, pa.int64()),
    "mpp": pa.float64(),
    "nuclei_x": pa.list_(pa.float32()),
    "nuclei_y": pa.list_(pa.float32()),
    "nuclei_kind": pa.list_(pa.string()),
}
