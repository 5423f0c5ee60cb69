"""Changes of a layout, and the words that state them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ..annotation.layout_empty import SlideEmptyRegions
from ..annotation.regions import Region, find_regions
from ..core.errors import BadOption, BadRegions, UnknownClasses
from ..core.geometry import Size, parse_box
from ..tissue.layouts.model import LayoutModel
from ..tissue.layouts.slide_structure import lining_class

Action = Literal["raise", "infiltrate", "thin"]
MAX_FACTOR = 100.0
BORDER_RANGE_UM = (10.0, 1000.0)


@dataclass(frozen=True)
class LayoutEdit:
    """A change of one class.

    Attributes:
        action: "raise": local densities times `factor`; "infiltrate": `factor` - 1 times the
            slide's mean density of the class is added, also where it has none; "thin": the share
            `factor` is kept, 0 clears.
        name: of the class.
        factor: see `action`.
    """

    action: Action
    name: str
    factor: float

    def check(self, classes: Sequence[str]) -> None:
        """Raises UnknownClasses, BadOption: the class or factor cannot be."""
        if self.name not in classes:
            raise UnknownClasses(
                [self.name],
                classes,
            )
        least, most = (0.0, 1.0) if self.action == "thin" else (1.0, MAX_FACTOR)
        if not least <= self.factor <= most:
            raise BadOption(
                f"--{self.action}",
                f"{self.name}={self.factor:g}",
                f"a factor of {least:g} to {most:g}",
            )


def edits_of(texts: Mapping[Action, Sequence[str]]) -> list[LayoutEdit]:
    """Edits of the words `CLASS=NUMBER` of each action.

    Raises:
        BadOption: a word of another form.
    """
    found = []
    for action, words in texts.items():
        for word in words:
            name, _, number = word.rpartition("=")
            try:
                factor = float(number)
            except ValueError:
                factor = float("nan")
            if not name or not np.isfinite(factor):
                raise BadOption(
                    f"--{action}",
                    word,
                    "CLASS=NUMBER, e.g. lymphocyte=3",
                )
            found.append(
                LayoutEdit(
                    action,
                    name,
                    factor,
                )
            )
    return found


def region_of_option(text: str | None, option: str = "--region") -> SlideEmptyRegions | None:
    """A region as polygons: X,Y,W,H px, or a file of GeoJSON; None: the whole slide.

    Raises:
        BadOption, BadRegions: it is neither, or holds no polygon.
    """
    if text is None:
        return None
    path = Path(text)
    if path.exists():
        found = find_regions(path).regions
        if not found:
            raise BadOption(
                option,
                text,
                "a file that holds a polygon",
            )
        return SlideEmptyRegions(found)
    box = parse_box(
        option,
        text,
    )
    corners = (
        (box.x, box.y),
        (box.right, box.y),
        (box.right, box.bottom),
        (box.x, box.bottom),
        (box.x, box.y),
    )
    return SlideEmptyRegions(
        [
            Region(
                "region",
                tuple((float(x), float(y)) for x, y in corners),
            )
        ]
    )


def check_edits(
    edits: Sequence[LayoutEdit],
    classes: Sequence[str],
    model: LayoutModel,
    border_um: float | None,
) -> None:
    """Raises UnknownClasses, BadOption: edits of nuclei of these classes cannot be made."""
    if not edits:
        raise BadOption("the edit", "missing", "--raise, --infiltrate, --thin or --clear")
    for edit in edits:
        edit.check(classes)
    adds = any(edit.action != "thin" for edit in edits)
    if adds and set(classes) != set(model.classes):
        raise UnknownClasses(list(classes), model.classes)
    if border_um is None:
        return
    least, most = BORDER_RANGE_UM
    if not least <= border_um <= most:
        raise BadOption("--border", f"{border_um:g}", f"{least:g} to {most:g} um")
    if lining_class(tuple(classes)) is None:
        named = ", ".join(classes)
        raise BadOption("--border", f"{border_um:g}", f"left out: {named} are no epithelium")


def check_on_slide(region: SlideEmptyRegions, size: Size) -> None:
    """Refuse a region that lies beside the slide.

    Raises:
        BadRegions: with both places.
    """
    corners = np.concatenate([np.array(each.outline) for each in region.regions])
    left, top = corners.min(axis=0)
    right, bottom = corners.max(axis=0)
    if right <= 0 or bottom <= 0 or left >= size.width or top >= size.height:
        raise BadRegions(
            f"The region reaches from {left:,.0f},{top:,.0f} to {right:,.0f},{bottom:,.0f} px, and "
            f"the slide has {size.width:,} x {size.height:,} px.",
            "Give a region of this slide, in pixels of its level 0.",
        )
