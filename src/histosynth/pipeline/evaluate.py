"""`evaluate`: synthetic tiles in, a report of every metric out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..engine import Engine
    from ..evaluation import EvaluationConfig, EvaluationProgress
    from ..evaluation.report import Report


def run_evaluation(
    config: EvaluationConfig, out: Path, *, engine: Engine, watch: EvaluationProgress | None = None
) -> Report:
    """Measure both sides, and a bundle's losses where the question names one.

    Raises:
        HistosynError: whatever an input is refused for.
    """
    from ..evaluation import evaluate as measure

    if config.bundle is None:
        return measure(config, out, engine=engine, watch=watch)
    from ..model.opening import open_bundle
    from .membership import membership

    losses = partial(membership, bundle=open_bundle(config.bundle), seed=config.seed)
    return measure(config, out, engine=engine, watch=watch, membership=losses)


def plan_evaluation(config: EvaluationConfig) -> dict[str, Any]:
    """Open and check everything, and measure nothing: what would be measured, and by which metrics.

    Raises:
        HistosynError: whatever an input is refused for.
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
    """Judge synthetic tiles beside real ones, as `histosynth evaluate` does.

    Args:
        real: held-out real tiles: a tile set, or a folder of pictures.
        synthetic: synthetic tiles, likewise.
        out: folder for `report.json` and `report.html`; run again to go on.
        reference: the training set; patients of `real` may not stand in it.
        conditions: nuclei files by stem, asked for in synthetic tiles and marked in real ones.
        masks: masks by stem, where the synthetic tiles are real ones, mended.
        mpp: micrometres per pixel of pictures that do not state it.
        crop: cut all tiles to squares of so many pixels.
        embedder: see `encoders.opening.open_encoder`.
        weights: the embedder's, where they lie here.
        bf16: run the embedder in bfloat16.
        metrics: only these; empty: all that the inputs allow.
        seed: of intervals and floors.
        workers: processes; 1: this one.

    Returns:
        The report; each number with its interval, beside what real tissue scores.

    Raises:
        SplitLeak, SizeMismatch, MissingScale, BadOption: the sides cannot be compared.
    """
    from ..engine import open_engine
    from ..evaluation import EvaluationConfig, InputOptions, Plan

    def path(given: Path | str | None) -> Path | None:
        return None if given is None else Path(given)

    config = EvaluationConfig(
        Path(real),
        Path(synthetic),
        path(reference),
        path(conditions),
        path(masks),
        metrics=tuple(metrics),
        inputs=InputOptions(mpp=mpp, crop=crop),
        plan=Plan(
            encoder=embedder,
            weights=path(weights),
            bf16=bf16,
        ),
        seed=seed,
    )
    engine = open_engine("local") if workers == 1 else open_engine("pool", workers=workers)
    return run_evaluation(config, Path(out), engine=engine)
