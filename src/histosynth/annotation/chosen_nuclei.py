"""The nuclei of a file, in the pixels of its picture, and notes on what was left out."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.arrays import Float64Array, IndexArray
from ..core.errors import BadNuclei
from ..core.visible import visible
from .choosing import MAX_NUCLEUS_UM2, TOO_LARGE, Choice, choose_nuclei, listed_counts
from .objects import AnnotationFile
from .reading_files import read_annotation
from .scale import factor_of

NoteCallback = Callable[[str], None]
"""Called with a sentence for the user."""


@dataclass(frozen=True, eq=False)
class ChosenNuclei:
    """Nuclei of a file.

    Attributes:
        xy: (N, 2) px of the picture, from the centre of the first pixel; not checked.
        classes: names of classes, each once; some may have no nucleus.
        class_ids: (N) index of `classes`.
        left_out: objects that are no nuclei, by what they are, with their number.
        notes: sentences on what was left out and on a change of scale.
        shapes: (N, 3) area in um2, elongation and angle, rows of nan where not known; not checked.
        has_stated_shapes: whether the file states them as numbers; else they are of outlines.
    """

    xy: Float64Array
    classes: tuple[str, ...]
    class_ids: IndexArray
    left_out: Counter[str]
    notes: tuple[str, ...] = ()
    shapes: Float64Array | None = None
    has_stated_shapes: bool = False

    @property
    def names(self) -> list[str]:
        """(N) class name of each."""
        return [self.classes[number] for number in self.class_ids]

    def shapes_on(self, tile_um2: float) -> Float64Array | None:
        """Shapes on a tile of this area: outlines larger than it are of no nucleus of it."""
        if self.shapes is None or self.has_stated_shapes:
            return self.shapes
        fits = self.shapes[:, 0] <= tile_um2
        return np.where(fits[:, None], self.shapes, np.nan)

    def used_classes(self) -> dict[int, str]:
        """Classes that a nucleus has, by number."""
        return {int(number): self.classes[number] for number in np.unique(self.class_ids)}


def warn_of(note: str) -> None:
    """Show a note as a warning of Python."""
    warnings.warn(visible(note), stacklevel=3)


def ignore_note(note: str) -> None:
    """Show nothing: the note was shown already."""


def read_chosen(path: Path, mpp: float) -> ChosenNuclei:
    """The nuclei of a file.

    Args:
        path: of any form that is read.
        mpp: of the picture, micrometres per pixel.

    Raises:
        BadNuclei: the file cannot be used, holds other objects but no nuclei, or states a scale
            that does not fit the picture's.
    """
    file = read_annotation(path)
    factor = factor_of(file.scale, mpp, str(path))
    choice = choose_nuclei(file, mpp * factor)
    if choice.left_out and not len(choice.xy):
        raise _no_nuclei(path, choice)
    return ChosenNuclei(
        on_picture(choice.xy, file, factor),
        file.names,
        choice.name_ids,
        choice.left_out,
        notes_on(path, file, factor, choice.left_out),
        None if np.isnan(choice.shapes).all() else choice.shapes,
        file.point_shapes is not None,
    )


def on_picture(
    xy: Float64Array,
    file: AnnotationFile,
    factor: float,
) -> Float64Array:
    """Coordinates (N, 2) of a file as px of the picture, from the centre of the first pixel."""
    moved = xy - file.corner_px
    return moved if factor == 1 else (moved + 0.5) * factor - 0.5


def notes_on(
    path: Path,
    file: AnnotationFile,
    factor: float,
    left_out: Counter[str],
) -> tuple[str, ...]:
    """Sentences on what was left out of a file, and on a change of scale."""
    notes = []
    if file.scale and factor != 1:
        notes.append(
            f"{path}: its coordinates are at {file.scale.text}; times {factor:g} they are px of "
            "the picture."
        )
    if left_out:
        notes.append(f"{path}: left out {listed_counts(left_out)}.")
    return tuple(notes)


def _no_nuclei(path: Path, choice: Choice) -> BadNuclei:
    """The refusal of a file whose objects are all left out."""
    counts = listed_counts(choice.left_out)
    largest = ""
    if choice.left_out[TOO_LARGE]:
        largest = (
            f"; the largest covers {choice.largest_um2:,.0f} um2, and a nucleus at most "
            f"{MAX_NUCLEUS_UM2:,.0f} um2"
        )
    return BadNuclei(
        f"{path} holds no nuclei, but {counts}{largest}.",
        "Give detections, cells, points or outlines of nuclei, and check the scale (--mpp).",
    )
