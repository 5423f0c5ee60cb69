"""Items of one size, sampled together: the part that `synthesize` and `complete` share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from ..core.arrays import Float32Array
from ..core.condition import Condition
from ..core.errors import BadWeights, ScaleMismatch, UnknownClasses
from ..core.geometry import check_size
from ..core.nuclei import ANY, ANY_CLASS, Nuclei
from ..core.progress import ProgressCallback, ignore_progress
from ..model import autoencoder as ae
from ..model.autoencoder import FACTOR
from ..model.bundle import Bundle
from ..model.conditioning import ItemConditions, conditions_of, encode_conditions
from ..model.info import BundleInfo
from ..tissue.alignment import ClassAlignment
from ..tissue.appearance import Appearance
from ..tissue.density import optical_density
from ..tissue.empty import MAX_EMPTY_DENSITY
from ..tissue.film_grain import add_grain
from ..tissue.grain_table import Grain
from ..tissue.nucleus_sizes import draw_shapes
from ..tissue.orientation_drawing import draw_orientation
from .batch_check import is_batch_exact, max_batch
from .exemplar_start import Start, exemplar_start
from .few_steps import with_few_steps
from .painter import EstimateCallback, SamplingSettings, decode_canonical, paint_latents
from .solvers import item_noise
from .steps import GroupStep

LatentShape = tuple[int, int, int]
"""(C, h, w)."""
_GLASS_EDGE_PX = 4.0
_GLASS_SHARE = 0.85
"""Stated glass takes so much of the reference's white, this far inside of its edge: the rest keeps
it from being one colour."""
_GLASS_AROUND_PX = 4


@dataclass(frozen=True, eq=False)
class SampleItem:
    """One picture to sample.

    Attributes:
        condition: what the picture follows; its size a multiple of the latent cell.
        appearance: stain and style of the picture.
        generator: the item's own randomness.
    """

    condition: Condition
    appearance: Appearance
    generator: torch.Generator


def check_condition(condition: Condition, info: BundleInfo) -> None:
    """Refuse a condition that a bundle does not support, before any work is done.

    Raises:
        BadSize: a side is no multiple of 8 or outside 128..1024 px.
        UnknownClasses: the nuclei's classes are not the bundle's, or it was not trained with nuclei
            of class `any`.
        ScaleMismatch: the nuclei's scale is too far from the bundle's.
    """
    # a tile to complete may have any size; a synthetic one lies on the grid
    multiple = info.multiple_px if condition.context is None else 1
    width, height = condition.size
    check_size(
        width,
        height,
        min_px=info.least_px,
        max_px=info.most_px,
        multiple=multiple,
    )
    if condition.nuclei is not None:
        _check_nuclei(condition.nuclei, info)


def _check_nuclei(nuclei: Nuclei, info: BundleInfo) -> None:
    """Refuse nuclei of other classes or of another scale."""
    if nuclei.classes != info.classes:
        unknown = [name for name in nuclei.classes if name not in info.classes]
        raise UnknownClasses(unknown or nuclei.classes, info.classes)
    has_unclassified = (nuclei.class_ids == ANY_CLASS).any()
    if has_unclassified and not info.any_class:
        raise UnknownClasses([ANY], info.classes)
    check_scale(nuclei.mpp, info)


def check_scale(mpp: float, info: BundleInfo) -> None:
    """Refuse a scale too far from the bundle's.

    Raises:
        ScaleMismatch: naming both.
    """
    log_ratio = abs(np.log(mpp / info.mpp))
    if not log_ratio <= np.log(1 + info.mpp_tolerance):
        raise ScaleMismatch(mpp, info.mpp, info.mpp_tolerance)


def paint_items(
    bundle: Bundle,
    items: Sequence[SampleItem],
    *,
    adapters: Sequence[str],
    settings: SamplingSettings,
    batch: int,
    on_progress: ProgressCallback | None = None,
    on_step: Callable[[GroupStep], None] | None = None,
) -> Iterator[tuple[int, NDArray[np.float32], Start | None]]:
    """Sample items in batches of one size, and yield each as soon as it is finished.

    Args:
        bundle: the networks.
        items: what to sample.
        adapters: name of the adapter to use for each item; a bundle without it samples with its
            base alone.
        settings: how to sample.
        batch: largest number of items at a time; fewer where a batch would change a picture.
        on_progress: called at the start and after each batch with (complete, all) items.
        on_step: called after each solver step of a batch.

    Yields:
        (index of the item, (H, W, 3) float32 in [0, 255] in the item's own stain, what it started
        from if not from noise).
    """
    if not items:
        return
    done = 0
    report = on_progress or ignore_progress
    report(done, len(items))
    for merged, own_settings, indices in _groups_by_adapter(
        bundle,
        items,
        adapters,
        settings,
        batch,
    ):
        group = [items[index] for index in indices]
        starts = [_start(item, own_settings) for item in group]
        canonical = _paint(
            group,
            starts,
            merged,
            own_settings,
            on_estimate=_estimate_callback(
                on_step,
                merged,
                indices,
                group,
                settings=own_settings,
            ),
        )
        done += len(group)
        report(done, len(items))
        for index, image, start in zip(indices, canonical, starts, strict=True):
            yield index, _in_appearance(items[index], image, bundle.grain, own_settings), start


def _in_appearance(
    item: SampleItem,
    canonical: NDArray[np.float32],
    known: Grain | None,
    settings: SamplingSettings,
) -> NDArray[np.float32]:
    """A decoded picture in the item's own appearance, with grain if it is wanted and known."""
    if known is None or not settings.grain:
        return item.appearance.apply(_with_glass(canonical, canonical, item))
    noise = item.appearance.noise
    if item.appearance.has_blocks and item.condition.context is None:
        noise = None  # a hole is to be as flat as what is around it, a new tile is not
    strength = known.table.strength_of(noise)
    seed = item.generator.initial_seed()
    return item.appearance.apply(
        canonical,
        lambda pixels: _with_glass(
            add_grain(pixels, known.patches, strength, seed=seed),
            pixels,
            item,
        ),
        np.array(known.table.extremes, np.float32),
    )


def _with_glass(
    grained: Float32Array,
    pixels: Float32Array,
    item: SampleItem,
) -> Float32Array:
    """Pixels (H, W, 3) with grain, and without it where they show glass that was asked for.

    Grain is of tissue: patches are taken from tissue alone, and glass beside it is smooth. The
    network does not paint glass quite even: it becomes the reference's, but tissue in it stays.
    """
    empty = item.condition.empty
    if empty is None:
        return grained
    density = optical_density(pixels).mean(axis=2)
    around = ndimage.uniform_filter(density, _GLASS_AROUND_PX)
    glass_share = np.where(
        empty,
        1 - (around / MAX_EMPTY_DENSITY).clip(0, 1),
        np.float32(0),
    )
    smooth = grained + glass_share[..., None] * (pixels - grained)
    depth = ndimage.distance_transform_edt(empty)
    share = glass_share * (depth / _GLASS_EDGE_PX).clip(0, _GLASS_SHARE)
    glass = item.appearance.frame.to_canonical(item.appearance.glass())
    even: Float32Array = smooth + share[..., None] * (glass - smooth)
    return even.astype(np.float32)


def _start(item: SampleItem, settings: SamplingSettings) -> Start | None:
    if not settings.exemplar:
        return None
    return exemplar_start(item.condition, item.appearance.frame, item.generator.initial_seed())


def _paint(
    items: Sequence[SampleItem],
    starts: Sequence[Start | None],
    bundle: Bundle,
    settings: SamplingSettings,
    *,
    on_estimate: EstimateCallback | None,
) -> NDArray[np.float32]:
    """(B, H, W, 3) float32 in [0, 255], canonical stain, of items of one size."""
    size = items[0].condition.size
    conditioning = encode_conditions(
        [_conditions_of_item(item, bundle) for item in items],
        bundle.info,
        size=size,
        grid_px=bundle.grid_px,
    )
    rows, columns = conditioning.maps.mask.shape[-2:]
    shape = (len(bundle.info.latent_mean), rows // FACTOR, columns // FACTOR)
    noise = item_noise(shape, [item.generator for item in items])
    latents = paint_latents(
        bundle,
        conditioning.maps,
        conditioning.style,
        noise,
        settings,
        start=_encode_starts(items, starts, bundle, shape),
        on_estimate=on_estimate,
    )
    pixels = _decoded(bundle, latents, size)
    if not np.isfinite(pixels).all():
        raise BadWeights(bundle.folder or Path(bundle.info.name), "its pictures are not all finite")
    return pixels


def _decoded(
    bundle: Bundle,
    latents: Tensor,
    size: tuple[int, int],
) -> NDArray[np.float32]:
    """Latents (B, C, h, w) as (B, H, W, 3) float32 in [0, 255], canonical stain."""
    width, height = size
    decoded: NDArray[np.float32] = decode_canonical(bundle, latents).numpy()
    return decoded[:, :height, :width]


def _estimate_callback(
    on_step: Callable[[GroupStep], None] | None,
    bundle: Bundle,
    indices: Sequence[int],
    group: Sequence[SampleItem],
    *,
    settings: SamplingSettings,
) -> EstimateCallback | None:
    """A callback of the painter that hands on what can be decoded."""
    if on_step is None:
        return None

    def on_estimate(step: int, steps: int, time: float, latents: Tensor) -> None:
        def decode() -> list[NDArray[np.float32]]:
            canonical = _decoded(bundle, latents, group[0].condition.size)
            return [
                _in_appearance(item, image, bundle.grain, settings)
                for item, image in zip(group, canonical, strict=True)
            ]

        on_step(GroupStep(step, steps, time, indices, decode))

    return on_estimate


def _conditions_of_item(item: SampleItem, bundle: Bundle) -> ItemConditions:
    """What the network is shown; nuclei without a size have one drawn where it follows sizes, and
    lie along fibres, which run as it is stated or as in tissue.
    """
    condition = item.condition
    label = bundle.label_index(condition.label)
    if condition.nuclei is not None and bundle.sizes:
        seed = item.generator.initial_seed()
        fibres = None
        alignment: tuple[ClassAlignment, ...] = ()
        if bundle.orientation is not None:
            alignment = bundle.orientation.alignment
            fibres = draw_orientation(
                condition.nuclei,
                bundle.orientation,
                seed=seed,
                known=condition.orientation,
            )
        drawn = draw_shapes(
            condition.nuclei,
            bundle.sizes,
            seed=seed,
            fibres=fibres,
            alignment=alignment,
        )
        condition = replace(condition, nuclei=drawn)
    return conditions_of(condition, item.appearance, label)


@torch.inference_mode()
def _encode_starts(
    items: Sequence[SampleItem],
    starts: Sequence[Start | None],
    bundle: Bundle,
    shape: LatentShape,
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
        latents[index] = _encode_start(item, start, bundle, shape)
        rows, columns = start.times.shape  # what is added to fill the grid starts from noise
        times[index, 0, :rows, :columns] = torch.from_numpy(start.times)
    return latents, times


def _encode_start(
    item: SampleItem,
    start: Start,
    bundle: Bundle,
    shape: LatentShape,
) -> Tensor:
    """Latents (C, h, w) of the pixels that an item starts from, extended to fill the grid."""
    canonical = item.appearance.frame.to_canonical(start.pixels)
    signal = ae.to_signal(torch.from_numpy(canonical))[None]
    _, rows, columns = shape
    bottom = FACTOR * rows - signal.shape[2]
    right = FACTOR * columns - signal.shape[3]
    padded = F.pad(signal, (0, right, 0, bottom), mode="replicate")
    latents = ae.encode(bundle.autoencoder, padded)
    return bundle.standardise(latents)[0].cpu()


def _groups_by_adapter(
    bundle: Bundle,
    items: Sequence[SampleItem],
    adapters: Sequence[str],
    settings: SamplingSettings,
    batch: int,
) -> Iterator[tuple[Bundle, SamplingSettings, list[int]]]:
    """Indices of items to sample together, with the bundle whose adapter they share and its
    settings.
    """
    for adapter in dict.fromkeys(adapters):
        sampled_by, own_settings = with_few_steps(bundle, adapter, settings)
        merged = bundle.with_merged_adapter(sampled_by)
        chosen = [index for index, name in enumerate(adapters) if name == adapter]
        groups = _groups(
            [items[index] for index in chosen],
            merged,
            batch,
            is_guided=own_settings.guidance != 1,
        )
        for places in groups:
            yield merged, own_settings, [chosen[place] for place in places]


def _groups(
    items: Sequence[SampleItem],
    bundle: Bundle,
    batch: int,
    *,
    is_guided: bool,
) -> Iterator[list[int]]:
    """Indices of items to sample together: of one size, and only where that changes no picture."""
    by_size: dict[tuple[int, int], list[int]] = {}
    for index, item in enumerate(items):
        by_size.setdefault(item.condition.size, []).append(index)
    for size, indices in by_size.items():
        length = max_batch(bundle, size, batch)
        for first in range(0, len(indices), length):
            group = indices[first : first + length]
            if _is_group_exact(bundle, size, len(group), is_guided=is_guided):
                yield group
            else:
                yield from ([index] for index in group)


def _is_group_exact(
    bundle: Bundle,
    size: tuple[int, int],
    count: int,
    *,
    is_guided: bool,
) -> bool:
    """Whether `count` items sampled together equal each alone.

    Guidance doubles the batch at times inside its span, and a single item becomes a batch of two.
    """
    counts = {count}
    if is_guided:
        counts |= {2, 2 * count}
    return all(is_batch_exact(bundle, size, each) for each in counts)
