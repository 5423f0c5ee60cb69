"""Which TIFF slides are read by tifffile: one table, that docs/prepare.md shows and a test holds.

OpenSlide decides the make. Forms of `FAST` give OpenSlide's pixels on every level, which a test
shows. Forms of `ONLY_TIFFFILE` are refused by OpenSlide, and give the pixels that were written.
Everything else is OpenSlide's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

RGB = 2
YCBCR = 6
PLANAR_TOGETHER = 1
COMPRESSIONS = {
    1: "none",
    5: "LZW",
    7: "JPEG",
    8: "deflate",
    32773: "PackBits",
    32946: "deflate (old code)",
    33003: "JPEG 2000 (33003)",
    33004: "JPEG 2000 (33004)",
    33005: "JPEG 2000 (33005)",
    34712: "JPEG 2000 (34712)",
    34887: "LERC",
    34925: "LZMA",
    34933: "PNG",
    34934: "JPEG XR",
    50000: "zstd",
    50001: "WebP",
    50002: "JPEG XL",
}
"""Names of the compressions of TIFF that slides have."""


@dataclass(frozen=True)
class TiffForm:
    """How a TIFF slide keeps its pixels: OpenSlide's make, and three tags.

    Attributes:
        make: OpenSlide's name.
        compression: tag 259.
        photometric: tag 262.
        planar: tag 284; 1 is R, G and B together.
    """

    make: str
    compression: int
    photometric: int
    planar: int


FAST = {
    ("aperio", RGB): (1, 5, 7, 8, 32773, 32946, 33005, 50000),
    ("aperio", YCBCR): (7,),
    ("generic-tiff", RGB): (1, 5, 7, 8, 32773, 32946, 50000),
    ("generic-tiff", YCBCR): (7,),
}
"""Make and photometric interpretation to the compressions that tifffile reads with the pixels of
OpenSlide, where R, G and B lie together."""
ONLY_TIFFFILE = {
    ("aperio", RGB): (34712, 34887, 34925, 34933, 50001, 50002),
    ("generic-tiff", RGB): (33005, 34712, 34887, 34925, 34933, 50001, 50002),
}
"""The same for what OpenSlide refuses, and tifffile reads as it was written. Programs that pack an
Aperio slide anew keep its description, and so its make."""


def is_in(
    table: Mapping[tuple[str, int], tuple[int, ...]],
    form: TiffForm,
) -> bool:
    """Whether a table names a form."""
    compressions = table.get((form.make, form.photometric), ())
    return form.planar == PLANAR_TOGETHER and form.compression in compressions


def compression_name(code: int) -> str:
    """The name of a compression, or its number."""
    return COMPRESSIONS.get(code, f"compression {code}")
