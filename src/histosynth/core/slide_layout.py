"""Nuclei of a whole slide, of which a window is read at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from .errors import UnknownClasses
from .geometry import Box, Size
from .nuclei import ANY_CLASS, Nuclei
from .store import digest
from .tile import Mask


class SlideLayout(Protocol):
    """What holds the nuclei of a slide: a file, arrays, or a model that draws them.

    Coordinates are whole hundredths of a pixel, so that a nucleus has the same place in every
    window that holds it.
    """

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""

    @property
    def mpp(self) -> float:
        """Micrometres per pixel."""

    @property
    def size(self) -> Size:
        """Of the slide, px."""

    @property
    def digest(self) -> str:
        """Hex digest of all that decides where nuclei and regions without tissue are."""

    def window(self, box: Box) -> Nuclei:
        """The nuclei inside a box, in its frame.

        Args:
            box: in pixels of the slide; it may reach beyond the slide, where there are none.
        """

    def empty(self, box: Box) -> Mask | None:
        """(H, W) bool of a box, True where the slide holds no tissue: glass, lumina.

        Args:
            box: in pixels of the slide.

        Returns:
            None: no such regions are known on the whole slide.
        """


class FramedLayout:
    """Base of layouts: the frame that all of them have.

    Args:
        classes: names of the classes.
        size: (width, height) of the slide, px.
        mpp: micrometres per pixel.
    """

    def __init__(
        self,
        classes: Sequence[str],
        size: tuple[int, int],
        mpp: float,
    ) -> None:
        self._classes = tuple(classes)
        self._size = Size(*size)
        self._mpp = mpp

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self._classes

    @property
    def mpp(self) -> float:
        """Micrometres per pixel."""
        return self._mpp

    @property
    def size(self) -> Size:
        """Of the slide, px."""
        return self._size


def origin_of(layout: SlideLayout) -> str:
    """Hex digest of the layout that a layout was drawn as, before it was stored or edited.

    Nuclei of layouts of one origin lie mostly in the same places.
    """
    origin = getattr(layout, "origin", None)
    return str(origin or layout.digest)


class LayoutOfClasses(FramedLayout):
    """A layout with the classes of a bundle: those that it lacks are added, in the bundle's order.

    Args:
        layout: whose nuclei.
        classes: all classes, in order.

    Raises:
        UnknownClasses: the layout has one that is not among them.
    """

    def __init__(self, layout: SlideLayout, classes: Sequence[str]) -> None:
        unknown = [name for name in layout.classes if name not in classes]
        if unknown:
            raise UnknownClasses(unknown, classes)
        super().__init__(
            classes,
            layout.size,
            layout.mpp,
        )
        self._layout = layout

    @property
    def digest(self) -> str:
        """Hex digest of the layout and the order of classes."""
        return digest([self._layout.digest, list(self.classes)])

    @property
    def origin(self) -> str:
        """See `origin_of`."""
        return origin_of(self._layout)

    def window(self, box: Box) -> Nuclei:
        """See `SlideLayout.window`."""
        nuclei = self._layout.window(box)
        new_ids = np.full(ANY_CLASS + 1, ANY_CLASS, np.uint8)
        for index, name in enumerate(self._layout.classes):
            new_ids[index] = self.classes.index(name)
        return replace(
            nuclei,
            class_ids=new_ids[nuclei.class_ids],
            classes=self.classes,
        )

    def empty(self, box: Box) -> Mask | None:
        """See `SlideLayout.empty`."""
        return self._layout.empty(box)
