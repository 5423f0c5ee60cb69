"""Loss scaling: overflows are skipped and counted; real divergence still ends the run."""

import math

import pytest
import torch
from safetensors.torch import load_file
from toy import Toy, plan, rows_of

from histosynth.core.errors import BadWeights, Diverged
from histosynth.training.loop.fit import fit
from histosynth.training.loop.scaler import GROWTH_INTERVAL, MAX_SCALE, LossScaler
from histosynth.training.loop.state import TrainState


def test_gradients_that_overflow_at_first_are_skipped_and_then_it_trains(tmp_path):
    task = Toy(dtype=torch.float16, loudness=10.0)
    settings = plan(
        steps=120,
        precision="fp16",
        learning_rate=0.01,
        validate_every=120,
        log_every=60,
    )
    with torch.no_grad():
        before = task.validate()["loss"]
    state = fit(task, settings, tmp_path, seed=0)
    skips = [row for row in rows_of(tmp_path) if row.get("skipped") and row["step"] < 60]
    assert (
        state.step == 120 and state.scaler.skipped == len(skips) > 2
    )  # each is logged, whatever log_every
    assert state.scaler.scale == 2.0 ** (16 - len(skips))
    assert load_file(tmp_path / "state.safetensors")["step/toy.0.bias"] == 120 - len(skips)
    assert rows_of(tmp_path)[-1]["validation_loss"] < 0.2 * before


def test_a_skipped_step_changes_no_weight_and_no_average_but_draws_another_batch(tmp_path):
    task = Toy(dtype=torch.float16, loudness=1e5)
    drawn = []
    loss = task.loss
    task.loss = lambda step, generator, *part: (
        drawn.append(generator.initial_seed()),
        loss(step, generator),
    )[1]
    state = fit(task, plan(steps=2, precision="fp16"), tmp_path, seed=0)
    assert state.scaler.skipped == 2 and len(set(drawn)) == 2
    fresh = TrainState(Toy(dtype=torch.float16).modules, plan(precision="fp16"))
    for key, value in fresh.masters.items():
        assert torch.equal(value, state.masters[key]) and torch.equal(value, state.ema[key])


def test_overflows_without_an_end_are_a_run_that_diverged(tmp_path):
    task = Toy(dtype=torch.float16)
    task.network[0].weight.data.fill_(math.nan)
    with pytest.raises(Diverged, match=r"step 19: its gradient norm, 20 times in a row, is nan"):
        fit(
            task,
            plan(
                steps=30,
                precision="fp16",
                validate_every=30,
                checkpoint_every=30,
            ),
            tmp_path,
            seed=0,
        )
    assert [row["skipped"] for row in rows_of(tmp_path)] == list(range(1, 20))


def test_the_scale_grows_after_many_clean_steps_and_never_beyond_its_bound():
    scaler = LossScaler()
    for _ in range(GROWTH_INTERVAL):
        scaler.record_update()
    assert (scaler.scale, scaler.clean_steps) == (2.0**17, 0)
    for _ in range(20 * GROWTH_INTERVAL):
        scaler.record_update()
    assert scaler.scale == MAX_SCALE


def test_a_scaler_goes_on_from_its_facts_and_refuses_nonsense():
    scaler = LossScaler()
    other = LossScaler()
    scaler.record_overflow(0, math.inf)
    scaler.record_update()
    other.restore(scaler.facts())
    assert other == scaler and (
        scaler.skipped,
        scaler.consecutive_overflows,
        scaler.clean_steps,
    ) == (1, 0, 1)
    for wrong in ("nan", "0.0", "-1.0", "inf", "much"):
        with pytest.raises(ValueError):
            other.restore({**scaler.facts(), "scale": wrong})


def test_a_state_without_its_loss_scale_is_refused(tmp_path):
    fit(Toy(), plan(steps=2), tmp_path, seed=0)
    with pytest.raises(BadWeights, match="scale"):
        fit(
            Toy(dtype=torch.float16),
            plan(steps=2, precision="fp16"),
            tmp_path,
            seed=0,
        )
