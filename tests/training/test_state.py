"""The state of a run: its average of weights, and its learning rate."""

import pytest
import torch
from torch import nn
from toy import plan

from histosynth.training.loop.schedule import learning_rate
from histosynth.training.loop.state import TrainState


def state_of_one_weight(**changes):
    module = nn.Linear(1, 1, bias=False)
    nn.init.constant_(module.weight, 1.0)
    return module, TrainState({"one": module}, plan(**changes))


def step(module, state):
    state.backward(module.weight.sum())
    state.apply_gradients()


@pytest.mark.parametrize("updates", [1, 2, 5])
def test_a_young_average_is_short(updates):
    """Its decay is (1 + step) / (10 + step) until that reaches `ema`."""
    module, state = state_of_one_weight(steps=9, ema=0.999)
    wanted = 1.0
    for number in range(1, updates + 1):
        step(module, state)
        decay = (1 + number) / (10 + number)
        wanted = decay * wanted + (1 - decay) * state.masters["one.weight"].item()
    assert float(state.ema["one.weight"]) == pytest.approx(wanted, rel=1e-6)


def test_an_average_is_never_longer_than_the_plan_allows():
    module, state = state_of_one_weight(steps=9, ema=0.1)
    step(module, state)
    wanted = 0.1 * 1.0 + 0.9 * state.masters["one.weight"].item()
    assert float(state.ema["one.weight"]) == pytest.approx(wanted, rel=1e-6)


def test_modules_hold_the_average_inside_the_block_only():
    module, state = state_of_one_weight(steps=9, ema=0.5)
    step(module, state)
    trained = module.weight.item()
    with state.ema_weights():
        assert module.weight.item() == float(state.ema["one.weight"]) != trained
    assert module.weight.item() == trained


def test_the_digest_changes_with_weights_and_steps():
    _, state = state_of_one_weight(steps=9)
    before = state.digest()
    state.step += 1
    later = state.digest()
    state.masters["one.weight"].detach().add_(1)
    assert len({before, later, state.digest()}) == 3


def test_the_learning_rate_ends_at_its_least_share():
    settings = plan(
        steps=100,
        learning_rate=0.5,
        warmup=0,
        cooldown=0.5,
        min_learning_rate_share=0.1,
    )
    rates = [learning_rate(number, settings) for number in (0, 49, 75, 100)]
    assert rates == pytest.approx([0.5, 0.5, 0.275, 0.05], rel=1e-3)


def test_gradients_of_two_losses_add_up_in_fp32():
    module = nn.Linear(1, 1, bias=False).to(torch.bfloat16)
    state = TrainState({"one": module}, plan())
    for factor in (1.0, 1e-3):
        state.backward(factor * module.weight.float().sum())
    gradient = state.masters["one.weight"].grad
    assert gradient.dtype == torch.float32
    assert float(gradient) == pytest.approx(1 + float(torch.tensor(1e-3).bfloat16()), rel=1e-6)
