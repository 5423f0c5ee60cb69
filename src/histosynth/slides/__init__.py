"""Slides: pictures too large to open at once, read box by box at any scale.

`open_slide` finds the reader. `Slide.read` gives whole pixels of one pyramid level. `read_box`
gives a box of tissue at the wanted size, from the best level, resampled once and without aliasing.
"""

from .opening import SLIDE_SUFFIXES, open_slide
from .reading import Window, best_level, read_box, thumbnail
from .slide import PyramidLevel, Slide

__all__ = [
    "SLIDE_SUFFIXES",
    "PyramidLevel",
    "Slide",
    "Window",
    "best_level",
    "open_slide",
    "read_box",
    "thumbnail",
]
