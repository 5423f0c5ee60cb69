"""A scene in one process: its networks, its lattice, and what is the same in all windows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from ..core.arrays import Float32Array
from ..core.condition import Condition
from ..core.errors import BadWeights
from ..core.geometry import Box, Size
from ..core.nuclei import Nuclei
from ..core.tile import Mask
from ..model import autoencoder as ae
from ..model.autoencoder import FACTOR
from ..model.bundle import Bundle
from ..model.conditioning import Conditioning, conditions_of, encode_conditions
from ..model.inner_decoding import NO_RIM, Rim
from ..model.opening import open_same_bundle
from ..model.structure import StructureMaps
from ..sampling.finishing import Finish
from ..sampling.painter import decode_canonical
from ..tissue.nucleus_sizes import draw_shapes
from ..tissue.position_hash import normal_at
from ..tissue.slide_orientation import MARGIN_PX, orientation_at
from .lattice import WINDOW_CELLS, Lattice, WindowAxis
from .phases import PhasedPlan, phased_plan
from .scene import BundlePlace, Scene

_NOISE_STREAM = 1 << 32
"""Keeps the noise apart from all else that is drawn from a slide's seed."""
_FIBRE_STREAM = 2 << 32
_GLASS_PX = 256
_GLASS_MARGIN_CELLS = 8
"""Around a window, in which tissue counts for how far glass is from any."""
_NEAR_TISSUE_CELLS = 3
"""As far the network paints glass; at twice as far it is all glass of one colour."""
_open_scenes: dict[str, OpenedScene] = {}
"""At most one: the scene that this process works on."""
_open_bundles: dict[BundlePlace, Bundle] = {}
"""At most one, with the adapter of its place merged."""


@dataclass(frozen=True, eq=False)
class OpenedScene:
    """See this module.

    Attributes:
        scene: what is painted.
        bundle: with the adapter merged.
        plan: of the solver.
        lattice: of the windows.
    """

    scene: Scene
    bundle: Bundle
    plan: PhasedPlan
    lattice: Lattice

    @property
    def channels(self) -> int:
        """Of latents."""
        return len(self.bundle.info.latent_mean)

    def noise(self, cells: Box) -> Tensor:
        """(1, C, h, w) unit normal: that of these places, whatever the window."""
        drawn = normal_at(
            self.scene.seed + _NOISE_STREAM,
            cells.x,
            cells.y,
            width=cells.width,
            height=cells.height,
            count=self.channels,
        )
        return torch.from_numpy(drawn.astype(np.float32))[None]

    def empty(self, box: Box) -> Mask | None:
        """(H, W) bool, True where a box holds no tissue; None: it is not stated, or nowhere."""
        mask = self.scene.layout.empty(box)
        return mask if mask is not None and mask.any() else None

    def with_glass(self, clean: Tensor, cells: Box) -> Tensor:
        """An estimate (1, C, h, w) of a window, which is glass where that is far from tissue.

        A network has seen glass beside tissue only, and tints wide areas of it.
        """
        around = grown(cells, _GLASS_MARGIN_CELLS)
        empty = self.empty(pixels_of(around))
        if empty is None:
            return clean
        by_cell = empty.reshape(
            around.height,
            FACTOR,
            around.width,
            FACTOR,
        )
        whole: Mask = np.asarray(by_cell.all(axis=(1, 3)))
        share = np.ones(whole.shape)
        if not whole.all():
            depth = ndimage.distance_transform_edt(whole)
            share = ((depth - _NEAR_TISSUE_CELLS) / _NEAR_TISSUE_CELLS).clip(0, 1)
        inside = cells.shift(-around.x, -around.y).slices
        weights = torch.from_numpy(share[inside].astype(np.float32))
        glass = torch.from_numpy(self.glass_latents)[:, None, None]
        return clean + weights * (glass - clean)

    def maps(self, cells: Box) -> StructureMaps:
        """What the structure encoder takes of a window that holds some tissue."""
        box = pixels_of(cells)
        condition = Condition(
            self._nuclei(box),
            box.size,
            self.scene.label,
            empty=self.empty(box),
        )
        return self._encoded(condition).maps

    @cached_property
    def style(self) -> Tensor:
        """(1, S) of the slide's appearance and label, on the bundle's device."""
        grid = self.bundle.grid_px
        condition = Condition(
            None,
            Size(grid, grid),
            self.scene.label,
        )
        return self._encoded(condition).style.to(self.bundle.device)

    def _encoded(self, condition: Condition) -> Conditioning:
        item = conditions_of(
            condition,
            self.scene.appearance,
            self.bundle.label_index(self.scene.label),
        )
        return encode_conditions(
            [item],
            self.bundle.info,
            size=condition.size,
            grid_px=self.bundle.grid_px,
            device=self.bundle.device,
        )

    def _nuclei(self, box: Box) -> Nuclei:
        """The nuclei of a window; those without a size have one drawn, by their place."""
        outer = grown(box, MARGIN_PX)
        around = self.scene.layout.window(outer)
        nuclei = around.crop(box.shift(-outer.x, -outer.y))
        bundle = self.bundle
        if not bundle.sizes:
            return nuclei
        fibres = None
        if bundle.orientation is not None:
            fibres = orientation_at(
                box,
                around,
                bundle.orientation,
                seed=self.scene.seed + _FIBRE_STREAM,
            )
        return draw_shapes(
            nuclei,
            bundle.sizes,
            seed=self.scene.seed,
            fibres=fibres,
            alignment=() if bundle.orientation is None else bundle.orientation.alignment,
            corner=(box.x, box.y),
        )

    def decoded(
        self,
        latents: Tensor,
        margins: Rim = NO_RIM,
    ) -> NDArray[np.float32]:
        """Latents (1, C, h, w) as (8 h, 8 w, 3) float32 in [0, 255], canonical stain.

        Args:
            latents: standardised ones.
            margins: cells on each side whose pixels are not wanted.

        Raises:
            BadWeights: a value is not finite.
        """
        decoded = decode_canonical(
            self.bundle,
            latents,
            margins,
        )
        pixels: NDArray[np.float32] = decoded[0].numpy()
        if not np.isfinite(pixels).all():
            raise BadWeights(self.scene.bundle.folder, "its pictures are not all finite")
        return pixels

    @cached_property
    def glass_latents(self) -> Float32Array:
        """(C,) standardised latents of glass, far from any tissue."""
        frame = self.scene.appearance.frame
        colour = frame.to_canonical(self.scene.appearance.glass())
        picture = np.broadcast_to(colour, (_GLASS_PX, _GLASS_PX, 3)).copy()
        with torch.inference_mode():
            signal = ae.to_signal(torch.from_numpy(picture))[None]
            latents = ae.encode(self.bundle.autoencoder, signal.to(self.bundle.device))
            standardised = self.bundle.standardise(latents)[0].float().cpu().numpy()
        middle = _GLASS_PX // FACTOR // 2
        return np.asarray(standardised[:, middle, middle])

    @cached_property
    def glass_colour(self) -> Float32Array:
        """(3,) of glass in a finished picture, far from any tissue."""
        cells = _GLASS_PX // FACTOR
        latents = np.broadcast_to(
            self.glass_latents[None, :, None, None],
            (1, self.channels, cells, cells),
        )
        canonical = self.decoded(torch.from_numpy(latents.copy()))
        finish = Finish(
            self.scene.appearance,
            self.scene.seed,
            None,
        )
        whole = np.ones(canonical.shape[:2], bool)
        whole[0, 0] = False  # the distance to tissue needs some
        picture = finish.applied(canonical, whole)
        return np.asarray(picture[_GLASS_PX // 2, _GLASS_PX // 2])

    @cached_property
    def finish(self) -> Finish:
        """What turns decoded pixels into finished ones."""
        appearance = self.scene.appearance
        if appearance.has_blocks:  # they flatten the reference's grain, and a slide has none
            appearance = replace(appearance, noise=None)
        return Finish(
            appearance,
            self.scene.seed,
            self.bundle.grain if self.scene.settings.grain else None,
        )


def open_scene(scene: Scene) -> OpenedScene:
    """The scene with its networks, opened once in a process.

    Raises:
        BadWeights: the bundle is no longer the one that the run began with.
    """
    key = scene.key
    if key not in _open_scenes:
        _open_scenes.clear()
        _open_scenes[key] = _open(scene)
    return _open_scenes[key]


def _open(scene: Scene) -> OpenedScene:
    bundle = _bundle_at(scene.bundle)
    return OpenedScene(
        scene,
        bundle,
        phased_plan(scene.settings),
        lattice_of(scene, bundle),
    )


def _bundle_at(place: BundlePlace) -> Bundle:
    """The networks of a place, opened once.

    Raises:
        BadWeights: they are no longer those that the run began with.
    """
    if place not in _open_bundles:
        bundle = open_same_bundle(
            place.folder,
            place.sha256,
            device=place.device,
            dtype=place.dtype,
        )
        keep_bundle(place, bundle)
    return _open_bundles[place]


def keep_bundle(place: BundlePlace, bundle: Bundle) -> None:
    """Take these networks, opened from a place, for what is painted with it."""
    _open_bundles.clear()
    _open_bundles[place] = bundle.with_merged_adapter(place.adapter)


def lattice_of(scene: Scene, bundle: Bundle) -> Lattice:
    """The windows of a slide, as large as the bundle allows up to 1,024 px."""
    grid = bundle.grid_px // FACTOR
    window = min(WINDOW_CELLS, bundle.info.most_px // FACTOR) // grid * grid
    axes = [
        WindowAxis(
            -(-side // FACTOR),
            window,
            -(-bundle.info.least_px // FACTOR),
            grid,
        )
        for side in scene.size
    ]
    return Lattice(*axes)


def pixels_of(cells: Box) -> Box:
    """The pixels of latent cells."""
    return Box(*(FACTOR * value for value in (cells.x, cells.y, cells.width, cells.height)))


def grown(box: Box, margin: int) -> Box:
    """A box with a margin around it."""
    return Box(
        box.x - margin,
        box.y - margin,
        box.width + 2 * margin,
        box.height + 2 * margin,
    )


def as_float32(values: NDArray[Any]) -> Float32Array:
    """The same values as float32."""
    return np.asarray(values, np.float32)
