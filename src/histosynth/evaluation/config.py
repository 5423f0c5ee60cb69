"""What a run of `evaluate` is given: paths, how files are read, what tiles are measured with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..core.errors import BadOption
from ..core.progress import ProgressCallback
from ..core.units import check_mpp_option
from ..encoders.encoder import Encoder
from ..encoders.opening import open_encoder

MIN_CROP_PX = 32
MAX_CROP_PX = 4096


@dataclass(frozen=True)
class InputOptions:
    """How files of folders are read.

    Attributes:
        mpp: scale of pictures that do not state it, um/px.
        patient: pattern on the stem whose first group is the patient; "": TCGA barcodes, else the
            stem.
        table: CSV slide,patient,label by stem.
        crop: side of the crops that tiles are cut to, or (width, height), px; None: tiles as they
            are.
    """

    mpp: float | None = None
    patient: str = ""
    table: Path | None = None
    crop: int | tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.mpp is not None:
            check_mpp_option(self.mpp)
        if isinstance(self.crop, int) and not MIN_CROP_PX <= self.crop <= MAX_CROP_PX:
            raise BadOption("--crop", self.crop, f"from {MIN_CROP_PX} to {MAX_CROP_PX:,} px")


@dataclass(frozen=True)
class MeasureSettings:
    """What tiles are measured with, the same for all tiles of all sides.

    Attributes:
        classes: classes of nuclei, from the inputs.
        mapping: class names of the inputs, and the names that stand for them.
        encoder: name of the encoder, see `encoders.opening.open_encoder`.
        weights: the encoder's weights, where they are not shipped.
        bf16: the encoder runs in bfloat16.
        device: where encoder, distance and detectors run.
        perceptual: name of the perceptual distance within masks.
        perceptual_weights: its weights, where they are not shipped.
        detectors: names of detectors of nuclei.
        nima: weights of NIMA; None: pictures are not rated.
        weights_sha256: digests of the weights of encoder and perceptual distance.
        rings: the classifier of nuclei by rings of colour, as plain numbers: name, values and shape
            of each of its arrays.
    """

    classes: tuple[str, ...] = ()
    mapping: tuple[tuple[str, str], ...] = ()
    encoder: str = "histo"
    weights: Path | None = None
    bf16: bool = False
    device: str = "cpu"
    perceptual: str = "histo"
    perceptual_weights: Path | None = None
    detectors: tuple[str, ...] = ("centroids", "blobs")
    nima: Path | None = None
    weights_sha256: tuple[str, ...] = ()
    rings: tuple[tuple[str, tuple[float, ...], tuple[int, ...]], ...] = ()

    def open_encoder(self) -> Encoder:
        """The encoder of these settings.

        Raises:
            BadOption, BadWeights, NeedsExtra: it cannot be opened.
        """
        return open_encoder(
            self.encoder,
            weights=self.weights,
            bf16=self.bf16,
            device=self.device,
        )


@dataclass(frozen=True)
class EvaluationConfig:
    """What `evaluate` compares.

    Attributes:
        real, synthetic: held-out real tiles and synthetic ones; folders of pictures or tile sets.
        reference: the training set; None: no search for copies, and baselines are taken between
            halves of the real tiles.
        conditions: nuclei files by stem: requested in synthetic tiles, annotated in real ones.
        masks: masks by stem: the synthetic tiles are real ones, filled inside these masks.
        classes: class map, TOML.
        bundle: the bundle whose losses on training and unseen tiles are compared.
        metrics: names of metrics; empty: all that the inputs allow.
        inputs: how files are read.
        measurement: what tiles are measured with.
        seed: of intervals and baselines.
    """

    real: Path
    synthetic: Path
    reference: Path | None = None
    conditions: Path | None = None
    masks: Path | None = None
    classes: Path | None = None
    bundle: Path | None = None
    metrics: tuple[str, ...] = ()
    inputs: InputOptions = field(default_factory=InputOptions)
    measurement: MeasureSettings = field(default_factory=MeasureSettings)
    seed: int = 0


@dataclass(frozen=True)
class EvaluationProgress:
    """Callbacks for the stages of a run; None: no progress of that stage.

    Attributes:
        opened: files opened.
        measured: jobs of tiles measured.
        searched: jobs of tiles searched for copies.
        concluded: metrics concluded.
        losses: tiles whose loss was measured.
    """

    opened: ProgressCallback | None = None
    measured: ProgressCallback | None = None
    searched: ProgressCallback | None = None
    concluded: ProgressCallback | None = None
    losses: ProgressCallback | None = None
