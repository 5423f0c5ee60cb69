"""Training ends when what it paints begins to be what it was trained on."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from glass import tissue

from histosynth.core.geometry import Box
from histosynth.core.tile import Tile, TileRef
from histosynth.pipeline.copy_guard import CopyGuard
from histosynth.tissue.augment import pose
from histosynth.training.data.sources import Example

SIDE = 128


def examples(count, first=0):
    out = []
    for index in range(count):
        pixels, _ = tissue(192, 192, seed=first + index)
        ref = TileRef(
            f"s{first + index}",
            f"p{first + index}",
            Box(0, 0, 192, 192),
            0.5,
        )
        out.append(Example(Tile(ref, pixels), None, ""))
    return out


@pytest.fixture(scope="module")
def sides():
    return examples(14), examples(8, first=100)


def batch(whole=True):
    return SimpleNamespace(maps=SimpleNamespace(mask=torch.full((4, 1, SIDE, SIDE), float(whole))))


def watching(sides, pictures, limit=0.1):
    watch = CopyGuard(lambda bundle, of: pictures, *sides, max_share=limit)
    assert watch.paint(None, batch()) is pictures
    return watch


def crops(of, seed=0):
    random = np.random.default_rng(seed)
    cut = []
    for index, each in enumerate(of[:4]):
        y, x = random.integers(0, 192 - SIDE, 2)
        cut.append(np.ascontiguousarray(pose(each.tile.pixels[y : y + SIDE, x : x + SIDE], index)))
    return cut


def test_unseen_tissue_lets_the_run_go_on(sides):
    assert watching(sides, crops(examples(4, first=200)))(100, {}) is None


def test_turned_and_moved_training_tissue_ends_it_with_the_numbers(sides):
    reason = watching(sides, crops(sides[0]))(100, {})
    assert (
        "at step 100 4 of 4 validation pictures are suspected copies" in reason
        and "pictures/" in reason
    )
    assert watching(sides, crops(sides[0]), limit=1.0)(100, {}) is None


def test_completed_tiles_are_not_searched(sides):
    watch = CopyGuard(lambda bundle, of: crops(sides[0]), *sides, max_share=0.1)
    watch.paint(None, batch(whole=False))
    assert watch(100, {}) is None


def test_too_little_tissue_to_set_a_bar_ends_nothing(sides):
    few = sides[0][:5], sides[1][:2]
    assert watching(few, crops(sides[0]))(100, {}) is None


def test_tissue_that_stands_under_two_patients_ends_it_as_no_copy_would_stand_out(sides):
    train, held_out = sides
    again = [replace(each, tile=of_patient(each.tile, "again")) for each in train]
    reason = watching(([*train, *again], held_out), crops(train))(100, {})
    assert reason.startswith("at step 100 copies of training tiles cannot be found: ")
    assert "real tiles that set the bar are in the training tissue of other patients too" in reason


def of_patient(tile, suffix):
    return replace(tile, ref=replace(tile.ref, patient=f"{tile.ref.patient} {suffix}"))
