"""The detector's task: heat where a nucleus stands, and of which class it is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from ....core.geometry import Box, Size
from ....core.matching import f1, match_points
from ....core.nuclei import ANY_CLASS, Nuclei
from ....core.sheet import draw_nuclei
from ....core.tile import Pixels
from ....detectors.centroids import CentroidDetector, picture_to_signal, save_detector
from ....detectors.info import DetectorInfo
from ....detectors.network import CELL_PX, CentroidNet, find_peaks
from ....tissue.augment import pose, restain, stain_matrix
from ...data.plan import DataPlan
from ...data.sources import Example
from ...loop.fit import module_weights
from .recipe import DetectorPlan

REACH_UM = 6.0
"""A nucleus counts as found within this, as the field reports it for such centroids."""


@dataclass(frozen=True, eq=False)
class Marked:
    """A tile whose nuclei are known."""

    pixels: Pixels
    nuclei: Nuclei


class DetectorTrainTask:
    """Random crops in random poses, stains and scales.

    Some patients of the training list give no gradient: the threshold is chosen on them at the end.

    Args:
        network: the detector's.
        train, held_out: tiles with nuclei, of different patients.
        batch, data, plan: of the recipe.
        name: of the detector.
    """

    def __init__(
        self,
        network: CentroidNet,
        train: Sequence[Example],
        held_out: Sequence[Example],
        *,
        batch: int,
        data: DataPlan,
        plan: DetectorPlan,
        name: str,
    ) -> None:
        self.network = network
        self.batch = batch
        self.data = data
        self.plan = plan
        self.name = name
        aside = patients_for_threshold([example.tile.ref.patient for example in train], plan.aside)
        self.train = _marked(each for each in train if each.tile.ref.patient not in aside)
        self.aside = _marked(each for each in train if each.tile.ref.patient in aside)
        self.held_out = _marked(held_out)
        totals = sum(
            (np.bincount(_told(each.nuclei), minlength=network.classes) for each in self.train), 0
        )
        rarity = (np.asarray(totals).clip(1) / max(np.sum(totals), 1)) ** -plan.rarity
        self.class_weights = torch.tensor(rarity / rarity.mean(), dtype=torch.float32)

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """The network."""
        return {"detector": self.network}

    def loss(self, step: int, generator: torch.Generator) -> Tensor:
        """Loss of one batch of crops."""
        random = np.random.default_rng(generator.initial_seed())
        views = [self._view(random) for _ in range(self.batch)]
        return self._loss(
            torch.stack([image for image, _ in views]), [nuclei for _, nuclei in views]
        )

    def _view(self, random: np.random.Generator) -> tuple[Tensor, Nuclei]:
        tile = self.train[int(random.integers(len(self.train)))]
        side = self.data.crop
        zoom = float(np.exp(random.normal(0, self.plan.zoom)))
        cut = min(round(side / zoom), *tile.pixels.shape[:2])
        height, width = tile.pixels.shape[:2]
        box = Box(
            int(random.integers(width - cut + 1)),
            int(random.integers(height - cut + 1)),
            cut,
            cut,
        )
        nuclei = tile.nuclei.crop(box).to_mpp(self.data.mpp, (side, side))
        crop = restain(tile.pixels[box.slices], stain_matrix(random, self.data.stain_jitter))
        image = Image.fromarray(crop.round().astype(np.uint8))
        pixels = np.asarray(image.resize((side, side), Image.Resampling.BILINEAR), dtype=np.float32)
        light = np.exp(random.normal(0, self.plan.light, 3)) * np.exp(
            random.normal(0, self.plan.light)
        )
        noise = random.normal(0, abs(random.normal(0, self.plan.noise)), pixels.shape)
        pixels = np.clip(pixels * light + noise, 0, 255).astype(np.float32)
        turn = int(random.integers(8))
        turned = np.ascontiguousarray(pose(pixels, turn))
        return torch.from_numpy(turned).permute(2, 0, 1) / 127.5 - 1, nuclei.pose(turn)

    def _loss(self, images: Tensor, nuclei: Sequence[Nuclei]) -> Tensor:
        like = next(self.network.parameters())
        images = images.to(like, memory_format=torch.channels_last)
        heat, classes = (out.float() for out in self.network(images))
        splats = np.stack(
            [each.rasterize(cell=CELL_PX, sigma_px=self.plan.sigma_px) for each in nuclei]
        )
        target = torch.from_numpy(splats).to(like.device)
        top, which = target.max(dim=1)
        # a splat's peak falls between cells, so that its highest value is below 1
        each_cell = F.binary_cross_entropy_with_logits(heat[:, 0], top, reduction="none")
        heat_loss = (each_cell * (1 + self.plan.peak_weight * top)).mean()
        told = (
            top * (target.sum(1) - top < 0.5 * top)
        ).flatten()  # not where two classes share a cell
        wrong = F.cross_entropy(
            classes,
            which,
            weight=self.class_weights.to(like.device),
            reduction="none",
        ).flatten()
        kind_loss = (wrong * told).sum() / told.sum().clamp_min(1)
        return heat_loss + self.plan.class_weight * kind_loss

    def validate(self) -> dict[str, float]:
        """Loss on held-out tiles' central crops, and F1 at 6 um with the threshold chosen as
        below.
        """
        crops = [_centre(each, self.data.crop) for each in self.held_out]
        with torch.no_grad():
            images = torch.stack([picture_to_signal(each.pixels) for each in crops])
            loss = float(self._loss(images, [each.nuclei for each in crops]))
        threshold, aside = self.choose_threshold()
        scores = self.scores(self.held_out, threshold)
        return {
            "loss": loss,
            "threshold": threshold,
            "aside_f1": aside,
            **scores,
        }

    def choose_threshold(self) -> tuple[float, float]:
        """The heat that gives the best F1 on the patients set aside, and that F1."""
        tiles = self.aside or self.train
        found = [self._find(each.pixels, 0.05) for each in tiles]
        tried = {}
        for threshold in np.linspace(0.1, 0.7, 25).round(3):
            right = many = wanted = 0
            for each, (xy, _, score) in zip(tiles, found, strict=True):
                kept = xy[score >= threshold]
                right += len(match_points(kept, each.nuclei.xy, REACH_UM / each.nuclei.mpp)[0])
                many = many + len(kept)
                wanted = wanted + len(each.nuclei)
            tried[float(threshold)] = f1(right, many, wanted)
        best = max(tried, key=tried.__getitem__)
        return best, tried[best]

    def scores(self, tiles: Sequence[Marked], threshold: float) -> dict[str, float]:
        """F1 of all nuclei, and of each class found as that class."""
        counts = np.zeros((1 + self.network.classes, 3), int)
        for each in tiles:
            xy, class_ids, _ = self._find(each.pixels, threshold)
            reach = REACH_UM / each.nuclei.mpp
            for row in range(len(counts)):
                mine = xy if row == 0 else xy[class_ids == row - 1]
                theirs = (
                    each.nuclei.xy if row == 0 else each.nuclei.xy[each.nuclei.class_ids == row - 1]
                )
                counts[row] += len(match_points(mine, theirs, reach)[0]), len(mine), len(theirs)
        names = ["f1", *(f"f1_{class_ids}" for class_ids in self.data.classes)]
        return {name: f1(*(int(n) for n in row)) for name, row in zip(names, counts, strict=True)}

    def _find(
        self, pixels: Pixels, threshold: float
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
        detector = CentroidDetector(self._info(threshold), self.network)
        xy, class_ids, score = find_peaks(*detector.maps(pixels), threshold=threshold)
        return xy.numpy(), class_ids.numpy(), score.numpy()

    def picture(self) -> Pixels:
        """Held-out tiles with the nuclei marked above, those found below."""
        threshold, _ = self.choose_threshold()
        rows: list[list[Pixels]] = [[], []]
        for each in [_centre(tile, self.data.crop) for tile in self.held_out]:
            xy, class_ids, _ = self._find(each.pixels, threshold)
            side = (each.pixels.shape[1], each.pixels.shape[0])
            found = Nuclei(
                xy,
                class_ids.astype(np.uint8),
                self.data.classes,
                Size(*side),
                self.data.mpp,
            )
            rows[0].append(draw_nuclei(each.nuclei, over=each.pixels, radius_px=2.5))
            rows[1].append(draw_nuclei(found, over=each.pixels, radius_px=2.5))
        sheet: Pixels = np.concatenate([np.concatenate(row, axis=1) for row in rows])
        return sheet

    def export(self, folder: Path, averaged: Mapping[str, Tensor]) -> None:
        """`model.safetensors` and `detector.json`, with the threshold as chosen now."""
        live = {key: value.detach().clone() for key, value in self.network.state_dict().items()}
        weights = module_weights(averaged, "detector")
        self.network.load_state_dict(weights)
        threshold, _ = self.choose_threshold()
        self.network.load_state_dict(live)
        save_detector(folder, self._info(threshold), weights)

    def _info(self, threshold: float) -> DetectorInfo:
        return DetectorInfo(
            self.name,
            self.data.mpp,
            self.data.classes,
            self.plan.widths,
            self.plan.blocks,
            threshold,
        )


def patients_for_threshold(patients: Sequence[str], share: float) -> set[str]:
    """About `share` of the patients, the same whatever their order: those of the lowest digests."""
    ranked = sorted(set(patients), key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    return set(ranked[: round(share * len(ranked))])


def _marked(examples: Iterable[Example]) -> list[Marked]:
    return [Marked(each.tile.pixels, each.nuclei) for each in examples if each.nuclei is not None]


def _told(nuclei: Nuclei) -> NDArray[np.uint8]:
    told: NDArray[np.uint8] = nuclei.class_ids[nuclei.class_ids != ANY_CLASS]
    return told


def _centre(tile: Marked, side: int) -> Marked:
    y, x = ((length - side) // 2 for length in tile.pixels.shape[:2])
    box = Box(x, y, side, side)
    return Marked(tile.pixels[box.slices], tile.nuclei.crop(box))
