"""How many pictures may be painted together without a bit of any of them changing.

Libraries choose how to sum by the shape of a batch, so a picture could differ in its last bits with
the company it is painted in. Whether it does depends on processor, library and size; so it is
tried, once for each, on the networks themselves: every item of a random batch against the item
alone.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

import torch

from ..model.autoencoder import FACTOR
from ..model.bundle import Bundle
from ..model.maps import style_length
from ..model.structure import StructureMaps

CPU_PIXELS = 8 * 256 * 256
"""Pixels painted together on a CPU: beyond it nothing is gained but memory used."""

_found: WeakKeyDictionary[Bundle, dict[tuple[object, ...], bool]] = WeakKeyDictionary()


def most_together(bundle: Bundle, size: tuple[int, int], wanted: int) -> int:
    """How many tiles of `size` (width, height) to paint at a time, at most `wanted`."""
    if bundle.device.type != "cpu":
        return wanted
    return max(min(wanted, CPU_PIXELS // (size[0] * size[1])), 1)


def same_alone(bundle: Bundle, size: tuple[int, int], count: int) -> bool:
    """Whether `count` tiles of `size` (width, height) painted together come out as each would
    alone.

    Tried once on a CPU. On an accelerator it is taken for granted: there, pictures of other batch
    sizes may differ in their last bits.
    """
    if bundle.device.type != "cpu" or count == 1:
        return True
    grid = bundle.grid_px
    width, height = (-(-side // grid) * grid for side in size)
    known = _found.setdefault(bundle, {})
    key = (width, height, count, torch.get_num_threads(), bundle.unet.dtype)
    if key not in known:
        known[key] = _agrees(bundle, width, height, count)
    return known[key]


@torch.inference_mode()
def _agrees(
    bundle: Bundle,
    width: int,
    height: int,
    count: int,
) -> bool:
    """Whether one step of `count` random items is, bit for bit, that of each alone."""
    random = torch.Generator().manual_seed(count)
    info = bundle.info

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(count, *shape, generator=random)

    maps = StructureMaps(
        draw(len(info.classes), height // 2, width // 2).sigmoid(),
        torch.ones(count),
        draw(3, height, width).tanh(),
        (draw(1, height, width) > 0).float(),
    )
    noisy = draw(len(info.latent_mean), height // FACTOR, width // FACTOR)
    style = draw(style_length(len(info.style_mean), len(info.labels)))
    times = torch.linspace(0.1, 0.9, count)

    def step(items: slice) -> torch.Tensor:
        told = StructureMaps(
            maps.nuclei[items],
            maps.told[items],
            maps.known[items],
            maps.mask[items],
        )
        return bundle.denoiser.raw(
            noisy[items],
            times[items],
            bundle.features(told),
            style[items],
        )

    alone = torch.cat([step(slice(index, index + 1)) for index in range(count)])
    return torch.equal(step(slice(None)), alone)
