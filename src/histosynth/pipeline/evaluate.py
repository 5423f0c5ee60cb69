"""`evaluate`: two sets of tiles in, a report of every metric out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..engine import EngineOptions
from .engines import process_engine

if TYPE_CHECKING:
    from ..evaluation import EvaluationConfig, EvaluationProgress
    from ..evaluation.report.model import Report


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
    metrics: Sequence[str] = (),
    seed: int = 0,
    workers: int | None = 1,
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
        bf16: run the embedder in bfloat16.
        metrics: only these; empty: all that the inputs allow.
        seed: of intervals and baselines.
        workers: processes; 1: this one; None: one a core.

    Returns:
        The report; each number with its interval, next to the number of real tissue.

    Raises:
        SplitLeak, SizeMismatch, MissingScale, BadOption: the sides cannot be compared.
    """
    from ..evaluation import EvaluationConfig, InputOptions, MeasureSettings

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
            bf16=bf16,
        ),
        seed=seed,
    )
    return run_evaluation(config, Path(out), engine=process_engine(workers))


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

        bundle = open_bundle(config.bundle)
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
