"""The file of a bundle's grain: `grain-<sha12>.safetensors`, named by what it holds.

Another grain is another file, so that a bundle is whole at every moment while one is replaced.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..core.errors import BadWeights, BundleMismatch
from ..tensors.files import read_all_tensors, write_tensors
from ..tensors.header import read_tensor_header
from ..tissue.grain_patches import GRAIN_PATCH_PX, LOOK_SIDE, MAX_PATCHES, GrainPatches
from ..tissue.grain_table import Grain, GrainTable

_TYPES = {"lost": "I8", "looks": "I8"}
_MAX_BYTES = MAX_PATCHES * (3 * GRAIN_PATCH_PX**2 + LOOK_SIDE**2)


def grain_file_name(table: GrainTable) -> str:
    """Of the patches of a table."""
    return f"grain-{table.patches_sha256[:12]}.safetensors"


def write_grain(
    folder: Path,
    grain: Grain,
) -> Path:
    """Write the patches of a bundle; returns their file."""
    arrays = {
        "lost": np.ascontiguousarray(grain.patches.lost),
        "looks": np.ascontiguousarray(grain.patches.looks),
    }
    return write_tensors(
        folder / grain_file_name(grain.table),
        arrays,
    )


def read_grain(
    folder: Path,
    table: GrainTable,
) -> Grain:
    """The grain of a bundle.

    Raises:
        BundleMismatch: the file is missing.
        BadWeights: it is no file of patches, or not that of the table.
    """
    path = folder / grain_file_name(table)
    if not path.is_file():
        raise BundleMismatch(path, "it is missing")
    stored = read_tensor_header(path).tensors
    types = {name: each.type for name, each in stored.items()}
    if types != _TYPES:
        raise BadWeights(path, "a file of grain holds lost and looks, both of the type I8")
    size = sum(each.end - each.start for each in stored.values())
    if size > _MAX_BYTES:
        raise BadWeights(path, f"it holds {size:,} bytes; a file of grain has {_MAX_BYTES:,}")
    tensors, _ = read_all_tensors(
        path,
        "np",
    )
    try:
        return Grain(
            table,
            GrainPatches(
                tensors["lost"],
                tensors["looks"],
            ),
        )
    except ValueError as error:
        raise BadWeights(
            path,
            str(error),
        ) from error
