"""A task of a few weights, to test the loop with."""

import json
import threading
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from histosynth.training.loop.microbatches import WHOLE_BATCH, Part
from histosynth.training.recipes.loop import LoopPlan


def plan(steps=6, batch=4, **changes) -> LoopPlan:
    usual = {
        "learning_rate": 0.05,
        "warmup": 0,
        "ema": 0.5,
        "validate_every": 2,
        "checkpoint_every": 2,
        "log_every": 1,
        "precision": "fp32",
        "trackers": (),
    }
    return LoopPlan(steps, batch, **{**usual, **changes})


class Whole:
    """Learns a fixed linear map of noise; `loudness` scales its gradients, and so where fp16
    overflows."""

    def __init__(
        self,
        *,
        batch=4,
        dtype=torch.float32,
        loudness=1.0,
        dropout=0.0,
        losses=(),
    ) -> None:
        torch.manual_seed(0)
        layers = nn.Linear(64, 72), nn.Dropout(dropout), nn.Linear(72, 1)
        self.network = nn.Sequential(*layers).to(dtype)
        self.batch = batch
        self.dtype = dtype
        self.loudness = loudness
        self.losses = list(losses)
        self.validations = 0

    @property
    def modules(self):
        return {"toy": self.network}

    def loss(
        self,
        step,
        generator,
        part: Part = WHOLE_BATCH,
    ):
        drawn = torch.randn(self.batch, 64, generator=generator)
        own = part.take(drawn)
        error = self.network(own.to(self.dtype)).float()[:, 0] - own.sum(1)
        return self.loudness * (error**2).mean() * (len(own) * part.count / len(drawn))

    def validate(self):
        self.validations += 1
        if self.losses:
            return {"loss": self.losses.pop(0)}
        drawn = torch.randn(8, 64, generator=torch.Generator().manual_seed(1))
        output = self.network(drawn.to(self.dtype)).float()[:, 0]
        return {"loss": float(((output - drawn.sum(1)) ** 2).mean())}

    def picture(self):
        return np.zeros((8, 8, 3), np.uint8)

    def export(self, folder, averaged):
        folder.mkdir(parents=True, exist_ok=True)
        save_file({key: value.clone() for key, value in averaged.items()}, folder / "w.safetensors")


class Toy(Whole):
    """The same, whose batches can be cut."""

    @property
    def max_parts(self):
        return self.batch


class Prepared(Toy):
    """The same, whose batches can be prepared ahead; `by` are the threads that did."""

    def __init__(self, **options) -> None:
        super().__init__(**options)
        self.by = []

    def prepare(self, step, generator, part: Part = WHOLE_BATCH):
        self.by.append(threading.current_thread().name)
        return step, generator, part

    def prepared_loss(self, prepared):
        return self.loss(*prepared)


def rows_of(run: Path):
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def losses_of(run: Path):
    return [row["loss"] for row in rows_of(run) if "loss" in row]


class Killed(Exception):
    """Stands for the end of a process between two steps."""


def killed_at(step):
    def report(now, numbers):
        if now == step:
            raise Killed

    return report
