"""Shapes of batches: squares as ever, or buckets that hold every view and no tile that is too
small."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from histosynth.core.errors import BadRecipe
from histosynth.training.data.batch_sampler import BatchSampler
from histosynth.training.data.views import LatentView
from histosynth.training.recipes.diffusion import DiffusionPlan

PLAN = DiffusionPlan(mask_share=0.0, crops=(128,))


def view(width, height, share=1.0):
    latents = torch.zeros(4, height // 8, width // 8)
    return LatentView(
        latents,
        torch.zeros(height, width, 3, dtype=torch.uint8),
        torch.zeros(1, 13),
        None,
        "",
        share,
    )


def test_squares_are_cut_from_tiles_that_are_large_enough_by_their_shares():
    views = [[view(256, 256, 3.0)], [view(256, 192, 1.0)], [view(256, 120, 9.0)]]
    sampler = BatchSampler(views, PLAN, grid_px=16)
    random = np.random.default_rng(0)
    shape = sampler.sample_shape(random)
    assert (shape.width, shape.height) == (128, 128)
    drawn = [each.size for each in sampler.sample_views(random, shape, 400)]
    assert (256, 120) not in drawn and 0.68 < drawn.count((256, 256)) / 400 < 0.82


def test_long_tiles_are_cut_long_and_a_batch_has_one_shape():
    views = [[view(256, 128), view(128, 256)], [view(256, 256)]]
    sampler = BatchSampler(views, replace(PLAN, longest=2.0), grid_px=16)
    random = np.random.default_rng(0)
    seen = {}
    for _ in range(300):
        shape = sampler.sample_shape(random)
        for each in sampler.sample_views(random, shape, 3):
            assert each.size[0] >= shape.width and each.size[1] >= shape.height
            seen.setdefault((shape.width, shape.height), set()).add(each.size)
    assert all(len(sizes) == 1 for sizes in seen.values()) and len(seen) == 3
    assert all(0.7 * 128**2 <= width * height <= 128**2 for width, height in seen)


def test_a_tile_for_no_shape_is_named():
    with pytest.raises(BadRecipe, match="48 x 48 px"):
        BatchSampler([[view(48, 48)]], replace(PLAN, longest=2.0), grid_px=16)
    with pytest.raises(ValueError, match="longest"):
        replace(PLAN, longest=0.5)


SIZES = [(512, 512)] * 6 + [(640, 400)] * 3 + [(400, 640)] * 2
SHARES = [1.0] * 6 + [2.0] * 3 + [0.0, 4.0]


def sampler_of_buckets():
    views = [[view(*size, share)] for size, share in zip(SIZES, SHARES, strict=True)]
    plan = replace(PLAN, crops=(384,), longest=2.0)
    return views, BatchSampler(views, plan, grid_px=64)


def test_tiles_are_drawn_in_proportion_to_their_shares_whatever_their_bucket():
    views, sampler = sampler_of_buckets()
    index_of = {id(own[0]): index for index, own in enumerate(views)}
    random = np.random.default_rng(0)
    batches = 3000
    drawn = np.zeros(len(views))
    for _ in range(batches):
        shape = sampler.sample_shape(random)
        for each in sampler.sample_views(random, shape, 4):
            drawn[index_of[id(each)]] += 1
    wanted = np.array(SHARES) / sum(SHARES)
    assert drawn / (4 * batches) == pytest.approx(wanted, abs=0.02)
    assert drawn[9] == 0, "a tile of share 0 is never drawn"


def test_the_views_of_a_tile_share_its_share():
    views = [[view(512, 512)] * 3 + [view(640, 400)], [view(400, 640)]]
    sampler = BatchSampler(views, replace(PLAN, crops=(384,), longest=2.0), grid_px=64)
    random = np.random.default_rng(0)
    widths = [sampler.sample_shape(random).width for _ in range(4000)]
    shares = [widths.count(width) / len(widths) for width in sorted(set(widths))]
    assert shares == pytest.approx([4 / 8, 3 / 8, 1 / 8], abs=0.03)


def test_a_generator_of_the_same_seed_draws_the_same_batches():
    def batches(seed):
        views, sampler = sampler_of_buckets()
        index_of = {id(own[0]): index for index, own in enumerate(views)}
        random = np.random.default_rng(seed)
        found = []
        for _ in range(30):
            shape = sampler.sample_shape(random)
            drawn = sampler.sample_views(random, shape, 3)
            found.append((shape, [index_of[id(each)] for each in drawn]))
        return found

    assert batches((1 << 63) - 1) == batches((1 << 63) - 1)
    assert batches(7) != batches(8)
