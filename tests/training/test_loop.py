"""The loop: parts of a batch, exact resume, the best weights, and when to stop."""

import json
import threading

import pytest
import torch
from safetensors.torch import load_file
from toy import Killed, Prepared, Toy, Whole, killed_at, losses_of, plan, rows_of

from histosynth.core.errors import BadRecipe
from histosynth.training.loop.fit import fit
from histosynth.training.loop.microbatches import Part, parts_of_process
from histosynth.training.loop.schedule import learning_rate


def weights_of(run, folder="weights"):
    return load_file(run / folder / "w.safetensors")


def same(first, second):
    assert first.keys() == second.keys()
    return all(torch.equal(value, second[key]) for key, value in first.items())


@pytest.mark.parametrize("parts", [2, 4])
def test_a_batch_in_parts_is_the_batch(tmp_path, parts):
    for name, accumulate in (("whole", 1), ("parts", parts)):
        fit(
            Toy(),
            plan(accumulate=accumulate),
            tmp_path / name,
            seed=1,
        )
    assert losses_of(tmp_path / "parts") == pytest.approx(losses_of(tmp_path / "whole"), rel=1e-5)
    whole = weights_of(tmp_path / "whole")
    cut = weights_of(tmp_path / "parts")
    for key, value in whole.items():
        torch.testing.assert_close(
            cut[key],
            value,
            rtol=1e-4,
            atol=1e-5,
        )


@pytest.mark.parametrize("is_ahead", [False, True])
def test_batches_that_are_prepared_ahead_give_the_same_weights(tmp_path, monkeypatch, is_ahead):
    monkeypatch.setattr("histosynth.training.loop.fit.prepares_ahead", lambda device: is_ahead)
    fit(Toy(), plan(accumulate=2), tmp_path / "toy", seed=1)
    task = Prepared()
    fit(task, plan(accumulate=2), tmp_path / "prepared", seed=1)
    assert same(weights_of(tmp_path / "prepared"), weights_of(tmp_path / "toy"))
    assert len(task.by) == 2 * 6
    assert set(task.by) == {"histosynth-ahead" if is_ahead else "MainThread"}


def test_a_batch_that_cannot_be_prepared_ends_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr("histosynth.training.loop.fit.prepares_ahead", lambda device: True)
    task = Prepared()
    prepare = task.prepare

    def fails(step, generator, part):
        if step == 3:
            raise OSError("the file is gone")
        return prepare(step, generator, part)

    task.prepare = fails
    with pytest.raises(OSError, match="the file is gone"):
        fit(task, plan(), tmp_path, seed=1)
    assert "histosynth-ahead" not in [each.name for each in threading.enumerate()]


def test_unequal_parts_weigh_by_their_items(tmp_path):
    task = Toy(batch=5)
    draw = torch.Generator().manual_seed
    losses = [task.loss(0, draw(3), Part(index, 3)).item() for index in range(3)]
    assert sum(losses) / 3 == pytest.approx(task.loss(0, draw(3)).item(), rel=1e-5)


def test_every_item_is_in_one_part_of_one_process():
    parts = [
        part
        for process in range(3)
        for part in parts_of_process(plan(batch=12, accumulate=2), process=process, processes=3)
    ]
    found = [item for part in parts for item in part.take(list(range(12)))]
    assert (
        sorted(found) == list(range(12))
        and len({len(part.take(list(range(12)))) for part in parts}) == 1
    )


@pytest.mark.parametrize(
    ("task", "batch", "sentence"),
    [
        (Whole(), 4, "2 parts a batch, but this task's loss is one of a whole batch"),
        (Toy(batch=1), 4, r"batches of its largest crops hold 1 item\(s\)"),
    ],
)
def test_a_batch_that_cannot_be_cut_is_refused_before_anything_is_written(
    tmp_path,
    task,
    batch,
    sentence,
):
    with pytest.raises(BadRecipe, match=sentence):
        fit(
            task,
            plan(batch=batch, accumulate=2),
            tmp_path / "run",
            seed=0,
        )
    assert not (tmp_path / "run").exists()
    with pytest.raises(ValueError, match="accumulate must divide batch, 4, but is 3"):
        plan(batch=4, accumulate=3)


@pytest.mark.parametrize("optimiser", ["adamw", "fused"])
@pytest.mark.parametrize(
    "task",
    [{}, {"dropout": 0.5}, {"dtype": torch.float16, "loudness": 40.0}],
    ids=["plain", "dropout", "fp16"],
)
def test_a_run_interrupted_at_any_step_is_the_run_that_never_was(tmp_path, task, optimiser):
    precision = "fp16" if "dtype" in task else "fp32"
    settings = plan(
        steps=9,
        accumulate=2,
        optimiser=optimiser,
        precision=precision,
    )
    through = tmp_path / "through"
    cut = tmp_path / "cut"
    fit(Toy(**task), settings, through, seed=1)
    for step in (1, 4, 5, 8):
        with pytest.raises(Killed):
            fit(
                Toy(**task),
                settings,
                cut,
                seed=1,
                on_step=killed_at(step),
            )
    fit(Toy(**task), settings, cut, seed=1)
    assert same(load_file(through / "state.safetensors"), load_file(cut / "state.safetensors"))
    assert same(weights_of(through), weights_of(cut)) and same(
        weights_of(through, "best"), weights_of(cut, "best")
    )
    facts = ("loss", "skipped", "loss_scale", "validation_loss")
    rows = [
        [{key: row.get(key) for key in facts} for row in rows_of(run)] for run in (through, cut)
    ]
    assert rows[0] == rows[1]


def test_the_best_weights_are_kept_and_outlast_an_interruption(tmp_path):
    settings = plan(
        steps=4,
        validate_every=1,
        checkpoint_every=1,
    )
    fit(
        Toy(losses=[3.0, 1.0]),
        plan(steps=2, validate_every=1),
        tmp_path,
        seed=0,
    )
    best = weights_of(tmp_path, "best")
    assert (
        same(best, weights_of(tmp_path))
        and json.loads((tmp_path / "best.json").read_text())["step"] == 2
    )
    fit(
        Toy(losses=[2.0, 1.0]), settings, tmp_path, seed=0
    )  # no lower: the first of the lowest stays
    assert same(best, weights_of(tmp_path, "best")) and not same(best, weights_of(tmp_path))
    fit(
        Toy(losses=[0.5]),
        plan(steps=5, validate_every=1),
        tmp_path,
        seed=0,
    )
    assert json.loads((tmp_path / "best.json").read_text()) == {"step": 5, "validation_loss": 0.5}
    assert same(weights_of(tmp_path, "best"), weights_of(tmp_path))
    assert not list(tmp_path.glob(".best-*"))


def patience(validations):
    """Stop once the loss has not fallen for so many validations."""
    seen = []

    def stop(step, numbers):
        seen.append(numbers["validation_loss"])
        waited = len(seen) - 1 - seen.index(min(seen))
        return f"no better for {waited} validations" if waited >= validations else None

    return stop


def test_a_stopped_run_ends_in_order_and_stays_so_until_it_gets_more_steps(tmp_path):
    losses = [3.0, 1.0, 2.0, 2.0, 0.1]
    settings = plan(
        steps=10,
        validate_every=1,
        checkpoint_every=100,
    )
    state = fit(
        Toy(losses=losses),
        settings,
        tmp_path,
        seed=0,
        stop_rule=patience(2),
    )
    assert (state.step, state.stopped) == (4, "no better for 2 validations")
    assert rows_of(tmp_path)[-1] == {"step": 4, "stopped": "no better for 2 validations"}
    assert (tmp_path / "state.safetensors").exists() and (tmp_path / "weights").is_dir()
    again = Toy(losses=[9.0])
    state = fit(again, settings, tmp_path, seed=0, stop_rule=patience(2))
    assert (state.step, state.stopped, again.validations) == (4, "no better for 2 validations", 0)
    longer = plan(steps=11, validate_every=1)
    state = fit(
        Toy(losses=[0.5] * 7),
        longer,
        tmp_path,
        seed=0,
        stop_rule=patience(7),
    )
    assert (state.step, state.stopped) == (11, "")


def test_weights_that_end_a_run_are_not_its_best(tmp_path):
    def stop(step, numbers):
        return "they copy" if step == 2 else None

    fit(
        Toy(losses=[2.0, 1.0]),
        plan(steps=3, validate_every=1),
        tmp_path,
        seed=0,
        stop_rule=stop,
    )
    assert json.loads((tmp_path / "best.json").read_text()) == {"step": 1, "validation_loss": 2.0}


def test_validations_before_an_interruption_are_replayed_to_the_stop_rule(tmp_path):
    settings = plan(
        steps=10,
        validate_every=1,
        checkpoint_every=1,
    )
    with pytest.raises(Killed):
        fit(
            Toy(losses=[1.0, 2.0, 2.0]),
            settings,
            tmp_path,
            seed=0,
            stop_rule=patience(3),
            on_step=killed_at(3),
        )
    state = fit(
        Toy(losses=[2.0, 2.0]),
        settings,
        tmp_path,
        seed=0,
        stop_rule=patience(3),
    )
    assert state.step == 4 and state.stopped


def test_the_learning_rate_can_be_one_cosine_to_nothing_after_the_warm_up():
    settings = plan(
        steps=110,
        learning_rate=1.0,
        warmup=10,
        cooldown=1.0,
        min_learning_rate_share=0.0,
    )
    rates = [learning_rate(step, settings) for step in (0, 9, 10, 60, 109)]
    assert rates == pytest.approx([0.1, 1.0, 1.0, 0.5, 0.0], abs=1e-3)


def test_a_step_reports_images_a_second(tmp_path):
    fit(Toy(), plan(steps=2), tmp_path, seed=0)
    row = rows_of(tmp_path)[0]
    assert (
        row["images_per_s"] == pytest.approx(4 * row["steps_per_s"], rel=1e-3)
        and "skipped" not in row
    )
