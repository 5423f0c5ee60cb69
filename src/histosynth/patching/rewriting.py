"""A slide that is written anew without loss, for those whose tiles cannot be carried over."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from ..core.errors import UnreadableImage
from ..core.geometry import Box, Size
from ..core.progress import ProgressCallback, ignore_progress
from ..core.store import atomic_write, digest
from ..core.tile import Pixels
from ..slides import Slide, open_slide
from ..slides.slide import NotThisReader
from ..slides.tiff_pages import opened_tiff, pages_of
from ..slides.writing import (
    Encoding,
    Pyramid,
    SlideDescription,
    SlideParts,
    check_space,
    finish_slide,
    has_block,
    needed_bytes,
    write_block,
)
from .output import LevelProof
from .patches import PatchedSlide, PatchFiles

_ICC = 34675
REWRITES = ("deflate", "zstd")


def rewrite_output(
    out: Path,
    slide: Slide,
    description: SlideDescription,
    patches: PatchFiles,
    folder: Path,
    *,
    codec: str,
    on_progress: ProgressCallback = ignore_progress,
) -> list[LevelProof]:
    """Write all pixels of a slide without loss, with patches over them, and compare level 0.

    Lower levels are made from level 0, as in slides that are painted.

    Args:
        out: the OME-TIFF.
        slide: the original.
        description: what the file states of itself.
        patches: painted pixels of level 0.
        folder: of the parts.
        codec: one of `REWRITES`.
        on_progress: called with (done, all) blocks.

    Raises:
        NotWritable: it cannot be written, or there is no room.
        UnreadableImage: what was written is not what it should be.
    """
    first = slide.levels[0]
    encoding = Encoding(codec)
    parts = SlideParts(
        folder,
        Pyramid(Size(first.width, first.height)),
        encoding,
        digest(dict(description.recipe)),
    )
    over = PatchedSlide(slide, patches)
    places = list(parts.pyramid.block_places())
    for done, (column, row) in enumerate(places, 1):
        if not has_block(parts, column, row):
            pixels = over.read(0, parts.pyramid.block_box(column, row))
            write_block(
                parts,
                column,
                row,
                pixels,
            )
        on_progress(done, len(places))
    with atomic_write(out, replaces=True) as temporary:
        finish_slide(temporary, parts, description)
        proof = _proof(
            temporary,
            over,
            parts.pyramid,
        )
        if proof.differing_px:
            reason = f"{proof.differing_px:,} px differ outside of what was painted"
            raise UnreadableImage(out, reason)
    return [proof]


def colour_profile(slide: Slide) -> bytes:
    """The ICC profile of a TIFF's level 0; empty: it states none, or the file is no TIFF."""
    first = slide.levels[0]
    size = (first.width, first.height)
    try:
        with opened_tiff(slide.path) as tiff:
            for page in pages_of(tiff):
                if (page.imagewidth, page.imagelength) == size:
                    return bytes(page.tags.valueof(_ICC) or b"")
    except (NotThisReader, UnreadableImage):
        pass
    return b""


def check_rewriting_space(
    out: Path,
    slide: Slide,
    folder: Path,
    codec: str,
) -> None:
    """Refuse to begin where slide and parts do not fit their disks.

    Raises:
        NotWritable: with the numbers.
    """
    first = slide.levels[0]
    pyramid = Pyramid(Size(first.width, first.height))
    needed = needed_bytes(pyramid, Encoding(codec))
    check_space(out, folder, needed)


def _proof(
    path: Path,
    over: PatchedSlide,
    pyramid: Pyramid,
) -> LevelProof:
    """Compare level 0 block by block."""
    written = open_slide(path, mpp=over.mpp)
    carried = hashlib.sha256()
    differing = painted = touched = untouched = 0
    try:
        for column, row in pyramid.block_places():
            box = pyramid.block_box(column, row)
            before = over.slide.read(0, box)
            after = written.read(0, box)
            allowed = _painted(box, before, over.patches)
            differing += int(((before != after).any(axis=2) & ~allowed).sum())
            painted += int(allowed.sum())
            touched += bool(allowed.any())
            if not allowed.any():
                untouched += 1
                carried.update(after.tobytes())
    finally:
        written.close()
    return LevelProof(
        (pyramid.size.width, pyramid.size.height),
        touched,
        untouched,
        carried.hexdigest(),
        painted,
        painted,
        differing,
    )


def _painted(
    box: Box,
    pixels: Pixels,
    patches: PatchFiles,
) -> np.ndarray:
    painted = np.zeros(pixels.shape[:2], bool)
    target = pixels.copy()
    for patch in patches.touching(box):
        where = patch.put_on(target, box)
        if where is not None:
            painted |= where
    return painted
