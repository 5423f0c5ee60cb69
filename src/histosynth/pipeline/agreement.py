"""`prepare agreement`: two annotators' files in, kappa and pictures of where they differ out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ..annotation.agreement import (
    Agreement,
    Pair,
    agreement_of_pairs,
    difference_picture,
    extent,
    read_pairs,
)
from ..annotation.class_map import read_class_map
from ..annotation.reading_files import ANNOTATION_SUFFIXES
from ..core.folder_lock import in_own_folder
from ..core.images import IMAGE_SUFFIXES, read_rgb
from ..core.own_files import OwnFiles
from ..core.pairing import list_files, pair_by_stem
from ..core.progress import ProgressCallback
from ..core.store import ensure_folder
from ..core.tile import Pixels
from ..preparation.patients import read_table

_RESULT = "agreement.json"


@dataclass(frozen=True)
class _Drawn:
    """How differences are drawn.

    Attributes:
        pictures: by name, to draw on; others are drawn on white.
        sizes: of these pictures, (width, height), px.
        reach_px: two marks no farther apart are one nucleus.
    """

    pictures: dict[str, Pixels]
    sizes: dict[str, tuple[int, int]]
    reach_px: float

    def difference(self, annotated: Pair) -> Pixels:
        """(H, W, 3) uint8 of where two annotators differ."""
        name = annotated.name
        picture = difference_picture(
            self.pictures.get(name),
            annotated.first,
            annotated.second,
            size=self.sizes.get(name) or extent(annotated),
            reach_px=self.reach_px,
        )
        return np.ascontiguousarray(picture)


@in_own_folder
def compare_annotators(
    first: Path,
    second: Path,
    out: Path,
    *,
    mpp: float,
    reach_um: float = 6.0,
    cell_um: float = 4.0,
    classes: Path | None = None,
    images: Path | None = None,
    table: Path | None = None,
    on_progress: ProgressCallback | None = None,
) -> Agreement:
    """Compare two annotators; `out/agreement.json` and a picture of each file.

    Args:
        first: GeoJSON or CSV of one annotator, or a folder of them.
        second: of the other; folders pair by stem.
        out: folder.
        mpp: scale of the coordinates, um/px.
        reach_um: two marks no farther apart are one nucleus.
        cell_um: side of the cells that regions are compared on.
        classes: class map, TOML.
        images: the pictures, by stem, to draw on; without them kappa over the whole picture is not
            defined.
        table: CSV slide,patient: intervals are then over patients.
        on_progress: called after each picture that is drawn.

    Raises:
        BadPairing, BadNuclei, BadRegions, BadTable: files do not pair or cannot be used.
        NotWritable: a result would replace a file that histosynth did not write.
    """
    pairs = read_pairs(
        first,
        second,
        mpp=mpp,
        mapping=read_class_map(classes),
    )
    own = OwnFiles(out)
    undecided = own.undecided([_RESULT, *(f"{annotated.name}.png" for annotated in pairs)])
    pictures = _read_pictures(first, images)
    sizes = {name: (pixels.shape[1], pixels.shape[0]) for name, pixels in pictures.items()}
    found = agreement_of_pairs(
        pairs,
        mpp=mpp,
        reach_um=reach_um,
        cell_um=cell_um,
        sizes=sizes or None,
        patients=_read_patients(table),
    )
    drawn = _Drawn(pictures, sizes, reach_um / mpp)
    ensure_folder(out)
    if undecided:
        _write(own.trial(), found, pairs, drawn)
    _write(own, found, pairs, drawn, on_progress)
    return found


def _write(
    own: OwnFiles,
    found: Agreement,
    pairs: list[Pair],
    drawn: _Drawn,
    on_progress: ProgressCallback | None = None,
) -> None:
    """Write the numbers and a picture of each pair."""
    own.write_json(_RESULT, found.as_dict())
    for done, annotated in enumerate(pairs, start=1):
        picture = drawn.difference(annotated)
        with own.writing(f"{annotated.name}.png") as temporary:
            Image.fromarray(picture).save(temporary)
        if on_progress:
            on_progress(done, len(pairs))


def _read_pictures(annotations: Path, images: Path | None) -> dict[str, Pixels]:
    """Pictures by the stem of their annotation; none without images."""
    if images is None:
        return {}
    files = list_files(annotations, ANNOTATION_SUFFIXES)
    paths = pair_by_stem(files, images, IMAGE_SUFFIXES, "picture")
    return {file.stem: read_rgb(path) for file, path in zip(files, paths, strict=True)}


def _read_patients(table: Path | None) -> dict[str, str] | None:
    """Patient by slide; a slide without one is a patient of its own. None without a table."""
    if table is None:
        return None
    return {name: row["patient"] or name for name, row in read_table(table).items()}
