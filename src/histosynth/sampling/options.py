"""The options that `synthesize` and `complete` share, in Python and on the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SamplingOptions:
    """Options of `synthesize` and `complete`; None: the bundle's default.

    Attributes:
        mpp: micrometres per pixel of coordinates read from files.
        classes: class map (TOML) for nuclei read from files.
        label: one of the bundle's labels.
        seed: the same seed gives the same pictures.
        steps: solver steps.
        guidance: 1 as trained, above 1 stricter with the nuclei.
        solver: one of `sampling.solvers.SOLVERS`.
        batch: pictures sampled at a time.
        exemplar: a completion starts from tissue copied from around the mask.
        grain: draw the finest texture, which the autoencoder loses; False: leave it out.
        device: where to compute; None: a GPU if there is one.
        dtype: number type; None: bf16 where it is faster.
    """

    mpp: float | None = None
    classes: Path | None = None
    label: str | None = None
    seed: int = 0
    steps: int | None = None
    guidance: float | None = None
    solver: str | None = None
    batch: int = 8
    exemplar: bool = True
    grain: bool = True
    device: str | None = None
    dtype: str | None = None
