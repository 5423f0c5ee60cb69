"""Every judge heard in turn, and the pictures that go beside what they say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core.errors import HistosynthError
from ..core.progress import ProgressCallback
from ..core.tile import Pixels
from ..detectors.opening import open_detector
from ..metrics.copying.conclude import conclude_copying, nearest_pairs
from ..metrics.finding import Gallery, Section
from ..metrics.inpainting.conclude import conclude_inpainting
from ..metrics.layout.conclude import conclude_layout
from ..metrics.morphology.conclude import conclude_morphology
from ..metrics.neighbours import nearest
from ..metrics.quality.conclude import conclude_quality
from ..metrics.realism.conclude import conclude_realism
from ..metrics.sample import Sample
from ..metrics.stain.conclude import conclude_stain
from ..metrics.structure.conclude import conclude_structure
from ..metrics.tile_measures import layout_classes
from ..tissue.augment import pose
from .inputs.collections import Collection
from .inputs.items import Item, read_item
from .jobs.measuring import Plan

SHOWN = 6
"""Rows of a gallery."""


@dataclass(frozen=True)
class MeasuredSides:
    """All that was measured, and where the tiles are.

    Attributes:
        samples: by side: real, made, reference, left_out.
        real, synthetic, reference, library: the collections, for pictures.
        plan: what was measured with.
    """

    samples: dict[str, Sample]
    real: Collection
    synthetic: Collection
    reference: Collection | None
    library: Collection | None
    plan: Plan


def conclude_all(
    measured: MeasuredSides,
    what: Sequence[str],
    *,
    seed: int = 0,
    on_progress: ProgressCallback | None = None,
) -> list[Section]:
    """One section a judge, in the order of `what`."""
    out = []
    for done, name in enumerate(what):
        if on_progress:
            on_progress(done, len(what))
        out.append(METRICS[name](measured, seed))
    if on_progress:
        on_progress(len(what), len(what))
    return out


def _realism(measured: MeasuredSides, seed: int) -> Section:
    sides = measured.samples
    section = conclude_realism(
        sides["real"],
        sides["synthetic"],
        sides.get("reference"),
        encoder=measured.plan.encoder,
        seed=seed,
    )
    return replace(section, galleries=_extremes(measured))


def _structure(measured: MeasuredSides, seed: int) -> Section:
    sides = measured.samples
    real = _with(sides["real"], "structure/")
    detectors = [*measured.plan.detectors]
    return conclude_structure(
        _with(sides["synthetic"], "structure/"),
        real if len(real) else None,
        measured.plan.classes,
        detectors,
    )


def _morphology(measured: MeasuredSides, seed: int) -> Section:
    sides = measured.samples
    return conclude_morphology(
        sides["synthetic"],
        sides["real"],
        sides.get("reference"),
        measured.plan.classes or _kinds(measured),
    )


def _layout(measured: MeasuredSides, seed: int) -> Section:
    sides = measured.samples
    found = {
        name: sides[name].under("found/")
        for name in ("real", "synthetic", "reference")
        if name in sides
    }
    asked, marked = (sides[name].under("requested/") for name in ("synthetic", "real"))
    return conclude_layout(
        asked if len(asked) else None,
        found["synthetic"],
        found["real"],
        _kinds(measured),
        marked=marked if len(marked) else None,
        reference=found.get("reference"),
        seed=seed,
    )


def _mending(measured: MeasuredSides, seed: int) -> Section:
    from ..encoders.opening import open_perceptual

    plan = measured.plan
    perceptual = open_perceptual(plan.perceptual, weights=plan.perceptual_weights)
    return conclude_inpainting(
        _with(measured.samples["synthetic"], "inpainting/"),
        perceptual=perceptual.name,
        about=perceptual.about,
    )


def _copying(measured: MeasuredSides, seed: int) -> Section:
    sides = measured.samples
    crops = sides["reference"].stack("embed/features")
    section = conclude_copying(
        sides["real"],
        sides["synthetic"],
        sides["left_out"],
        crops,
        sides["reference"].patients,
        seed=seed,
    )
    return replace(section, galleries=_copies(measured))


def _quality(measured: MeasuredSides, seed: int) -> Section:
    sides = measured.samples
    return conclude_quality(
        sides["real"],
        sides["synthetic"],
        sides.get("reference"),
        seed=seed,
    )


def _stain(measured: MeasuredSides, seed: int) -> Section:
    sides = measured.samples
    return conclude_stain(
        sides["real"],
        sides["synthetic"],
        sides.get("reference"),
        seed=seed,
    )


METRICS: dict[str, Callable[[MeasuredSides, int], Section]] = {
    "realism": _realism,
    "structure": _structure,
    "morphology": _morphology,
    "layout": _layout,
    "mending": _mending,
    "copying": _copying,
    "quality": _quality,
    "stain": _stain,
}


def _kinds(measured: MeasuredSides) -> tuple[str, ...]:
    """The classes that layouts were measured in."""
    opened = {name: open_detector(name) for name in measured.plan.detectors}
    return layout_classes(
        measured.plan.classes, {name: each for name, each in opened.items() if each is not None}
    )


def _with(sample: Sample, prefix: str) -> Sample:
    """The tiles that have values of a judge."""
    return sample.where(lambda tile: any(key.startswith(prefix) for key in tile.values))


def _extremes(measured: MeasuredSides) -> tuple[Gallery, ...]:
    """Made tiles that are least and most like real tissue, each beside the real tile nearest to
    it.
    """
    real = measured.samples["real"]
    synthetic = measured.samples["synthetic"]
    if not len(real) or not len(synthetic):
        return ()
    gaps, rows = nearest(synthetic.stack("embed/features"), real.stack("embed/features"))
    order = np.argsort(-gaps[:, 0], kind="stable")
    pictures = _Pictures(measured)
    out = []
    for title, chosen in (
        ("Least like real tissue", order[:SHOWN]),
        ("Most like real tissue", order[::-1][:SHOWN]),
    ):
        lines = []
        for row in chosen:
            mine = synthetic.tiles[int(row)]
            theirs = real.tiles[int(rows[row, 0])]
            pair = pictures.of("synthetic", mine.name), pictures.of("real", theirs.name)
            if pair[0] is not None and pair[1] is not None:
                words = f"{mine.name}: {gaps[row, 0]:.2f} from {theirs.name}"
                lines.append((words, (pair[0], pair[1])))
        out.append(Gallery(title, ("synthetic", "nearest real tile in features"), tuple(lines)))
    return tuple(out)


def _copies(measured: MeasuredSides) -> tuple[Gallery, ...]:
    """The made tiles most alike to training tissue, each turned as its source lies, and that
    source.
    """
    if measured.library is None:
        return ()
    synthetic = measured.samples["synthetic"]
    pictures = _Pictures(measured)
    mpp = measured.synthetic.items[0].mpp
    lines = []
    for pair in nearest_pairs(synthetic, SHOWN):
        mine = synthetic.tiles[pair.row]
        source = measured.samples["library"].tiles[pair.tile].name
        one = pictures.of("synthetic", mine.name)
        other = pictures.of("library", source)
        if one is None or other is None:
            continue
        turned = np.ascontiguousarray(pose(one, pair.pose))
        words = f"{mine.name}: correlation {pair.score:.2f} with {source}"
        lines.append(
            (
                words,
                (
                    turned.astype(np.uint8),
                    _window(other, turned.shape[:2], pair.x / mpp, pair.y / mpp),
                ),
            )
        )
    columns = ("synthetic, turned to fit", "that place of the training tile")
    return (Gallery("Nearest pairs", columns, tuple(lines)),)


def _window(
    pixels: Pixels,
    shape: tuple[int, int],
    x: float,
    y: float,
) -> Pixels:
    """A tile-sized part, white beyond the picture's edge."""
    height, width = shape
    out = np.full((height, width, 3), 255, np.uint8)
    left = round(x)
    top = round(y)
    rows = slice(max(top, 0), min(top + height, pixels.shape[0]))
    columns = slice(max(left, 0), min(left + width, pixels.shape[1]))
    if rows.stop > rows.start and columns.stop > columns.start:
        out[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = (
            pixels[rows, columns]
        )
    return out


class _Pictures:
    """Tiles by side and name, read again for people to look at."""

    def __init__(self, measured: MeasuredSides) -> None:
        sides = {
            "real": measured.real,
            "synthetic": measured.synthetic,
            "library": measured.library,
        }
        self.items: dict[tuple[str, str], Item] = {
            (side, item.name): item for side, each in sides.items() if each for item in each.items
        }

    def of(self, side: str, name: str) -> Pixels | None:
        """Its pixels; None where it cannot be read any more."""
        try:
            return read_item(replace(self.items[side, name], points=None))[0]
        except (HistosynthError, KeyError, OSError):
            return None
