"""What training is given from outside: where it runs, sampling of validation pictures, and the
guard against copies.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..core.progress import ProgressCallback
from ..core.tile import Pixels
from ..model.bundle import Bundle
from ..sampling.few_steps import FEW_STEPS_SOLVER
from ..sampling.painter import SamplingSettings, decode_canonical, paint_latents
from ..sampling.paths import follow_path
from ..sampling.solvers import item_generator, item_noise
from ..tensors.device import pick_device
from ..training.data.crops import Batch
from ..training.data.sources import Example
from ..training.tasks.painting import Paint
from ..training.tasks.task import RunContext
from .copy_guard import CopyGuard

VALIDATION_STEPS = 16
"""Sampling steps of validation pictures: fewer than a bundle's own, for a preview is enough."""


def run_context(
    run: Path,
    base_folder: Path,
    *,
    device: str | None = None,
    on_encoded: ProgressCallback | None = None,
) -> RunContext:
    """The context of a run.

    Args:
        run: the run folder.
        base_folder: folder that the recipe's paths start from.
        device: where to compute; None: a GPU if there is one.
        on_encoded: called with the tiles encoded so far and in all.
    """
    return RunContext(
        run,
        base_folder,
        device=str(pick_device(device)),
        paint=paint_batch,
        guard_factory=_build_copy_guard,
        paint_in_steps=paint_in_steps,
        follow_path=follow_path,
        on_encoded=on_encoded,
    )


def _build_copy_guard(
    train: Sequence[Example],
    held_out: Sequence[Example],
    max_share: float,
) -> CopyGuard:
    return CopyGuard(
        paint_batch,
        train,
        held_out,
        max_share=max_share,
    )


def paint_batch(bundle: Bundle, batch: Batch) -> list[Pixels]:
    """Sample one picture per item; its noise depends on its row in the batch alone."""
    return _paint_batch(
        bundle,
        batch,
        SamplingSettings(steps=VALIDATION_STEPS),
    )


def paint_in_steps(steps: int) -> Paint:
    """The same in so many steps of Euler's: those of an adapter that has learnt few."""
    settings = SamplingSettings(steps=steps, solver=FEW_STEPS_SOLVER)
    return lambda bundle, batch: _paint_batch(bundle, batch, settings)


def _paint_batch(
    bundle: Bundle,
    batch: Batch,
    settings: SamplingSettings,
) -> list[Pixels]:
    count, channels, height, width = batch.latents.shape
    generators = [item_generator(0, row) for row in range(count)]
    noise = item_noise((channels, height, width), generators)
    latents = paint_latents(
        bundle,
        batch.maps,
        batch.style,
        noise,
        settings,
    )
    pixels = decode_canonical(bundle, latents).round().byte()
    return list(pixels.numpy())
