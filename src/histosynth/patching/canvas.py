"""Tissue for a region of a canvas: in one window, or in windows that are blended at every step.

Windows that are sampled alone and joined afterwards show their borders. Blended at each step of the
solver with one noise for all (MultiDiffusion, Bar-Tal et al. 2023), they do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..core.condition import Condition, Context
from ..core.geometry import Box, Size
from ..core.nuclei import Nuclei
from ..core.tile import Mask, Pixels
from ..model import autoencoder as ae
from ..model.autoencoder import FACTOR
from ..model.bundle import Bundle
from ..model.conditioning import conditions_of, encode_conditions
from ..model.denoiser import Denoise
from ..model.inner_decoding import decoder_reach
from ..sampling.complete import complete
from ..sampling.exemplar_start import hold_start
from ..sampling.few_steps import with_few_steps
from ..sampling.finishing import in_appearance
from ..sampling.groups import with_drawn_shapes
from ..sampling.items import SampleItem
from ..sampling.painter import (
    SamplingSettings,
    decode_canonical,
    guided_denoise,
    network_features,
)
from ..sampling.provenance import LOCAL, condition_key
from ..sampling.solvers import item_generator, item_noise, solve
from ..tissue.appearance import measure_appearance
from ..tissue.blend import paste
from .local_start import local_start

WINDOW_PX = 1024
OVERLAP_PX = 256
_HALO_CELLS = 10
"""Latent cells around a part that is decoded: more do not matter."""
_DECODED_CELLS = 96
_ALL_CELLS = 1 << 20


@dataclass(frozen=True, eq=False)
class Canvas:
    """A picture with a region to paint.

    Attributes:
        pixels: (H, W, 3) uint8 at the bundle's scale; values inside the mask are not used.
        mask: (H, W) bool.
        nuclei: of the whole canvas; None: the network's choice.
    """

    pixels: Pixels
    mask: Mask
    nuclei: Nuclei | None

    @property
    def size(self) -> Size:
        """(width, height) px."""
        height, width = self.mask.shape
        return Size(width, height)


def paint_canvas(
    bundle: Bundle,
    canvas: Canvas,
    settings: SamplingSettings,
    seed: int,
) -> Pixels:
    """The canvas with tissue in its mask, equal elsewhere; (H, W, 3) uint8.

    Args:
        bundle: the networks.
        canvas: of sides of at least the bundle's smallest.
        settings: how to sample.
        seed: with the canvas' content the source of all randomness.
    """
    most = min(WINDOW_PX, bundle.info.most_px)
    if max(canvas.size) <= most:
        condition = Condition(
            canvas.nuclei,
            canvas.size,
            context=Context(canvas.pixels, canvas.mask),
        )
        pictures = complete(
            bundle,
            [condition],
            seed=seed,
            settings=settings,
            batch=1,
        )
        _, picture = next(iter(pictures))
        return np.array(picture.pixels)
    return _in_windows(
        bundle,
        canvas,
        settings,
        seed,
    )


def _in_windows(
    bundle: Bundle,
    canvas: Canvas,
    settings: SamplingSettings,
    seed: int,
) -> Pixels:
    adapter, settings = with_few_steps(bundle, LOCAL, settings)
    merged = bundle.with_merged_adapter(adapter)
    height, width = canvas.mask.shape
    item = _item(bundle, _on_grid(canvas, bundle.grid_px), seed)
    context = item.condition.context
    if context is None:
        raise ValueError("a canvas has known pixels")
    start = None
    if settings.exemplar:
        start = local_start(
            item.condition,
            item.appearance.frame,
            item.generator.initial_seed(),
            settings.nuclei_time,
        )
    begin = context.pixels if start is None else start.pixels
    latents = _encoded(merged, item.appearance.frame.to_canonical(begin))
    noise = item_noise(tuple(latents.shape[1:]), [item.generator])  # type: ignore[arg-type]
    denoise = _blended(
        _windows(merged, item, settings),
        latents,
    )
    if start is not None:
        times = torch.from_numpy(start.times)[None, None]
        denoise = hold_start(denoise, latents, times)
    with torch.inference_mode():
        clean = solve(
            denoise,
            noise.to(merged.device),
            steps=settings.steps,
            solver=settings.solver,
            shift=settings.shift,
        )
    painted = in_appearance(
        item,
        _decoded(merged, clean),
        merged.grain,
        grain=settings.grain,
    )
    pasted = paste(
        context.pixels,
        painted,
        context.mask,
        copied=None if start is None else (start.pixels, start.ground),
        raises_grain=settings.grain and merged.grain is None,
    )
    return pasted[:height, :width]


def _on_grid(canvas: Canvas, grid_px: int) -> Canvas:
    """The same, its last pixels repeated up to the bundle's grid."""
    height, width = canvas.mask.shape
    spare = ((0, -height % grid_px), (0, -width % grid_px))
    nuclei = canvas.nuclei
    if nuclei is not None:
        size = Size(width + spare[1][1], height + spare[0][1])
        nuclei = replace(nuclei, size=size)
    return Canvas(
        np.pad(canvas.pixels, (*spare, (0, 0)), mode="edge"),
        np.pad(canvas.mask, spare, mode="edge"),
        nuclei,
    )


def _item(
    bundle: Bundle,
    canvas: Canvas,
    seed: int,
) -> SampleItem:
    condition = Condition(
        canvas.nuclei,
        canvas.size,
        context=Context(canvas.pixels, canvas.mask),
    )
    # hue is matched when the region is pasted, on both sides of its boundary
    appearance = replace(measure_appearance(canvas.pixels, canvas.mask), hue=None)
    generator = item_generator(seed, condition_key(condition))
    item = SampleItem(condition, appearance, generator)
    return replace(item, condition=with_drawn_shapes(item, bundle))


@dataclass(frozen=True, eq=False)
class _Window:
    """A window's estimate.

    Attributes:
        cells: of the latents.
        denoise: of these cells.
    """

    cells: Box
    denoise: Denoise


@torch.inference_mode()
def _windows(
    bundle: Bundle,
    item: SampleItem,
    settings: SamplingSettings,
) -> list[_Window]:
    """Windows over all that is to be painted."""
    side = min(WINDOW_PX, bundle.info.most_px) // bundle.grid_px * bundle.grid_px
    mask = item.condition.mask
    size = item.condition.size
    found = []
    for y, height in _spans(size.height, side):
        for x, width in _spans(size.width, side):
            box = Box(
                x,
                y,
                width,
                height,
            )
            if not mask[box.slices].any():
                continue
            given = conditions_of(
                _cropped(item.condition, box),
                item.appearance,
                bundle.label_index(item.condition.label),
            )
            conditioning = encode_conditions(
                [given],
                bundle.info,
                size=box.size,
                grid_px=bundle.grid_px,
                device=bundle.device,
            )
            features = network_features(
                bundle,
                conditioning.maps,
                settings,
            )
            denoise = guided_denoise(
                bundle,
                features,
                conditioning.style.to(bundle.device),
                settings,
            )
            cells = Box(
                *(
                    value // FACTOR
                    for value in (
                        x,
                        y,
                        width,
                        height,
                    )
                )
            )
            found.append(_Window(cells, denoise))
    return found


def _spans(length: int, side: int) -> list[tuple[int, int]]:
    """(start, length) of windows along an axis, evenly spread, each on a latent cell."""
    if length <= side:
        return [(0, length)]
    count = -(-(length - OVERLAP_PX) // (side - OVERLAP_PX))
    starts = np.linspace(0, (length - side) // FACTOR, count).round().astype(int) * FACTOR
    return [(start, side) for start in starts.tolist()]


def _cropped(condition: Condition, box: Box) -> Condition:
    """A window of a condition; one that is all to be painted has no context."""
    context = condition.context
    nuclei = condition.nuclei
    if context is None:
        raise ValueError("a canvas has known pixels")
    mask = context.mask[box.slices]
    own = None if mask.all() else Context(context.pixels[box.slices], mask)
    return Condition(
        None if nuclei is None else nuclei.crop(box),
        box.size,
        condition.label,
        own,
    )


def _blended(windows: Sequence[_Window], known: Tensor) -> Denoise:
    """One estimate of all windows: by Hann weights where they overlap, known latents elsewhere."""
    weights = torch.zeros(known.shape[-2:])
    own = []
    for window in windows:
        weight = _hann(window.cells)
        weights[window.cells.slices] += weight
        own.append(weight)
    is_covered = weights > 0

    def denoise(noisy: Tensor, time: Tensor) -> Tensor:
        total = torch.zeros_like(noisy)
        for window, weight in zip(windows, own, strict=True):
            rows, columns = window.cells.slices
            estimate = window.denoise(noisy[..., rows, columns], time)
            total[..., rows, columns] += weight.to(noisy) * estimate
        mean = total / weights.clamp(min=1e-9).to(noisy)
        return torch.where(is_covered.to(noisy.device), mean, known.to(noisy))

    return denoise


def _hann(cells: Box) -> Tensor:
    """(h, w) weights that fall to nearly nothing at a window's border."""
    down = np.sin(np.pi * (np.arange(cells.height) + 0.5) / cells.height) ** 2
    across = np.sin(np.pi * (np.arange(cells.width) + 0.5) / cells.width) ** 2
    return torch.from_numpy(np.outer(down, across).astype(np.float32))


@torch.inference_mode()
def _encoded(bundle: Bundle, canonical: NDArray[np.float32]) -> Tensor:
    """Standardised latents (1, C, h, w) of a picture in canonical stain, part by part."""
    signal = ae.to_signal(torch.from_numpy(canonical))[None]

    def encode(part: Tensor) -> Tensor:
        latents = ae.encode(bundle.autoencoder, part.to(bundle.device))
        return bundle.standardise(latents).float()

    rows, columns = (side // FACTOR for side in signal.shape[-2:])
    out = torch.zeros(
        1,
        len(bundle.info.latent_mean),
        rows,
        columns,
        device=bundle.device,
    )
    for core, around in _parts(rows, columns, _part_cells(bundle)):
        y, x = (FACTOR * around.y, FACTOR * around.x)
        part = signal[
            ...,
            y : y + FACTOR * around.height,
            x : x + FACTOR * around.width,
        ]
        inside = core.shift(-around.x, -around.y).slices
        out[..., core.slices[0], core.slices[1]] = encode(part)[..., inside[0], inside[1]]
    return out


def _decoded(bundle: Bundle, latents: Tensor) -> NDArray[np.float32]:
    """(H, W, 3) float32 in [0, 255], canonical stain, part by part."""
    rows, columns = latents.shape[-2:]
    out = np.empty((FACTOR * rows, FACTOR * columns, 3), np.float32)
    for core, around in _parts(rows, columns, _part_cells(bundle)):
        part = latents[..., around.slices[0], around.slices[1]]
        pixels = decode_canonical(bundle, part)[0].numpy()
        inside = _times(core.shift(-around.x, -around.y)).slices
        out[_times(core).slices] = pixels[inside]
    return out


def _times(cells: Box) -> Box:
    """The pixels of latent cells."""
    return Box(
        *(
            FACTOR * value
            for value in (
                cells.x,
                cells.y,
                cells.width,
                cells.height,
            )
        )
    )


def _part_cells(bundle: Bundle) -> int:
    """Side of a part; a decoder that looks farther than a part's surroundings gets all at once."""
    reach = decoder_reach(bundle.autoencoder)
    is_near = reach is not None and reach <= _HALO_CELLS
    return _DECODED_CELLS if is_near else _ALL_CELLS


def _parts(
    rows: int,
    columns: int,
    side: int,
) -> list[tuple[Box, Box]]:
    """Parts of latents, and the same with what around them matters."""
    whole = Box(
        0,
        0,
        columns,
        rows,
    )
    found = []
    for y in range(0, rows, side):
        for x in range(0, columns, side):
            part = Box(
                x,
                y,
                side,
                side,
            )
            grown = Box(
                x - _HALO_CELLS,
                y - _HALO_CELLS,
                side + 2 * _HALO_CELLS,
                side + 2 * _HALO_CELLS,
            )
            core = whole.intersect(part)
            around = whole.intersect(grown)
            if core is not None and around is not None:
                found.append((core, around))
    return found
