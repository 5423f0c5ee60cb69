"""`synthesize`: nuclei in, whole tiles out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.condition import Condition
from ..core.errors import BadOption, Cancelled
from ..core.nuclei import Nuclei
from ..core.orientation import FibreOrientation
from ..core.pictures import PictureInput, as_mask, batch_of
from ..core.seeds import check_seed
from ..core.synthetic import Synthetic
from ..core.tile import Mask
from ..sampling.options import SamplingOptions
from ..tissue.appearance import Appearance
from .nuclei_argument import as_nuclei
from .progress_bars import ProgressOption, shown_stages

if TYPE_CHECKING:
    import torch

    from ..model.bundle import Bundle
    from ..sampling.steps import StepOfSampling

MAX_VARIANTS = 10_000
AppearanceInput = PictureInput | Appearance
_PICTURE_AXES = 3
_MASK_AXES = 2


def synthesize(
    nuclei: Nuclei | Sequence[Nuclei],
    *,
    empty: PictureInput | Sequence[PictureInput] | None = None,
    orientation: FibreOrientation | Sequence[FibreOrientation | None] | None = None,
    appearance: AppearanceInput | Sequence[AppearanceInput] | None = None,
    label: str | None = None,
    n: int = 1,
    seed: int = 0,
    steps: int | None = None,
    guidance: float | None = None,
    solver: str | None = None,
    grain: bool = True,
    bundle: Bundle | Path | str | None = None,
    batch: int = 8,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    progress: ProgressOption = False,
    on_step: StepOfSampling | None = None,
) -> list[Synthetic]:
    """Generate whole tiles from nuclei.

    Args:
        nuclei: of one tile, or of several; their `size` and `mpp` are the tiles'.
        empty: where there is no tissue (lumina, glass, the inside of fat cells): a mask in any form
            that `as_mask` takes, for all sets of nuclei, or a list or an array of three axes: one
            for each; None: left to the model.
        orientation: how fibres run, from `find_orientation`, for all sets of nuclei or a list: one
            for each; None, and where it is not known: drawn as in tissue, or left to the model.
        appearance: whose stain and style to take: a reference tile in any form that `as_rgb` takes
            (path, PIL image, array, tensor, `Tile`), a measured `Appearance`, or a name from the
            bundle's palette; a list, or an array of four axes: one for each set of nuclei; None:
            the bundle's default.
        label: one of the bundle's labels.
        n: variants per set of nuclei.
        seed: the same seed gives the same pictures of the same nuclei, in any batch and order.
        steps: solver steps; None: the bundle's default.
        guidance: 1 as trained, above 1 stricter with the nuclei; None: the bundle's default.
        solver: a name in `sampling.solvers.SOLVERS`, e.g. unipc; None: the bundle's default.
        grain: draw the finest texture, stronger where the appearance's is; False: leave it out.
        bundle: from `open_bundle`, or its folder; None: the compact one.
        batch: pictures sampled at a time.
        device: where to compute, e.g. "cuda"; None: a GPU if there is one.
        dtype: number type: "bf16", "fp32" or "fp16"; None: bf16 where this machine is faster in it.
        progress: True: a bar; or a function, called with (complete, all) pictures.
        on_step: called after each solver step with a `SamplingStep`: where it is, `preview()` and
            `cancel()`.

    Returns:
        n pictures for each set of nuclei, in order.

    Raises:
        BadOption: an option cannot be used, or `nuclei` are none.
        NotRGB, UnreadableImage: the appearance is no picture that can be used.
        BadMask, SizeMismatch: `empty` is no mask of the tile, or covers it whole; `orientation` is
            of another size.
        BadSize, UnknownClasses, ScaleMismatch, UnknownLabel: the nuclei, the appearance or the
            label do not fit the bundle.
        Cancelled: `on_step` cancelled; its `finished` holds the pictures that were complete.
    """
    from ..sampling.settings import settings_for
    from ..sampling.synthesize import synthesize as sample
    from .default_bundle import bundle_for

    options = SamplingOptions(
        label=label,
        seed=seed,
        steps=steps,
        guidance=guidance,
        solver=solver,
        grain=grain,
        batch=batch,
    )
    opened = bundle_for(bundle, device, dtype)
    check_seed(seed)
    if not isinstance(n, int) or not 1 <= n <= MAX_VARIANTS:
        raise BadOption("n", n, f"a whole number from 1 to {MAX_VARIANTS}")
    sets = _sets(nuclei)
    masks = _masks(empty, len(sets))
    orientations = _orientations(orientation, len(sets))
    conditions = [
        Condition(one, one.size, label, empty=mask, orientation=known)
        for one, mask, known in zip(sets, masks, orientations, strict=True)
    ]
    appearances = _appearances(appearance, len(sets), opened)
    pictures: list[tuple[int, int, Synthetic]] = []
    with shown_stages(progress, "sampling") as (on_progress,):
        try:
            for each in sample(
                opened,
                conditions,
                appearances,
                seed=seed,
                variants=n,
                settings=settings_for(opened, "synthesize", options),
                batch=batch,
                on_progress=on_progress,
                on_step=on_step,
            ):
                pictures.append(each)
        except Cancelled as cancelled:
            cancelled.finished = _in_order(pictures)
            raise
    return list(_in_order(pictures))


def _sets(nuclei: object) -> list[Nuclei]:
    """Nuclei as a list of sets.

    Raises:
        BadOption: they are something else.
    """
    if isinstance(nuclei, str | Nuclei) or not isinstance(nuclei, Iterable):
        return [as_nuclei(nuclei)]
    return [as_nuclei(each) for each in nuclei]


def _in_order(pictures: list[tuple[int, int, Synthetic]]) -> tuple[Synthetic, ...]:
    """Pictures by set of nuclei and variant."""
    in_order = sorted(pictures, key=lambda each: each[:2])
    return tuple(picture for _, _, picture in in_order)


def _masks(
    empty: PictureInput | Sequence[PictureInput] | None,
    count: int,
) -> list[Mask | None]:
    """One mask, or none, for each of `count` sets of nuclei.

    Raises:
        BadMask: one is no mask.
        BadOption: a list of another length.
    """
    if empty is None:
        return [None] * count
    several = batch_of(empty, _MASK_AXES)
    if several is None:
        return [as_mask(empty, "the mask `empty`")] * count  # type: ignore[arg-type]
    if len(several) != count:
        found = f"a list of {len(several)}"
        raise BadOption("empty", found, f"one, or one for each of {count} sets of nuclei")
    return [None if each is None else as_mask(each, "the mask `empty`") for each in several]


def _orientations(
    orientation: FibreOrientation | Sequence[FibreOrientation | None] | None,
    count: int,
) -> list[FibreOrientation | None]:
    """One map, or none, for each of `count` sets of nuclei.

    Raises:
        BadOption: a list of another length, or something else.
    """
    if orientation is None or isinstance(orientation, FibreOrientation):
        return [orientation] * count
    several = list(orientation) if isinstance(orientation, Iterable) else [orientation]
    wrong = [each for each in several if not isinstance(each, FibreOrientation | None)]
    if wrong:
        found = type(wrong[0]).__name__
        raise BadOption("orientation", found, "a FibreOrientation, from find_orientation")
    if len(several) != count:
        found = f"a list of {len(several)}"
        raise BadOption("orientation", found, f"one, or one for each of {count} sets of nuclei")
    return several


def _appearances(
    appearance: AppearanceInput | Sequence[AppearanceInput] | None,
    count: int,
    bundle: Bundle,
) -> list[Appearance]:
    """One appearance for each of `count` sets of nuclei.

    Raises:
        BadOption: a list of another length.
    """
    from ..sampling.settings import resolve_appearance

    several = batch_of(appearance, _PICTURE_AXES)
    if several is None:
        return [resolve_appearance(appearance, bundle)] * count  # type: ignore[arg-type]
    if len(several) != count:
        found = f"a list of {len(several)}"
        raise BadOption("appearance", found, f"one, or one for each of {count} sets of nuclei")
    return [resolve_appearance(each, bundle) for each in several]
