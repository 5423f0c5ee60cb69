"""Items of one size, painted together: the part that `synthesize` and `complete` share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..core.condition import Condition
from ..core.errors import BadWeights, ScaleMismatch, UnknownClasses
from ..core.geometry import check_size
from ..core.nuclei import ANY, ANY_CLASS
from ..core.progress import ProgressCallback
from ..model import autoencoder as ae
from ..model.autoencoder import FACTOR
from ..model.bundle import Bundle
from ..model.info import BundleInfo
from ..model.maps import make_maps, style_vector
from ..tissue.appearance import Appearance
from .batch_check import most_together, same_alone
from .exemplar_start import Start, start_of
from .painter import Settings, decode_canonical, paint_latents
from .solvers import item_noise


@dataclass(frozen=True, eq=False)
class Item:
    """One picture to paint.

    Attributes:
        condition: what the model is told; its size a multiple of the latent cell.
        appearance: stain and style to paint in.
        generator: the item's own randomness.
    """

    condition: Condition
    appearance: Appearance
    generator: torch.Generator


def check_condition(condition: Condition, info: BundleInfo) -> None:
    """Refuse what a bundle cannot paint, before any work is done.

    Raises:
        BadSize: a side is no multiple of 8 or outside 128..1024 px.
        UnknownKinds: the nuclei's classes are not the bundle's, or it knows no nuclei of class
            `any`.
        ScaleMismatch: the nuclei's scale is too far from the bundle's.
    """
    # a tile to be mended is taken as it is; one to be made is made on the grid
    multiple = info.multiple_px if condition.context is None else 1
    width, height = condition.size
    check_size(
        width,
        height,
        least=info.least_px,
        most=info.most_px,
        multiple=multiple,
    )
    if condition.nuclei is not None:
        if condition.nuclei.classes != info.classes:
            unknown = [kind for kind in condition.nuclei.classes if kind not in info.classes]
            raise UnknownClasses(unknown or condition.nuclei.classes, info.classes)
        if not info.any_class and (condition.nuclei.class_ids == ANY_CLASS).any():
            raise UnknownClasses([ANY], info.classes)
        check_scale(condition.nuclei.mpp, info)


def check_scale(mpp: float, info: BundleInfo) -> None:
    """Refuse a scale too far from the bundle's.

    Raises:
        ScaleMismatch: naming both.
    """
    if not abs(np.log(mpp / info.mpp)) <= np.log(1 + info.mpp_tolerance):
        raise ScaleMismatch(mpp, info.mpp, info.mpp_tolerance)


def paint_items(
    bundle: Bundle,
    items: Sequence[Item],
    *,
    adapter: str,
    settings: Settings,
    batch: int,
    on_progress: ProgressCallback | None = None,
) -> Iterator[tuple[int, NDArray[np.float32], Start | None]]:
    """Paint items in batches of one size, and yield each as soon as it is there.

    Args:
        bundle: the networks.
        items: what to paint.
        adapter: which adapter to wear; a bundle without it paints with its base alone.
        settings: how to sample.
        batch: most items at a time; fewer where a picture would come out different for it.
        on_progress: told (done, total) solver steps over all batches.

    Yields:
        (index of the item, (H, W, 3) float32 in [0, 255] in the item's own stain, what it started
        from if not from noise).
    """
    with_merged_adapter = bundle.with_merged_adapter(adapter)
    groups = list(
        _groups(
            items,
            with_merged_adapter,
            batch,
            passes=1 if settings.guidance == 1 else 2,
        )
    )
    for place, group in enumerate(groups):
        inner = _sub_tick(on_progress, place, len(groups))
        chosen = [items[index] for index in group]
        starts = [_start(item) if settings.exemplar else None for item in chosen]
        canonical = _paint(chosen, starts, with_merged_adapter, settings, inner)
        for index, image, start in zip(group, canonical, starts, strict=True):
            yield index, items[index].appearance.restained(image), start


def _start(item: Item) -> Start | None:
    return start_of(item.condition, item.appearance.frame, item.generator.initial_seed())


def _paint(
    items: Sequence[Item],
    starts: Sequence[Start | None],
    bundle: Bundle,
    settings: Settings,
    on_progress: ProgressCallback | None,
) -> NDArray[np.float32]:
    info = bundle.info
    size = items[0].condition.size
    contexts = [item.condition.context for item in items]
    maps = make_maps(
        [item.condition.nuclei for item in items],
        [
            None if context is None else item.appearance.frame.to_canonical(context.pixels)
            for item, context in zip(items, contexts, strict=True)
        ],
        [None if context is None else context.mask for context in contexts],
        classes=len(info.classes),
        size=size,
        grid_px=bundle.grid_px,
    )
    mean = torch.tensor(info.style_mean)
    std = torch.tensor(info.style_std)
    vectors = [
        style_vector(
            torch.from_numpy(item.appearance.style),
            bundle.label_index(item.condition.label),
            mean=mean,
            std=std,
            labels=len(info.labels),
        )
        for item in items
    ]
    shape = (len(info.latent_mean), maps.mask.shape[-2] // FACTOR, maps.mask.shape[-1] // FACTOR)
    noise = item_noise(shape, [item.generator for item in items])
    start = _started(items, starts, bundle, shape)
    latents = paint_latents(
        bundle,
        maps,
        torch.stack(vectors),
        noise,
        settings,
        start=start,
        on_progress=on_progress,
    )
    pixels: NDArray[np.float32] = decode_canonical(bundle, latents).numpy()[:, : size[1], : size[0]]
    if not np.isfinite(pixels).all():
        raise BadWeights(bundle.folder or Path(info.name), "what it paints is not all numbers")
    return pixels


@torch.inference_mode()
def _started(
    items: Sequence[Item],
    starts: Sequence[Start | None],
    bundle: Bundle,
    shape: tuple[int, int, int],
) -> tuple[Tensor, Tensor] | None:
    """Latents (B, C, h, w) and times (B, 1, h, w) of the items' starts; None if all start from
    noise.
    """
    if not any(starts):
        return None
    latents = torch.zeros(len(items), *shape)
    times = torch.ones(len(items), 1, *shape[1:])
    for index, (item, start) in enumerate(zip(items, starts, strict=True)):
        if start is None:
            continue
        signal = ae.to_signal(torch.from_numpy(item.appearance.frame.to_canonical(start.pixels)))[
            None
        ]
        bottom, right = (
            FACTOR * cells - side for cells, side in zip(shape[1:], signal.shape[2:], strict=True)
        )
        signal = F.pad(signal, (0, right, 0, bottom), mode="replicate")
        latents[index] = bundle.standardise(ae.encode(bundle.autoencoder, signal))[0].cpu()
        rows, columns = start.times.shape  # what is added to fill the grid starts from noise
        times[index, 0, :rows, :columns] = torch.from_numpy(start.times)
    return latents, times


def _groups(
    items: Sequence[Item],
    bundle: Bundle,
    batch: int,
    *,
    passes: int,
) -> Iterator[list[int]]:
    by_size: dict[tuple[int, int], list[int]] = {}
    for index, item in enumerate(items):
        by_size.setdefault(item.condition.size, []).append(index)
    for size, indices in by_size.items():
        most = most_together(bundle, size, batch)
        for start in range(0, len(indices), most):
            group = indices[start : start + most]
            counts = {len(group), passes, passes * len(group)}  # in and out of the span of guidance
            if all(same_alone(bundle, size, count) for count in counts):
                yield group
            else:
                yield from ([index] for index in group)


def _sub_tick(
    on_progress: ProgressCallback | None, place: int, places: int
) -> ProgressCallback | None:
    if on_progress is None:
        return None
    return lambda done, total: on_progress(place * total + done, places * total)
