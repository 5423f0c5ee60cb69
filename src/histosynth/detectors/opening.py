"""Detectors and the artefact classifier by name. Only the one that is needed is imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

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


def _open_instanseg() -> Detector:
    from .instanseg import InstansegDetector

    detector: Detector = InstansegDetector()
    return detector


DETECTORS: Mapping[str, Callable[[], Detector]] = {
    "centroids": _open_centroids,
    "blobs": _open_blobs,
    "instanseg": _open_instanseg,
}
"""Every detector, by the name that recipes and options use. A new one is one more line."""


def open_detector(name: str) -> Detector | None:
    """The detector of that name; None where there is none.

    Raises:
        NeedsExtra: its package is not installed.
        BadWeights: its weights are not whole.
    """
    opener = DETECTORS.get(name)
    return opener() if opener else None


def detector_name(name: str) -> str:
    """The detector's full name with its weights; "" where there is none.

    The shipped detector's name is read from its card: no weights are loaded.
    """
    if name == "centroids":
        from .info import SHIPPED_DETECTOR, read_detector_info

        return read_detector_info(SHIPPED_DETECTOR).full_name
    detector = open_detector(name)
    return detector.name if detector else ""


def open_artefact_gate(folder: Path | None) -> ArtefactGate | None:
    """The artefact classifier of a folder; None without a folder.

    Raises:
        NeedsExtra: transformers is not installed.
        BadWeights: its weights are not whole.
    """
    if folder is None:
        return None
    from .artefact import load_artefact

    classifier: ArtefactGate = load_artefact(folder)
    return classifier
