"""The encoder's task: views of one place alike, places apart, and nuclei told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch import Tensor, nn

from ....core.geometry import Box
from ....core.nuclei import ANY_CLASS, Nuclei
from ....core.tile import Pixels
from ....encoders.histo import fit_whitening, pictures_to_signal, raw_features, save_encoder
from ....encoders.info import EncoderInfo
from ....encoders.network import HistoNet
from ....tissue.augment import pose, restain, stain_matrix
from ...data.plan import DataPlan
from ...data.sources import Example
from ...loop.fit import module_weights
from .recipe import EncoderPlan

FEW = 0.02
"""Nuclei in 32 x 32 px below which their logarithm is no longer told apart."""
FRAMED_PX = 256
PAIRS = 96
"""Views that validation looks at."""


HARMS = ("blur", "noise", "jpeg")


@dataclass(frozen=True, eq=False)
class View:
    """One view of a place: (3, H, W) in [-1, 1], what was done to it, and its nuclei per class if
    known.
    """

    signal: Tensor
    harm: Tensor
    density: Tensor | None


def harmed(pixels: Pixels, harm: NDArray[np.float64], random: np.random.Generator) -> Pixels:
    """A picture made worse: blur of up to 1.8 px, noise of up to 14 grey levels, JPEG down to
    quality 25.

    Args:
        pixels: (H, W, 3) uint8.
        harm: (3,) in [0, 1], as `HARMS`.
        random: source of noise.
    """
    blur, noise, jpeg = (float(each) for each in harm)
    out = pixels.astype(np.float32)
    if blur:
        out = np.asarray(ndimage.gaussian_filter(out, (1.8 * blur, 1.8 * blur, 0)), np.float32)
    if noise:
        out = out + random.normal(0, 14 * noise, out.shape).astype(np.float32)
    done: Pixels = np.clip(out, 0, 255).round().astype(np.uint8)
    if jpeg:
        packed = BytesIO()
        Image.fromarray(done).save(packed, "JPEG", quality=round(95 - 70 * jpeg))
        done = np.array(Image.open(packed), dtype=np.uint8)
    return done


class EncoderTrainTask:
    """Two views of one place, in random poses, stains and scales.

    Args:
        network: the encoder's.
        train, held_out: tiles of different patients; those without nuclei only teach what is alike.
        batch, data, plan: of the recipe.
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
        shares = np.array([each.share for each in train])
        self.shares = shares / shares.sum()
        wide = plan.project
        layers: list[nn.Module] = [
            _over_batch(network.widths[-1]),
            nn.Linear(network.widths[-1], wide),
            _over_batch(wide),
            nn.GELU(),
            nn.Linear(wide, wide),
        ]
        self.projector = nn.Sequential(*layers).to(next(network.parameters()))
        counter = nn.Linear(network.widths[-1], max(len(data.classes), 1))
        self.counter = counter.to(next(network.parameters()))
        self.harm = nn.Linear(network.widths[-1], len(HARMS)).to(next(network.parameters()))

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """The encoder, and what only its losses need."""
        return {
            "encoder": self.network,
            "projector": self.projector,
            "counter": self.counter,
            "harm": self.harm,
        }

    def loss(self, step: int, generator: torch.Generator) -> Tensor:
        """Loss of one batch of pairs."""
        random = np.random.default_rng(generator.initial_seed())
        drawn = random.choice(len(self.train), self.batch, p=self.shares)
        return sum(self._losses([self.train[i] for i in drawn], random).values(), torch.zeros(()))

    def _losses(self, tiles: Sequence[Example], random: np.random.Generator) -> dict[str, Tensor]:
        plan = self.plan
        like = next(self.network.parameters())
        views = [view for tile in tiles for view in self._pair(tile, random)]
        order = [*range(0, len(views), 2), *range(1, len(views), 2)]
        images = torch.stack([views[i].signal for i in order]).to(
            like, memory_format=torch.channels_last
        )
        features = self.network(images)[-1].mean(dim=(2, 3))
        first, second = self.projector(features).float().chunk(2)
        out = {"invariance": plan.invariance * F.mse_loss(first, second)}
        for name, side in (("one", first), ("other", second)):
            centred = side - side.mean(0)
            std = (centred.var(0) + 1e-4).sqrt()
            out[f"variance_{name}"] = plan.variance / 2 * F.relu(1 - std).mean()
            covariance = centred.T @ centred / (len(side) - 1)
            off = covariance.pow(2).sum() - covariance.diagonal().pow(2).sum()
            out[f"covariance_{name}"] = plan.covariance * off / side.shape[1]
        harms = torch.stack([views[i].harm for i in order]).to(like.device)
        out["harm"] = plan.harm * F.smooth_l1_loss(self.harm(features).float(), harms, beta=0.2)
        known = [(row, views[i].density) for row, i in enumerate(order)]
        rows = [row for row, density in known if density is not None]
        if rows and self.data.classes:
            wanted = torch.stack([density for _, density in known if density is not None]).to(
                like.device
            )
            out["nuclei"] = plan.nuclei * F.smooth_l1_loss(
                self.counter(features[rows]).float(), wanted
            )
        return out

    def _pair(self, tile: Example, random: np.random.Generator) -> list[View]:
        """Two overlapping crops of a tile, harmed alike."""
        side = self.data.crop
        pixels = tile.tile.pixels
        height, width = pixels.shape[:2]
        cut = min(
            round(side * float(np.exp(random.normal(0, self.plan.zoom)))),
            height,
            width,
        )
        at = random.integers([width - cut + 1, height - cut + 1])
        harm = np.where(
            random.uniform(size=len(HARMS)) < self.plan.harmed,
            random.uniform(size=len(HARMS)),
            0.0,
        )
        out = []
        for turn in range(2):
            if turn:
                cut = min(
                    round(cut * float(np.exp(random.normal(0, self.plan.zoom / 2)))),
                    height,
                    width,
                )
                reach = self.plan.apart * cut
                at = at + np.round(random.uniform(-reach, reach, 2)).astype(int)
            x, y = np.clip(at, 0, [width - cut, height - cut])
            out.append(
                self._view(
                    tile,
                    Box(int(x), int(y), cut, cut),
                    harm,
                    random,
                )
            )
        return out

    def _view(
        self,
        tile: Example,
        box: Box,
        harm: NDArray[np.float64],
        random: np.random.Generator,
    ) -> View:
        side = self.data.crop
        crop = restain(tile.tile.pixels[box.slices], stain_matrix(random, self.data.stain_jitter))
        image = Image.fromarray(crop.round().astype(np.uint8))
        if box.width != side:
            image = image.resize((side, side), Image.Resampling.BILINEAR)
        light = np.exp(random.normal(0, self.plan.light, 3))
        pixels = np.asarray(image, dtype=np.float32) * light
        turned = pose(np.clip(pixels, 0, 255).astype(np.uint8), int(random.integers(8)))
        signal = pictures_to_signal(
            harmed(np.ascontiguousarray(turned, np.uint8), harm, random)[None]
        )[0]
        density = None if tile.nuclei is None else self._density(tile.nuclei.crop(box), box)
        return View(signal, torch.from_numpy(harm).float(), density)

    def _density(self, nuclei: Nuclei, box: Box) -> Tensor:
        counts = np.bincount(
            nuclei.class_ids[nuclei.class_ids != ANY_CLASS], minlength=len(self.data.classes)
        )
        cells = box.width * box.height / 1024
        return torch.from_numpy(np.log1p(counts / cells / FEW)).float()

    def validate(self) -> dict[str, float]:
        """Losses on pairs of held-out tiles, and how often a tile's nearest other view is of its
        own tile.
        """
        random = np.random.default_rng(0)
        tiles = [
            self.held_out[i % len(self.held_out)] for i in range(max(PAIRS, len(self.held_out)))
        ]
        losses = {key: float(value) for key, value in self._losses(tiles, random).items()}
        features, owners = self._corners(self.held_out)
        gaps = np.linalg.norm(features[:, None] - features[None], axis=-1) + np.diag(
            np.full(len(features), np.inf)
        )
        hits = owners[gaps.argmin(1)] == owners
        spread = np.linalg.eigvalsh(np.cov(features.T)).clip(0)
        shares = spread / max(spread.sum(), 1e-12)
        rank = float(np.exp(-(shares * np.log(shares + 1e-12)).sum()))
        return {
            "loss": sum(losses.values()),
            **losses,
            "own_tile": float(hits.mean()),
            "rank": rank,
        }

    def _corners(self, tiles: Sequence[Example]) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        """Features of four crops of each tile, and whose they are."""
        crops, owners = self._crops(tiles)
        like = next(self.network.parameters())
        signal = pictures_to_signal(np.stack(crops)).to(like, memory_format=torch.channels_last)
        rows = [self.network(part)[-1].mean(dim=(2, 3)).float() for part in torch.split(signal, 32)]
        return torch.cat(rows).cpu().numpy(), owners

    def _crops(self, tiles: Sequence[Example]) -> tuple[list[Pixels], NDArray[np.intp]]:
        crops = []
        owners = []
        side = self.data.crop
        for owner, tile in enumerate(tiles):
            height, width = tile.tile.pixels.shape[:2]
            for y in (0, height - side):
                for x in (0, width - side):
                    crops.append(tile.tile.pixels[y : y + side, x : x + side])
                    owners.append(owner)
        return crops, np.array(owners)

    def picture(self) -> Pixels:
        """Crops of held-out tiles above, below each the training crop that is nearest to it."""
        shown = self.held_out[:: max(len(self.held_out) // 8, 1)][:8]
        others = [each for each in self.train if min(each.tile.pixels.shape[:2]) >= self.data.crop]
        mine, _ = self._corners(shown)
        theirs, _ = self._corners(others)
        crops, _ = self._crops(shown)
        known, _ = self._crops(others)
        rows: list[list[Pixels]] = [[], []]
        for index in range(0, len(crops), 2):
            near = int(np.linalg.norm(theirs - mine[index], axis=1).argmin())
            rows[0].append(crops[index])
            rows[1].append(known[near])
        sheet: Pixels = np.concatenate([np.concatenate(row, axis=1) for row in rows])
        return sheet

    def export(self, folder: Path, averaged: Mapping[str, Tensor]) -> None:
        """`model.safetensors` and `encoder.json`; features are framed by the training tissue."""
        info = EncoderInfo(
            self.name,
            self.data.mpp,
            self.plan.widths,
            self.plan.blocks,
        )
        weights = module_weights(averaged, "encoder")
        network = HistoNet(self.plan.widths, self.plan.blocks)
        network.load_state_dict(
            {key: value.detach().float().cpu() for key, value in weights.items()}
        )
        with torch.inference_mode():
            raw = [
                raw_features(network(pictures_to_signal(crop[None]))) for crop in self._framing()
            ]
        save_encoder(
            folder,
            info,
            weights,
            fit_whitening(torch.cat(raw)),
        )

    def _framing(self) -> Iterator[Pixels]:
        """Crops of the training tiles as large as a tile usually is, four at most of each."""
        for tile in self.train:
            pixels = tile.tile.pixels
            side = min(FRAMED_PX, *pixels.shape[:2]) // self.network.stride * self.network.stride
            ys, xs = (
                np.linspace(0, length - side, min(max(round(length / side), 1), 2)).astype(int)
                for length in pixels.shape[:2]
            )
            for y in ys:
                for x in xs:
                    yield pixels[y : y + side, x : x + side]


def _over_batch(width: int) -> nn.Module:
    """Each feature brought to mean 0 and spread 1 over the batch: places differ little at first."""
    return nn.BatchNorm1d(width, affine=False, track_running_stats=False)
