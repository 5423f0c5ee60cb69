"""Measures tiles with any metrics. Pure functions of pictures, so that any engine can run them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from ..core.tile import Pixels
from ..detectors.detector import DetectedNuclei, Detector
from ..encoders.encoder import Encoder
from . import METRICS
from .metric import TileInput, Tools
from .sample import Values


def measure_tile(
    tile: TileInput,
    metrics: Iterable[str],
    tools: Tools,
) -> dict[str, Values]:
    """Everything that these metrics measure on one tile, except features (see `embed_tiles`).

    Args:
        tile: pixels, scale, and what else is known of the tile.
        metrics: names, of `METRICS`.
        tools: opened tools.
    """
    wanted = set(metrics)
    once = _detect_once(tools)
    values: dict[str, Values] = {}
    for name, metric in METRICS.items():
        if name in wanted:
            values |= metric.measure(tile, once)
    return values


def embed_tiles(
    pictures: Mapping[int, Pixels],
    encoder: Encoder,
) -> dict[int, dict[str, Values]]:
    """Features of pictures; pictures of one size are embedded as one batch.

    Args:
        pictures: (H, W, 3) uint8 by number.
        encoder: computes the features.

    Returns:
        By number: `embed/features` (D,), and `embed/spatial` (S,) where the encoder has them.
    """
    sizes: dict[tuple[int, ...], list[int]] = {}
    for number, pixels in pictures.items():
        sizes.setdefault(pixels.shape, []).append(number)
    values: dict[int, dict[str, Values]] = {}
    for numbers in sizes.values():
        batch = [pictures[number] for number in numbers]
        embedded = encoder.embed(np.stack(batch))
        for row, number in enumerate(numbers):
            features = {"embed/features": embedded.features[row]}
            if embedded.spatial is not None:
                features["embed/spatial"] = embedded.spatial[row]
            values[number] = features
    return values


def _detect_once(tools: Tools) -> Tools:
    """The same tools with detectors that run once on a picture, however many metrics use them."""
    if not tools.detectors:
        return tools
    detectors = {}
    for name, detector in tools.detectors.items():
        detectors[name] = _CachedDetector(detector)
    return replace(tools, detectors=detectors)


class _CachedDetector:
    """A detector that remembers what it found in the last picture."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self.name = detector.name
        self.mpp = detector.mpp
        self.classes = detector.classes
        self.halo_px = detector.halo_px
        self.lattice_px = detector.lattice_px
        self._picture = b""
        self._found: DetectedNuclei | None = None

    def __call__(self, pixels: Pixels) -> DetectedNuclei:
        picture = pixels.tobytes()
        if self._found is None or self._picture != picture:
            self._found = self.detector(pixels)
            self._picture = picture
        return self._found
