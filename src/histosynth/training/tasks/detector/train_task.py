"""What the loop trains for the detector: heat at nuclei, and the class of each nucleus."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from ....core.arrays import Float32Array
from ....core.geometry import Box, Size
from ....core.matching import f1, match_points
from ....core.nuclei import ANY_CLASS, Nuclei
from ....core.sheet import draw_nuclei
from ....core.tile import Pixels
from ....core.units import um_to_px
from ....detectors.centroids import CentroidDetector, picture_to_signal, save_detector
from ....detectors.fast_network import FastCentroidNet
from ....detectors.info import DetectorInfo
from ....detectors.network import CELL_PX, CentroidNet, find_peaks
from ....tissue.augment import pose, restain, stain_matrix
from ...data.sources import Example
from ...loop.fit import module_weights
from ...recipes.data import DataPlan
from ...recipes.detector import DetectorPlan
from ..sheets import stack_rows
from .teaching import answers_of, nuclei_by, taught_loss

_REACH_UM = 6.0
"""A nucleus counts as found within this, as the field reports it for such centroids."""
TRIED_THRESHOLDS = np.linspace(0.1, 0.7, 25).round(3)
_LOWEST_HEAT = 0.05
"""Peaks below this are not candidates for any threshold."""
_MARK_RADIUS_PX = 2.5


@dataclass(frozen=True, eq=False)
class MarkedTile:
    """A tile with its nuclei."""

    pixels: Pixels
    nuclei: Nuclei


@dataclass(frozen=True, eq=False)
class Peaks:
    """Nuclei that the network finds: centres (N, 2), class indices (N,) and heat (N,)."""

    xy: Float32Array
    class_ids: NDArray[np.int64]
    heat: Float32Array


class DetectorTrainTask:
    """Random crops in random poses, stains and scales.

    Some patients of the training list give no gradient: the threshold is chosen on them at the end.

    Args:
        network: the detector's.
        train: tiles with nuclei.
        held_out: tiles with nuclei of other patients.
        batch: crops per step.
        data: of the recipe.
        plan: of the recipe.
        name: of the detector.
        teacher: whose answers are learned; None: from the tiles' nuclei.
    """

    def __init__(
        self,
        network: CentroidNet | FastCentroidNet,
        train: Sequence[Example],
        held_out: Sequence[Example],
        *,
        batch: int,
        data: DataPlan,
        plan: DetectorPlan,
        name: str,
        teacher: CentroidDetector | None = None,
    ) -> None:
        self.network = network
        self.batch = batch
        self.data = data
        self.plan = plan
        self.name = name
        self.teacher = teacher
        aside = patients_for_threshold([each.patient for each in train], plan.aside)
        learnt = [each for each in train if each.patient not in aside]
        self.train = _marked(learnt, teacher)
        self.aside = _marked([each for each in train if each.patient in aside], teacher)
        self.held_out = _marked(held_out, teacher)
        self.class_weights = self._class_weights()

    def _class_weights(self) -> Tensor:
        """(K,) weights in the class loss: rare classes count more, by the plan's rarity."""
        totals = np.zeros(self.network.classes, dtype=np.int64)
        for tile in self.train:
            totals += np.bincount(
                _known_classes(tile.nuclei),
                minlength=self.network.classes,
            )
        shares = totals.clip(1) / max(totals.sum(), 1)
        weights = shares**-self.plan.rarity
        return torch.tensor(
            weights / weights.mean(),
            dtype=torch.float32,
        )

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """The network."""
        return {"detector": self.network}

    def loss(
        self,
        step: int,
        generator: torch.Generator,
    ) -> Tensor:
        """Loss of one batch of crops."""
        random = np.random.default_rng(generator.initial_seed())
        images = []
        nuclei = []
        for _ in range(self.batch):
            image, marked = self._draw_crop(random)
            images.append(image)
            nuclei.append(marked)
        return self._loss(torch.stack(images), nuclei)

    def _draw_crop(self, random: np.random.Generator) -> tuple[Tensor, Nuclei]:
        """A random crop as signal (3, H, W) in [-1, 1], and its nuclei."""
        index = int(random.integers(len(self.train)))
        tile = self.train[index]
        side = self.data.crop
        zoom = float(np.exp(random.normal(0, self.plan.zoom)))
        height, width = tile.pixels.shape[:2]
        cut = min(round(side / zoom), height, width)
        x = int(random.integers(width - cut + 1))
        y = int(random.integers(height - cut + 1))
        box = Box(x, y, cut, cut)
        inside = tile.nuclei.crop(box)
        nuclei = inside.to_mpp(self.data.mpp, Size(side, side))
        stain = stain_matrix(random, self.data.stain_jitter)
        stained = restain(tile.pixels[box.slices], stain)
        stained = stained.round()
        image = Image.fromarray(stained.astype(np.uint8))
        resized = image.resize((side, side), Image.Resampling.BILINEAR)
        values = np.asarray(resized, dtype=np.float32)
        pixels = self._with_light_and_noise(values, random)
        turn = int(random.integers(8))
        turned = np.ascontiguousarray(pose(pixels, turn))
        signal = torch.from_numpy(turned).permute(2, 0, 1) / 127.5 - 1
        return signal, nuclei.pose(turn)

    def _with_light_and_noise(
        self,
        pixels: Float32Array,
        random: np.random.Generator,
    ) -> Float32Array:
        """Another brightness of each channel and of all, and noise of a random strength."""
        per_channel = np.exp(random.normal(0, self.plan.light, 3))
        light = per_channel * np.exp(random.normal(0, self.plan.light))
        noise_std = abs(random.normal(0, self.plan.noise))
        noise = random.normal(0, noise_std, pixels.shape)
        clipped = np.clip(pixels * light + noise, 0, 255)
        changed: Float32Array = clipped.astype(np.float32)
        return changed

    def _loss(
        self,
        images: Tensor,
        nuclei: Sequence[Nuclei],
    ) -> Tensor:
        like = next(self.network.parameters())
        images = images.to(like, memory_format=torch.channels_last)
        heat, class_logits = self.network(images)
        heat = heat.float()
        class_logits = class_logits.float()
        if self.teacher is not None:
            wanted_heat, wanted_classes = answers_of(self.teacher, images.cpu())
            return taught_loss(
                heat[:, 0],
                class_logits,
                (wanted_heat.to(like.device), wanted_classes.to(like.device)),
                peak_weight=self.plan.peak_weight,
                class_weight=self.plan.class_weight,
            )
        sigma_px = self.plan.sigma_px
        splats = [each.rasterize(cell=CELL_PX, sigma_px=sigma_px) for each in nuclei]
        target = torch.from_numpy(np.stack(splats)).to(like.device)
        # a splat's peak falls between cells, so that its highest value is below 1
        peak, class_ids = target.max(dim=1)
        heat_errors = F.binary_cross_entropy_with_logits(
            heat[:, 0],
            peak,
            reduction="none",
        )
        cell_weights = 1 + self.plan.peak_weight * peak
        heat_loss = (heat_errors * cell_weights).mean()
        # a cell that two classes share teaches no class
        other_classes = target.sum(1) - peak
        weights = (peak * (other_classes < 0.5 * peak)).flatten()
        class_errors = F.cross_entropy(
            class_logits,
            class_ids,
            weight=self.class_weights.to(like.device),
            reduction="none",
        ).flatten()
        total = weights.sum().clamp_min(1)
        class_loss = (class_errors * weights).sum() / total
        return heat_loss + self.plan.class_weight * class_loss

    def validate(self) -> dict[str, float]:
        """Loss on held-out tiles' central crops, and F1 at 6 um with the chosen threshold."""
        crops = [_central_crop(tile, self.data.crop) for tile in self.held_out]
        with torch.no_grad():
            images = torch.stack([picture_to_signal(crop.pixels) for crop in crops])
            nuclei = [crop.nuclei for crop in crops]
            loss = float(self._loss(images, nuclei))
        threshold, aside_f1 = self.choose_threshold()
        return {
            "loss": loss,
            "threshold": threshold,
            "aside_f1": aside_f1,
            **self.scores(self.held_out, threshold),
        }

    def choose_threshold(self) -> tuple[float, float]:
        """The heat with the best F1 on the patients set aside, and that F1."""
        tiles = self.aside or self.train
        found = [self._find(tile.pixels, _LOWEST_HEAT) for tile in tiles]
        scores = {}
        for tried in TRIED_THRESHOLDS:
            threshold = float(tried)
            scores[threshold] = _f1_at(threshold, found, tiles)
        best = max(scores, key=scores.__getitem__)
        return best, scores[best]

    def scores(
        self,
        tiles: Sequence[MarkedTile],
        threshold: float,
    ) -> dict[str, float]:
        """F1 of all nuclei, and of each class found as that class.

        A class that was neither marked nor found has none: 1 would claim that it is detected.
        """
        names = ["f1", *(f"f1_{class_name}" for class_name in self.data.classes)]
        counts = np.zeros((len(names), 3), int)
        for tile in tiles:
            found = self._find(tile.pixels, threshold)
            reach = um_to_px(_REACH_UM, tile.nuclei.mpp)
            counts[0] += _match_counts(
                found.xy,
                tile.nuclei.xy,
                reach,
            )
            for class_id in range(self.network.classes):
                of_class = found.xy[found.class_ids == class_id]
                marked = tile.nuclei.xy[tile.nuclei.class_ids == class_id]
                counts[1 + class_id] += _match_counts(of_class, marked, reach)
        out = {}
        for name, row in zip(names, counts, strict=True):
            matched, found, marked = row.tolist()
            total = found + marked
            if total or name == "f1":
                out[name] = f1(
                    matched,
                    found,
                    marked,
                )
        return out

    def _find(
        self,
        pixels: Pixels,
        threshold: float,
    ) -> Peaks:
        detector = CentroidDetector(self._info(threshold), self.network)
        xy, class_ids, heat = find_peaks(
            *detector.maps(pixels),
            threshold=threshold,
        )
        return Peaks(
            xy.numpy(),
            class_ids.numpy(),
            heat.numpy(),
        )

    def picture(self) -> Pixels:
        """Held-out tiles with the marked nuclei above, with those found below."""
        threshold, _ = self.choose_threshold()
        marked_row: list[Pixels] = []
        found_row: list[Pixels] = []
        for tile in self.held_out:
            crop = _central_crop(tile, self.data.crop)
            peaks = self._find(crop.pixels, threshold)
            height, width = crop.pixels.shape[:2]
            found = Nuclei(
                peaks.xy,
                peaks.class_ids.astype(np.uint8),
                self.data.classes,
                Size(width, height),
                self.data.mpp,
            )
            marked_row.append(
                draw_nuclei(
                    crop.nuclei,
                    over=crop.pixels,
                    radius_px=_MARK_RADIUS_PX,
                )
            )
            found_row.append(
                draw_nuclei(
                    found,
                    over=crop.pixels,
                    radius_px=_MARK_RADIUS_PX,
                )
            )
        return stack_rows([marked_row, found_row])

    def export(
        self,
        folder: Path,
        averaged: Mapping[str, Tensor],
    ) -> None:
        """`model.safetensors` and `detector.json`, with the threshold of these weights."""
        state = self.network.state_dict()
        live = {key: value.detach().clone() for key, value in state.items()}
        weights = module_weights(averaged, "detector")
        self.network.load_state_dict(weights)
        threshold, _ = self.choose_threshold()
        self.network.load_state_dict(live)
        save_detector(
            folder,
            self._info(threshold),
            weights,
        )

    def _info(self, threshold: float) -> DetectorInfo:
        return DetectorInfo(
            self.name,
            self.data.mpp,
            self.data.classes,
            self.plan.widths,
            self.plan.blocks,
            threshold,
            network=self.plan.network,
        )


def patients_for_threshold(patients: Sequence[str], share: float) -> set[str]:
    """About `share` of the patients, the same whatever their order: those of the lowest digests."""
    ranked = sorted(
        set(patients),
        key=lambda name: hashlib.sha256(name.encode()).hexdigest(),
    )
    return set(ranked[: round(share * len(ranked))])


def _marked(
    examples: Sequence[Example],
    teacher: CentroidDetector | None,
) -> list[MarkedTile]:
    tiles = []
    for example in examples:
        nuclei = example.nuclei
        if teacher is not None:
            nuclei = nuclei_by(teacher, example.pixels)
        if nuclei is not None:
            tiles.append(MarkedTile(example.pixels, nuclei))
    return tiles


def _known_classes(nuclei: Nuclei) -> NDArray[np.uint8]:
    """Class indices of the nuclei that have a class."""
    known: NDArray[np.uint8] = nuclei.class_ids[nuclei.class_ids != ANY_CLASS]
    return known


def _central_crop(tile: MarkedTile, side: int) -> MarkedTile:
    height, width = tile.pixels.shape[:2]
    box = Box(
        (width - side) // 2,
        (height - side) // 2,
        side,
        side,
    )
    pixels = tile.pixels[box.slices]
    return MarkedTile(pixels, tile.nuclei.crop(box))


def _f1_at(
    threshold: float,
    found: Sequence[Peaks],
    tiles: Sequence[MarkedTile],
) -> float:
    """F1 of the peaks from `threshold` on, over all tiles."""
    totals = np.zeros(3, int)
    for peaks, tile in zip(found, tiles, strict=True):
        kept = peaks.xy[peaks.heat >= threshold]
        reach = um_to_px(_REACH_UM, tile.nuclei.mpp)
        totals += _match_counts(kept, tile.nuclei.xy, reach)
    matched, kept_count, marked = (int(total) for total in totals)
    return f1(matched, kept_count, marked)


def _match_counts(
    found: Float32Array,
    marked: Float32Array,
    reach: float,
) -> tuple[int, int, int]:
    """Matched pairs within `reach` px, nuclei found, and nuclei marked."""
    matched = len(match_points(found, marked, reach)[0])
    return matched, len(found), len(marked)
