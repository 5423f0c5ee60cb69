"""How many pictures may be sampled together without changing a bit of any of them.

Libraries choose how to sum by the shape of a batch, so the last bits of a picture could depend on
the other pictures of its batch. Whether they do depends on processor, library and size; it is
therefore tried, once for each, on the networks themselves: every item of a random batch against the
item alone.
"""

from __future__ import annotations

import math
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from ..core.geometry import Size
from ..model.autoencoder import FACTOR
from ..model.bundle import Bundle
from ..model.conditioning import random_maps, style_length

MAX_CPU_PIXELS = 8 * 256 * 256
"""Pixels sampled together on a CPU: more only use more memory."""

_results: WeakKeyDictionary[Bundle, dict[tuple[object, ...], bool]] = WeakKeyDictionary()


def max_batch(bundle: Bundle, size: tuple[int, int], wanted: int) -> int:
    """How many tiles of `size` (width, height) to sample at a time, at most `wanted`."""
    if bundle.device.type != "cpu":
        return wanted
    width, height = size
    fitting = MAX_CPU_PIXELS // (width * height)
    return max(min(wanted, fitting), 1)


def is_batch_exact(bundle: Bundle, size: tuple[int, int], count: int) -> bool:
    """Whether `count` tiles of `size` (width, height) sampled together equal each sampled alone.

    Tried once on a CPU. On an accelerator it is assumed: there, pictures of other batch sizes may
    differ in their last bits.
    """
    if bundle.device.type != "cpu" or count == 1:
        return True
    grid = bundle.grid_px
    width, height = (math.ceil(side / grid) * grid for side in size)
    results = _results.setdefault(bundle, {})
    key = (
        width,
        height,
        count,
        torch.get_num_threads(),
        bundle.unet.dtype,
    )
    if key not in results:
        results[key] = _try_batch(bundle, width, height, count)
    return results[key]


@torch.inference_mode()
def _try_batch(
    bundle: Bundle,
    width: int,
    height: int,
    count: int,
) -> bool:
    """Whether one step of `count` random items equals, bit for bit, the step of each alone."""
    random = torch.Generator().manual_seed(count)
    info = bundle.info

    def draw(*shape: int) -> Tensor:
        return torch.randn(count, *shape, generator=random)

    maps = random_maps(
        count,
        classes=len(info.classes),
        size=Size(width, height),
        generator=random,
    )
    noisy = draw(
        len(info.latent_mean),
        height // FACTOR,
        width // FACTOR,
    )
    style = draw(style_length(len(info.style_mean), len(info.labels)))
    times = torch.linspace(0.1, 0.9, count)

    def step(items: slice) -> Tensor:
        features = bundle.features(maps.picked(items))
        return bundle.denoiser.predict(
            noisy[items],
            times[items],
            features,
            style[items],
        )

    together = step(slice(None))
    alone = [step(slice(index, index + 1)) for index in range(count)]
    return torch.equal(together, torch.cat(alone))
