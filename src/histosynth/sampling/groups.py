"""Items of one size that are sampled together: their conditions, and the network's answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..core.condition import Condition
from ..core.errors import BadWeights, TooLittleMemory
from ..core.number_format import counted
from ..model import autoencoder as ae
from ..model.autoencoder import FACTOR
from ..model.bundle import Bundle
from ..model.conditioning import Conditioning, ItemConditions, conditions_of, encode_conditions
from ..tensors.gpu_memory import first_that_fits, release_memory, too_little_memory
from ..tensors.streams import own_stream
from ..tissue.alignment import ClassAlignment
from ..tissue.nucleus_sizes import draw_shapes
from ..tissue.orientation_drawing import draw_orientation
from .exemplar_start import Start, exemplar_start
from .finishing import in_appearance
from .items import SampleItem
from .painter import EstimateCallback, SamplingSettings, decode_canonical, paint_latents
from .solvers import item_noise
from .steps import GroupStep

LatentShape = tuple[int, int, int]
"""(C, h, w)."""
MapItems = Callable[..., Iterable[Any]]
"""As `map`: it may work on several items at a time."""


@dataclass(frozen=True, eq=False)
class Group:
    """Items of one size that share an adapter.

    Attributes:
        bundle: with the adapter merged.
        settings: how to sample them.
        indices: of the items in the whole call.
        items: what to sample.
    """

    bundle: Bundle
    settings: SamplingSettings
    indices: Sequence[int]
    items: Sequence[SampleItem]


@dataclass(frozen=True, eq=False)
class PreparedGroup:
    """A group with all that the network takes.

    Attributes:
        group: the items.
        starts: what each starts from; None: from noise.
        conditioning: its maps lie on the device of the networks.
        noise: (B, C, h, w).
        start: latents and times of the starts; None: all start from noise.
    """

    group: Group
    starts: Sequence[Start | None]
    conditioning: Conditioning
    noise: Tensor
    start: tuple[Tensor, Tensor] | None

    def first(self, count: int) -> PreparedGroup:
        """The same with its first items only."""
        part = slice(count)
        start = self.start
        if start is not None:
            latents, times = start
            start = latents[part], times[part]
        return PreparedGroup(
            replace(
                self.group,
                indices=self.group.indices[part],
                items=self.group.items[part],
            ),
            self.starts[part],
            Conditioning(
                self.conditioning.maps.picked(part),
                self.conditioning.style[part],
            ),
            self.noise[part],
            start,
        )


def prepare_group(group: Group, map_items: MapItems = map) -> PreparedGroup:
    """What the network takes of a group.

    Args:
        group: the items.
        map_items: what goes through them.

    Raises:
        TooLittleMemory: the GPU cannot hold it.
    """
    try:
        # maps are kept until the pictures are on the CPU, when all that reads them is complete
        with own_stream(group.bundle.device):
            return _prepare(group, map_items)
    except torch.OutOfMemoryError:
        pass
    raise too_little_memory(
        group.bundle.device,
        f"the conditions of {counted(len(group.items), 'picture')} at a time",
        "Use a smaller --batch.",
    )


def _prepare(group: Group, map_items: MapItems) -> PreparedGroup:
    bundle = group.bundle
    conditions = map_items(partial(_conditions_of_item, bundle=bundle), group.items)
    starts = list(map_items(partial(_start, settings=group.settings), group.items))
    conditioning = encode_conditions(
        list(conditions),
        bundle.info,
        size=group.items[0].condition.size,
        grid_px=bundle.grid_px,
        device=bundle.device,
    )
    rows, columns = conditioning.maps.mask.shape[-2:]
    shape = (len(bundle.info.latent_mean), rows // FACTOR, columns // FACTOR)
    return PreparedGroup(
        group,
        starts,
        conditioning,
        item_noise(shape, [item.generator for item in group.items]),
        _encode_starts(group.items, starts, bundle, shape),
    )


def paint_group(
    prepared: PreparedGroup,
    on_step: Callable[[GroupStep], None] | None = None,
) -> NDArray[np.float32]:
    """(B, H, W, 3) float32 in [0, 255], canonical stain.

    Args:
        prepared: the group.
        on_step: called after each solver step.

    Raises:
        BadWeights: a value is not finite.
        TooLittleMemory: the GPU cannot hold the group.
    """
    try:
        pixels = _paint(prepared, on_step)
    except torch.OutOfMemoryError:
        pixels = None
    if pixels is None:  # here the traceback, which holds the tensors, is gone
        raise _too_little_memory(prepared)
    if not np.isfinite(pixels).all():
        bundle = prepared.group.bundle
        raise BadWeights(bundle.folder or Path(bundle.info.name), "its pictures are not all finite")
    return pixels


def _paint(
    prepared: PreparedGroup,
    on_step: Callable[[GroupStep], None] | None,
) -> NDArray[np.float32]:
    group = prepared.group
    latents = paint_latents(
        group.bundle,
        prepared.conditioning.maps,
        prepared.conditioning.style,
        prepared.noise,
        group.settings,
        start=prepared.start,
        on_estimate=_estimate_callback(on_step, group),
    )
    return _decoded(group, latents)


def _too_little_memory(prepared: PreparedGroup) -> TooLittleMemory:
    """The error, with the number of pictures that fit: halves are tried until they do."""
    release_memory()
    group = prepared.group
    width, height = group.items[0].condition.size
    count = len(group.items)
    halves = [count >> shift for shift in range(1, count.bit_length())]
    fits = first_that_fits(
        halves,
        lambda part: _paint(prepared.first(part), None),
    )
    what = f"{counted(count, 'picture')} of {width} x {height} px at a time"
    if fits is None:
        remedy = "Not even one fits: use smaller tiles, another GPU or the CPU (--device cpu)."
    else:
        remedy = f"{fits} at a time fit: use --batch {fits}."
    return too_little_memory(
        group.bundle.device,
        what,
        remedy,
    )


def _decoded(group: Group, latents: Tensor) -> NDArray[np.float32]:
    """Latents (B, C, h, w) as (B, H, W, 3) float32 in [0, 255], canonical stain."""
    width, height = group.items[0].condition.size
    decoded: NDArray[np.float32] = decode_canonical(group.bundle, latents).numpy()
    return decoded[:, :height, :width]


def _estimate_callback(
    on_step: Callable[[GroupStep], None] | None,
    group: Group,
) -> EstimateCallback | None:
    """A callback of the painter that hands on what can be decoded."""
    if on_step is None:
        return None

    def on_estimate(step: int, steps: int, time: float, latents: Tensor) -> None:
        def decode() -> list[NDArray[np.float32]]:
            return [
                in_appearance(
                    item,
                    image,
                    group.bundle.grain,
                    grain=group.settings.grain,
                )
                for item, image in zip(group.items, _decoded(group, latents), strict=True)
            ]

        on_step(
            GroupStep(
                step,
                steps,
                time,
                group.indices,
                decode,
            )
        )

    return on_estimate


def _start(item: SampleItem, settings: SamplingSettings) -> Start | None:
    if not settings.exemplar:
        return None
    return exemplar_start(
        item.condition,
        item.appearance.frame,
        item.generator.initial_seed(),
        settings.nuclei_time,
    )


def _conditions_of_item(item: SampleItem, bundle: Bundle) -> ItemConditions:
    """What the network is shown."""
    return conditions_of(
        with_drawn_shapes(item, bundle),
        item.appearance,
        bundle.label_index(item.condition.label),
    )


def with_drawn_shapes(item: SampleItem, bundle: Bundle) -> Condition:
    """An item's condition; nuclei without a size have one drawn where the bundle follows sizes,
    and lie along fibres, which run as it is stated or as in tissue.
    """
    condition = item.condition
    if condition.nuclei is None or not bundle.sizes:
        return condition
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
    return replace(condition, nuclei=drawn)


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
