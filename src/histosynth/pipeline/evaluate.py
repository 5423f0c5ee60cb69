"""`evaluate`: synthetic tiles in, a report of every metric out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..engine import Engine
    from ..evaluation import EvaluationConfig, EvaluationProgress
    from ..evaluation.report.model import Report


def run_evaluation(
    config: EvaluationConfig,
    out: Path,
    *,
    engine: Engine,
    progress: EvaluationProgress | None = None,
) -> Report:
    """Measure both sides, and the losses of a bundle where one is given.

    Raises:
        HistosynthError: whatever an input is refused for.
    """
    from ..evaluation import evaluate as measure

    if config.bundle is None:
        return measure(config, out, engine=engine, progress=progress)
    from ..model.opening import open_bundle
    from .membership import membership

    losses = partial(membership, bundle=open_bundle(config.bundle), seed=config.seed)
    return measure(config, out, engine=engine, progress=progress, membership=losses)


def plan_evaluation(config: EvaluationConfig) -> dict[str, Any]:
    """Open and check everything, and measure nothing: which tiles, metrics and classes.

    Raises:
        HistosynthError: whatever an input is refused for.
    """
    from ..evaluation import dry_run

    if config.bundle is not None:
        from ..model.opening import open_bundle

        open_bundle(config.bundle)
    return dry_run(config)


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
        out: folder for `report.json` and `report.html`; a second run continues.
        reference: the training set; it may hold no patient of `real`.
        conditions: nuclei files by stem, requested in synthetic tiles and annotated in real ones.
        masks: masks by stem, where the synthetic tiles are real ones filled inside the masks.
        mpp: micrometres per pixel of pictures that do not state it.
        crop: cut all tiles to squares of so many pixels.
        embedder: name of the encoder, see `encoders.opening.open_encoder`.
        weights: the encoder's weights, where they are a local file.
        bf16: run the encoder in bfloat16.
        metrics: names; empty: all that the inputs allow.
        seed: of intervals and baselines.
        workers: processes; 1: this one.

    Returns:
        The report; each number with its interval, next to the same number of real tissue.

    Raises:
        SplitLeak, SizeMismatch, MissingScale, BadOption: the sides cannot be compared.
    """
    from ..engine import open_engine
    from ..evaluation import EvaluationConfig, InputOptions, MeasureSettings

    config = EvaluationConfig(
        Path(real),
        Path(synthetic),
        _path(reference),
        _path(conditions),
        _path(masks),
        metrics=tuple(metrics),
        inputs=InputOptions(mpp=mpp, crop=crop),
        measurement=MeasureSettings(encoder=embedder, weights=_path(weights), bf16=bf16),
        seed=seed,
    )
    engine = open_engine("local") if workers == 1 else open_engine("pool", workers=workers)
    return run_evaluation(config, Path(out), engine=engine)


def _path(given: Path | str | None) -> Path | None:
    return None if given is None else Path(given)
