"""The artefact classifier's task: tiles that a person sorted, and patients held out to measure
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
from .labelled_tiles import is_artefact
from .recipe import ArtefactData

CALIBRATION = 16
"""Batches from which batch norm's means and variances are taken."""
SHOWN = 8
"""Tiles in a row of the validation sheet."""


class ArtefactTrainTask:
    """Random crops in random poses and stains, as many good as spoilt in each batch.

    What batch norm divides by is never an average of past weights: before each look it is measured
    anew, for the averaged weights, on the same crops of training tiles. That is more exact, and a
    resumed run needs nothing more than weights to be the run that was never stopped.

    Args:
        network: one logit.
        train, held_out: tiles with labels, of different patients.
        batch: crops a step, at least 2.
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
        self.sides = tuple(
            [each for each in train if is_artefact(each) == side] for side in (False, True)
        )
        self.held_out = list(held_out)
        self.truth = [is_artefact(each) for each in held_out]
        self.patients = [each.tile.ref.patient for each in held_out]
        self.info = replace(info, trained=count(train), held_out=count(held_out))
        self._judge = copy.deepcopy(network).float().requires_grad_(False)
        self._judged = ""
        self._logits = list[float]()

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """The network."""
        return {"artefact": self.network}

    def loss(self, step: int, generator: torch.Generator) -> Tensor:
        """Loss of one batch of crops."""
        images, truth = self._views(np.random.default_rng(generator.initial_seed()))
        like = next(self.network.parameters())
        logits = (
            self.network(images.to(like, memory_format=torch.channels_last)).logits[:, 0].float()
        )
        return F.binary_cross_entropy_with_logits(logits, truth.to(logits))

    def _views(self, random: np.random.Generator) -> tuple[Tensor, Tensor]:
        truth = np.arange(self.batch) % 2
        views = [self._view(self.sides[side], random) for side in truth]
        return crops_to_input(np.stack(views)), torch.from_numpy(truth)

    def _view(self, tiles: Sequence[Example], random: np.random.Generator) -> np.ndarray:
        pixels = tiles[int(random.integers(len(tiles)))].tile.pixels
        side = self.data.crop
        y, x = (int(random.integers(max(length - side, 0) + 1)) for length in pixels.shape[:2])
        cut = cut_crops(pixels[y : y + side, x : x + side], side)[0]
        stained = restain(cut, stain_matrix(random, self.data.stain_jitter))
        return np.ascontiguousarray(pose(stained, int(random.integers(8))))

    def validate(self) -> dict[str, float]:
        """Loss, both classes counting alike, and area under the ROC curve, on held-out tiles."""
        logits = torch.tensor(self._measure(self.network.state_dict()), dtype=torch.float64)
        truth = torch.tensor(self.truth)
        each = F.binary_cross_entropy_with_logits(logits, truth.double(), reduction="none")
        loss = float(each[truth].mean() + each[~truth].mean()) / 2
        if not math.isfinite(loss):  # there is no order of what are no numbers
            return {"loss": loss}
        area = self._auc(logits.tolist())
        return {
            "loss": loss,
            "auc": area.value,
            "auc_low": area.low,
            "auc_high": area.high,
        }

    def picture(self) -> Pixels:
        """The held-out tiles judged worst: spoilt ones let through, good ones refused."""
        logits = np.array(self._measure(self.network.state_dict()))
        rows: list[tuple[str, list[Pixels]]] = []
        for spoilt, words in (
            (True, "with an artefact, least suspected"),
            (False, "good, most suspected"),
        ):
            mine = [index for index in np.argsort(logits) if self.truth[index] == spoilt]
            worst = (mine if spoilt else mine[::-1])[:SHOWN]
            chances = ", ".join(f"{1 / (1 + np.exp(-logits[index])):.2f}" for index in worst)
            rows.append(
                (f"{words}: {chances}", [self.held_out[index].tile.pixels for index in worst])
            )
        return contact_sheet(rows, cell=160)

    def export(self, folder: Path, averaged: Mapping[str, Tensor]) -> None:
        """`model.safetensors` and `artefact.json`, with the area that these very weights reach."""
        area = self._auc(self._measure(module_weights(averaged, "artefact")))
        save_artefact(folder, replace(self.info, auc=area), self._judge.state_dict())

    def _auc(self, logits: Sequence[float]) -> AucInterval:
        value, low, high = auc_interval(logits, self.truth, self.patients)
        return AucInterval(value, low, high, len(set(self.patients)))

    def _measure(self, weights: Mapping[str, Tensor]) -> list[float]:
        """Log odds of the held-out tiles by the judge with these weights, which it keeps."""
        own = {
            name: weights[name].detach().float().cpu() for name, _ in self._judge.named_parameters()
        }
        seen = hashlib.sha256(
            b"".join(value.contiguous().numpy().tobytes() for value in own.values())
        )
        if seen.hexdigest() != self._judged:  # a look asks three times for the same weights
            self._judge.load_state_dict(own, strict=False)
            self._settle()
            classifier = ArtefactClassifier(self.info, self._judge)
            self._logits = [
                classifier.logit(each.tile.pixels, self.data.mpp) for each in self.held_out
            ]
            self._judged = seen.hexdigest()
        return self._logits

    @torch.no_grad()
    def _settle(self) -> None:
        """Measure what batch norm divides by, on crops that are the same each time."""
        norms = [module for module in self._judge.modules() if isinstance(module, nn.BatchNorm2d)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain mean over the batches
        random = np.random.default_rng(0)
        like = next(self._judge.parameters())
        self._judge.train()
        for _ in range(CALIBRATION):
            self._judge(self._views(random)[0].to(like, memory_format=torch.channels_last))
        self._judge.eval()


def count(examples: Sequence[Example]) -> TileCounts:
    """Patients and tiles of a list."""
    spoilt = sum(is_artefact(each) for each in examples)
    return TileCounts(
        len({each.tile.ref.patient for each in examples}),
        len(examples) - spoilt,
        spoilt,
    )
