"""Completion starts from copied tissue: ground leaves it late, nuclei early."""

import numpy as np
import pytest
import torch
from scipy import ndimage

import histosynth as hs
from histosynth.core.condition import Condition, Context
from histosynth.core.nuclei import Nuclei
from histosynth.sampling.exemplar_start import GROUND_TIME, NUCLEI_TIME, exemplar_start, hold_start
from histosynth.sampling.solvers import SOLVERS, item_generator, item_noise, solve
from histosynth.testing import GaussianBase
from histosynth.tissue.appearance import measure_appearance
from histosynth.tissue.exemplar import CopiedTissue

CLASSES = ("epithelial", "lymphocyte", "stromal")
BASE = GaussianBase(mean=0.7, std=0.4)
# two of diffusers' schedulers round times to thousandths, so paths agree to about 0.005


@pytest.fixture
def holed(tile):
    mask = np.zeros(tile.shape[:2], bool)
    mask[40:96, 40:88] = True
    return Context(tile.copy(), mask)


def begin(condition, seed=0):
    context = condition.context
    return exemplar_start(
        condition,
        measure_appearance(context.pixels, context.mask).frame,
        seed,
    )


def condition(holed, *places):
    height, width = holed.mask.shape
    names = ["lymphocyte"] * len(places)
    nuclei = Nuclei.of(
        np.array(places),
        names,
        size=(width, height),
        mpp=0.5,
        classes=CLASSES,
    )
    return Condition(nuclei, (width, height), None, holed)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_cell_that_is_held_to_the_end_ends_as_it_began_and_others_are_painted(solver):
    noise = item_noise((2, 8, 8), [item_generator(0, 0)])
    latents = torch.full((1, 2, 8, 8), 3.0)
    times = torch.ones(1, 1, 8, 8)
    times[..., :4] = 0
    ended = solve(
        hold_start(BASE.denoise, latents, times),
        noise,
        steps=12,
        solver=solver,
    )
    torch.testing.assert_close(
        ended[..., :4],
        latents[..., :4],
        atol=0.01,
        rtol=0,
    )
    torch.testing.assert_close(
        ended[..., 4:], solve(BASE.denoise, noise, steps=12, solver=solver)[..., 4:]
    )


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_cell_leaves_its_start_with_its_share_of_noise(solver):
    seen = {}

    def denoise(noisy, time):
        seen.setdefault("first", (noisy.clone(), float(time[0])))
        return BASE.denoise(noisy, time)

    noise = item_noise((2, 8, 8), [item_generator(0, 0)])
    latents = torch.full((1, 2, 8, 8), 3.0)
    solve(
        hold_start(denoise, latents, torch.full((1, 1, 8, 8), 0.5)),
        noise,
        steps=12,
        solver=solver,
    )
    noisy, time = seen["first"]
    assert time <= 0.5  # the network was not asked before
    torch.testing.assert_close(
        noisy,
        (1 - time) * latents + time * noise,
        atol=0.01,
        rtol=0,
    )


def test_nuclei_leave_early_and_ground_late(holed):
    start = begin(condition(holed, (68.0, 68.0), (8.0, 120.0)))
    assert start.times.shape == (17, 16)
    assert (
        abs(start.times[8, 8] - NUCLEI_TIME) < 1e-6 and abs(start.times[0, 0] - GROUND_TIME) < 1e-6
    )
    assert (start.ground[60:76, 60:76] == 0).all() and start.ground[0, 0] == 1
    assert (start.pixels[~holed.mask] == holed.pixels[~holed.mask]).all()


@pytest.mark.parametrize("told", [False, True])
def test_copied_nuclei_that_nobody_asked_for_leave_early(holed, told):
    start = begin(condition(holed) if told else Condition(None, (128, 136), None, holed))
    dark = (
        ndimage.uniform_filter((start.pixels[..., 0] < 150).astype(float), 9) > 0.9
    )  # inside a disc
    cells = dark.reshape(17, 8, 16, 8).any(axis=(1, 3))
    assert (start.ground[dark] == 0).all() and (start.times[cells] > 0.8).all()
    assert abs(start.times[0, 0] - GROUND_TIME) < 1e-6 and start.ground[0, 0] == 1  # glass


def test_where_known_nuclei_are_told_ground_is_ground_however_dense(holed):
    told = begin(condition(holed, (8.0, 8.0)))
    unknown = begin(condition(holed))
    assert (told.ground[100:, 100:] == 1).all() and (unknown.ground[100:, 100:] == 0).any()


def test_where_patches_do_not_fit_nothing_is_kept_and_cells_leave_earlier(holed, monkeypatch):
    whole = CopiedTissue(holed.pixels, np.zeros(holed.mask.shape, bool))
    broken = CopiedTissue(holed.pixels, np.indices(holed.mask.shape)[0] >= 68)
    starts = []
    for copied in (whole, broken):
        monkeypatch.setattr(
            "histosynth.sampling.exemplar_start.copy_into", lambda *_, copied=copied, **__: copied
        )
        starts.append(begin(condition(holed, (8.0, 8.0))))
    assert (starts[0].ground[:, 64:] == 1).all() and (starts[1].ground[90:, 64:] < 1e-3).all()
    assert (starts[1].times[12:, 8:] > starts[0].times[12:, 8:] + 0.3).all()
    assert (starts[1].ground[:50] == starts[0].ground[:50]).all()


def test_copied_tissue_is_used_unless_it_is_not_wanted(bundle_folder, holed):
    bundle = hs.open_bundle(bundle_folder, device="cpu", dtype="fp32")
    nuclei = condition(holed, (68.0, 68.0)).nuclei
    with_it, without = (
        hs.complete(
            holed.pixels,
            holed.mask,
            nuclei=nuclei,
            bundle=bundle,
            exemplar=exemplar,
        )
        for exemplar in (True, False)
    )
    kept = (begin(condition(holed, (68.0, 68.0))).ground == 1) & holed.mask
    known = {tuple(pixel) for pixel in holed.pixels[~holed.mask]}
    assert all(tuple(pixel) in known for pixel in with_it.pixels[kept])
    assert not all(tuple(pixel) in known for pixel in without.pixels[kept])
    shares = [each.recipe["context"]["copied"] for each in (with_it, without)]
    assert shares[0] >= kept.sum() / holed.mask.sum() > shares[1] == 0
    assert [each.recipe["settings"]["exemplar"] for each in (with_it, without)] == [True, False]


def test_completions_are_the_same_in_any_batch(bundle_folder, tile, holed):
    from histosynth.sampling.complete import complete
    from histosynth.sampling.settings import default_settings

    bundle = hs.open_bundle(bundle_folder, device="cpu", dtype="fp32")
    small = np.ones(tile.shape[:2], bool)  # too little known: this one starts from noise
    small[:30, :30] = False
    wanted = [
        condition(holed, (68.0, 68.0)),
        Condition(None, (128, 136), None, holed),
        Condition(
            None,
            (128, 136),
            None,
            Context(tile.copy(), small),
        ),
    ]
    settings = default_settings(bundle, "complete")
    alone, together = (
        {
            i: picture.pixels
            for i, picture in complete(
                bundle,
                wanted,
                seed=0,
                settings=settings,
                batch=batch,
            )
        }
        for batch in (1, 3)
    )
    assert all((alone[i] == together[i]).all() for i in range(3))
