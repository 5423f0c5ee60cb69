"""Cached views: each tile in several poses, stains and sub-grid offsets, encoded once.

A view is a tile turned, shifted by less than one latent cell, brought to canonical stain (fitted
on a random part of it, so that the fit's own error is seen in training) and encoded. Training
then cuts crops out of latents. The cache is one memory-mapped safetensors file, so that two runs
share one copy in memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderDC
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ...core.nuclei import Nuclei
from ...core.store import atomic_write
from ...core.tile import Pixels
from ...model import autoencoder as ae
from ...tissue.appearance import fit_stain_frame, measure_style
from ...tissue.augment import pose, restain, stain_matrix
from .sources import Example

VIEW_SEED = 1
"""Source of the cached views' poses and stains: another seed would only mean another cache."""
STYLES = 5
"""Style vectors kept per view: of the whole tile, and of four random parts of it."""


@dataclass(frozen=True, eq=False)
class LatentView:
    """One encoded pose of one tile.

    Attributes:
        latents: (C, h, w) float16, raw.
        pixels: (8 h, 8 w, 3) uint8, canonical stain.
        styles: (5, S) float32, natural units.
        nuclei: centroids in the view's frame, or None.
        label: the tile's label, may be empty.
        share: how often the tile is drawn, against others.
    """

    latents: Tensor
    pixels: Tensor
    styles: Tensor
    nuclei: Nuclei | None
    label: str
    share: float = 1.0

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]


@dataclass(frozen=True)
class _Pose:
    index: int
    dx: int
    dy: int
    seed: int


def open_views(
    path: Path,
    examples: Sequence[Example],
    autoencoder: AutoencoderDC,
    *,
    views: int,
    stain_jitter: float,
    seed: int,
    whole: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[list[LatentView]]:
    """The views of each example, from the cache at `path`, which is made if absent or spoilt.

    Args:
        path: the safetensors file.
        examples: tiles of at least one latent cell.
        autoencoder: encodes; the caller keys `path` by its weights and by `tiles_sha256`.
        views: how many per tile; the first is the tile as it is.
        stain_jitter: strength of `prepare.augment.stain_matrix`; the first view has none.
        seed: source of poses and jitter.
        whole: turn tiles, and do not shift them by a part of a latent cell, which costs them up to
            8 px.
        on_progress: told (done, total) while encoding.
    """
    kept = _kept(path, examples, views, seed=seed, whole=whole)
    if kept is None:
        tensors = dict(
            _encode_all(
                examples,
                autoencoder,
                views=views,
                stain_jitter=stain_jitter,
                seed=seed,
                whole=whole,
                on_progress=on_progress,
            )
        )
        with atomic_write(path) as temporary:
            save_file(tensors, temporary)
        kept = _read_all(path, examples, views, seed=seed, whole=whole)
    return kept


def view_sides(
    size: tuple[int, int],
    index: int,
    views: int,
    *,
    whole: bool = False,
) -> list[int]:
    """The shorter side of each view of the tile at `index`, whose (width, height) is `size`, in
    pixels.

    A tile of less than one latent cell has views of 0 px.
    """
    if min(size) < ae.FACTOR:
        return [0] * views
    sides = []
    for turn in (_pose(size, index, view, seed=VIEW_SEED, whole=whole) for view in range(views)):
        width, height = size[::-1] if turn.index % 2 else size
        sides.append(min(width - turn.dx, height - turn.dy) // ae.FACTOR * ae.FACTOR)
    return sides


def _kept(
    path: Path,
    examples: Sequence[Example],
    views: int,
    *,
    seed: int,
    whole: bool,
) -> list[list[LatentView]] | None:
    """The cached views, if they are all there."""
    if not path.is_file():
        return None
    try:
        return _read_all(path, examples, views, seed=seed, whole=whole)
    except (OSError, SafetensorError, KeyError, ValueError):
        return None


def _read_all(
    path: Path,
    examples: Sequence[Example],
    views: int,
    *,
    seed: int,
    whole: bool,
) -> list[list[LatentView]]:
    file = safe_open(path, framework="pt")
    return [
        [
            _read(
                file,
                example,
                f"{index:05d}.{view:03d}",
                _pose(
                    example.tile.size,
                    index,
                    view,
                    seed=seed,
                    whole=whole,
                ),
            )
            for view in range(views)
        ]
        for index, example in enumerate(examples)
    ]


def tiles_sha256(examples: Sequence[Example]) -> str:
    """Digest of the tiles' names and pixels, in order: what a cache of their views is keyed by."""
    whole = hashlib.sha256()
    for example in examples:
        whole.update(f"{example.tile.ref.slide} {example.tile.pixels.shape}".encode())
        whole.update(np.ascontiguousarray(example.tile.pixels).tobytes())
    return whole.hexdigest()


def _encode_all(
    examples: Sequence[Example],
    autoencoder: AutoencoderDC,
    *,
    views: int,
    stain_jitter: float,
    seed: int,
    whole: bool,
    on_progress: Callable[[int, int], None] | None,
) -> Iterator[tuple[str, Tensor]]:
    for index, example in enumerate(examples):
        for view in range(views):
            turn = _pose(
                example.tile.size,
                index,
                view,
                seed=seed,
                whole=whole,
            )
            canonical, styles = _canonical(example.tile.pixels, turn, stain_jitter if view else 0.0)
            signal = ae.to_signal(torch.from_numpy(canonical))[None]
            with torch.inference_mode():
                latents = ae.encode(autoencoder, signal.to(memory_format=torch.channels_last))[0]
            name = f"{index:05d}.{view:03d}"
            yield f"{name}.latents", latents.half().cpu().contiguous()
            yield f"{name}.pixels", torch.from_numpy(canonical.round().astype(np.uint8))
            yield f"{name}.styles", torch.from_numpy(styles)
        if on_progress:
            on_progress(index + 1, len(examples))


def _canonical(pixels: Pixels, turn: _Pose, stain_jitter: float) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(turn.seed)
    turned = np.ascontiguousarray(pose(pixels, turn.index))[turn.dy :, turn.dx :]
    height, width = (side // ae.FACTOR * ae.FACTOR for side in turned.shape[:2])
    turned = turned[:height, :width]
    if stain_jitter:
        turned = restain(turned, stain_matrix(random, stain_jitter)).round().astype(np.uint8)
    part = _part(random, turned, 0.5 if turn.index or turn.dx or turn.dy else 1.0)
    canonical = fit_stain_frame(np.ascontiguousarray(part)).to_canonical(turned)
    parts = [canonical] + [_part(random, canonical, 0.4) for _ in range(STYLES - 1)]
    return canonical, np.stack([measure_style(part) for part in parts])


def _part(random: np.random.Generator, pixels: np.ndarray, least: float) -> np.ndarray:
    """A random rectangle of at least `least` of each side."""
    tall, wide = (int(side * random.uniform(least, 1.0)) for side in pixels.shape[:2])
    top, left = (
        random.integers(0, side - cut + 1)
        for side, cut in zip(pixels.shape, (tall, wide), strict=False)
    )
    return pixels[top : top + tall, left : left + wide]


def _pose(
    size: tuple[int, int],
    index: int,
    view: int,
    *,
    seed: int,
    whole: bool,
) -> _Pose:
    if view == 0:
        return _Pose(0, 0, 0, seed)
    random = np.random.default_rng([seed, index, view])
    spare = [1 if whole else min(ae.FACTOR, side - ae.FACTOR + 1) for side in size]
    return _Pose(
        view % 8,
        int(random.integers(spare[0])),
        int(random.integers(spare[1])),
        int(random.integers(2**31)),
    )


def _read(
    file: Any,
    example: Example,
    name: str,
    turn: _Pose,
) -> LatentView:
    pixels = file.get_tensor(f"{name}.pixels")
    nuclei = example.nuclei
    if nuclei is not None:
        nuclei = nuclei.pose(turn.index).shift(-turn.dx, -turn.dy)
    return LatentView(
        latents=file.get_tensor(f"{name}.latents"),
        pixels=pixels,
        styles=file.get_tensor(f"{name}.styles"),
        nuclei=nuclei,
        label=example.label,
        share=example.share,
    )
