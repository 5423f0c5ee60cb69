"""Pictures and masks: PNG, JPEG, TIFF, WebP and BMP of every sort that users have."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin, TiffImagePlugin

from histosynth.core.images import read_mask, read_picture_info, read_rgb
from histosynth.core.synthetic import is_own_picture, write_synthetic
from histosynth.slides.inspecting import inspect_slide

from .mutating import BYTE_CHANGES, ODD_TEXTS, Random, pick
from .trial import Format

_SIDES = (40, 32)


def _pixels() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 255, (*_SIDES, 3), dtype=np.uint8)


def _exif(orientation: int = 6) -> Image.Exif:
    exif = Image.Exif()
    exif[0x112] = orientation
    return exif


def _write_pngs(folder: Path) -> None:
    image = Image.fromarray(_pixels())
    texts = PngImagePlugin.PngInfo()
    texts.add_text("note", "a" * 400, zip=True)
    texts.add_itxt("histosynth:recipe", '{"mpp": 0.5}')
    image.save(folder / "rgb.png", pnginfo=texts)
    image.save(folder / "turned.png", exif=_exif())
    write_synthetic(folder / "written.png", _pixels(), {"mpp": 0.5, "extent": "tile"})


def _write_jpegs(folder: Path) -> None:
    image = Image.fromarray(_pixels())
    image.save(folder / "plain.jpg", quality=80)
    image.save(folder / "turned.jpg", exif=_exif(), progressive=True)


def _write_tiffs(folder: Path) -> None:
    image = Image.fromarray(_pixels())
    for packing in ("raw", "tiff_deflate", "tiff_lzw", "jpeg", "packbits"):
        image.save(folder / f"{packing}.tif", compression=packing)
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[0x112] = 6
    image.save(folder / "turned.tif", tiffinfo=tags)
    write_synthetic(folder / "written.tif", _pixels(), {"mpp": 0.5, "extent": "tile"})


def _write_others(folder: Path) -> None:
    image = Image.fromarray(_pixels())
    image.save(folder / "lossless.webp", lossless=True)
    image.save(folder / "lossy.webp")
    image.save(folder / "plain.bmp")


def _write_masks(folder: Path) -> None:
    grey = _pixels()[:, :, 0] > 128
    image = Image.fromarray(grey.astype(np.uint8) * 255)
    image.save(folder / "grey.png")
    image.convert("1").save(folder / "bits.png")
    image.convert("P").save(folder / "palette.png")
    image.convert("RGBA").save(folder / "alpha.png")
    Image.fromarray(grey.astype(np.uint16) * 60_000).save(folder / "deep.png")
    image.save(folder / "grey.tif", compression="tiff_deflate")
    image.save(folder / "bits.bmp")
    image.save(folder / "lossless.webp", lossless=True)
    image.save(folder / "moving.png", save_all=True, append_images=[image.rotate(90)])


def change_chunk(content: bytes, random: Random) -> bytes:
    """A chunk of a PNG with other values and a right checksum, so that it is taken at its word."""
    chunks = _chunks(content)
    if not chunks:
        return content[::-1]
    index = int(random.integers(len(chunks)))
    name, data = chunks[index]
    match int(random.integers(5)):
        case 0:
            data = bytes(pick(random, (data[::-1], b"", data * 2, data[:3])))
        case 1:
            changed = bytearray(data or b"\0")
            changed[int(random.integers(len(changed)))] = int(random.integers(256))
            data = bytes(changed)
        case 2:
            name = pick(random, (b"IDAT", b"IHDR", b"PLTE", b"tRNS", b"acTL", b"iCCP", b"eXIf"))
        case 3:
            text = str(pick(random, ODD_TEXTS)).encode("utf-8", "surrogatepass")
            chunks.insert(1, (b"tEXt", b"histosynth:recipe\0" + text))
        case _:
            del chunks[index]
    if index < len(chunks):
        chunks[index] = (name, data)
    return content[:8] + b"".join(_chunk(*each) for each in chunks)


def _chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    found = []
    at = 8
    while at + 12 <= len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        found.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def _chunk(name: bytes, data: bytes) -> bytes:
    check = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)


def _read_picture(path: Path, out: Path) -> None:
    """As tiles are read, as a slide is, and as a file that might be replaced."""
    inspect_slide(path)
    is_own_picture(path)
    read_picture_info(path)
    read_rgb(path)


def _read_mask(path: Path, out: Path) -> None:
    read_mask(path)


PNG_CHANGES = (change_chunk,) * 6 + BYTE_CHANGES
FORMATS = (
    Format("png", _write_pngs, _read_picture, PNG_CHANGES),
    Format("jpeg", _write_jpegs, _read_picture),
    Format("tiff picture", _write_tiffs, _read_picture),
    Format("webp and bmp", _write_others, _read_picture),
    Format("mask", _write_masks, _read_mask, (*PNG_CHANGES, *BYTE_CHANGES)),
)
