"""Writes two small tile sets, for `read_set.py`: of tissue, one kept tile with two nuclei and one
refused; in `_synthetic`, one tile with its recipe."""

from __future__ import annotations

import sys
from dataclasses import replace
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
folder = Path(sys.argv[1])
write_rows(folder / "a.parquet", [kept, refused], {})
synthetic = replace(kept, recipe='{"synthetic": true}')
write_rows(folder / "_synthetic" / "a-0.parquet", [synthetic], {}, gates=())
