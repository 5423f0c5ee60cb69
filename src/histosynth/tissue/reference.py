"""A reference tile whose look is to be worn: what cannot be one, and what it cannot show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..core.errors import StainNotFound
from ..core.pictures import PictureInput, as_rgb
from .appearance import MIN_EXTREMES_PX, MIN_TISSUE_PX, Appearance, is_tissue, measure_appearance
from .density import optical_density

MIN_REFERENCE_CONTRAST = 0.02
"""Standard deviation of optical density below which a picture is of one colour; the palest of 90
tiles of tissue has 0.097."""
_REMEDY = "Give a reference tile with nuclei and stroma, or leave the appearance out."


def measure_reference(pixels: PictureInput, name: str = "the reference") -> Appearance:
    """The appearance of a reference tile.

    Args:
        pixels: the tile, whatever `as_rgb` takes.
        name: of the tile, for messages.

    Raises:
        NotRGB, UnreadableImage: it is no picture that can be used.
        StainNotFound: it is glass, or of one colour, so that it shows no stain.
    """
    rgb = as_rgb(pixels, name)
    density = optical_density(rgb)
    tissue_px = int(is_tissue(density).sum())
    if tissue_px < MIN_TISSUE_PX:
        height, width = rgb.shape[:2]
        reason = (
            f"{tissue_px:,} of its {height * width:,} pixels are tissue, {MIN_TISSUE_PX} are needed"
        )
        raise StainNotFound(name, reason, _REMEDY)
    contrast = float(density.std(axis=(0, 1), dtype=np.float64).mean())
    if contrast < MIN_REFERENCE_CONTRAST:
        reason = (
            f"it is of one colour (its optical density varies by {contrast:.3f}, that of tissue by "
            "0.1 and more)"
        )
        raise StainNotFound(name, reason, _REMEDY)
    return measure_appearance(rgb)


@dataclass(eq=False)
class ReferenceNotes:
    """What people are to know about references, over all of them.

    Attributes:
        blocks: those that show the blocks of JPEG.
        small: those too small for their darkest and brightest values.
    """

    blocks: list[str] = field(default_factory=list)
    small: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, references: Iterable[tuple[str, Appearance]]) -> ReferenceNotes:
        """On measured references, each with its name."""
        notes = cls()
        for name, appearance in references:
            if appearance.has_blocks:
                notes.blocks.append(name)
            if appearance.extremes is None:
                notes.small.append(name)
        return notes

    def sentences(self) -> list[str]:
        """Each that there is something to state of."""
        found = []
        if self.blocks:
            found.append(
                f"{_of(self.blocks, 'shows', 'show')} the blocks of JPEG compression, which are no "
                "grain of tissue: grain is drawn as strong as in typical tissue."
            )
        if self.small:
            found.append(
                f"{_of(self.small, 'has', 'have')} fewer than {MIN_EXTREMES_PX:,} pixels, too few "
                "to limit the darkest and brightest values."
            )
        return found


def _of(names: Sequence[str], one: str, several: str) -> str:
    """The references and their verb, as a sentence begins."""
    if len(names) == 1:
        return f"The reference {names[0]} {one}"
    return f"{len(names):,} references (first {names[0]}) {several}"
