"""Runs that come to no numbers, and run folders that were spoilt."""

import errno
import json
import math

import numpy as np
import pytest
import torch
from diffusers import AutoencoderDC
from safetensors.torch import load_file, save_file
from small import write_recipe
from torch import nn

from histosynth.core.errors import BadOption, BadRun, BadWeights, Diverged, NotWritable
from histosynth.model.parts import load_part
from histosynth.pipeline.train import train
from histosynth.tensors.device import pick_device
from histosynth.training.data.sources import open_source
from histosynth.training.data.views import open_views
from histosynth.training.loop import run_log
from histosynth.training.loop.fit import RunLog, fit
from histosynth.training.loop.state import TrainState
from histosynth.training.recipes.loop import LoopPlan
from histosynth.training.recipes.tiles import TileSource


class Fragile:
    """A task of one weight whose loss, gradient or validation is no number at one step."""

    def __init__(
        self,
        breaks: str,
        at: int,
        value: float = math.nan,
    ) -> None:
        self.network = nn.Linear(1, 1, bias=False)
        self.breaks = breaks
        self.at = at
        self.value = value
        self.validations = 0

    @property
    def modules(self):
        return {"one": self.network}

    def loss(self, step, generator):
        loss = self.network.weight.square().sum()
        if step == self.at and self.breaks == "loss":
            loss = loss * self.value
        if step == self.at and self.breaks == "gradient norm":
            loss = (
                loss.detach()
                + (self.network.weight - self.network.weight.detach()).abs().sqrt().sum()
            )
        return loss

    def validate(self):
        self.validations += 1
        broken = self.breaks == "validation_loss" and self.validations > 1
        return {"loss": self.value if broken else 1.0}

    def picture(self):
        return np.zeros((8, 8, 3), np.uint8)

    def export(self, folder, averaged):
        folder.mkdir(parents=True, exist_ok=True)
        save_file({key: value.clone() for key, value in averaged.items()}, folder / "w.safetensors")


@pytest.mark.parametrize("breaks", ["loss", "gradient norm", "validation_loss"])
def test_a_run_that_diverges_stops_and_leaves_what_was_saved(tmp_path, breaks):
    plan = LoopPlan(
        8,
        1,
        0.1,
        warmup=0,
        validate_every=2,
        checkpoint_every=1,
        log_every=1,
    )
    with pytest.raises(
        Diverged, match=rf"diverged at step [34]: its {breaks} is nan; .* Lower loop"
    ):
        fit(Fragile(breaks, at=3), plan, tmp_path, seed=0)
    state = load_file(tmp_path / "state.safetensors")
    assert all(torch.isfinite(value).all() for value in state.values())
    assert state["step/one.weight"] == 3
    assert torch.isfinite(load_file(tmp_path / "weights" / "w.safetensors")["one.weight"]).all()
    rows = [
        json.loads(line, parse_constant=pytest.fail)
        for line in (tmp_path / "log.jsonl").read_text().splitlines()
    ]
    assert all(math.isfinite(value) for row in rows for value in row.values())
    assert not (tmp_path / "pictures" / "0000004.png").exists()


def test_weights_that_are_no_numbers_are_not_saved(tmp_path):
    state = TrainState(Fragile("nothing", at=9).modules, LoopPlan(3, 1, 0.1))
    state.masters["one.weight"].detach().fill_(math.inf)
    with pytest.raises(Diverged, match="largest weight is inf"):
        state.save(tmp_path / "state.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"learning_rate": 1e30}, "learning_rate must lie in"),
        ({"learning_rate": 1e38}, "learning_rate must lie in"),
        (
            {"learning_rate": 0.1, "weight_decay": 1e300},
            r"weight_decay must be below 1 / learning_rate, not 1e\+300",
        ),
    ],
)
def test_a_rate_that_overflows_is_refused(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        LoopPlan(
            steps=1,
            batch=1,
            **wrong,
        )


def test_a_task_that_diverges_stops_the_verb_before_it_logs(
    tmp_path,
    tissue,
    autoencoder,
    monkeypatch,
):
    monkeypatch.setattr(
        "histosynth.training.tasks.diffusion.train_task.diffusion_loss",
        lambda output, *_, **__: output / 0.0,
    )
    run = tmp_path / "run"
    with pytest.raises(Diverged, match="step 0: its loss is"):
        train(
            write_recipe(tmp_path, tissue, "base", start=autoencoder),
            run,
            device="cpu",
        )
    assert (run / "log.jsonl").read_text() == "" and not (run / "weights").exists()


def test_a_log_that_is_not_all_text_loses_the_spoilt_lines_only(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"step": 1}\n\xff\xfe\n' + b"[" * 100_000 + b'\n{"step": 2}\n{"step": 3}\n')
    RunLog(path, 2)
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n'
    path.unlink()
    path.mkdir()
    with pytest.raises(BadRun, match=r"log.jsonl cannot be gone on from"):
        RunLog(path, 2)


def test_spoilt_views_are_encoded_again(tmp_path, tissue, autoencoder):
    source = TileSource("images", "^(..)", 0.5, members="val.txt")
    encoded = []
    tiles = open_source(
        source,
        root=tissue,
        mpp=0.5,
        classes=(),
    )
    network = load_part(autoencoder, AutoencoderDC)
    path = tmp_path / "views.safetensors"

    def attempt():
        encoded.clear()
        views = open_views(
            path,
            tiles,
            network,
            views=2,
            stain_jitter=0.1,
            seed=1,
            on_progress=lambda done, _: encoded.append(done),
        )
        assert [len(each) for each in views] == [2, 2]
        return len(encoded)

    assert attempt() == 2 and attempt() == 0
    whole = path.read_bytes()
    for spoilt in (b"", whole[:200], whole[:-100]):
        path.write_bytes(spoilt)
        assert attempt() == 2 and path.read_bytes() == whole
    some = load_file(path)
    del some["00001.001.styles"]
    save_file(some, path)
    assert attempt() == 2 and path.read_bytes() == whole and attempt() == 0


@pytest.mark.parametrize("what", ["absent", "another shape"])
def test_a_state_that_lacks_a_part_is_refused(tmp_path, what):
    plan = LoopPlan(2, 1, 0.1, warmup=0)
    fit(Fragile("nothing", at=9), plan, tmp_path, seed=0)
    path = tmp_path / "state.safetensors"
    state = load_file(path)
    state["ema/one.weight"] = torch.zeros(2, 2)
    if what == "absent":
        del state["ema/one.weight"]
    save_file(state, path, metadata={"step": "2"})
    with pytest.raises(BadWeights, match=r"ema/one\.weight is absent or of another shape"):
        fit(Fragile("nothing", at=9), plan, tmp_path, seed=0)


def test_a_device_that_holds_no_data_is_refused():
    with pytest.raises(BadOption, match="the device is meta"):
        pick_device("meta")
    assert pick_device("cpu").type == "cpu"


def test_a_log_on_a_full_disk_is_refused(tmp_path, monkeypatch):
    log = RunLog(tmp_path / "log.jsonl", 0)

    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(run_log, "open_to_append", full)
    with pytest.raises(NotWritable, match=r"log\.jsonl cannot be written: No space left"):
        log.append(1, {"loss": 0.5})
