"""The columns of a tile set's files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

GATE_NAMES = ("tissue", "blur", "pen", "fold", "air", "saturation", "artefact")
"""Gates of a set whose writer names none; a `quality_` column each, empty where not measured."""
QUALITY_PREFIX = "quality_"

_STRING = pa.string()
_INT = pa.int64()
_FLOAT = pa.float32()
_IMAGE = pa.struct(
    [
        ("bytes", pa.binary()),
        ("path", _STRING),
    ]
)


def schema_of(gates: Sequence[str], *, synthetic: bool = False) -> Any:
    """The columns of a set with these gates, as a `pyarrow.Schema`; of synthetic tiles two more.

    x, y, width, height: level-0 px of the slide. Nuclei: px of the tile, (0, 0) the centre of its
    first pixel.
    """
    address = [
        pa.field(
            "tile_id",
            _STRING,
            nullable=False,
        ),
        pa.field(
            "slide",
            _STRING,
            nullable=False,
        ),
        pa.field(
            "patient",
            _STRING,
            nullable=False,
        ),
        pa.field(
            "x",
            _INT,
            nullable=False,
        ),
        pa.field(
            "y",
            _INT,
            nullable=False,
        ),
        pa.field(
            "width",
            _INT,
            nullable=False,
        ),
        pa.field(
            "height",
            _INT,
            nullable=False,
        ),
        pa.field(
            "mpp",
            pa.float64(),
            nullable=False,
        ),
    ]
    content = [
        pa.field(
            "label",
            _STRING,
        ),
        pa.field(
            "split",
            _STRING,
        ),
        pa.field(
            "image",
            _IMAGE,
        ),
        pa.field(
            "nuclei_x",
            pa.list_(_FLOAT),
        ),
        pa.field(
            "nuclei_y",
            pa.list_(_FLOAT),
        ),
        pa.field(
            "nuclei_kind",
            pa.list_(_STRING),
        ),
    ]
    quality = [
        pa.field(
            f"{QUALITY_PREFIX}{gate}",
            _FLOAT,
        )
        for gate in gates
    ]
    refusal = pa.field(
        "refused",
        _STRING,
    )
    marks = []
    if synthetic:
        marks = [
            pa.field(
                "synthetic",
                pa.bool_(),
                nullable=False,
            ),
            pa.field(
                "recipe",
                _STRING,
                nullable=False,
            ),
        ]
    return pa.schema(
        [
            *address,
            *content,
            *quality,
            refusal,
            *marks,
        ]
    )
