"""One window in one phase: from what the phases before left of it to what this one adds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..core.arrays import Float32Array
from ..core.geometry import Box
from ..core.store import remove_file
from ..model.structure import StructureFeatures
from ..sampling.painter import guided_denoise, network_features
from .kept_features import features_file, keep_features, kept_features
from .opened import OpenedScene, as_float32, pixels_of
from .part_files import has_array, read_array, write_array
from .phases import Phase

_STORED = np.float16


@dataclass(frozen=True, eq=False)
class LatentFiles:
    """Latents of a scene's windows in a folder.

    Attributes:
        opened: the scene.
        folder: of the parts.
    """

    opened: OpenedScene
    folder: Path

    def path(self, phase: int, column: int, row: int) -> Path:
        """Of a window in a phase."""
        return window_file(
            self.folder,
            phase,
            column,
            row,
        )

    def shape(self, phase: int, column: int, row: int) -> tuple[int, ...]:
        """Of the array of a window: the estimates of a phase's calls, or the clean latents."""
        window = self.opened.lattice.window(column, row)
        count = 1
        if phase + 1 < self.opened.plan.count:
            part = self.opened.plan.phases[phase]
            count = part.last - part.first
        return count, self.opened.channels, window.height, window.width

    def read(self, phase: int, column: int, row: int) -> Float32Array:
        """A window's latents.

        Raises:
            OSError: they are absent or damaged.
        """
        stored = read_array(
            self.path(
                phase,
                column,
                row,
            ),
            self.shape(
                phase,
                column,
                row,
            ),
            _STORED,
        )
        return as_float32(stored)

    def has(self, phase: int, column: int, row: int) -> bool:
        """Whether a window's latents are there and whole."""
        return has_array(
            self.path(
                phase,
                column,
                row,
            ),
            self.shape(
                phase,
                column,
                row,
            ),
            _STORED,
        )

    def write(self, phase: int, column: int, row: int, values: NDArray[np.generic]) -> None:
        """Keep a window's latents."""
        write_array(
            self.path(
                phase,
                column,
                row,
            ),
            values.astype(_STORED),
        )

    def blended(self, phase: int, cells: Box) -> Float32Array:
        """Latents of any cells of the canvas, (N, C, h, w), from all windows that hold some."""
        lattice = self.opened.lattice
        total: Float32Array | None = None
        for column, row in lattice.covering(cells):
            window = lattice.window(column, row)
            common = window.intersect(cells)
            if common is None:
                continue
            values = self.read(
                phase,
                column,
                row,
            )
            if total is None:
                total = np.zeros((*values.shape[:2], *cells.size.shape), np.float32)
            inside = common.shift(-window.x, -window.y).slices
            place = common.shift(-cells.x, -cells.y).slices
            weights = lattice.weights(column, row)[inside]
            total[..., place[0], place[1]] += weights * values[..., inside[0], inside[1]]
        if total is None:
            raise OSError(f"no window holds the cells at {cells.x}, {cells.y}")
        return total


def window_file(folder: Path, phase: int, column: int, row: int) -> Path:
    """The file of a window's latents in a phase."""
    return folder / "latents" / f"phase-{phase + 1}" / f"{row:06d}" / f"{column:06d}.f16"


@torch.inference_mode()
def paint_window(files: LatentFiles, phase: int, column: int, row: int) -> None:
    """Do a phase's calls of a window, and keep what comes of them."""
    opened = files.opened
    cells = opened.lattice.window(column, row)
    if _holds_no_tissue(opened, cells):
        latents = opened.glass_latents[:, None, None]
        values = np.broadcast_to(
            latents,
            files.shape(
                phase,
                column,
                row,
            ),
        )
        files.write(
            phase,
            column,
            row,
            values,
        )
        return
    estimates = _Estimates(
        files,
        phase,
        cells,
    )
    features = features_file(
        files.folder,
        column,
        row,
    )
    denoise = guided_denoise(
        opened.bundle,
        _features_of(
            opened,
            features,
            cells,
        ),
        opened.style,
        opened.scene.settings,
    )
    plan = opened.plan.plan
    part = opened.plan.phases[phase]
    for index in range(part.first, part.last):
        call = plan.calls[index]
        noisy = estimates.mixed(call.noise, call.estimates)
        time = torch.full(
            (1,),
            call.time,
            device=opened.bundle.device,
        )
        clean = denoise(noisy.to(opened.bundle.device), time)
        clean = opened.with_glass(
            clean.float().cpu(),
            cells,
        )
        estimates.add(index, clean)
    if phase + 1 < opened.plan.count:
        own = [estimates.of(index) for index in range(part.first, part.last)]
        files.write(
            phase,
            column,
            row,
            torch.cat(own).numpy(),
        )
        return
    result = estimates.mixed(plan.noise, plan.estimates)
    files.write(
        phase,
        column,
        row,
        result.numpy(),
    )
    remove_file(features)


def _features_of(opened: OpenedScene, path: Path, cells: Box) -> list[StructureFeatures]:
    """Features of a window: those that an earlier phase has kept, or new ones."""
    kept = kept_features(path)
    if kept is not None:
        return [each.to(opened.bundle.device) for each in kept]
    features = network_features(
        opened.bundle,
        opened.maps(cells),
        opened.scene.settings,
    )
    if opened.plan.count > 1:
        keep_features(path, features)
    return features


def _holds_no_tissue(opened: OpenedScene, cells: Box) -> bool:
    empty = opened.empty(pixels_of(cells))
    return empty is not None and bool(empty.all())


class _Estimates:
    """Estimates of a window so far: blended ones of earlier phases, its own of this one."""

    def __init__(self, files: LatentFiles, phase: int, cells: Box) -> None:
        self._files = files
        self._cells = cells
        self._earlier: list[Phase] = list(files.opened.plan.phases[:phase])
        self._known: dict[int, Tensor] = {}
        self._noise: Tensor | None = None

    def add(self, index: int, estimate: Tensor) -> None:
        """Note the estimate (1, C, h, w) of a call."""
        self._known[index] = estimate

    def of(self, index: int) -> Tensor:
        """The estimate (1, C, h, w) of a call."""
        if index not in self._known:
            self._read(index)
        return self._known[index]

    def mixed(self, noise: float, weights: tuple[float, ...]) -> Tensor:
        """Noise and estimates added up with these weights, (1, C, h, w)."""
        parts = []
        if noise:
            if self._noise is None:
                self._noise = self._files.opened.noise(self._cells)
            parts.append(noise * self._noise)
        parts += [weight * self.of(index) for index, weight in enumerate(weights) if weight]
        total = parts[0]
        for each in parts[1:]:
            total = total + each
        return total

    def _read(self, index: int) -> None:
        """All estimates of the phase in which a call was done."""
        for number, part in enumerate(self._earlier):
            if part.first <= index < part.last:
                blended = self._files.blended(number, self._cells)
                for place, call in enumerate(range(part.first, part.last)):
                    self._known[call] = torch.from_numpy(blended[place : place + 1])
