"""Tiles with other pixels in some places, in the codec that they had."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import imagecodecs
import numpy as np
import tifffile

from ...core.arrays import Float64Array
from ...core.tile import Mask, Pixels
from ..jpeg_size import JPEG
from ..tiff_forms import YCBCR
from .jpeg2000_stream import (
    Jpeg2000Head,
    decode_components,
    encode_components,
    read_jpeg2000_head,
)
from .jpeg_segments import mcu_of, read_jpeg_head
from .jpeg_stream import read_jpeg
from .ycbcr_tables import rgb_of_ycbcr, ycbcr_of_rgb

_DEFLATE_LEVEL = 6
_ZSTD_LEVEL = 9
_DIFFERENCES = 2
APERIO_YCBCR = 33003
JPEG_2000 = (APERIO_YCBCR, 33005, 34712)
"""Codecs by tag 259 of which touched tiles are written again without loss."""
BlockGrid = tuple[int, int]


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


def codec_grid(page: tifffile.TiffPage, data: bytes) -> tuple[BlockGrid, BlockGrid]:
    """The grid of a tile, and how far beyond it decoders carry colour; see `jpeg_grid`.

    Raises:
        ValueError: a stream that cannot be edited.
    """
    code = int(page.compression)
    if code == JPEG:
        return jpeg_grid(page, data)
    if code in JPEG_2000:
        return _jpeg2000_head(page, data).steps[1], (0, 0)
    return (1, 1), (0, 0)


def jpeg_grid(page: tifffile.TiffPage, data: bytes) -> tuple[BlockGrid, BlockGrid]:
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


def _check_size(
    page: tifffile.TiffPage,
    size: tuple[int, int],
    name: str = "JPEG",
) -> None:
    """Refuse a stream larger or smaller than its tile, before it is decoded.

    Raises:
        ValueError: naming both.
    """
    wanted = (int(page.tilewidth), int(page.tilelength))
    if size != wanted:
        raise ValueError(
            f"a {name} stream of {size[0]} x {size[1]} px in a tile of {wanted[0]} x {wanted[1]} px"
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
    is_ycbcr = int(page.photometric) == YCBCR
    samples = ycbcr_of_rgb(tile) if is_ycbcr else tile.astype(np.float64)
    return stream.with_samples(samples, where).encoded()


def _jpeg2000_head(page: tifffile.TiffPage, data: bytes) -> Jpeg2000Head:
    """What a tile's stream states, where all readers show the same colours of it.

    Raises:
        ValueError: they do not, or it is not of its tile's size.
    """
    head = read_jpeg2000_head(data)
    _check_size(
        page,
        head.size,
        "JPEG 2000",
    )
    is_ycbcr = int(page.compression) == APERIO_YCBCR
    if is_ycbcr and head.transforms:
        raise ValueError("a JPEG 2000 stream that transforms colour, though its tag states YCbCr")
    if not (is_ycbcr or head.is_full):
        raise ValueError("a JPEG 2000 stream of RGB whose components are of several sizes")
    return head


def decode_jpeg2000(page: tifffile.TiffPage, data: bytes) -> Pixels:
    """The colours (H, W, 3) uint8 of a JPEG 2000 tile, as OpenSlide shows them.

    Raises:
        ValueError: it is damaged, or of a form that is not read.
    """
    _jpeg2000_head(page, data)
    components = decode_components(data)
    if int(page.compression) == APERIO_YCBCR:
        return rgb_of_ycbcr(components)
    return components


def encode_jpeg2000(
    page: tifffile.TiffPage,
    data: bytes,
    tile: Pixels,
    where: Mask,
) -> bytes:
    """A JPEG 2000 tile with other pixels in some places; its components stay elsewhere.

    Args:
        page: of the tile.
        data: the tile as it is.
        tile: (H, W, 3) the colours of the whole tile.
        where: (H, W) bool, which to take from it; whole samples of all components.

    Raises:
        ValueError: a stream that cannot be edited.
    """
    head = _jpeg2000_head(page, data)
    components = decode_components(data)
    new = tile
    if int(page.compression) == APERIO_YCBCR:
        exact = _meaned(ycbcr_of_rgb(tile), head.steps[1])
        new = exact.round().clip(0, 255).astype(np.uint8)
    changed = np.where(
        where[..., None],
        new,
        components,
    )
    return encode_components(
        changed,
        head.steps,
        transforms=head.transforms,
    )


def _meaned(samples: Float64Array, step: BlockGrid) -> Float64Array:
    """Samples (H, W, 3), of which the second and third are the means of each step."""
    across, down = step
    height, width = samples.shape[:2]
    out = samples.copy()
    means = samples[..., 1:].reshape(
        height // down,
        down,
        width // across,
        across,
        2,
    )
    means = means.mean(axis=(1, 3))
    out[..., 1:] = means.repeat(down, axis=0).repeat(across, axis=1)
    return out
