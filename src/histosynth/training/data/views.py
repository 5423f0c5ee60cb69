"""Cached views: each tile in several poses, stains and sub-grid offsets, encoded once.

A view is a tile turned, shifted by less than one latent cell, brought to canonical stain (fitted
on a random part of it, so that training includes the fit's own error) and encoded. Training then
cuts crops out of latents. The cache is one memory-mapped safetensors file, so that two runs share
one copy in memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderDC
from torch import Tensor

from ...core.errors import BadWeights
from ...core.geometry import Size
from ...core.nuclei import Nuclei
from ...core.progress import ProgressCallback
from ...core.tile import Pixels
from ...model import autoencoder as ae
from ...tensors.files import open_tensors, write_tensors
from ...tissue.appearance import fit_stain_frame, measure_style
from ...tissue.augment import pose, restain, stain_matrix
from .sources import Example

VIEW_SEED = 1
"""Source of the cached views' poses and stains: another seed would only mean another cache."""
STYLES_PER_VIEW = 5
"""Style vectors kept of each view: of the whole tile, and of four random parts of it."""
_POSES = 8
_MIN_STAIN_PART = 0.5
"""Least share of each side of the part that the stain is fitted on."""
_MIN_STYLE_PART = 0.4
"""Least share of each side of a part that a style is measured on."""


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
    def size(self) -> Size:
        """In pixels."""
        height, width = self.pixels.shape[:2]
        return Size(width, height)


@dataclass(frozen=True)
class _ViewPose:
    """How one view is made from its tile.

    Attributes:
        index: of the pose, 0..7.
        dx, dy: pixels that are cut off on the left and at the top.
        seed: of the stain and of the random parts.
    """

    index: int
    dx: int
    dy: int
    seed: int

    @property
    def is_original(self) -> bool:
        """Whether the tile is neither turned nor shifted."""
        return not self.index and not self.dx and not self.dy


@dataclass(frozen=True)
class _ViewPlan:
    """How the views of all tiles are made.

    Attributes:
        count: views of each tile.
        stain_jitter: strength of `stain_matrix`.
        seed: source of poses and jitter.
        whole: turn tiles, and do not shift them.
    """

    count: int
    stain_jitter: float
    seed: int
    whole: bool

    def pose(
        self,
        size: tuple[int, int],
        tile: int,
        view: int,
    ) -> _ViewPose:
        """The pose of a view, from the seed and the indices of tile and view alone."""
        return _pose(
            size,
            tile,
            view,
            seed=self.seed,
            whole=self.whole,
        )


def open_views(
    path: Path,
    examples: Sequence[Example],
    autoencoder: AutoencoderDC,
    *,
    views: int,
    stain_jitter: float,
    seed: int,
    whole: bool = False,
    on_progress: ProgressCallback | None = None,
) -> list[list[LatentView]]:
    """The views of each example, from the cache at `path`, which is written if absent or damaged.

    Args:
        path: the safetensors file.
        examples: tiles of at least one latent cell.
        autoencoder: encodes; the caller keys `path` by its weights and by `tiles_sha256`.
        views: how many per tile; the first is the tile as it is.
        stain_jitter: strength of `tissue.augment.stain_matrix`; the first view has none.
        seed: source of poses and jitter.
        whole: turn tiles, and do not shift them by a part of a latent cell, which costs them up to
            8 px.
        on_progress: called with the tiles encoded so far and in all.
    """
    plan = _ViewPlan(
        views,
        stain_jitter,
        seed,
        whole,
    )
    cached = _read_cache(path, examples, plan)
    if cached is not None:
        return cached
    encoded = _encode_all(
        examples,
        autoencoder,
        plan,
        on_progress,
    )
    tensors = dict(encoded)
    write_tensors(path, tensors)
    return _read_all(path, examples, plan)


def view_sides(
    size: tuple[int, int],
    index: int,
    views: int,
    *,
    whole: bool = False,
) -> list[int]:
    """The shorter side of each view of the tile at `index`, whose (width, height) is `size`, px.

    A tile of less than one latent cell has views of 0 px.
    """
    if min(size) < ae.FACTOR:
        return [0] * views
    sides = []
    for view in range(views):
        pose_of_view = _pose(
            size,
            index,
            view,
            seed=VIEW_SEED,
            whole=whole,
        )
        is_turned = pose_of_view.index % 2 == 1
        width, height = size[::-1] if is_turned else size
        shorter = min(width - pose_of_view.dx, height - pose_of_view.dy)
        sides.append(_whole_cells(shorter))
    return sides


def tiles_sha256(examples: Sequence[Example]) -> str:
    """Digest of the tiles' names and pixels, in order: what a cache of their views is keyed by."""
    digest = hashlib.sha256()
    for example in examples:
        pixels = example.tile.pixels
        digest.update(f"{example.tile.ref.slide} {pixels.shape}".encode())
        digest.update(np.ascontiguousarray(pixels).tobytes())
    return digest.hexdigest()


def _read_cache(
    path: Path,
    examples: Sequence[Example],
    plan: _ViewPlan,
) -> list[list[LatentView]] | None:
    """The cached views, if they are all there."""
    if not path.is_file():
        return None
    try:
        return _read_all(path, examples, plan)
    except (BadWeights, KeyError, ValueError):
        return None


def _read_all(
    path: Path,
    examples: Sequence[Example],
    plan: _ViewPlan,
) -> list[list[LatentView]]:
    views = []
    with open_tensors(path) as file:
        for tile, example in enumerate(examples):
            own = []
            for view in range(plan.count):
                pose_of_view = plan.pose(example.tile.size, tile, view)
                name = _cache_key(tile, view)
                own.append(_read_view(file, example, name, pose_of_view))
            views.append(own)
    return views


def _cache_key(tile: int, view: int) -> str:
    """Prefix of the names of a view's tensors."""
    return f"{tile:05d}.{view:03d}"


def _read_view(
    file: Any,
    example: Example,
    name: str,
    pose_of_view: _ViewPose,
) -> LatentView:
    nuclei = example.nuclei
    if nuclei is not None:
        turned = nuclei.pose(pose_of_view.index)
        nuclei = turned.shift(-pose_of_view.dx, -pose_of_view.dy)
    return LatentView(
        latents=file.get_tensor(f"{name}.latents"),
        pixels=file.get_tensor(f"{name}.pixels"),
        styles=file.get_tensor(f"{name}.styles"),
        nuclei=nuclei,
        label=example.label,
        share=example.share,
    )


def _encode_all(
    examples: Sequence[Example],
    autoencoder: AutoencoderDC,
    plan: _ViewPlan,
    on_progress: ProgressCallback | None,
) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors of all views."""
    for tile, example in enumerate(examples):
        for view in range(plan.count):
            pose_of_view = plan.pose(example.tile.size, tile, view)
            canonical, styles = _canonical(
                example.tile.pixels,
                pose_of_view,
                plan.stain_jitter if view else 0.0,
            )
            name = _cache_key(tile, view)
            yield f"{name}.latents", _encode(autoencoder, canonical)
            yield f"{name}.pixels", torch.from_numpy(canonical.round().astype(np.uint8))
            yield f"{name}.styles", torch.from_numpy(styles)
        if on_progress:
            on_progress(tile + 1, len(examples))


@torch.inference_mode()
def _encode(autoencoder: AutoencoderDC, canonical: np.ndarray) -> Tensor:
    """(C, h, w) float16 latents of a picture (H, W, 3) in 0..255."""
    signal = ae.to_signal(torch.from_numpy(canonical))[None]
    signal = signal.to(memory_format=torch.channels_last)
    latents = ae.encode(autoencoder, signal)[0]
    return latents.half().cpu().contiguous()


def _canonical(
    pixels: Pixels,
    pose_of_view: _ViewPose,
    stain_jitter: float,
) -> tuple[np.ndarray, np.ndarray]:
    """A view in canonical stain (H, W, 3) float, and its styles (5, S)."""
    random = np.random.default_rng(pose_of_view.seed)
    turned = np.ascontiguousarray(pose(pixels, pose_of_view.index))
    turned = turned[pose_of_view.dy :, pose_of_view.dx :]
    height = _whole_cells(turned.shape[0])
    width = _whole_cells(turned.shape[1])
    turned = turned[:height, :width]
    if stain_jitter:
        stained = restain(turned, stain_matrix(random, stain_jitter))
        turned = stained.round().astype(np.uint8)
    min_share = 1.0 if pose_of_view.is_original else _MIN_STAIN_PART
    fitted_on = _random_part(random, turned, min_share)
    frame = fit_stain_frame(np.ascontiguousarray(fitted_on))
    canonical = frame.to_canonical(turned)
    parts = [canonical]
    for _ in range(STYLES_PER_VIEW - 1):
        parts.append(_random_part(random, canonical, _MIN_STYLE_PART))
    styles = [measure_style(part) for part in parts]
    return canonical, np.stack(styles)


def _whole_cells(length: int) -> int:
    """The part of a length in pixels that whole latent cells cover."""
    return length // ae.FACTOR * ae.FACTOR


def _random_part(
    random: np.random.Generator,
    pixels: np.ndarray,
    min_share: float,
) -> np.ndarray:
    """A random rectangle of at least `min_share` of each side."""
    height, width = pixels.shape[:2]
    part_height = int(height * random.uniform(min_share, 1.0))
    part_width = int(width * random.uniform(min_share, 1.0))
    top = random.integers(0, height - part_height + 1)
    left = random.integers(0, width - part_width + 1)
    return pixels[top : top + part_height, left : left + part_width]


def _pose(
    size: tuple[int, int],
    tile: int,
    view: int,
    *,
    seed: int,
    whole: bool,
) -> _ViewPose:
    """The pose of a view of a tile whose (width, height) is `size`.

    The first view is the tile as it is.
    """
    if view == 0:
        return _ViewPose(0, 0, 0, seed)
    random = np.random.default_rng([seed, tile, view])
    max_dx = 1
    max_dy = 1
    if not whole:
        max_dx, max_dy = (min(ae.FACTOR, side - ae.FACTOR + 1) for side in size)
    return _ViewPose(
        view % _POSES,
        int(random.integers(max_dx)),
        int(random.integers(max_dy)),
        int(random.integers(2**31)),
    )
