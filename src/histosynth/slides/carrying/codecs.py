"""Tiles with other pixels in some places, in the codec that they had."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import imagecodecs
import numpy as np
import tifffile

from ...core.arrays import Float64Array
from ...core.tile import Mask, Pixels
from ..tiff_forms import YCBCR
from .jpeg_segments import mcu_of, read_jpeg_head
from .jpeg_stream import read_jpeg

_DEFLATE_LEVEL = 6
_ZSTD_LEVEL = 9
_DIFFERENCES = 2
_YCBCR = np.array(
    [
        [
            0.299,
            0.587,
            0.114,
        ],
        [
            -0.168735892,
            -0.331264108,
            0.5,
        ],
        [
            0.5,
            -0.418687589,
            -0.081312411,
        ],
    ]
)
"""Of JFIF."""
_CHROMA_OFFSET = np.array(
    [
        0.0,
        128.0,
        128.0,
    ]
)


def _deflate(data: bytes) -> bytes:
    return bytes(imagecodecs.zlib_encode(data, level=_DEFLATE_LEVEL))


def _zstd(data: bytes) -> bytes:
    return bytes(imagecodecs.zstd_encode(data, level=_ZSTD_LEVEL))


def _lzw(data: bytes) -> bytes:
    return bytes(imagecodecs.lzw_encode(data))


LOSSLESS: Mapping[int, Callable[[bytes], bytes]] = {
    1: bytes,
    5: _lzw,
    8: _deflate,
    32946: _deflate,
    50000: _zstd,
}
"""Codecs by tag 259 that lose nothing, and are written again."""


def encode_lossless(page: tifffile.TiffPage, tile: Pixels) -> bytes:
    """A tile (H, W, 3) as the page's other tiles are."""
    pixels = np.ascontiguousarray(tile)
    if int(page.predictor) == _DIFFERENCES:
        pixels = imagecodecs.delta_encode(pixels, axis=-2)
    return LOSSLESS[int(page.compression)](pixels.tobytes())


def jpeg_grid(page: tifffile.TiffPage, data: bytes) -> tuple[tuple[int, int], tuple[int, int]]:
    """The grid of a JPEG tile, and how far beyond it decoders carry colour.

    Returns:
        (width, height) px of a MCU, and px across and down by which chroma of fewer samples is
        interpolated beyond it.

    Raises:
        ValueError: a stream that cannot be edited.
    """
    head = read_jpeg_head(data, page.jpegtables or b"")
    _check_size(page, head.size)
    width, height = mcu_of(head.components)
    is_full = all(
        each.across == head.components[0].across and each.down == head.components[0].down
        for each in head.components
    )
    reach = (0, 0) if is_full else (int(width > 8), int(height > 8))
    return (width, height), reach


def _check_size(page: tifffile.TiffPage, size: tuple[int, int]) -> None:
    """Refuse a stream larger or smaller than its tile, before its blocks are decoded.

    Raises:
        ValueError: naming both.
    """
    wanted = (int(page.tilewidth), int(page.tilelength))
    if size != wanted:
        raise ValueError(
            f"a JPEG stream of {size[0]} x {size[1]} px in a tile of {wanted[0]} x {wanted[1]} px"
        )


def encode_jpeg(
    page: tifffile.TiffPage,
    data: bytes,
    tile: Pixels,
    where: Mask,
) -> bytes:
    """A JPEG tile with other pixels in some places.

    Args:
        page: of the tile.
        data: the tile as it is.
        tile: (H, W, 3) the pixels, those to replace and what surrounds them in their blocks.
        where: (H, W) bool, which to replace; whole MCUs.

    Raises:
        ValueError: a stream that cannot be edited.
    """
    tables = page.jpegtables or b""
    _check_size(page, read_jpeg_head(data, tables).size)
    stream = read_jpeg(data, tables)
    samples: Float64Array = tile.astype(np.float64)
    if int(page.photometric) == YCBCR:
        samples = samples @ _YCBCR.T + _CHROMA_OFFSET
    return stream.with_samples(samples, where).encoded()
