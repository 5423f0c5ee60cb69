"""Which AdamW, and that its state goes through a file of tensors."""

import sys
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from toy import Killed, Toy, killed_at, losses_of, plan

from histosynth.core.errors import NeedsExtra
from histosynth.training.loop.fit import fit
from histosynth.training.loop.state import TrainState

TABLE = torch.linspace(-1, 1, 256)


class Rounded(torch.optim.Optimizer):
    """Stands for bitsandbytes: steps counted in plain numbers, moments in bytes, one table for
    all."""

    def __init__(
        self,
        groups,
        lr,
        betas,
    ):
        super().__init__(groups, {"lr": lr, "betas": betas})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for value in group["params"]:
                state = self.state[value]
                if not state:
                    state.update(
                        step=0,
                        qmap1=TABLE,
                        state1=torch.zeros_like(value, dtype=torch.uint8),
                    )
                state["step"] += 1
                mean = (
                    state["qmap1"][state["state1"].long()] + value.grad.clamp(-1, 1) / state["step"]
                )
                state["state1"] = torch.bucketize(mean, TABLE).clamp(0, 255).to(torch.uint8)
                value.sub_(group["lr"] * TABLE[state["state1"].long()])


def resumed_is_through(folder, settings, task=Toy):
    fit(task(), settings, folder / "through", seed=1)
    for step in (1, 3):
        with pytest.raises(Killed):
            fit(
                task(),
                settings,
                folder / "cut",
                seed=1,
                on_step=killed_at(step),
            )
    fit(task(), settings, folder / "cut", seed=1)
    through, cut = (load_file(folder / name / "state.safetensors") for name in ("through", "cut"))
    assert through.keys() == cut.keys()
    assert all(torch.equal(value, cut[key]) for key, value in through.items())
    assert losses_of(folder / "through") == losses_of(folder / "cut")
    return through


def test_moments_of_8_bits_go_through_a_checkpoint(tmp_path, monkeypatch):
    fake = ModuleType("bitsandbytes.optim")
    fake.AdamW8bit = Rounded
    monkeypatch.setitem(sys.modules, "bitsandbytes", ModuleType("bitsandbytes"))
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", fake)
    kept = resumed_is_through(
        tmp_path,
        plan(
            steps=5,
            checkpoint_every=1,
            optimiser="adamw8bit",
        ),
    )
    assert kept["state1/toy.0.weight"].dtype == torch.uint8 and kept["count.step/toy.0.weight"] == 5


def test_real_moments_of_8_bits_do_too(tmp_path):
    pytest.importorskip("bitsandbytes")

    class Larger(Toy):  # parameters of fewer than 4096 values keep moments of 32 bits
        def __init__(self):
            super().__init__()
            self.network = nn.Sequential(nn.Linear(64, 128), nn.Linear(128, 1))
            for parameter in self.network.parameters():
                nn.init.constant_(parameter, 0.01)

    kept = resumed_is_through(
        tmp_path,
        plan(
            steps=5,
            checkpoint_every=1,
            optimiser="adamw8bit",
        ),
        Larger,
    )
    assert kept["state1/toy.0.weight"].dtype == torch.uint8


def test_8_bits_without_bitsandbytes_are_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", None)
    with pytest.raises(NeedsExtra, match=r"bitsandbytes, .* is not installed"):
        fit(
            Toy(),
            plan(optimiser="adamw8bit"),
            tmp_path / "run",
            seed=0,
        )
    assert not (tmp_path / "run").exists()


def test_one_kernel_does_what_many_do(tmp_path):
    for name in ("adamw", "fused"):
        fit(Toy(), plan(optimiser=name), tmp_path / name, seed=1)
    assert losses_of(tmp_path / "fused") == pytest.approx(losses_of(tmp_path / "adamw"), rel=1e-4)


@pytest.mark.parametrize("optimiser", ["adamw", "fused"])
def test_a_network_of_any_order_of_memory_goes_on_as_if_never_stopped(tmp_path, optimiser):
    """Torch's fused update ignores strides: a moment in another order belongs to another
    weight."""

    def network():
        torch.manual_seed(0)
        return nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)

    def learn(conv, state, steps):
        for step in steps:
            pixels = torch.randn(
                2,
                3,
                8,
                8,
                generator=torch.Generator().manual_seed(step),
            )
            state.backward(conv(pixels).square().mean())
            state.apply_gradients()

    through = network()
    cut = network()
    state = TrainState({"conv": through}, plan(optimiser=optimiser))
    learn(through, state, range(2))
    state.save(tmp_path / "state.safetensors")
    learn(through, state, range(2, 4))
    again = TrainState({"conv": cut}, plan(optimiser=optimiser))
    again.load(tmp_path / "state.safetensors")
    learn(cut, again, range(2, 4))
    assert torch.equal(through.weight, cut.weight)
