"""What is measured of one tile: every judge's numbers, in one look. Pure, so that any engine can
map it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core.matching import match_points
from ..core.nuclei import ANY_CLASS, Nuclei
from ..core.tile import Mask, Pixels
from ..detectors.detector import DetectedNuclei, Detector
from ..detectors.finding import find_nuclei
from ..encoders.encoder import Encoder, Perceptual
from .blob_features import RingClassifier
from .copying.register import texture
from .inpainting import measure_inpainting
from .layout import measure_layout
from .morphology import measure_morphology
from .quality import measure_quality
from .sample import Sample, TileMeasurements, Values
from .stain import measure_stain
from .structure import STRICT_UM, measure_structure

WHAT = ("realism", "structure", "morphology", "layout", "mending", "copying", "quality", "stain")
"""The judges that can be asked for, in the order that a report shows them."""
NEED_NUCLEI = frozenset({"structure", "morphology", "layout"})
UNCLASSIFIED = ("nucleus",)
"""The class of all nuclei where the detector does not tell the classes that are asked for."""


@dataclass(frozen=True)
class Tools:
    """What judges look with.

    Attributes:
        encoder: for `realism` and `copying`; pictures are embedded in batches by the caller.
        detectors: of nuclei, by name; the first that tells classes is used for `layout` and
            `morphology`.
        perceptual: distance inside masks, for `mending`.
        nima: rates a picture; None: it is not rated.
        rings: tells classes from rings of colour, without any network.
        classes: the classes asked for, the same for every tile of every side; empty: the first
            detector's.
    """

    encoder: Encoder | None = None
    detectors: Mapping[str, Detector] | None = None
    perceptual: Perceptual | None = None
    nima: Callable[[Pixels], float] | None = None
    rings: RingClassifier | None = None
    classes: tuple[str, ...] = ()


def measure_tile(
    pixels: Pixels,
    mpp: float,
    nuclei: Nuclei | None,
    what: Collection[str],
    tools: Tools,
) -> dict[str, Values]:
    """Everything but features and holes.

    Args:
        pixels: (H, W, 3) uint8.
        mpp: its scale, um/px.
        nuclei: asked for in a made tile, or marked in a real one; None: not known.
        what: of `WHAT`.
        tools: to look with.
    """
    out: dict[str, Values] = {}
    if "stain" in what:
        out |= measure_stain(pixels, mpp)
    if "quality" in what:
        out |= measure_quality(pixels, mpp)
        if tools.nima is not None:
            out["quality/nima"] = np.array([tools.nima(pixels)])
    if "copying" in what:
        out["copy/texture"] = texture(pixels, mpp).astype(np.float16)
    if NEED_NUCLEI & set(what) and tools.detectors:
        out |= _of_nuclei(pixels, mpp, nuclei, what, tools)
    return out


def measure_hole(
    original: Pixels,
    completed: Pixels,
    mask: Mask,
    tools: Tools,
) -> dict[str, Values]:
    """A mended tile beside its original; see `mending.measure_inpainting`."""
    return dict(
        measure_inpainting(
            original,
            completed,
            mask,
            perceptual=tools.perceptual,
        )
    )


def side_of(sample: Sample, prefix: str) -> Sample:
    """The tiles that have values under a prefix, with those values under their own name."""
    tiles = []
    for tile in sample.tiles:
        values = {
            key.removeprefix(prefix): value
            for key, value in tile.values.items()
            if key.startswith(prefix)
        }
        if values:
            tiles.append(TileMeasurements(tile.name, tile.patient, tile.label, values))
    return Sample(tuple(tiles))


def layout_classes(classes: Sequence[str], detectors: Mapping[str, Detector]) -> tuple[str, ...]:
    """The classes that layouts are told in: those asked for, if a detector tells them, else one
    for all.
    """
    first = _first(detectors, classes)
    if not classes:
        return tuple(first.classes)
    return tuple(classes) if set(classes) <= set(first.classes) else UNCLASSIFIED


def _of_nuclei(
    pixels: Pixels,
    mpp: float,
    nuclei: Nuclei | None,
    what: Collection[str],
    tools: Tools,
) -> dict[str, Values]:
    out: dict[str, Values] = {}
    detectors = {name: _Once(detector) for name, detector in (tools.detectors or {}).items()}
    if nuclei is not None and "structure" in what:
        out |= measure_structure(
            pixels,
            nuclei,
            detectors=detectors,
            rings=tools.rings,
        )
    first = _first(detectors, tools.classes)
    seen = find_nuclei(pixels, mpp, first)
    classes = layout_classes(tools.classes, detectors)
    found = recoded(seen, classes)
    asked = None if nuclei is None else recoded(nuclei, classes)
    if "layout" in what:
        out |= {f"found/{key}": value for key, value in measure_layout(found).items()}
        if asked is not None:
            out |= {f"asked/{key}": value for key, value in measure_layout(asked).items()}
    if "morphology" in what:
        # in the classes asked for, whether a detector tells them or not
        shown = (
            recoded(seen, tools.classes or first.classes)
            if nuclei is None
            else named_after(seen, nuclei)
        )
        out |= measure_morphology(pixels, shown)
    return out


def named_after(seen: Nuclei, asked: Nuclei) -> Nuclei:
    """What a detector sees, each in the class of the one asked for within `STRICT_UM`, else in
    none.

    Where nothing stands there is no nucleus to look at: that it is missing, or elsewhere, is told
        by
    `structure`, and `morphology` stays with what is there.
    """
    pairs, _ = match_points(asked.xy, seen.xy, STRICT_UM / asked.mpp)
    class_ids = np.full(len(seen), ANY_CLASS, np.uint8)
    class_ids[pairs[:, 1]] = asked.class_ids[pairs[:, 0]]
    return replace(seen, class_ids=class_ids, classes=asked.classes)


def recoded(nuclei: Nuclei, classes: Sequence[str]) -> Nuclei:
    """The same nuclei in other classes: by name, and of no told class where the name is none of
    them.
    """
    if tuple(classes) == UNCLASSIFIED:
        return replace(nuclei, class_ids=np.zeros(len(nuclei), np.uint8), classes=UNCLASSIFIED)
    index = {name: place for place, name in enumerate(classes)}
    class_ids = np.array([index.get(name, ANY_CLASS) for name in nuclei.names()], np.uint8)
    return replace(nuclei, class_ids=class_ids, classes=tuple(classes))


def _first(detectors: Mapping[str, Detector], classes: Sequence[str]) -> Detector:
    """The first detector that tells the classes asked for, else the first; any tells nuclei of no
    class.
    """
    each = list(detectors.values())
    if tuple(classes) == UNCLASSIFIED:
        return each[0]
    return next((one for one in each if set(classes) <= set(one.classes)), each[0])


class _Once:
    """A detector that looks at one picture once, however often it is asked."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self.name = detector.name
        self.mpp = detector.mpp
        self.classes = detector.classes
        self.halo_px = detector.halo_px
        self.lattice_px = detector.lattice_px
        self._seen: tuple[bytes, DetectedNuclei] | None = None

    def __call__(self, pixels: Pixels) -> DetectedNuclei:
        key = pixels.tobytes()
        if self._seen is None or self._seen[0] != key:
            self._seen = key, self.detector(pixels)
        return self._seen[1]
