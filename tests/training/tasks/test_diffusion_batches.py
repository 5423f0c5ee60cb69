"""Conditions that are dropped from items, for classifier-free guidance."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from histosynth.core.errors import BadRecipe
from histosynth.core.recipe import build
from histosynth.testing import tiny_bundle
from histosynth.tissue.layout import draw_layout
from histosynth.training.data.views import LatentView
from histosynth.training.recipes.diffusion import DiffusionPlan
from histosynth.training.recipes.loop import LoopPlan
from histosynth.training.tasks.diffusion.train_task import DiffusionTrainTask

NO_DROPS = {
    "drop_nuclei": 0.0,
    "drop_style": 0.0,
    "drop_label": 0.0,
}


def present_conditions(**drops):
    """Of 400 items: whether they have nuclei, a style and a label."""
    bundle = tiny_bundle()
    label = bundle.info.labels[0]
    latents = torch.zeros(len(bundle.info.latent_mean), 16, 16)
    pixels = torch.zeros(128, 128, 3, dtype=torch.uint8)
    styles = torch.zeros(1, len(bundle.info.style_mean))
    nuclei = draw_layout((128, 128), mpp=0.5, seed=0)
    view = LatentView(latents, pixels, styles, nuclei, label, 1.0)
    task = DiffusionTrainTask(
        bundle,
        {},
        [[view]],
        [view],
        plan=DiffusionPlan(
            mask_share=0.0,
            crops=(128,),
            batch_px=128,
            **{**NO_DROPS, **drops},
        ),
        loop=LoopPlan(
            steps=1,
            batch=400,
            learning_rate=1e-3,
        ),
        paint=lambda *_: [],
        save=lambda *_: None,
    )
    items = [item.conditions for item in task.batches.draw(np.random.default_rng(0))]
    return np.array(
        [
            (each.nuclei is not None, each.style is not None, each.label is not None)
            for each in items
        ]
    )


def test_nothing_is_dropped_by_a_share_of_zero():
    assert present_conditions().all()


def test_each_is_dropped_by_itself():
    for place, name in enumerate(NO_DROPS):
        present = present_conditions(**{name: 0.3})
        assert np.delete(present, place, axis=1).all()
        assert 0.22 < 1 - present[:, place].mean() < 0.38


def test_all_are_dropped_together():
    present = present_conditions(drop_all=0.3)
    assert (present == present[:, :1]).all()
    assert 0.22 < 1 - present.mean() < 0.38


def test_a_share_that_is_none_is_refused():
    with pytest.raises(BadRecipe, match="drop_all"):
        build({"mask_share": 0.0, "drop_all": 1.5}, DiffusionPlan, name="conditions")


@pytest.mark.parametrize(
    ("mask_share", "shares"),
    [(0.0, {"global": 1.0}), (1.0, {"local": 1.0}), (0.25, {"global": 0.75, "local": 0.25})],
)
def test_validation_counts_what_is_trained_and_nothing_else(mask_share, shares):
    plan = DiffusionPlan(mask_share=mask_share)
    validated = DiffusionTrainTask.validated_tasks.fget(SimpleNamespace(plan=plan))
    assert validated == shares
