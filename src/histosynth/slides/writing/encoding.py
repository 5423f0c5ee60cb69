"""How tiles are compressed: codecs that OpenSlide 4.0.1 and the readers of a format open."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import imagecodecs
import numpy as np

from ...core.errors import BadOption
from ...core.tile import Pixels

_ZSTD_LEVEL = 9
_DEFLATE_LEVEL = 6
_QUICK_LEVEL = 1
_SUBSAMPLING = {"444": (1, 1), "422": (2, 1), "420": (2, 2)}


@dataclass(frozen=True)
class Encoding:
    """A codec and its settings. One encoding serves all levels.

    JPEG keeps colour at full resolution unless `chroma` states otherwise: on a scan at 0.5 um/px
    (quality 90) that is 3.3 bits a pixel and 41 dB, against 2.1 bits and 30 dB of halved colour,
    which blurs the edges of nuclei. zstd, without loss, takes about 15 bits.

    Attributes:
        codec: a name of `CODECS`.
        quality: of JPEG, 1 to 100; other codecs lose nothing.
        chroma: "444", "422" or "420": resolution of the colour channels of JPEG.

    Raises:
        BadOption: a codec, quality or chroma that is none of those.
    """

    codec: str = "jpeg"
    quality: int = 90
    chroma: str = "444"

    def __post_init__(self) -> None:
        if self.codec not in CODECS:
            raise BadOption("the codec", self.codec, f"one of {', '.join(CODECS)}")
        if not 1 <= self.quality <= 100:
            raise BadOption("the JPEG quality", self.quality, "from 1 to 100")
        if self.chroma not in _SUBSAMPLING:
            raise BadOption("the chroma of JPEG", self.chroma, f"one of {', '.join(_SUBSAMPLING)}")

    @property
    def is_lossless(self) -> bool:
        """Whether decoded pixels are those that were encoded."""
        return CODECS[self.codec].is_lossless

    @property
    def dicom(self) -> DicomSyntax | None:
        """How DICOM names it; None: DICOM has no such compression."""
        return CODECS[self.codec].dicom

    @property
    def has_whole_chroma(self) -> bool:
        """Whether it is JPEG with colour at full resolution."""
        return self.codec == "jpeg" and self.chroma == "444"

    @property
    def is_for_tiff(self) -> bool:
        """Whether readers of OME-TIFF open it."""
        return bool(CODECS[self.codec].tiff_options)

    @property
    def tiff_options(self) -> dict[str, Any]:
        """Options of tifffile's `write` that describe encoded tiles."""
        options = dict(CODECS[self.codec].tiff_options)
        if self.codec == "jpeg":
            options["subsampling"] = _SUBSAMPLING[self.chroma]
        return options

    def encode(self, tile: Pixels) -> bytes:
        """A tile (H, W, 3) uint8 RGB as bytes; the same for the same pixels."""
        return CODECS[self.codec].encode(np.ascontiguousarray(tile), self)


@dataclass(frozen=True)
class DicomSyntax:
    """How DICOM names a compression.

    Attributes:
        transfer_syntax: its UID.
        photometric: PhotometricInterpretation of its frames.
        lossy_method: LossyImageCompressionMethod; "" where nothing is lost.
    """

    transfer_syntax: str
    photometric: str
    lossy_method: str = ""


@dataclass(frozen=True)
class _Codec:
    encode: Callable[[Pixels, Encoding], bytes]
    tiff_options: Mapping[str, Any] = field(default_factory=dict)
    dicom: DicomSyntax | None = None
    is_lossless: bool = True


def _jpeg(tile: Pixels, encoding: Encoding) -> bytes:
    return bytes(
        imagecodecs.jpeg8_encode(
            tile,
            level=encoding.quality,
            colorspace="RGB",
            outcolorspace="YCBCR",
            subsampling=encoding.chroma,
            optimize=True,
        )
    )


def _zstd(tile: Pixels, encoding: Encoding) -> bytes:
    return bytes(imagecodecs.zstd_encode(_differences(tile), level=_ZSTD_LEVEL))


def _deflate(tile: Pixels, encoding: Encoding) -> bytes:
    return bytes(imagecodecs.zlib_encode(_differences(tile), level=_DEFLATE_LEVEL))


def _jpeg2000(tile: Pixels, encoding: Encoding) -> bytes:
    return bytes(
        imagecodecs.jpeg2k_encode(
            tile,
            level=0,
            reversible=True,
            codecformat="J2K",
            numthreads=1,
        )
    )


def _differences(tile: Pixels) -> bytes:
    """Each pixel less its left neighbour: TIFF's predictor 2."""
    return bytes(imagecodecs.delta_encode(tile, axis=-2).tobytes())


_LOSSLESS = {"photometric": "rgb", "predictor": 2}
CODECS: Mapping[str, _Codec] = {
    "jpeg": _Codec(
        _jpeg,
        {"photometric": "ycbcr", "compression": "jpeg"},
        # DICOM has this one name for YCbCr in JPEG, whatever the resolution of its colour
        DicomSyntax("1.2.840.10008.1.2.4.50", "YBR_FULL_422", "ISO_10918_1"),
        is_lossless=False,
    ),
    "zstd": _Codec(_zstd, {**_LOSSLESS, "compression": "zstd"}),
    "deflate": _Codec(_deflate, {**_LOSSLESS, "compression": "deflate"}),
    "jpeg2000": _Codec(_jpeg2000, dicom=DicomSyntax("1.2.840.10008.1.2.4.90", "YBR_RCT")),
}
"""Codecs by name. In TIFF, OpenSlide 4.0.1 refuses WebP, JPEG XL and plain JPEG 2000. libvips of
pyvips-binary 8.18.7 shows zstd as black, without an error: deflate is what every reader shows. In
DICOM every reader shows JPEG and JPEG 2000."""


def pack_pixels(pixels: Pixels) -> bytes:
    """Pixels (H, W, 3) uint8 without loss, quickly; see `unpack_pixels`."""
    packed = imagecodecs.zstd_encode(
        _differences(np.ascontiguousarray(pixels)),
        level=_QUICK_LEVEL,
    )
    return bytes(packed)


def unpack_pixels(data: bytes, size: tuple[int, int]) -> Pixels:
    """Pixels (H, W, 3) of `pack_pixels`; `size` is (width, height).

    Raises:
        ValueError: data of another size.
    """
    width, height = size
    raw = imagecodecs.zstd_decode(data)
    differences: Pixels = np.frombuffer(raw, np.uint8).reshape(height, width, 3)
    pixels: Pixels = imagecodecs.delta_decode(differences, axis=-2)
    return pixels
