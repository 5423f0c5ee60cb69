"""Every judge heard in turn, and the pictures that go beside what they say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core.errors import HistosynError
from ..core.progress import Tick
from ..core.tile import Pixels
from ..metrics.copying import judge_copying, nearest_pairs
from ..metrics.finding import Gallery, Section
from ..metrics.inpainting import judge_mending
from ..metrics.layout import judge_layout
from ..metrics.morphology import judge_morphology
from ..metrics.neighbours import nearest
from ..metrics.quality import judge_quality
from ..metrics.realism import judge_realism
from ..metrics.sample import Sample
from ..metrics.stain import judge_stain
from ..metrics.structure import judge_structure
from ..metrics.tile_measures import layout_kinds, side_of
from ..prepare.jobs import open_detector
from ..tissue.augment import pose
from .inputs.collections import Collection
from .inputs.items import Item, read_item
from .jobs.measuring import Plan

SHOWN = 6
"""Rows of a gallery."""


@dataclass(frozen=True)
class Looked:
    """All that was measured, and where the tiles are.

    Attributes:
        samples: by side: real, made, reference, left_out.
        real, made, reference, library: the collections, for pictures.
        plan: what was measured with.
    """

    samples: dict[str, Sample]
    real: Collection
    made: Collection
    reference: Collection | None
    library: Collection | None
    plan: Plan


def judge_all(
    looked: Looked,
    what: Sequence[str],
    *,
    seed: int = 0,
    tick: Tick | None = None,
) -> list[Section]:
    """One section a judge, in the order of `what`."""
    out = []
    for done, name in enumerate(what):
        if tick:
            tick(done, len(what))
        out.append(JUDGES[name](looked, seed))
    if tick:
        tick(len(what), len(what))
    return out


def _realism(looked: Looked, seed: int) -> Section:
    sides = looked.samples
    section = judge_realism(
        sides["real"],
        sides["made"],
        sides.get("reference"),
        encoder=looked.plan.encoder,
        seed=seed,
    )
    return replace(section, galleries=_extremes(looked))


def _structure(looked: Looked, seed: int) -> Section:
    sides = looked.samples
    real = _with(sides["real"], "structure/")
    detectors = [*looked.plan.detectors]
    return judge_structure(
        _with(sides["made"], "structure/"),
        real if len(real) else None,
        looked.plan.kinds,
        detectors,
    )


def _morphology(looked: Looked, seed: int) -> Section:
    sides = looked.samples
    return judge_morphology(
        sides["made"],
        sides["real"],
        sides.get("reference"),
        looked.plan.kinds or _kinds(looked),
    )


def _layout(looked: Looked, seed: int) -> Section:
    sides = looked.samples
    found = {
        name: side_of(sides[name], "found/")
        for name in ("real", "made", "reference")
        if name in sides
    }
    asked, marked = (side_of(sides[name], "asked/") for name in ("made", "real"))
    return judge_layout(
        asked if len(asked) else None,
        found["made"],
        found["real"],
        _kinds(looked),
        marked=marked if len(marked) else None,
        reference=found.get("reference"),
        seed=seed,
    )


def _mending(looked: Looked, seed: int) -> Section:
    from ..encoders.opening import open_perceptual

    plan = looked.plan
    perceptual = open_perceptual(plan.perceptual, weights=plan.perceptual_weights)
    return judge_mending(
        _with(looked.samples["made"], "mending/"),
        perceptual=perceptual.name,
        about=perceptual.about,
    )


def _copying(looked: Looked, seed: int) -> Section:
    sides = looked.samples
    crops = sides["reference"].stack("embed/features")
    section = judge_copying(
        sides["real"],
        sides["made"],
        sides["left_out"],
        crops,
        sides["reference"].patients,
        seed=seed,
    )
    return replace(section, galleries=_copies(looked))


def _quality(looked: Looked, seed: int) -> Section:
    sides = looked.samples
    return judge_quality(
        sides["real"],
        sides["made"],
        sides.get("reference"),
        seed=seed,
    )


def _stain(looked: Looked, seed: int) -> Section:
    sides = looked.samples
    return judge_stain(
        sides["real"],
        sides["made"],
        sides.get("reference"),
        seed=seed,
    )


JUDGES: dict[str, Callable[[Looked, int], Section]] = {
    "realism": _realism,
    "structure": _structure,
    "morphology": _morphology,
    "layout": _layout,
    "mending": _mending,
    "copying": _copying,
    "quality": _quality,
    "stain": _stain,
}


def _kinds(looked: Looked) -> tuple[str, ...]:
    """The classes that layouts were measured in."""
    opened = {name: open_detector(name) for name in looked.plan.detectors}
    return layout_kinds(
        looked.plan.kinds, {name: each for name, each in opened.items() if each is not None}
    )


def _with(sample: Sample, prefix: str) -> Sample:
    """The tiles that have values of a judge."""
    return sample.where(lambda tile: any(key.startswith(prefix) for key in tile.values))


def _extremes(looked: Looked) -> tuple[Gallery, ...]:
    """Made tiles that are least and most like real tissue, each beside the real tile nearest to
    it.
    """
    real = looked.samples["real"]
    made = looked.samples["made"]
    if not len(real) or not len(made):
        return ()
    gaps, rows = nearest(made.stack("embed/features"), real.stack("embed/features"))
    order = np.argsort(-gaps[:, 0], kind="stable")
    pictures = _Pictures(looked)
    out = []
    for title, chosen in (
        ("Least like real tissue", order[:SHOWN]),
        ("Most like real tissue", order[::-1][:SHOWN]),
    ):
        lines = []
        for row in chosen:
            mine = made.tiles[int(row)]
            theirs = real.tiles[int(rows[row, 0])]
            pair = pictures.of("made", mine.name), pictures.of("real", theirs.name)
            if pair[0] is not None and pair[1] is not None:
                words = f"{mine.name}: {gaps[row, 0]:.2f} from {theirs.name}"
                lines.append((words, (pair[0], pair[1])))
        out.append(Gallery(title, ("synthetic", "nearest real tile in features"), tuple(lines)))
    return tuple(out)


def _copies(looked: Looked) -> tuple[Gallery, ...]:
    """The made tiles most alike to training tissue, each turned as its source lies, and that
    source.
    """
    if looked.library is None:
        return ()
    made = looked.samples["made"]
    pictures = _Pictures(looked)
    mpp = looked.made.items[0].mpp
    lines = []
    for pair in nearest_pairs(made, SHOWN):
        mine = made.tiles[pair.row]
        source = looked.samples["library"].tiles[pair.tile].name
        one = pictures.of("made", mine.name)
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

    def __init__(self, looked: Looked) -> None:
        sides = {
            "real": looked.real,
            "made": looked.made,
            "library": looked.library,
        }
        self.items: dict[tuple[str, str], Item] = {
            (side, item.name): item for side, each in sides.items() if each for item in each.items
        }

    def of(self, side: str, name: str) -> Pixels | None:
        """Its pixels; None where it cannot be read any more."""
        try:
            return read_item(replace(self.items[side, name], points=None))[0]
        except (HistosynError, KeyError, OSError):
            return None
