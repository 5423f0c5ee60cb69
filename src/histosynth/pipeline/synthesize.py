"""`synthesize`: nuclei in, whole tiles out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..core.condition import Condition
from ..core.errors import BadOption
from ..core.nuclei import Nuclei
from ..core.seeds import check_seed
from ..core.synthetic import Synthetic
from ..core.tile import Pixels
from ..sampling.options import SamplingOptions
from ..tissue.appearance import Appearance

if TYPE_CHECKING:
    from ..model.bundle import Bundle

MAX_VARIANTS = 10_000


def synthesize(
    nuclei: Nuclei | Sequence[Nuclei],
    *,
    appearance: Pixels | Appearance | str | None = None,
    label: str | None = None,
    n: int = 1,
    seed: int = 0,
    steps: int | None = None,
    guidance: float | None = None,
    solver: str | None = None,
    bundle: Bundle | None = None,
    batch: int = 8,
) -> list[Synthetic]:
    """Generate whole tiles from nuclei.

    Args:
        nuclei: of one tile, or of several; their `size` and `mpp` are the tiles'.
        appearance: a reference tile (H, W, 3) uint8 RGB whose stain and style to take, a measured
            `Appearance`, or a name from the bundle's palette; None: the bundle's default.
        label: one of the bundle's labels.
        n: variants per set of nuclei.
        seed: the same seed gives the same pictures of the same nuclei, in any batch and order.
        steps: solver steps; None: the bundle's default.
        guidance: 1 as trained, above 1 stricter with the nuclei; None: the bundle's default.
        solver: a name in `sampling.solvers.SOLVERS`, e.g. unipc; None: the bundle's default.
        bundle: from `open_bundle`; None: the compact one.
        batch: pictures sampled at a time.

    Returns:
        n pictures for each set of nuclei, in order.

    Raises:
        BadOption: an option cannot be used.
        BadSize, UnknownClasses, ScaleMismatch, UnknownLabel: the nuclei or the label do not fit the
            bundle.
    """
    from ..sampling.settings import resolve_appearance, settings_for
    from ..sampling.synthesize import synthesize as sample
    from .default_bundle import default_bundle

    options = SamplingOptions(
        label=label,
        seed=seed,
        steps=steps,
        guidance=guidance,
        solver=solver,
        batch=batch,
    )
    bundle = bundle or default_bundle()
    check_seed(seed)
    if not 1 <= n <= MAX_VARIANTS:
        raise BadOption("n", n, f"from 1 to {MAX_VARIANTS}")
    sets = [nuclei] if isinstance(nuclei, Nuclei) else list(nuclei)
    measured = resolve_appearance(appearance, bundle)
    pictures = sample(
        bundle,
        [Condition(one, one.size, label) for one in sets],
        [measured] * len(sets),
        seed=seed,
        variants=n,
        settings=settings_for(bundle, "synthesize", options),
        batch=batch,
    )
    in_order = sorted(pictures, key=lambda each: each[:2])
    return [picture for _, _, picture in in_order]
