"""Items of one size, sampled together: the part that `synthesize` and `complete` share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..core.condition import Condition
from ..core.errors import ScaleMismatch, UnknownClasses
from ..core.geometry import check_size
from ..core.nuclei import ANY, ANY_CLASS, Nuclei
from ..core.progress import ProgressCallback, ignore_progress
from ..model.bundle import Bundle
from ..model.info import BundleInfo
from .batch_check import is_batch_exact, max_batch
from .exemplar_start import Start
from .few_steps import with_few_steps
from .finishing import in_appearance
from .groups import Group, paint_group, prepare_group
from .items import SampleItem
from .painter import SamplingSettings
from .steps import GroupStep
from .work import work_around


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
    groups = _groups_by_adapter(
        bundle,
        items,
        adapters,
        settings,
        batch,
    )
    done = 0
    report = on_progress or ignore_progress
    report(done, len(items))
    with work_around(bundle, in_turn=on_step is not None) as work:
        prepared = work.ahead(prepare_group(group, work.map) for group in groups)
        painted = work.ahead((each, paint_group(each, on_step)) for each in prepared)
        for each, canonical in painted:
            group = each.group
            done += len(group.items)
            report(done, len(items))
            finished = work.map(
                partial(
                    in_appearance,
                    known=bundle.grain,
                    grain=group.settings.grain,
                    nearest=work.nearest,
                ),
                group.items,
                canonical,
            )
            yield from zip(group.indices, finished, each.starts, strict=True)


def _groups_by_adapter(
    bundle: Bundle,
    items: Sequence[SampleItem],
    adapters: Sequence[str],
    settings: SamplingSettings,
    batch: int,
) -> Iterator[Group]:
    """Items to sample together, with the bundle whose adapter they share and its settings."""
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
            indices = [chosen[place] for place in places]
            yield Group(
                merged,
                own_settings,
                indices,
                [items[index] for index in indices],
            )


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
