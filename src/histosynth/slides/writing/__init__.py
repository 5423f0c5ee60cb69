"""Writing slides: blocks of pixels, in any order and by any worker, become one pyramid, as OME-TIFF
or DICOM.

1. `SlideParts` names a folder of parts, the `Pyramid` and the `Encoding`; it passes to workers.
2. `write_block` encodes a block of level 0 (2 x 2 tiles) to one file of the folder, whole or not at
   all, the same bytes on every run. `has_block` and `missing_blocks` say what is there.
3. `finish_slide` makes the lower levels and the slide; its name decides the format. It appears
   whole or not at all, and goes on from the parts if it is run again. Memory does not depend on
   the size of the slide.
"""

from .description import SlideDescription
from .encoding import CODECS, Encoding
from .finishing import finish_slide, missing_blocks
from .formats import WRITTEN_SUFFIXES, check_slide_format, first_file, read_slide_recipe
from .parts import PartPlace, SlideParts, has_block, write_block
from .pyramid import Pyramid
from .space import BytesNeeded, check_space, needed_bytes

__all__ = [
    "CODECS",
    "WRITTEN_SUFFIXES",
    "PartPlace",
    "BytesNeeded",
    "Encoding",
    "SlideParts",
    "Pyramid",
    "SlideDescription",
    "check_slide_format",
    "check_space",
    "finish_slide",
    "first_file",
    "has_block",
    "missing_blocks",
    "needed_bytes",
    "read_slide_recipe",
    "write_block",
]
