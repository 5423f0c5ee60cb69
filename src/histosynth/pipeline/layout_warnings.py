"""What is said of a slide's layout before much work is done with it."""

from __future__ import annotations

from ..core.geometry import Box
from ..core.nuclei import ANY, ANY_CLASS
from ..core.slide_layout import SlideLayout
from ..tissue.layouts.slide_rows import SlideRows
from ..tissue.layouts.trained_densities import DensityTally, density_warnings
from .layout_fields import layout_parts


class LayoutSurvey:
    """Nuclei of a layout, or of a part of it, counted once.

    Args:
        layout: of the slide.
        region: the part that counts; None: all.
    """

    def __init__(self, layout: SlideLayout, region: Box | None = None) -> None:
        self._classes = layout.classes
        self._region = region
        self._tally = DensityTally(
            layout.classes,
            layout.size,
            layout.mpp,
        )
        self.nuclei = 0
        self.unclassified = 0
        if region is None:
            for rows in layout_parts(layout):
                self._add(rows)
        else:
            nuclei = layout.window(region)
            self._add(
                SlideRows.of(
                    nuclei,
                    (region.x, region.y),
                )
            )

    def _add(self, rows: SlideRows) -> None:
        self._tally.add_rows(rows)
        self.nuclei += len(rows.class_ids)
        self.unclassified += int((rows.class_ids == ANY_CLASS).sum())

    def warnings(self, *, of_shipped_bundle: bool) -> tuple[str, ...]:
        """Sentences on a layout without nuclei, or denser than what was trained on.

        Args:
            of_shipped_bundle: the bundle in the package paints it, whose range is known.
        """
        if not self.nuclei:
            where = "the layout" if self._region is None else "this region of the layout"
            return (f"{where} holds no nuclei: what is painted shows none",)
        if not of_shipped_bundle:
            return ()
        return density_warnings(
            self._tally,
            self._classes,
        )

    @property
    def unknown_classes(self) -> tuple[str, ...]:
        """The name of nuclei without a class, if there are any."""
        return (ANY,) if self.unclassified else ()
