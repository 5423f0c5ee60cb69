"""`complete`: a tile with a masked region in, the same tile with new tissue there out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from ..core.condition import Condition, Context
from ..core.errors import BadMask, BadOption, Cancelled, ConflictingScales
from ..core.geometry import Size
from ..core.nuclei import Nuclei
from ..core.pictures import PictureInput, as_mask, as_rgb, batch_of
from ..core.seeds import check_seed
from ..core.synthetic import Synthetic, stated_mpp
from ..core.units import check_mpp_option
from ..sampling.options import SamplingOptions
from .nuclei_argument import as_nuclei
from .progress_bars import ProgressOption, shown_stages

if TYPE_CHECKING:
    import torch

    from ..model.bundle import Bundle
    from ..sampling.steps import StepOfSampling

_IMAGE_AXES = 3
_MASK_AXES = 2
_CONFLICT = 0.01
"""Share by which two stated scales may differ."""


@overload
def complete(  # type: ignore[overload-overlap]  # a text is a sequence too, and means a path
    image: PictureInput,
    mask: PictureInput,
    *,
    nuclei: Nuclei | None = None,
    mpp: float | None = None,
    label: str | None = None,
    seed: int = 0,
    steps: int | None = None,
    guidance: float | None = None,
    solver: str | None = None,
    exemplar: bool = True,
    grain: bool = True,
    bundle: Bundle | Path | str | None = None,
    batch: int = 8,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    progress: ProgressOption = False,
    on_step: StepOfSampling | None = None,
) -> Synthetic: ...


@overload
def complete(
    image: Sequence[PictureInput],
    mask: Sequence[PictureInput],
    *,
    nuclei: Sequence[Nuclei | None] | None = None,
    mpp: float | None = None,
    label: str | None = None,
    seed: int = 0,
    steps: int | None = None,
    guidance: float | None = None,
    solver: str | None = None,
    exemplar: bool = True,
    grain: bool = True,
    bundle: Bundle | Path | str | None = None,
    batch: int = 8,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    progress: ProgressOption = False,
    on_step: StepOfSampling | None = None,
) -> list[Synthetic]: ...


def complete(
    image: PictureInput | Sequence[PictureInput],
    mask: PictureInput | Sequence[PictureInput],
    *,
    nuclei: Nuclei | Sequence[Nuclei | None] | None = None,
    mpp: float | None = None,
    label: str | None = None,
    seed: int = 0,
    steps: int | None = None,
    guidance: float | None = None,
    solver: str | None = None,
    exemplar: bool = True,
    grain: bool = True,
    bundle: Bundle | Path | str | None = None,
    batch: int = 8,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    progress: ProgressOption = False,
    on_step: StepOfSampling | None = None,
) -> Synthetic | list[Synthetic]:
    """Fill the masked region of a tile; every pixel outside it stays as it is.

    Args:
        image: 128 to 1,024 px a side, in any form that `as_rgb` takes: a path, a PIL image, an
            array or tensor, a `Tile`; values inside the mask do not matter. A list, or an array of
            four axes, is completed together, and a list comes back.
        mask: in any form that `as_mask` takes, not zero where tissue is missing; for several
            images as many masks.
        nuclei: classes and positions on the whole tile; None: the model's choice. For several
            images a list as long.
        mpp: scale of the image, micrometres per pixel; None: what a `Tile` states, else the
            bundle's.
        label: one of the bundle's labels.
        seed: the same seed gives the same picture.
        steps: solver steps; None: the bundle's default.
        guidance: 1 as trained, above 1 stricter with the nuclei; None: the bundle's default.
        solver: a name in `sampling.solvers.SOLVERS`, e.g. unipc; None: the bundle's default.
        exemplar: start from tissue copied from around the mask (tissue/exemplar.py), which carries
            fibres and ground over its boundary; False: from noise alone.
        grain: draw the finest texture, stronger where the known tissue's is; False: leave it out.
        bundle: from `open_bundle`, or its folder; None: the compact one.
        batch: pictures sampled at a time.
        device: where to compute, e.g. "cuda"; None: a GPU if there is one.
        dtype: number type: "bf16", "fp32" or "fp16"; None: bf16 where this machine is faster in it.
        progress: True: a bar; or a function, called with (complete, all) pictures.
        on_step: called after each solver step with a `SamplingStep`: where it is, `preview()` and
            `cancel()`.

    Returns:
        The tile; outside the mask its pixels equal `image` (floats: rounded to 256 levels).

    Raises:
        NotRGB, BadMask, BadSize, UnreadableImage: the image or the mask cannot be used.
        BadOption: an option cannot be used, or lists of different lengths belong together.
        ConflictingScales: `mpp` is not what the tile states.
        UnknownClasses, ScaleMismatch, UnknownLabel: the nuclei, the scale or the label do not fit
            the bundle.
        Cancelled: `on_step` cancelled; its `finished` holds the pictures that were complete.
    """
    options = SamplingOptions(
        label=label,
        seed=seed,
        steps=steps,
        guidance=guidance,
        solver=solver,
        exemplar=exemplar,
        grain=grain,
        batch=batch,
    )
    check_seed(seed)
    conditions = []
    scales = []
    for one, its_mask, its_nuclei in _triples(image, mask, nuclei):
        scales.append(_scale(one, mpp))
        conditions.append(_condition(one, its_mask, its_nuclei, label))
    from ..sampling.batches import check_scale
    from ..sampling.complete import complete as sample
    from ..sampling.settings import settings_for
    from .default_bundle import bundle_for

    opened = bundle_for(bundle, device, dtype)
    for scale in scales:
        if scale is not None:
            check_scale(scale, opened.info)
    completed: dict[int, Synthetic] = {}
    with shown_stages(progress, "completing") as (on_progress,):
        try:
            for index, picture in sample(
                opened,
                conditions,
                seed=seed,
                settings=settings_for(opened, "complete", options),
                batch=batch,
                on_progress=on_progress,
                on_step=on_step,
            ):
                completed[index] = picture
        except Cancelled as cancelled:
            cancelled.finished = tuple(_in_order(completed))
            raise
    in_order = _in_order(completed)
    if batch_of(image, _IMAGE_AXES) is None:
        return in_order[0]
    return in_order


def _in_order(completed: dict[int, Synthetic]) -> list[Synthetic]:
    return [completed[index] for index in sorted(completed)]


def _triples(
    image: Any,
    mask: Any,
    nuclei: Any,
) -> list[tuple[Any, Any, Nuclei | None]]:
    """Image, mask and nuclei that belong together.

    Raises:
        BadMask, BadOption: there are not as many masks or sets of nuclei as images.
    """
    images = batch_of(image, _IMAGE_AXES)
    if images is None:
        return [(image, mask, None if nuclei is None else as_nuclei(nuclei))]
    masks = batch_of(mask, _MASK_AXES)
    count = len(images)
    if masks is None or len(masks) != count:
        found = 1 if masks is None else len(masks)
        raise BadMask(
            f"There are {count} images and {found} masks.",
            "Hand in a list of masks, one for each image.",
        )
    sets = _nuclei_of_images(nuclei, count)
    return list(zip(images, masks, sets, strict=True))


def _nuclei_of_images(nuclei: object, count: int) -> list[Nuclei | None]:
    """A set of nuclei, or None, for each of several images.

    Raises:
        BadOption: there are not as many.
    """
    if nuclei is None:
        return [None] * count
    allowed = f"a list of {count}, one for each image"
    if not isinstance(nuclei, list | tuple):
        raise BadOption("nuclei", "one set", allowed)
    if len(nuclei) != count:
        raise BadOption("nuclei", f"a list of {len(nuclei)}", allowed)
    return [None if each is None else as_nuclei(each) for each in nuclei]


def _scale(image: object, mpp: float | None) -> float | None:
    """Micrometres per pixel of an image; None: not stated.

    Raises:
        ConflictingScales: the caller and the tile state different ones.
    """
    stated = stated_mpp(image)
    if mpp is not None:
        check_mpp_option(mpp)
    if mpp is None or stated is None:
        return stated if mpp is None else mpp
    if abs(mpp / stated - 1) > _CONFLICT:
        raise ConflictingScales("The image", f"mpp={mpp:g}", f"{stated:g} um/px of the tile")
    return mpp


def _condition(
    image: PictureInput,
    mask: PictureInput,
    nuclei: Nuclei | None,
    label: str | None,
) -> Condition:
    pixels = as_rgb(image, "image")
    context = Context(pixels.copy(), as_mask(mask))
    height, width = pixels.shape[:2]
    return Condition(nuclei, Size(width, height), label, context)
