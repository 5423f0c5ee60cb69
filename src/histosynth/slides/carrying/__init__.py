"""A slide's compressed tiles carried over to another file, some of them with other pixels.

1. `open_carried` says whether a slide's tiles can be carried over, and gives its levels.
2. `CarriedLevel.replaced` encodes a tile with other pixels in some places: in the same codec, and
   equal everywhere else after decoding.
3. `write_carried` writes all levels to an OME-TIFF, tile by tile, as `slides.writing` does.
"""

from .bigtiff import TiffPageParts, write_pages
from .levels import CarriedLevel, CarriedSlide, grown_on_grid, open_carried, shows_as_aperio_only
from .writing_levels import write_carried

__all__ = [
    "CarriedLevel",
    "CarriedSlide",
    "TiffPageParts",
    "grown_on_grid",
    "open_carried",
    "shows_as_aperio_only",
    "write_carried",
    "write_pages",
]
