"""`evaluate`: two sets of tiles in, a report of every metric out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import BadOption
from ..core.place import ComputePlace
from ..engine import EngineOptions
from .engines import process_engine
from .progress_bars import ProgressOption, shown_stages

if TYPE_CHECKING:
    from ..evaluation import EvaluationConfig, EvaluationProgress
    from ..evaluation.report.model import Report

EVALUATION_STAGES = (
    "opening",
    "measuring tiles",
    "searching for copies",
    "computing metrics",
    "measuring losses",
)
"""Names of the callbacks of `EvaluationProgress`, in their order."""


def evaluate(
    real: Path | str,
    synthetic: Path | str,
    out: Path | str,
    *,
    reference: Path | str | None = None,
    conditions: Path | str | None = None,
    masks: Path | str | None = None,
    mpp: float | None = None,
    crop: int | None = None,
    embedder: str = "histo",
    weights: Path | str | None = None,
    bf16: bool = False,
    device: str | None = None,
    dtype: str | None = None,
    metrics: Sequence[str] = (),
    seed: int = 0,
    workers: int | None = 1,
    progress: ProgressOption = False,
) -> Report:
    """Compare synthetic tiles with real ones, as `histosynth evaluate` does.

    Args:
        real: held-out real tiles: a tile set, or a folder of pictures.
        synthetic: synthetic tiles, likewise.
        out: folder for `report.json` and `report.html`; run again to continue.
        reference: the training set; it must not share patients with `real`.
        conditions: nuclei files by stem, requested in synthetic tiles and marked in real ones.
        masks: masks by stem, if the synthetic tiles are real ones, filled inside the masks.
        mpp: micrometres per pixel of pictures that do not state it.
        crop: cut all tiles to squares of so many pixels.
        embedder: see `encoders.opening.open_encoder`.
        weights: file or folder of the embedder's weights.
        bf16: as `dtype` "bf16".
        device: where the measuring networks run; None: the CPU.
        dtype: number type of the embedder, "fp32" or "bf16"; None: fp32.
        metrics: only these; empty: all that the inputs allow.
        seed: of intervals and baselines.
        workers: processes; 1: this one; None: one a core.
        progress: True: a bar for each stage; or a function, called with (done, total) of stage
            after stage.

    Returns:
        The report; each number with its interval, next to the number of real tissue.

    Raises:
        SplitLeak, SizeMismatch, MissingScale, BadOption: the sides cannot be compared.
    """
    from ..evaluation import (
        EvaluationConfig,
        EvaluationProgress,
        InputOptions,
        MeasureSettings,
    )

    place = embedder_place(device, dtype, bf16=bf16)
    config = EvaluationConfig(
        Path(real),
        Path(synthetic),
        reference=_optional_path(reference),
        conditions=_optional_path(conditions),
        masks=_optional_path(masks),
        metrics=tuple(metrics),
        inputs=InputOptions(mpp=mpp, crop=crop),
        measurement=MeasureSettings(
            encoder=embedder,
            weights=_optional_path(weights),
            bf16=place.bf16,
            device=place.device,
        ),
        seed=seed,
    )
    with shown_stages(progress, *EVALUATION_STAGES) as stages:
        return run_evaluation(
            config,
            Path(out),
            engine=process_engine(workers),
            progress=EvaluationProgress(*stages),
        )


def embedder_place(
    device: str | None,
    dtype: str | None,
    *,
    bf16: bool,
) -> ComputePlace:
    """Where the measuring networks run; `bf16` is another way to state the number type.

    Raises:
        BadOption: the device or the number type cannot be used, or two types are stated.
    """
    from ..tensors.placing import measuring_place

    if bf16 and dtype not in (None, "bf16"):
        raise BadOption("--dtype", dtype, "bf16 next to --bf16, or left out")
    return measuring_place(device, "bf16" if bf16 else dtype)


def _optional_path(path: Path | str | None) -> Path | None:
    return None if path is None else Path(path)


def run_evaluation(
    config: EvaluationConfig,
    out: Path,
    *,
    engine: EngineOptions,
    progress: EvaluationProgress | None = None,
) -> Report:
    """Measure both sides, and the losses of the config's bundle if it names one.

    Raises:
        HistosynthError: an input is refused.
    """
    from ..evaluation import evaluate as measure

    losses = None
    if config.bundle is not None:
        from ..model.opening import open_bundle
        from .membership import membership

        device = config.measurement.device
        bundle = open_bundle(config.bundle, device=None if device == "cpu" else device)
        losses = partial(membership, bundle=bundle, seed=config.seed)
    return measure(
        config,
        out,
        engine=engine.open(),
        progress=progress,
        membership=losses,
    )


def plan_evaluation(config: EvaluationConfig) -> dict[str, Any]:
    """Open and check everything, and measure nothing: what would be measured by which metrics.

    Raises:
        HistosynthError: an input is refused.
    """
    from ..evaluation import dry_run

    if config.bundle is not None:
        from ..model.opening import open_bundle

        open_bundle(config.bundle)
    return dry_run(config)
