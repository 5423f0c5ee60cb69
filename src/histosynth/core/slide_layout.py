"""Nuclei of a whole slide, of which a window is read at a time."""

from __future__ import annotations

from typing import Protocol

from .geometry import Box, Size
from .nuclei import Nuclei
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
