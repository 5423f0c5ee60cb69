"""What the loop trains for the artefact classifier: sorted tiles, and patients held out to measure
on.
"""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ....core.roc import auc_interval
from ....core.sheet import contact_sheet
from ....core.tile import Pixels
from ....detectors.artefact import (
    ArtefactClassifier,
    cut_crops,
    save_artefact,
)
from ....detectors.artefact_info import ArtefactInfo, AucInterval, TileCounts
from ....detectors.artefact_network import crops_to_input
from ....tissue.augment import pose, restain, stain_matrix
from ...data.sources import Example
from ...loop.fit import module_weights
from ...recipes.artefact import ArtefactData
from .labelled_tiles import is_artefact

CALIBRATION_BATCHES = 16
"""Batches on which batch norm's means and variances are measured."""
_MAX_SHEET_TILES = 8
"""Tiles in a row of the validation sheet."""
_SHEET_CELL_PX = 160


class ArtefactTrainTask:
    """Random crops in random poses and stains, half of each batch with artefacts.

    Batch norm's statistics are never averages over past weights: before each validation they are
    measured for the averaged weights, on the same crops of training tiles. That is more exact, and
    a resumed run needs nothing more than weights to be the run that was never stopped.

    Args:
        network: one logit.
        train: tiles with labels.
        held_out: tiles with labels of other patients.
        batch: crops per step, at least 2.
        data: of the recipe.
        info: of the classifier, without its measurement.
    """

    def __init__(
        self,
        network: nn.Module,
        train: Sequence[Example],
        held_out: Sequence[Example],
        *,
        batch: int,
        data: ArtefactData,
        info: ArtefactInfo,
    ) -> None:
        self.network = network
        self.batch = batch
        self.data = data
        self.good = [example for example in train if not is_artefact(example)]
        self.artefacts = [example for example in train if is_artefact(example)]
        self.held_out = list(held_out)
        self.truth = [is_artefact(example) for example in held_out]
        self.patients = [example.patient for example in held_out]
        self.info = replace(
            info,
            trained=count_tiles(train),
            held_out=count_tiles(held_out),
        )
        self._averaged = copy.deepcopy(network).float().requires_grad_(False)
        self._measured_sha256 = ""
        self._logits: list[float] = []

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """The network."""
        return {"artefact": self.network}

    def loss(
        self,
        step: int,
        generator: torch.Generator,
    ) -> Tensor:
        """Loss of one batch of crops."""
        images, truth = self._draw_batch(np.random.default_rng(generator.initial_seed()))
        like = next(self.network.parameters())
        images = images.to(like, memory_format=torch.channels_last)
        logits = self.network(images).logits[:, 0].float()
        return F.binary_cross_entropy_with_logits(logits, truth.to(logits))

    def _draw_batch(self, random: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Crops as the network takes them, and whether they show artefacts: every second does."""
        truth = np.arange(self.batch) % 2
        crops = []
        for shows_artefact in truth:
            tiles = self.artefacts if shows_artefact else self.good
            crops.append(self._draw_crop(tiles, random))
        return crops_to_input(np.stack(crops)), torch.from_numpy(truth)

    def _draw_crop(
        self,
        tiles: Sequence[Example],
        random: np.random.Generator,
    ) -> np.ndarray:
        pixels = tiles[int(random.integers(len(tiles)))].tile.pixels
        side = self.data.crop
        height, width = pixels.shape[:2]
        y = int(random.integers(max(height - side, 0) + 1))
        x = int(random.integers(max(width - side, 0) + 1))
        crop = cut_crops(pixels[y : y + side, x : x + side], side)[0]
        stained = restain(crop, stain_matrix(random, self.data.stain_jitter))
        return np.ascontiguousarray(pose(stained, int(random.integers(8))))

    def validate(self) -> dict[str, float]:
        """Loss, both classes counting alike, and area under the ROC curve, on held-out tiles."""
        measured = self._measure(self.network.state_dict())
        logits = torch.tensor(measured, dtype=torch.float64)
        truth = torch.tensor(self.truth)
        losses = F.binary_cross_entropy_with_logits(
            logits,
            truth.double(),
            reduction="none",
        )
        loss = float(losses[truth].mean() + losses[~truth].mean()) / 2
        if not math.isfinite(loss):  # logits that are no numbers cannot be ranked
            return {"loss": loss}
        auc = self._auc(logits.tolist())
        return {
            "loss": loss,
            "auc": auc.value,
            "auc_low": auc.low,
            "auc_high": auc.high,
        }

    def picture(self) -> Pixels:
        """The held-out tiles with the largest errors: missed artefacts, suspected good tiles."""
        logits = np.array(self._measure(self.network.state_dict()))
        ranked = [int(index) for index in np.argsort(logits)]
        artefacts = [index for index in ranked if self.truth[index]]
        good = [index for index in ranked if not self.truth[index]]
        rows = [
            self._sheet_row(
                "with an artefact, least suspected",
                artefacts,
                logits,
            ),
            self._sheet_row(
                "good, most suspected",
                good[::-1],
                logits,
            ),
        ]
        return contact_sheet(rows, cell=_SHEET_CELL_PX)

    def _sheet_row(
        self,
        title: str,
        indices: Sequence[int],
        logits: np.ndarray,
    ) -> tuple[str, list[Pixels]]:
        """The first of these held-out tiles, with their chances of an artefact in the title."""
        shown = indices[:_MAX_SHEET_TILES]
        chances = [1 / (1 + np.exp(-logits[index])) for index in shown]
        named = ", ".join(f"{chance:.2f}" for chance in chances)
        return f"{title}: {named}", [self.held_out[index].pixels for index in shown]

    def export(
        self,
        folder: Path,
        averaged: Mapping[str, Tensor],
    ) -> None:
        """`model.safetensors` and `artefact.json`, with the ROC area of these very weights."""
        auc = self._auc(self._measure(module_weights(averaged, "artefact")))
        save_artefact(
            folder,
            replace(self.info, auc=auc),
            self._averaged.state_dict(),
        )

    def _auc(self, logits: Sequence[float]) -> AucInterval:
        value, low, high = auc_interval(
            logits,
            self.truth,
            self.patients,
        )
        return AucInterval(
            value,
            low,
            high,
            len(set(self.patients)),
        )

    def _measure(self, weights: Mapping[str, Tensor]) -> list[float]:
        """Log odds of the held-out tiles with these weights, which `_averaged` keeps.

        A validation needs them three times, for numbers, picture and export: the last are reused.
        """
        own = {}
        for name, _ in self._averaged.named_parameters():
            own[name] = weights[name].detach().float().cpu()
        stored = [value.contiguous().numpy().tobytes() for value in own.values()]
        sha256 = hashlib.sha256(b"".join(stored)).hexdigest()
        if sha256 == self._measured_sha256:
            return self._logits
        self._averaged.load_state_dict(own, strict=False)
        self._calibrate()
        classifier = ArtefactClassifier(self.info, self._averaged)
        self._logits = [
            classifier.logit(example.pixels, self.data.mpp) for example in self.held_out
        ]
        self._measured_sha256 = sha256
        return self._logits

    @torch.no_grad()
    def _calibrate(self) -> None:
        """Measure batch norm's statistics, on crops that are the same each time."""
        for module in self._averaged.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_running_stats()
                module.momentum = None  # a plain mean over the batches
        random = np.random.default_rng(0)
        like = next(self._averaged.parameters())
        self._averaged.train()
        for _ in range(CALIBRATION_BATCHES):
            images, _ = self._draw_batch(random)
            self._averaged(images.to(like, memory_format=torch.channels_last))
        self._averaged.eval()


def count_tiles(examples: Sequence[Example]) -> TileCounts:
    """Patients and tiles of a list."""
    artefacts = sum(is_artefact(example) for example in examples)
    patients = {example.patient for example in examples}
    return TileCounts(
        len(patients),
        len(examples) - artefacts,
        artefacts,
    )
