"""The table of makes and compressions in docs/prepare.md, and the files that a test holds it by.

    python tests/support/makes_table.py

writes it anew.
"""

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from tiff_files import picture, planes, write_aperio, write_generic, write_ome

DOCS = Path(__file__).parents[2] / "docs" / "prepare.md"
BEGIN, END = "<!-- table of makes: begin -->\n", "<!-- table of makes: end -->"
APERIO_MAKE, GENERIC, OME = "Aperio SVS", "generic tiled TIFF", "OME-TIFF"
WRITERS = {APERIO_MAKE: write_aperio, GENERIC: write_generic, OME: write_ome}


@dataclass(frozen=True)
class Case:
    """One row: a make, how its pixels are kept, who reads it, and what they are compared with."""

    make: str
    pixels: str
    compression: str
    reader: str
    compared: str
    options: dict = field(default_factory=dict)

    @property
    def name(self):
        return f"{self.make}, {self.pixels}, {self.compression}"

    @property
    def is_lossless(self):
        return "JPEG" not in self.compression or "33005" in self.compression


_LOSSLESS = {
    "none": {"compression": None},
    "LZW": {"compression": "lzw"},
    "LZW, predictor": {"compression": "lzw", "predictor": True},
    "deflate": {"compression": "adobe_deflate"},
    "deflate (old code)": {"compression": "deflate", "predictor": True},
    "PackBits": {"compression": "packbits"},
    "zstd": {"compression": "zstd"},
}
_ONLY_TIFFFILE = {
    "WebP": {"compression": "webp"},
    "JPEG 2000 (34712)": {"compression": "jpeg2000"},
    "JPEG XL": {"compression": "jpegxl"},
    "LZMA": {"compression": "lzma"},
    "PNG": {"compression": "png"},
}
_JPEG = {"compression": "jpeg"}
_JPEG_RGB = {"compression": "jpeg", "compressionargs": {"level": 95, "outcolorspace": "rgb"}}


def _cases():
    for make in (APERIO_MAKE, GENERIC):
        yield Case(make, "YCbCr", "JPEG", "tifffile", "OpenSlide", _JPEG)
        yield Case(make, "RGB", "JPEG", "tifffile", "OpenSlide", _JPEG_RGB)
        for compression, options in _LOSSLESS.items():
            yield Case(make, "RGB", compression, "tifffile", "OpenSlide", options)
        separate = {"compression": "lzw", "planarconfig": "separate"}
        yield Case(make, "RGB in planes", "LZW", "openslide", "OpenSlide", separate)
        alpha = {"compression": "lzw", "extrasamples": ["unassalpha"]}
        yield Case(make, "RGB and alpha", "LZW", "openslide", "OpenSlide", alpha)
        for pixels, data in _OTHER.items():
            yield Case(make, pixels, "any", "refused", "", {"data": data, "compression": "lzw"})
    j2k = {"compression": "APERIO_JP2000_RGB"}
    yield Case(APERIO_MAKE, "RGB", "JPEG 2000 (33005)", "tifffile", "OpenSlide", j2k)
    yield Case(APERIO_MAKE, "YCbCr", "JPEG 2000 (33003)", "openslide", "OpenSlide", {"j2k": True})
    for compression, options in _ONLY_TIFFFILE.items():
        yield Case(APERIO_MAKE, "RGB", compression, "tifffile", "what was written", options)
        yield Case(GENERIC, "RGB", compression, "tifffile", "what was written", options)
    yield Case(GENERIC, "RGB", "JPEG 2000 (33005)", "tifffile", "what was written", j2k)
    yield Case(OME, "YCbCr", "JPEG", "tifffile", "OpenSlide", _JPEG | _TAGGED)
    for compression, options in _LOSSLESS.items():
        yield Case(OME, "RGB", compression, "tifffile", "what was written", options)
    for compression, options in _ONLY_TIFFFILE.items():
        yield Case(OME, "RGB", compression, "tifffile", "what was written", options)
    separate = {"compression": "lzw", "planarconfig": "separate"}
    yield Case(OME, "RGB in planes", "LZW", "tifffile", "what was written", separate)


_OTHER = {
    "grayscale": picture()[..., 0].copy(),
    "RGB of 16 bits": picture().astype(np.uint16) * 257,
    "CMYK": np.dstack([picture(), picture()[..., 0]]),
}
_TAGGED = {"resolution": (20_000, 20_000), "resolutionunit": 3}
CASES = tuple(_cases())


def write_case(path, case):
    """A file of a case: `picture()` of 320 x 256 px at 0.5 um/px."""
    options = dict(case.options)
    if options.pop("j2k", False):
        return _write_ycbcr_jpeg_2000(path)
    data = options.pop("data", picture())
    if case.pixels == "RGB in planes":
        data = planes(data)
    if case.pixels == "RGB and alpha":
        data = np.dstack([data, np.full(data.shape[:2], 255, np.uint8)])
    photometric = {"grayscale": "minisblack", "CMYK": "separated"}.get(case.pixels, "rgb")
    if case.make == OME:
        return write_ome(path, data, photometric=photometric, **options)
    return WRITERS[case.make](path, data, photometric=photometric, **options)


def _write_ycbcr_jpeg_2000(path):
    """An SVS of compression 33003, as Aperio writes it: YCbCr, and no transform in the stream."""
    matrix = np.array(
        [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
    )
    ycbcr = (picture() @ matrix.T + [0, 128, 128]).clip(0, 255).round().astype(np.uint8)
    padded = np.pad(ycbcr, ((0, 0), (0, 64), (0, 0)), mode="edge")
    tiles = [
        imagecodecs.jpeg2k_encode(
            np.ascontiguousarray(padded[y : y + 128, x : x + 128]),
            codecformat="j2k",
            mct=False,
            reversible=True,
        )
        for y in (0, 128)
        for x in (0, 128, 256)
    ]
    text = "Aperio Image Library v12\r\n320x256 (128x128) J2K/YUV16 Q=70|AppMag = 20|MPP = 0.5"
    with tifffile.TiffWriter(path) as file:
        file.write(
            iter(tiles),
            shape=(256, 320, 3),
            dtype=np.uint8,
            tile=(128, 128),
            photometric="rgb",
            compression=33003,
            description=text,
            metadata=None,
        )
    return path


_VENDORS = (
    "Hamamatsu (NDPI, VMS, VMU), Leica SCN, MIRAX, Philips TIFF, Sakura, Trestle, Ventana, "
    "Zeiss CZI"
)


def table():
    """The rows of `CASES` as Markdown, compressions of one reader together."""
    grouped = {}
    for case in CASES:
        key = (case.make, case.pixels, case.reader, case.compared)
        names = grouped.setdefault(key, [])
        if case.compression not in names:
            names.append(case.compression)
    lines = [
        "| make | pixels | compression | read by | pixels are those of |",
        "|---|---|---|---|---|",
    ]
    for (make, pixels, reader, compared), names in grouped.items():
        reader = {"openslide": "OpenSlide"}.get(reader, reader)
        lines.append(f"| {make} | {pixels} | {', '.join(names)} | {reader} | {compared} |")
    lines.append(f"| {_VENDORS} | as OpenSlide reads it | | OpenSlide | OpenSlide |")
    lines.append("| DICOM | 8-bit RGB or YCbCr | | OpenSlide, else wsidicom | OpenSlide |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    text = DOCS.read_text(encoding="utf-8")
    between = re.compile(re.escape(BEGIN) + ".*" + re.escape(END), re.DOTALL)
    DOCS.write_text(between.sub(lambda _: BEGIN + table() + END, text), encoding="utf-8")
