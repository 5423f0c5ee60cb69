"""What the loop trains for the encoder: features that agree between two views of one place, differ
between places, and hold nuclei and degradations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from ....core.arrays import Float32Array, Float64Array, IndexArray
from ....core.geometry import Box
from ....core.nuclei import ANY_CLASS, Nuclei
from ....core.tile import Pixels
from ....encoders.histo import fit_whitening, pictures_to_signal, raw_features, save_encoder
from ....encoders.info import EncoderInfo
from ....encoders.network import HistoNet
from ....tissue.augment import pose, restain, stain_matrix
from ...data.sources import Example
from ...loop.fit import module_weights
from ...recipes.data import DataPlan
from ...recipes.encoder import EncoderPlan
from ..sheets import stack_rows
from .degradation import DEGRADATIONS, degrade

DENSITY_OFFSET = 0.02
"""Nuclei in 32 x 32 px below which their logarithm no longer distinguishes densities."""
DENSITY_CELL_PX2 = 32 * 32
WHITENING_PX = 256
"""Largest side of the crops that features are whitened on."""
VALIDATION_PAIRS = 96
"""Pairs of views that validation measures."""
_MAX_SHEET_TILES = 8
_CROPS_AT_ONCE = 32


@dataclass(frozen=True, eq=False)
class View:
    """One view of a place.

    Attributes:
        signal: (3, H, W) in [-1, 1].
        degradation: (3,) in [0, 1], as `DEGRADATIONS`.
        density: (K,) log density of nuclei per class; None where nuclei are not known.
    """

    signal: Tensor
    degradation: Tensor
    density: Tensor | None


class EncoderTrainTask:
    """Two views of one place, in random poses, stains and scales.

    Args:
        network: the encoder's.
        train: tiles; those without nuclei have no loss of nuclei.
        held_out: tiles of other patients.
        batch: pairs of views per step.
        data: of the recipe.
        plan: of the recipe.
        name: of the encoder.
    """

    def __init__(
        self,
        network: HistoNet,
        train: Sequence[Example],
        held_out: Sequence[Example],
        *,
        batch: int,
        data: DataPlan,
        plan: EncoderPlan,
        name: str,
    ) -> None:
        self.network = network
        self.batch = batch
        self.data = data
        self.plan = plan
        self.name = name
        self.train = list(train)
        self.held_out = list(held_out)
        shares = np.array([example.share for example in train])
        self.shares = shares / shares.sum()
        width = network.widths[-1]
        like = next(network.parameters())
        projector = _build_projector(width, plan.project)
        self.projector = projector.to(like)
        counted = max(len(data.classes), 1)
        self.counter = nn.Linear(width, counted).to(like)
        self.harm = nn.Linear(width, len(DEGRADATIONS)).to(like)

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """The encoder, and the modules that only its losses need."""
        return {
            "encoder": self.network,
            "projector": self.projector,
            "counter": self.counter,
            "harm": self.harm,
        }

    def loss(
        self,
        step: int,
        generator: torch.Generator,
    ) -> Tensor:
        """Loss of one batch of pairs."""
        random = np.random.default_rng(generator.initial_seed())
        drawn = random.choice(
            len(self.train),
            self.batch,
            p=self.shares,
        )
        tiles = [self.train[index] for index in drawn]
        losses = self._losses(tiles, random)
        return sum(losses.values(), torch.zeros(()))

    def _losses(
        self,
        tiles: Sequence[Example],
        random: np.random.Generator,
    ) -> dict[str, Tensor]:
        """Weighted losses of one pair of views per tile, by name."""
        first_views = []
        second_views = []
        for tile in tiles:
            first, second = self._draw_pair(tile, random)
            first_views.append(first)
            second_views.append(second)
        views = first_views + second_views
        like = next(self.network.parameters())
        images = torch.stack([view.signal for view in views])
        images = images.to(like, memory_format=torch.channels_last)
        features = self._pooled(images)
        losses = self._vicreg_losses(features)
        targets = torch.stack([view.degradation for view in views])
        targets = targets.to(like.device)
        errors = F.smooth_l1_loss(
            self.harm(features).float(),
            targets,
            beta=0.2,
        )
        losses["harm"] = self.plan.harm * errors
        nuclei_loss = self._nuclei_loss(features, views)
        if nuclei_loss is not None:
            losses["nuclei"] = nuclei_loss
        return losses

    def _pooled(self, images: Tensor) -> Tensor:
        """(B, C) features of the last stage, averaged over the picture."""
        last: Tensor = self.network(images)[-1]
        return last.mean(dim=(2, 3))

    def _vicreg_losses(self, features: Tensor) -> dict[str, Tensor]:
        """Losses of VICReg (Bardes et al. 2022); `features` hold all first views, then all
        second.
        """
        plan = self.plan
        first, second = self.projector(features).float().chunk(2)
        losses = {"invariance": plan.invariance * F.mse_loss(first, second)}
        for name, side in (("one", first), ("other", second)):
            centred = side - side.mean(0)
            std = (centred.var(0) + 1e-4).sqrt()
            too_narrow = F.relu(1 - std).mean()
            losses[f"variance_{name}"] = plan.variance / 2 * too_narrow
            covariance = centred.T @ centred / (len(side) - 1)
            squares = covariance.pow(2).sum()
            on_diagonal = covariance.diagonal().pow(2).sum()
            off_diagonal = squares - on_diagonal
            losses[f"covariance_{name}"] = plan.covariance * off_diagonal / side.shape[1]
        return losses

    def _nuclei_loss(
        self,
        features: Tensor,
        views: Sequence[View],
    ) -> Tensor | None:
        """Loss of the densities of nuclei; None where no view has them."""
        rows = []
        densities = []
        for row, view in enumerate(views):
            if view.density is not None:
                rows.append(row)
                densities.append(view.density)
        if not rows or not self.data.classes:
            return None
        targets = torch.stack(densities).to(features.device)
        outputs = self.counter(features[rows]).float()
        return self.plan.nuclei * F.smooth_l1_loss(outputs, targets)

    def _draw_pair(
        self,
        tile: Example,
        random: np.random.Generator,
    ) -> tuple[View, View]:
        """Two overlapping crops of a tile, degraded alike."""
        plan = self.plan
        height, width = tile.pixels.shape[:2]
        cut = self._draw_side(
            self.data.crop,
            plan.zoom,
            tile,
            random,
        )
        corner = random.integers([width - cut + 1, height - cut + 1])
        is_degraded = random.uniform(size=len(DEGRADATIONS)) < plan.harmed
        strengths = random.uniform(size=len(DEGRADATIONS))
        degradation = np.where(is_degraded, strengths, 0.0)
        first = self._view(
            tile,
            _box_at(corner, cut, width, height),
            degradation,
            random,
        )
        cut = self._draw_side(
            cut,
            plan.zoom / 2,
            tile,
            random,
        )
        reach = plan.apart * cut
        moved = np.round(random.uniform(-reach, reach, 2))
        corner = corner + moved.astype(int)
        second = self._view(
            tile,
            _box_at(corner, cut, width, height),
            degradation,
            random,
        )
        return first, second

    @staticmethod
    def _draw_side(
        side: int,
        spread: float,
        tile: Example,
        random: np.random.Generator,
    ) -> int:
        """A random side of a crop, no larger than the tile, px."""
        zoom = float(np.exp(random.normal(0, spread)))
        drawn = round(side * zoom)
        height, width = tile.pixels.shape[:2]
        return int(min(drawn, height, width))

    def _view(
        self,
        tile: Example,
        box: Box,
        degradation: Float64Array,
        random: np.random.Generator,
    ) -> View:
        side = self.data.crop
        stain = stain_matrix(random, self.data.stain_jitter)
        stained = restain(tile.pixels[box.slices], stain)
        stained = stained.round()
        image = Image.fromarray(stained.astype(np.uint8))
        if box.width != side:
            image = image.resize((side, side), Image.Resampling.BILINEAR)
        brightness = random.normal(0, self.plan.light, 3)
        light = np.exp(brightness)
        pixels = np.clip(
            np.asarray(image, dtype=np.float32) * light,
            0,
            255,
        ).astype(np.uint8)
        turn = int(random.integers(8))
        turned = np.ascontiguousarray(pose(pixels, turn), np.uint8)
        degraded = degrade(turned, degradation, random)
        density = None
        if tile.nuclei is not None:
            density = self._density(tile.nuclei.crop(box), box)
        return View(
            pictures_to_signal(degraded[None])[0],
            torch.from_numpy(degradation).float(),
            density,
        )

    def _density(
        self,
        nuclei: Nuclei,
        box: Box,
    ) -> Tensor:
        """(K,) log of the nuclei of each class in 32 x 32 px."""
        known = nuclei.class_ids[nuclei.class_ids != ANY_CLASS]
        counts = np.bincount(known, minlength=len(self.data.classes))
        cells = box.width * box.height / DENSITY_CELL_PX2
        logarithms = np.log1p(counts / cells / DENSITY_OFFSET)
        return torch.from_numpy(logarithms).float()

    def validate(self) -> dict[str, float]:
        """Losses on pairs of held-out tiles, and of the features: how often the nearest other crop
        is of the same tile, and their effective rank.
        """
        random = np.random.default_rng(0)
        count = len(self.held_out)
        pairs = max(VALIDATION_PAIRS, count)
        tiles = []
        for index in range(pairs):
            tiles.append(self.held_out[index % count])
        losses = self._losses(tiles, random)
        numbers = {name: float(loss) for name, loss in losses.items()}
        features, owners = self._corner_features(self.held_out)
        return {
            "loss": sum(numbers.values()),
            **numbers,
            "own_tile": _nearest_is_own(features, owners),
            "rank": _effective_rank(features),
        }

    def _corner_features(self, tiles: Sequence[Example]) -> tuple[Float32Array, IndexArray]:
        """Features of four crops of each tile, and the tiles' indices."""
        crops, owners = self._corner_crops(tiles)
        like = next(self.network.parameters())
        signal = pictures_to_signal(np.stack(crops)).to(
            like,
            memory_format=torch.channels_last,
        )
        features = []
        for part in torch.split(signal, _CROPS_AT_ONCE):
            features.append(self._pooled(part).float())
        return torch.cat(features).cpu().numpy(), owners

    def _corner_crops(self, tiles: Sequence[Example]) -> tuple[list[Pixels], IndexArray]:
        """The four corners of each tile, and the tiles' indices."""
        crops = []
        owners = []
        side = self.data.crop
        for owner, tile in enumerate(tiles):
            pixels = tile.pixels
            height, width = pixels.shape[:2]
            for y in (0, height - side):
                for x in (0, width - side):
                    crops.append(pixels[y : y + side, x : x + side])
                    owners.append(owner)
        return crops, np.array(owners)

    def picture(self) -> Pixels:
        """Crops of held-out tiles above, below each the training crop with the nearest features."""
        every = max(len(self.held_out) // _MAX_SHEET_TILES, 1)
        shown = self.held_out[::every][:_MAX_SHEET_TILES]
        side = self.data.crop
        library = [tile for tile in self.train if min(tile.tile.size) >= side]
        shown_features, _ = self._corner_features(shown)
        library_features, _ = self._corner_features(library)
        shown_crops, _ = self._corner_crops(shown)
        library_crops, _ = self._corner_crops(library)
        held_out_row: list[Pixels] = []
        nearest_row: list[Pixels] = []
        for index in range(0, len(shown_crops), 2):
            distances = np.linalg.norm(
                library_features - shown_features[index],
                axis=1,
            )
            held_out_row.append(shown_crops[index])
            nearest_row.append(library_crops[int(distances.argmin())])
        return stack_rows([held_out_row, nearest_row])

    def export(
        self,
        folder: Path,
        averaged: Mapping[str, Tensor],
    ) -> None:
        """`model.safetensors` and `encoder.json`; features are whitened on the training tissue."""
        info = EncoderInfo(
            self.name,
            self.data.mpp,
            self.plan.widths,
            self.plan.blocks,
        )
        weights = module_weights(averaged, "encoder")
        network = HistoNet(self.plan.widths, self.plan.blocks)
        on_cpu = {key: value.detach().float().cpu() for key, value in weights.items()}
        network.load_state_dict(on_cpu)
        features = []
        with torch.inference_mode():
            for crop in self._whitening_crops():
                features.append(raw_features(network(pictures_to_signal(crop[None]))))
        whitening = fit_whitening(torch.cat(features))
        save_encoder(
            folder,
            info,
            weights,
            whitening,
        )

    def _whitening_crops(self) -> Iterator[Pixels]:
        """Crops of the training tiles as large as a tile usually is, four at most of each."""
        for tile in self.train:
            pixels = tile.pixels
            height, width = pixels.shape[:2]
            stride = self.network.stride
            side = min(WHITENING_PX, height, width) // stride * stride
            for y in _spread_offsets(height, side):
                for x in _spread_offsets(width, side):
                    yield pixels[y : y + side, x : x + side]


def _build_projector(width: int, hidden: int) -> nn.Module:
    """Layers between features and the losses of VICReg."""
    return nn.Sequential(
        _standardise_over_batch(width),
        nn.Linear(width, hidden),
        _standardise_over_batch(hidden),
        nn.GELU(),
        nn.Linear(hidden, hidden),
    )


def _standardise_over_batch(width: int) -> nn.Module:
    """Each feature with mean 0 and spread 1 over the batch: places differ little at first."""
    return nn.BatchNorm1d(
        width,
        affine=False,
        track_running_stats=False,
    )


def _box_at(
    corner: NDArray[np.int64],
    side: int,
    width: int,
    height: int,
) -> Box:
    """A square at the corner (x, y), moved into the tile."""
    largest = [width - side, height - side]
    x, y = np.clip(corner, 0, largest)
    return Box(int(x), int(y), side, side)


def _nearest_is_own(features: Float32Array, owners: IndexArray) -> float:
    """Share of crops whose nearest other crop is of the same tile."""
    distances = np.linalg.norm(
        features[:, None] - features[None],
        axis=-1,
    )
    itself = np.full(len(features), np.inf)
    distances = distances + np.diag(itself)
    nearest = owners[distances.argmin(1)]
    return float((nearest == owners).mean())


def _effective_rank(features: Float32Array) -> float:
    """Exponential of the entropy of the shares of variance (Roy and Vetterli 2007)."""
    covariance = np.cov(features.T)
    variances = np.linalg.eigvalsh(covariance).clip(0)
    shares = variances / max(variances.sum(), 1e-12)
    entropy = -(shares * np.log(shares + 1e-12)).sum()
    return float(np.exp(entropy))


def _spread_offsets(length: int, side: int) -> NDArray[np.int64]:
    """One or two offsets of crops of `side` px, spread over a length."""
    count = min(max(round(length / side), 1), 2)
    return np.linspace(0, length - side, count).astype(int)
