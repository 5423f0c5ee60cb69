"""The diffusion task in parts, and with activations computed again."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from histosynth.core.errors import BadRecipe
from histosynth.model.adapters import add_adapter
from histosynth.testing import tiny_bundle
from histosynth.tissue.appearance import STYLE_NAMES
from histosynth.tissue.layout import draw_layout
from histosynth.training.data.views import LatentView
from histosynth.training.loop.fit import step_generator
from histosynth.training.loop.microbatches import WHOLE_BATCH, Part, enable_checkpointing
from histosynth.training.recipes.diffusion import DiffusionPlan
from histosynth.training.recipes.loop import LoopPlan
from histosynth.training.tasks.diffusion.train_task import DiffusionTrainTask


@pytest.fixture
def task():
    """An adapter's task on four random tiles, with crops of two sides."""
    bundle = tiny_bundle()
    add_adapter(
        bundle.unet,
        "local",
        rank=2,
        alpha=2.0,
        targets=["to_q", "conv1"],
    )
    for key, parameter in bundle.unet.named_parameters():
        if ".lora_" in key:
            nn.init.normal_(
                parameter,
                std=0.1,
                generator=torch.Generator().manual_seed(len(key)),
            )
    bundle.structure.requires_grad_(True)
    random = torch.Generator().manual_seed(0)
    views = [
        LatentView(
            torch.randn(4, 32, 32, generator=random).half(),
            torch.randint(
                0,
                256,
                (256, 256, 3),
                generator=random,
                dtype=torch.uint8,
            ),
            torch.randn(5, len(STYLE_NAMES), generator=random),
            draw_layout((256, 256), mpp=0.5, seed=seed),
            "breast",
        )
        for seed in range(4)
    ]
    return DiffusionTrainTask(
        bundle,
        {"unet": bundle.unet, "structure": bundle.structure},
        [[view] for view in views],
        views[:1],
        plan=DiffusionPlan(
            mask_share=0.5,
            crops=(128, 160, 256),
            crop_shares=(0.5, 0.5, 0.0),
        ),
        loop=LoopPlan(1, 2, 1e-3),
        paint=lambda *_: [],
        save=lambda folder, averaged: Path(),
    )


def gradients(task, step, parts):
    losses = [task.loss(step, step_generator(0, step), part) / len(parts) for part in parts]
    torch.stack(losses).sum().backward()
    named = [pair for name in task.modules.values() for pair in name.named_parameters()]
    found = {key: parameter.grad.clone() for key, parameter in named if parameter.grad is not None}
    for _, parameter in named:
        parameter.grad = None
    return sum(float(loss.detach()) for loss in losses), found


@pytest.mark.parametrize("many", [2, 3])
def test_the_mean_of_the_parts_is_the_batch_whatever_its_crops(task, many):
    sizes = set()
    for step in range(4):  # batches of 8 and of 5 items, with and without holes
        sizes.add(
            len(task.batches.draw(np.random.default_rng(step_generator(0, step).initial_seed())))
        )
        whole, wanted = gradients(task, step, [WHOLE_BATCH])
        cut, found = gradients(task, step, [Part(index, many) for index in range(many)])
        assert (
            cut == pytest.approx(whole, rel=1e-5)
            and found.keys() == wanted.keys()
            and len(found) > 20
        )
        for key, value in wanted.items():
            torch.testing.assert_close(
                found[key],
                value,
                rtol=1e-3,
                atol=1e-6,
            )
    assert sizes == {5, 8}


def test_only_a_parts_own_items_are_put_together(task, monkeypatch):
    collated = []
    collate = task.batches.collate
    monkeypatch.setattr(
        task.batches,
        "collate",
        lambda items, device: (collated.append(len(items)), collate(items, device))[1],
    )
    task.loss(0, step_generator(0, 0), Part(1, 4))
    assert collated == [2] and task.max_parts == 5


def test_activations_that_are_computed_again_change_no_number(task):
    task.bundle.unet.train()
    kept = gradients(task, 1, [WHOLE_BATCH])
    enable_checkpointing(task.modules)
    assert task.bundle.unet.is_gradient_checkpointing
    again = gradients(task, 1, [WHOLE_BATCH])
    assert again[0] == kept[0] and again[1].keys() == kept[1].keys()
    for key, value in kept[1].items():
        torch.testing.assert_close(
            again[1][key],
            value,
            rtol=1e-5,
            atol=1e-8,
        )
    with pytest.raises(BadRecipe, match=r"none of its networks \(one\) can do so"):
        enable_checkpointing({"one": nn.Linear(1, 1)})
