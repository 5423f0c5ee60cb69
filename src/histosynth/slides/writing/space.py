"""Room on disk, before work begins."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

from ...core.errors import NotWritable
from .encoding import Encoding
from .pyramid import Pyramid

_BITS_OF_JPEG = {50: 1.8, 80: 3.3, 90: 4.2, 95: 5.2, 100: 12.0}
"""By quality, with full chroma: those of a scan of 0.5 um/px, a quarter added."""
_BITS_LOSSLESS = 19.0
_CHROMA_SHARE = {"444": 1.0, "422": 0.8, "420": 0.7}
_OVERHEAD = 1 << 16
_BYTES_PER_TILE = 64


class BytesNeeded(NamedTuple):
    """About so many bytes are needed, on the safe side."""

    parts: int
    file: int


def needed_bytes(pyramid: Pyramid, encoding: Encoding) -> BytesNeeded:
    """Bytes of all parts and of the finished file, which are on disk at the same time."""
    bits = _bits_per_pixel(encoding)
    file = _OVERHEAD
    halves = 0
    for level, (width, height) in enumerate(pyramid.levels):
        across, down = pyramid.tiles(level)
        pixels = across * down * pyramid.tile_px**2
        file += round(min(pixels, width * height * 1.1 + pyramid.tile_px**2) * bits / 8)
        file += across * down * _BYTES_PER_TILE
        halves += round(width * height / 4 * _BITS_LOSSLESS / 8)
    return BytesNeeded(file + halves, file)


def check_space(
    out: Path,
    folder: Path,
    needed: BytesNeeded,
) -> None:
    """Refuse to begin where the disks of the slide and its parts have too little room.

    Args:
        out: the slide.
        folder: of the parts; what it holds already is counted.
        needed: see `needed_bytes`.

    Raises:
        NotWritable: with the numbers.
    """
    there = _bytes_in(folder)
    parts = max(needed.parts - there, 0)
    out_disk = _existing(out.parent)
    parts_disk = _existing(folder)
    if out_disk.stat().st_dev == parts_disk.stat().st_dev:
        _check_disk(out, out_disk, parts + needed.file)
        return
    _check_disk(out, out_disk, needed.file)
    _check_disk(folder, parts_disk, parts)


def check_file_space(out: Path, count: int) -> None:
    """Refuse to write a file of so many bytes where they do not fit.

    Raises:
        NotWritable: with the numbers.
    """
    _check_disk(out, _existing(out.parent), count)


def _check_disk(
    path: Path,
    disk: Path,
    needed: int,
) -> None:
    free = shutil.disk_usage(disk).free
    if free < needed:
        raise NotWritable(
            path,
            f"it needs about {_amount(needed)} with its parts, and {_amount(free)} are free on "
            f"the disk of {disk}",
            "Make room there, or choose another --out; what is done is kept.",
        )


def _bits_per_pixel(encoding: Encoding) -> float:
    if encoding.is_lossless:
        return _BITS_LOSSLESS
    upper = min(quality for quality in _BITS_OF_JPEG if quality >= encoding.quality)
    return _BITS_OF_JPEG[upper] * _CHROMA_SHARE[encoding.chroma]


def _existing(path: Path) -> Path:
    """The path or the nearest folder above it that is there."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path


def _bytes_in(folder: Path) -> int:
    return sum(each.stat().st_size for each in folder.rglob("*.part") if each.is_file())


def _amount(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e8 else f"{count / 1e6:,.1f} MB"
