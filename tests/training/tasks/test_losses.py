"""Weights of latent cells, the loss, and the noise levels it is measured at."""

import pytest
import torch

from histosynth.model.prediction import NoiseLevel
from histosynth.model.structure import StructureMaps
from histosynth.training.loop.fit import step_generator
from histosynth.training.tasks.diffusion.losses import (
    class_weights,
    diffusion_loss,
    draw_steps,
    draw_times,
    place_weights,
)


def maps_with(nuclei, mask=None):
    return StructureMaps(
        nuclei,
        torch.ones(1),
        torch.zeros(1, 3, 64, 64),
        torch.ones(1, 1, 64, 64) if mask is None else mask,
    )


def test_nuclei_and_masked_cells_have_more_weight():
    nuclei = torch.zeros(1, 2, 32, 32)
    nuclei[0, 1, 16, 16] = 1.0
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 32:] = 1
    weights = class_weights(("stromal", "mitotic figure"), {"stromal": 1.0})
    places = place_weights(maps_with(nuclei, mask), weights, 8)
    assert weights.tolist() == pytest.approx([1.0, 2.3])
    assert places[0, 0, 4, 4] == pytest.approx(2.3)
    assert places[0, 0, 0, 7] == pytest.approx(1.0)
    assert places[0, 0, 0, 0] == pytest.approx(0.05)


def test_a_nucleus_without_a_class_has_the_mean_weight_of_the_classes():
    nuclei = torch.full((1, 2, 32, 32), 0.0)
    nuclei[0, :, 16, 16] = 0.5
    places = place_weights(maps_with(nuclei), torch.tensor([1.0, 2.0]), 8)
    assert places[0, 0, 4, 4] == pytest.approx(1.5)


def test_overlapping_nuclei_have_no_more_weight_than_the_heaviest_class():
    nuclei = torch.zeros(1, 2, 32, 32)
    nuclei[0, :, 16, 16] = 1.0
    places = place_weights(maps_with(nuclei), torch.tensor([1.5, 2.3]), 8)
    assert places[0, 0, 4, 4] == pytest.approx(2.3)
    assert places.max() == pytest.approx(2.3)


def test_a_class_that_is_not_named_weighs_one_and_a_half():
    assert class_weights(("lymphocyte",), {}).tolist() == [1.5]


def test_weights_of_cells_move_the_loss_and_keep_its_size():
    output = torch.zeros(1, 1, 2, 2)
    target = torch.zeros(1, 1, 2, 2)
    target[0, 0, 0, 0] = 1.0
    settings = {
        "clean": output,
        "noise": output,
        "level": NoiseLevel(torch.ones(1), torch.ones(1)),
        "prediction_type": "flow",
        "min_snr": 0.0,
        "target": target,
    }
    even = diffusion_loss(output, places=torch.full((1, 1, 2, 2), 7.0), **settings)
    heavy = torch.ones(1, 1, 2, 2)
    heavy[0, 0, 0, 0] = 5.0
    weighted = diffusion_loss(output, places=heavy, **settings)
    assert even.tolist() == pytest.approx([0.25])
    assert weighted.tolist() == pytest.approx([5 / 8])


def test_times_are_spread_over_the_batch_and_repeat_with_their_generator():
    times = draw_times(8, step_generator(0, 1), mean=0.0, spread=1.0)
    assert torch.equal(times, draw_times(8, step_generator(0, 1), mean=0.0, spread=1.0))
    assert not torch.equal(times, draw_times(8, step_generator(0, 2), mean=0.0, spread=1.0))
    assert (times.diff() > 0).all()
    assert 0 < times.min() < 0.3
    assert 0.7 < times.max() < 1


def test_steps_of_a_discrete_base_are_whole_and_one_is_in_each_part():
    times = draw_steps(10, step_generator(0, 1), steps=1000)
    steps = times * 999
    torch.testing.assert_close(steps, steps.round(), atol=1e-3, rtol=0)
    assert (steps.round() // 100).tolist() == list(range(10))
