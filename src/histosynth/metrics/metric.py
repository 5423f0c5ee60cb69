"""What a metric is: one object that measures tiles and turns the measurements into a report
section.

To add a metric, write a module or folder in `metrics/` that defines a `Metric`, and add one line to
`METRICS` in `metrics/__init__.py`. `evaluation` and the command line loop over `METRICS`:

1. `needs` decides whether the inputs allow the metric;
2. `tools` (of the metric and of what it `reads`) decides which networks are opened;
3. `measurement.measure_tile` calls `measure` on every tile, possibly in another process, and
   `measurement.embed_tiles` adds features where `Tool.ENCODER` is among the tools;
4. `conclude` turns the measurements of all sides into a `Section` of the report;
5. `verdict` states what the findings of that section mean, in about two sentences;
6. findings whose names begin with one of `headline` are shown on the terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from ..core.arrays import IndexArray
from ..core.nuclei import Nuclei
from ..core.tile import Mask, Pixels
from ..detectors.detector import Detector
from ..encoders.encoder import Encoder, Perceptual
from .finding import Section
from .sample import Sample, Values
from .verdict import general_verdict


class Need(Enum):
    """An input that a metric cannot do without; the value is the option that supplies it."""

    NUCLEI = "--conditions"
    """Requested nuclei of the synthetic tiles, from `--conditions` or from the tile sets."""
    REFERENCE = "--reference"
    """The training set."""
    MASKS = "--masks"
    """Masks of the regions that were filled."""


class Tool(Enum):
    """Something that has to be opened before tiles can be measured; a field of `Tools`."""

    ENCODER = "encoder"
    DETECTORS = "detectors"
    PERCEPTUAL = "perceptual"
    NIMA = "nima"
    """Optional: opened only where its weights are given."""


@dataclass(frozen=True, eq=False)
class TileInput:
    """One tile as a metric receives it.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        mpp: scale of the tile, um/px.
        nuclei: requested (synthetic tile) or marked (real tile) nuclei; None: not known.
        original: (H, W, 3) uint8, the real tile that was filled; only of inpainted tiles.
        mask: (H, W) bool, True where it was filled; given together with `original`.
        given_nuclei: whether the tile's recipe states that it was generated from nuclei.
    """

    pixels: Pixels
    mpp: float
    nuclei: Nuclei | None = None
    original: Pixels | None = None
    mask: Mask | None = None
    given_nuclei: bool = False


@dataclass(frozen=True)
class Tools:
    """Opened tools, the same for all tiles of all sides.

    Attributes:
        encoder: computes features of tiles; tiles of one size are embedded in batches.
        detectors: of nuclei, by name. The first that detects the requested classes is used for
            `layout` and `morphology`.
        perceptual: distance of two pictures within masks.
        nima: rates a picture; None: pictures are not rated.
        rings: classifies nuclei by rings of colour around their centroids, without a network.
        classes: requested classes; empty: those of the first detector.
    """

    encoder: Encoder | None = None
    detectors: Mapping[str, Detector] | None = None
    perceptual: Perceptual | None = None
    nima: Callable[[Pixels], float] | None = None
    rings: Callable[[Pixels, Nuclei], IndexArray] | None = None
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sides:
    """Measurements of the tiles of each side.

    Attributes:
        real: held-out real tiles.
        synthetic: synthetic tiles.
        reference: tiles of the training set; None: no training set was given.
        left_out: some training tiles that were searched for among other patients' tissue; only
            where `copying` was measured.
        library: the whole training tiles that were searched; only where `copying` was measured.
    """

    real: Sample
    synthetic: Sample
    reference: Sample | None = None
    left_out: Sample | None = None
    library: Sample | None = None


@dataclass(frozen=True)
class Settings:
    """What a conclusion depends on, apart from the measurements.

    Attributes:
        classes: requested classes; empty: those of the first detector.
        encoder: name of the encoder.
        detector_classes: of each opened detector, by its name, the classes that it detects.
        perceptual: name of the perceptual distance.
        perceptual_facts: its weights, input size and so on, for the report.
        seed: of bootstrap replicates and random halves.
    """

    classes: tuple[str, ...] = ()
    encoder: str = ""
    detector_classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    perceptual: str = ""
    perceptual_facts: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0


@dataclass(frozen=True)
class Metric:
    """One family of measures.

    Attributes:
        name: on the command line, in file keys and in the report.
        needs: inputs without which it cannot be computed.
        tools: what `measure` uses.
        measure: values of one tile by name; {} where there is nothing to measure on this tile.
        conclude: the section of the report.
        reads: names of metrics whose measurements `conclude` uses as well.
        headline: beginnings of the names of findings that are shown on the terminal.
        verdict: of its section, computed from the findings; the default counts them.
    """

    name: str
    measure: Callable[[TileInput, Tools], Mapping[str, Values]]
    conclude: Callable[[Sides, Settings], Section]
    needs: frozenset[Need] = frozenset()
    tools: frozenset[Tool] = frozenset()
    reads: tuple[str, ...] = ()
    headline: tuple[str, ...] = ()
    verdict: Callable[[Section], str] = general_verdict


def measure_nothing(tile: TileInput, tools: Tools) -> dict[str, Values]:
    """`Metric.measure` of a metric that uses only features, which are computed in batches."""
    return {}
