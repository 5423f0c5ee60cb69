"""Detectors and the artefact classifier by name. Only the one that is needed is imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ..core.place import CPU_PLACE, ComputePlace
from ..core.tile import Pixels
from .detector import Detector

ArtefactGate = Callable[[Pixels, float], float]
"""Chance in [0, 1] of an artefact in a tile (H, W, 3) uint8 at its mpp."""


def _open_blobs() -> Detector:
    from .blobs import BlobDetector

    return BlobDetector()


def _open_centroids() -> Detector:
    from .centroids import load_detector

    detector: Detector = load_detector()
    return detector


def _open_fast_centroids() -> Detector:
    from .centroids import load_detector
    from .info import FAST_DETECTOR

    detector: Detector = load_detector(FAST_DETECTOR)
    return detector


def _open_instanseg() -> Detector:
    from .instanseg import InstansegDetector

    detector: Detector = InstansegDetector()
    return detector


DETECTORS: Mapping[str, Callable[[], Detector]] = {
    "centroids": _open_centroids,
    "centroids-fast": _open_fast_centroids,
    "blobs": _open_blobs,
    "instanseg": _open_instanseg,
}
"""Every detector, by the name that recipes and options use. A new one is one more line."""
_WITHOUT_NETWORK = ("blobs",)


def open_detector(
    name: str,
    place: ComputePlace = CPU_PLACE,
    *,
    large_windows: bool = False,
) -> Detector | None:
    """The detector of that name; None where there is none.

    Args:
        name: in `DETECTORS`.
        place: where its network runs.
        large_windows: less time and more memory where it can choose, as preparation wants it.

    Raises:
        BadOption: the device cannot be used.
        NeedsExtra: its package is not installed.
        BadWeights: its weights are not whole.
    """
    opener = DETECTORS.get(name)
    if opener is None:
        return None
    detector = opener()
    widen = getattr(detector, "with_large_windows", None)
    if large_windows and widen is not None:
        detector = widen()
    if place == CPU_PLACE or name in _WITHOUT_NETWORK:
        return detector
    from ..tensors.placing import placed

    return placed(detector, place)


def detector_name(name: str, place: ComputePlace = CPU_PLACE) -> str:
    """The detector's full name with its weights and number type; "" where there is none.

    A shipped detector's name is read from its card: no weights are loaded.
    """
    from .info import SHIPPED_CARDS, read_detector_info

    if name in SHIPPED_CARDS:
        return read_detector_info(SHIPPED_CARDS[name]).full_name + place.suffix
    detector = open_detector(name)
    return detector.name if detector else ""


def open_artefact_gate(folder: Path | None, place: ComputePlace = CPU_PLACE) -> ArtefactGate | None:
    """The artefact classifier of a folder; None without a folder.

    Args:
        folder: of the classifier.
        place: where its network runs.

    Raises:
        BadOption: the device cannot be used.
        NeedsExtra: transformers is not installed.
        BadWeights: its weights are not whole.
    """
    if folder is None:
        return None
    from .artefact import load_artefact

    classifier: ArtefactGate = load_artefact(folder)
    if place == CPU_PLACE:
        return classifier
    from ..tensors.placing import placed

    return placed(classifier, place)
