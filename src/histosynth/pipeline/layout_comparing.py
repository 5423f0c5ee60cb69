"""A layout against real tissue: distances as multiples of what real tissue shows among itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import BadOption, BadTileSet, UnknownClasses
from ..core.folder_lock import own_folder
from ..core.geometry import Box, Size
from ..core.nuclei import Nuclei
from ..core.own_files import OwnFiles
from ..core.page.templates import page_environment, page_template, page_text
from ..core.slide_layout import SlideLayout
from ..core.store import json_text
from ..metrics.layout.set_distances import (
    DISTANCES,
    PatternSums,
    joined_sums,
    pattern_distances,
    pattern_sums,
    radii_um,
    unordered_pairs,
)
from ..tissue.layouts.trained_densities import DensityTally, density_warnings
from .layout_fields import layout_parts
from .layout_source import open_layout_file
from .layout_tiles import LayoutTiles, read_layout_tiles, tile_of_classes

_WINDOWS = 200
"""Windows that are read of a slide."""
_LEAST_UNITS = 4
_MOST_EMPTY = 0.25
_SPLITS = 20
_DRAWS = 50
_TRIES = 20
_MOST_WINDOW_UM = 400.0
_CURVE_SIZE = (200.0, 110.0)
_MOST_G = 4.0


@dataclass(frozen=True)
class LayoutDistance:
    """One distance.

    Attributes:
        name: see `DISTANCES`.
        value: between the layout and the reference.
        real: between random halves of the reference, median.
        times: `value` over `real`.
        interval: 5 % and 95 % of `times`, patients and windows drawn with replacement.
    """

    name: str
    value: float
    real: float
    times: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class LayoutComparison:
    """What `compare_layout_files` found.

    Attributes:
        distances: of all names.
        units: patients (or files) of the reference.
        are_patients: whether they are patients.
        reference_tiles: number of the reference's tiles.
        windows: number of windows, or tiles, of the layout.
        warnings: sentences on places denser than what the network in the package was trained on.
        report: HTML page.
        numbers: JSON file of the same.
    """

    distances: tuple[LayoutDistance, ...]
    units: int
    are_patients: bool
    reference_tiles: int
    windows: int
    warnings: tuple[str, ...]
    report: Path
    numbers: Path


def compare_layout_files(
    nuclei: Path,
    reference: Path,
    out: Path,
    *,
    size: Size | None = None,
    mpp: float | None = None,
    tile_size: Size | None = None,
    seed: int = 0,
) -> LayoutComparison:
    """Compare a layout with real tissue, and write a page and a JSON file.

    Args:
        nuclei: layout of a slide, a tile set, or a folder of files of nuclei.
        reference: tile set, or folder of files, of real tissue.
        out: folder of `report.html` and `report.json`.
        size: of the slide where the file does not state it.
        mpp: of the files that do not state it.
        tile_size: of the tiles of folders of files.
        seed: of the windows, splits and draws.

    Raises:
        BadOption: a size or scale is missing or not that of the file.
        BadTileSet: the reference has too few patients.
        UnknownClasses: the layout has a class that the reference lacks.
        BadNuclei, NotWritable: files cannot be read or written.
    """
    with own_folder(out):
        own = OwnFiles(out)
        own.refuse_foreign(["report.html", "report.json"])
        real = read_layout_tiles(
            reference,
            tile_size=tile_size,
            mpp=mpp,
        )
        if len(real.units) < _LEAST_UNITS:
            raise BadTileSet(
                reference,
                f"its tiles state nuclei of {len(real.units)} patients or files, and a comparison "
                f"needs {_LEAST_UNITS}",
            )
        warnings: tuple[str, ...] = ()
        if nuclei.is_dir():
            found = read_layout_tiles(
                nuclei,
                tile_size=tile_size,
                mpp=mpp,
            )
            groups = list(found.units.values())
        else:
            layout = open_layout_file(
                nuclei,
                size=size,
                mpp=mpp,
            )
            groups = _windows_of(
                layout,
                real,
                nuclei,
                seed,
            )
            tally = DensityTally(
                layout.classes,
                layout.size,
                layout.mpp,
            )
            for part in layout_parts(layout):
                tally.add_rows(part)
            warnings = density_warnings(tally, layout.classes)
        own_units = _sums(groups, real.classes)
        real_units = _sums(list(real.units.values()), real.classes)
        distances = _distances(
            own_units,
            real_units,
            seed,
        )
        facts = {
            "schema": "urn:histosynth:layout-compare-report:1",
            "layout": nuclei.name,
            "reference": reference.name,
            "classes": list(real.classes),
            "units": len(real.units),
            "are_patients": real.are_patients,
            "reference_tiles": len(real.tiles),
            "windows": sum(map(len, groups)),
            "distances": [asdict(each) for each in distances],
            "warnings": list(warnings),
        }
        page = _page(
            facts,
            joined_sums(own_units),
            joined_sums(real_units),
        )
        html, numbers = own.write_texts({"report.html": page, "report.json": json_text(facts)})
    return LayoutComparison(
        distances,
        len(real.units),
        real.are_patients,
        len(real.tiles),
        sum(map(len, groups)),
        warnings,
        html,
        numbers,
    )


def _windows_of(
    layout: SlideLayout,
    real: LayoutTiles,
    path: Path,
    seed: int,
) -> list[list[Nuclei]]:
    """Windows at random where there is tissue, as large as the reference's tiles."""
    sides = [min(tile.size) * tile.mpp for tile in real.tiles]
    side_um = min(float(np.median(sides)), _MOST_WINDOW_UM)
    side = round(side_um / layout.mpp)
    width, height = layout.size
    if side > min(width, height):
        raise BadOption(
            str(path),
            f"a slide of {width:,} x {height:,} px",
            f"at least {side:,} px a side, as the tiles of the reference",
        )
    random = np.random.default_rng(seed)
    windows = []
    for _ in range(_WINDOWS * _TRIES):
        left = int(random.integers(width - side + 1))
        top = int(random.integers(height - side + 1))
        box = Box(
            left,
            top,
            side,
            side,
        )
        empty = layout.empty(box)
        if empty is None or empty.mean() < _MOST_EMPTY:
            windows.append([layout.window(box)])
        if len(windows) == _WINDOWS:
            break
    if not windows or not sum(len(each[0]) for each in windows):
        raise BadOption(
            str(path),
            "a layout without nuclei in windows of tissue",
            f"one with nuclei (windows of {side:,} px were tried)",
        )
    return windows


def _sums(groups: Sequence[Sequence[Nuclei]], classes: tuple[str, ...]) -> list[PatternSums]:
    units = []
    for tiles in groups:
        unknown = sorted({name for tile in tiles for name in tile.classes} - set(classes))
        if unknown:
            raise UnknownClasses(unknown, classes)
        units.append(pattern_sums([tile_of_classes(tile, classes) for tile in tiles]))
    return units


def _distances(
    own: Sequence[PatternSums],
    real: Sequence[PatternSums],
    seed: int,
) -> tuple[LayoutDistance, ...]:
    random = np.random.default_rng([seed, 1])
    half = len(real) // 2
    among = []
    for _ in range(_SPLITS):
        order = random.permutation(len(real))
        among.append(
            pattern_distances(
                joined_sums([real[index] for index in order[:half]]),
                joined_sums([real[index] for index in order[half:]]),
            )
        )
    values = pattern_distances(joined_sums(own), joined_sums(real))
    drawn = []
    for _ in range(_DRAWS):
        drawn.append(
            pattern_distances(
                joined_sums([own[index] for index in random.integers(len(own), size=len(own))]),
                joined_sums([real[index] for index in random.integers(len(real), size=len(real))]),
            )
        )
    found = []
    for name in DISTANCES:
        least = float(np.median([each[name] for each in among]))
        low, high = np.quantile([each[name] for each in drawn], [0.05, 0.95]) / max(least, 1e-9)
        found.append(
            LayoutDistance(
                name,
                values[name],
                least,
                values[name] / max(least, 1e-9),
                (float(low), float(high)),
            )
        )
    return tuple(found)


def _page(
    facts: dict[str, Any],
    own: PatternSums,
    real: PatternSums,
) -> str:
    template = page_template(
        __package__ or "",
        "layout_page.html.j2",
        page_environment(),
    )
    classes = facts["classes"]
    plots = []
    for number, (one, other) in enumerate(unordered_pairs(len(classes))):
        plots.append(
            {
                "title": f"g(r) of {classes[one]} and {classes[other]}",
                "curves": [
                    _curve(radii_um(), own.g[number] / _MOST_G),
                    _curve(radii_um(), real.g[number] / _MOST_G),
                ],
            }
        )
    for number, (mine, others) in enumerate(
        zip(
            own.nearest,
            real.nearest,
            strict=True,
        )
    ):
        one, other = divmod(number, len(classes))
        plots.append(
            {
                "title": f"nearest {classes[other]} of {classes[one]}",
                "curves": [_cumulative(mine), _cumulative(others)],
            }
        )
    return page_text(
        template,
        {
            "title": "Layout against real tissue",
            "notice": f"{facts['layout']} against {facts['reference']}",
            "contents": [("distances", "Distances"), ("curves", "Curves")],
            "facts": facts,
            "words": DISTANCES,
            "plots": plots,
            "size": _CURVE_SIZE,
            "most_g": _MOST_G,
        },
    )


def _curve(x: np.ndarray, shares: np.ndarray) -> str:
    """Corners of a line in the plot, x from 0 to its end, shares from 0 to 1."""
    width, height = _CURVE_SIZE
    usable = np.isfinite(shares)
    across = x[usable] / max(float(x[-1]), 1e-9) * width
    down = height * (1 - shares[usable].clip(0, 1))
    return " ".join(
        f"{left:.1f},{top:.1f}"
        for left, top in zip(
            across.tolist(),
            down.tolist(),
            strict=True,
        )
    )


def _cumulative(values: np.ndarray) -> str:
    steps = np.arange(0, 61.0, 2.0)
    if not len(values):
        return ""
    shares = np.searchsorted(np.sort(values), steps, side="right") / len(values)
    return _curve(steps, shares)
