"""Writes a small tile set, for `read_set.py`: one kept tile with two nuclei, one refused."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from histosynth.core.geometry import Box
from histosynth.core.images import encode_png
from histosynth.core.nuclei import Nuclei
from histosynth.core.tile import TileRef
from histosynth.core.tileset import Row, write_rows

pixels = np.full((8, 8, 3), 200, np.uint8)
nuclei = Nuclei.of(
    [[1.5, 2.0], [4.0, 5.0]],
    ["epithelial", "lymphocyte"],
    size=(8, 8),
    mpp=0.5,
    classes=("epithelial", "lymphocyte"),
)
kept = Row(
    TileRef("s", "P1", Box(0, 0, 8, 8), 0.5),
    image=encode_png(pixels),
    nuclei=nuclei,
)
refused = Row(TileRef("s", "P1", Box(8, 0, 8, 8), 0.5), refused="tissue: it covers 0%")
write_rows(Path(sys.argv[1]) / "a.parquet", [kept, refused], {})
