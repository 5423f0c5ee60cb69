"""What other readers of a tile set need: column types for Hugging Face, names for Parquet."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

_HUGGING_FACE_TYPES = {
    "string": "string",
    "int64": "int64",
    "double": "float64",
    "float": "float32",
    "bool": "bool",
}


def hugging_face_features(schema: Any) -> dict[str, Any]:
    """Column types in the form that Hugging Face datasets read; `image` becomes a picture.

    Lists are of the type `Sequence`, which every version reads; `List` is unknown before 4.0.
    """
    features: dict[str, Any] = {}
    for column in schema:
        if column.name == "image":
            features["image"] = {"_type": "Image"}
        elif pa.types.is_list(column.type):
            dtype = _HUGGING_FACE_TYPES[str(column.type.value_type)]
            item = {"dtype": dtype, "_type": "Value"}
            features[column.name] = {"feature": item, "length": -1, "_type": "Sequence"}
        else:
            dtype = _HUGGING_FACE_TYPES[str(column.type)]
            features[column.name] = {"dtype": dtype, "_type": "Value"}
    return {"info": {"features": features}}


def parquet_names(schema: Any) -> list[str]:
    """Parquet's own names of the columns: nested ones by their path."""
    names: list[str] = []
    for column in schema:
        if pa.types.is_struct(column.type):
            names += [f"{column.name}.{field.name}" for field in column.type]
        elif pa.types.is_list(column.type):
            names.append(f"{column.name}.list.element")
        else:
            names.append(column.name)
    return names
