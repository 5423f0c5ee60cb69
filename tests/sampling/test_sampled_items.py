"""Items that are sampled together: what is refused, grouped, started from and returned."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from histosynth.core.condition import Condition, Context
from histosynth.core.errors import BadSize, BadWeights, ScaleMismatch, UnknownClasses
from histosynth.core.nuclei import ANY_CLASS, Nuclei
from histosynth.model import autoencoder as ae
from histosynth.sampling import batch_check, groups
from histosynth.sampling.batches import check_condition, check_scale, paint_items
from histosynth.sampling.complete import complete
from histosynth.sampling.exemplar_start import exemplar_start
from histosynth.sampling.items import SampleItem
from histosynth.sampling.painter import SamplingSettings
from histosynth.sampling.provenance import condition_key
from histosynth.sampling.solvers import item_generator, item_noise
from histosynth.sampling.synthesize import synthesize
from histosynth.testing import tiny_bundle
from histosynth.tissue.appearance import Appearance, StainFrame

APPEARANCE = Appearance(StainFrame((1.0, 1.5, 0.75)), np.zeros(13, np.float32))
ONE_STEP = SamplingSettings(steps=1)


@pytest.fixture(scope="module")
def bundle():
    return tiny_bundle()


def nuclei(classes, class_ids=(), mpp=0.5):
    xy = np.full((len(class_ids), 2), 5, np.float32)
    return Nuclei(xy, np.array(class_ids, np.uint8), classes, (128, 128), mpp)


def completion(tile, height=136, width=128):
    """A condition on part of a tile that is extended by mirroring."""
    pixels = np.pad(tile, ((0, 64), (0, 64), (0, 0)), mode="symmetric")[:height, :width]
    mask = np.zeros((height, width), bool)
    mask[40:70, 40:70] = True
    return Condition(None, (width, height), None, Context(pixels, mask))


def item(condition, seed=0):
    return SampleItem(condition, APPEARANCE, item_generator(seed))


def paint(bundle, items, settings=ONE_STEP, **options):
    return list(
        paint_items(
            bundle,
            items,
            adapters=["global"] * len(items),
            settings=settings,
            **{"batch": 1} | options,
        )
    )


# what a bundle does not support


@pytest.mark.parametrize(
    ("size", "is_completion", "sentence"),
    [
        (
            (132, 128),
            False,
            "A tile of 132 x 128 px cannot be painted: each side must be a multiple of 8 from 128 "
            "to 1024 px. The nearest size that works is 128 x 128 px.",
        ),
        (
            (128, 1032),
            False,
            "A tile of 128 x 1032 px cannot be painted: each side must be a multiple of 8 from 128 "
            "to 1024 px. The nearest size that works is 128 x 1024 px.",
        ),
        (
            (127, 131),
            True,
            "A tile of 127 x 131 px cannot be painted: each side must be from 128 to 1024 px. "
            "The nearest size that works is 128 x 131 px.",
        ),
    ],
)
def test_sizes_are_refused_with_the_nearest_that_works(bundle, tile, size, is_completion, sentence):
    width, height = size
    condition = Condition(None, size)
    if is_completion:
        condition = completion(tile, height, width)
    with pytest.raises(BadSize) as error:
        check_condition(condition, bundle.info)
    assert str(error.value) == sentence


@pytest.mark.parametrize("size", [(128, 1024), (1024, 128)])
def test_the_smallest_and_the_largest_size_are_taken(bundle, size):
    check_condition(Condition(None, size), bundle.info)


KNOWN = ("epithelial", "lymphocyte", "stromal")


@pytest.mark.parametrize(
    ("classes", "class_ids", "unknown"),
    [
        (("tumour", "stromal", "debris"), (), ("tumour", "debris")),
        (("stromal", "lymphocyte", "epithelial"), (), ("stromal", "lymphocyte", "epithelial")),
        (KNOWN, (0, ANY_CLASS), ("any",)),
    ],
)
def test_classes_are_refused_by_name(bundle, classes, class_ids, unknown):
    with pytest.raises(UnknownClasses) as error:
        check_condition(Condition(nuclei(classes, class_ids), (128, 128)), bundle.info)
    assert error.value.unknown == unknown
    assert error.value.known == KNOWN


def test_nuclei_of_unspecified_class_are_taken_where_the_bundle_was_trained_with_them(bundle):
    info = replace(bundle.info, any_class=True)
    check_condition(Condition(nuclei(KNOWN, (0, ANY_CLASS)), (128, 128)), info)


def test_a_scale_may_differ_by_the_tolerance_in_either_direction(bundle):
    info = replace(bundle.info, mpp_tolerance=1.0)
    for mpp in (0.25, 0.5, 1.0):
        check_scale(mpp, info)
    for mpp in (0.2499, 1.001, float("nan")):
        with pytest.raises(ScaleMismatch) as error:
            check_scale(mpp, info)
        assert str(error.value) == (
            f"The scale is {mpp:g} um/px, but this bundle paints at 0.5 um/px (within 100%). "
            "Resample the tile and its nuclei to 0.5 um/px, or use another bundle."
        )
    with pytest.raises(ScaleMismatch):
        check_condition(Condition(nuclei(KNOWN, mpp=0.61), (128, 128)), bundle.info)


@pytest.mark.parametrize(
    ("folder", "shown"), [(None, "tiny"), (Path("some") / "bundle", "some/bundle")]
)
def test_pictures_that_are_not_finite_are_refused(folder, shown):
    broken = replace(tiny_bundle(), folder=folder)
    with torch.no_grad():
        next(broken.autoencoder.decoder.parameters()).fill_(float("nan"))
    with pytest.raises(BadWeights) as error:
        paint(broken, [item(Condition(None, (128, 128)))])
    assert str(error.value) == (
        f"{shown} cannot be loaded as weights: its pictures are not all finite. "
        "Get the file again and compare its sha256 with the bundle's card."
    )


# batches


def test_items_of_one_size_are_sampled_together_up_to_the_batch(bundle, monkeypatch):
    monkeypatch.setattr(batch_check, "_try_batch", lambda *_: True)
    sizes = [(128, 128), (136, 128), (128, 128), (128, 128), (136, 128)]
    items = [item(Condition(None, size), seed) for seed, size in enumerate(sizes)]
    steps = []
    painted = paint(bundle, items, batch=2, on_progress=lambda *step: steps.append(step))
    assert [index for index, _, _ in painted] == [0, 2, 3, 1, 4]
    assert steps == [(0, 5), (2, 5), (3, 5), (5, 5)]
    for index, pixels, start in painted:
        width, height = sizes[index]
        assert pixels.shape == (height, width, 3)
        assert pixels.dtype == np.float32
        assert start is None


@pytest.mark.parametrize(("guidance", "tried"), [(1.0, {3}), (0.0, {2, 3, 6}), (1.5, {2, 3, 6})])
def test_all_batches_that_guidance_runs_are_tried(monkeypatch, guidance, tried):
    counts = set()

    def try_batch(bundle, width, height, count):
        assert (width, height) == (160, 128)
        counts.add(count)
        return True

    monkeypatch.setattr(batch_check, "_try_batch", try_batch)
    items = [item(Condition(None, (136, 128)), seed) for seed in range(3)]
    paint(tiny_bundle(), items, SamplingSettings(steps=1, guidance=guidance), batch=3)
    assert counts == tried


def test_a_trial_is_made_again_for_another_size_number_of_threads_or_type(monkeypatch):
    bundle = tiny_bundle()
    tried = []

    def try_batch(bundle, width, height, count):
        tried.append((width, height, count))
        return len(tried) % 2 == 1

    monkeypatch.setattr(batch_check, "_try_batch", try_batch)

    def try_twice(size, count):
        found = {batch_check.is_batch_exact(bundle, size, count) for _ in range(2)}
        assert len(found) == 1
        return found.pop()

    assert try_twice((128, 136), 2) is True
    assert try_twice((136, 128), 2) is False
    assert try_twice((128, 128), 2) is True
    assert try_twice((128, 128), 3) is False
    bundle.to(dtype=torch.bfloat16)
    assert try_twice((128, 128), 3) is True
    monkeypatch.setattr(torch, "get_num_threads", lambda: 99)
    assert try_twice((128, 128), 3) is False
    bundle = tiny_bundle()
    assert try_twice((128, 128), 3) is True
    assert tried == [(128, 160, 2), (160, 128, 2), (128, 128, 2)] + 4 * [(128, 128, 3)]


@pytest.mark.parametrize(
    ("size", "wanted", "count"),
    [
        ((128, 128), 5, 5),
        ((128, 128), 33, 32),
        ((256, 512), 9, 4),
        ((512, 256), 4, 4),
        ((256, 520), 9, 3),
        ((1024, 512), 9, 1),
        ((1024, 1024), 9, 1),
        ((128, 128), 0, 1),
    ],
)
def test_so_many_tiles_are_sampled_at_a_time(bundle, size, wanted, count):
    assert batch_check.max_batch(bundle, size, wanted) == count


# starts


@pytest.fixture
def recorded(monkeypatch):
    """Arguments of each call that samples latents."""
    calls = []
    inner = groups.paint_latents

    def recording(bundle, maps, style, noise, settings, **options):
        calls.append({"maps": maps, "style": style, "noise": noise, **options})
        return inner(bundle, maps, style, noise, settings, **options)

    monkeypatch.setattr(groups, "paint_latents", recording)
    return calls


def test_an_item_starts_from_the_latents_of_its_copied_tissue(bundle, tile, recorded):
    bundle = replace(
        bundle,
        info=replace(bundle.info, latent_mean=(1.0, 0.0, -1.0, 2.0), latent_std=(2.0, 1.0, 1.0, 4)),
    )
    condition = completion(tile, height=130, width=133)
    ((_, _, found),) = paint(bundle, [item(condition)])
    start = exemplar_start(condition, APPEARANCE.frame, item_generator(0).initial_seed())
    assert (found.pixels == start.pixels).all()
    assert (found.times == start.times).all()

    (call,) = recorded
    latents, times = call["start"]
    assert call["noise"].shape == latents.shape == (1, 4, 20, 20)
    assert torch.equal(call["noise"], item_noise((4, 20, 20), [item_generator(0)]))
    assert latents.dtype == times.dtype == torch.float32
    assert times.shape == (1, 1, 20, 20)
    assert start.times.shape == (17, 17)
    assert (times[0, 0, :17, :17].numpy() == start.times).all()
    assert (times[0, 0, 17:] == 1).all() and (times[0, 0, :, 17:] == 1).all()

    canonical = APPEARANCE.frame.to_canonical(start.pixels)
    padded = np.pad(canonical, ((0, 30), (0, 27), (0, 0)), mode="edge")
    signal = torch.from_numpy(padded).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.inference_mode():
        raw = ae.encode(bundle.autoencoder, signal)
    mean = torch.tensor([1.0, 0.0, -1.0, 2.0]).reshape(1, 4, 1, 1)
    std = torch.tensor([2.0, 1.0, 1.0, 4.0]).reshape(1, 4, 1, 1)
    torch.testing.assert_close(latents, (raw - mean) / std, atol=1e-5, rtol=1e-5)


def test_next_to_an_item_with_a_start_others_begin_from_noise(tile, recorded, monkeypatch):
    monkeypatch.setattr(batch_check, "_try_batch", lambda *_: True)
    empty = Condition(None, (128, 136))
    paint(tiny_bundle(), [item(empty), item(completion(tile))], batch=2)
    paint(tiny_bundle(), [item(empty)])
    latents, times = recorded[0]["start"]
    assert (latents[0] == 0).all() and (times[0] == 1).all()
    assert (latents[1] != 0).any() and (times[1, 0, :17, :16] < 1).all()
    assert recorded[1]["start"] is None


def test_without_an_exemplar_every_item_begins_from_noise(bundle, tile, recorded):
    settings = SamplingSettings(steps=1, exemplar=False)
    ((_, _, start),) = paint(bundle, [item(completion(tile))], settings)
    assert start is None
    assert recorded[0]["start"] is None


def test_the_label_and_the_style_of_an_item_reach_the_network(bundle, recorded):
    labelled = replace(item(Condition(None, (128, 128), "breast")))
    styled = replace(
        item(Condition(None, (128, 128))),
        appearance=Appearance(StainFrame(), np.float32([0.5] * 13)),
    )
    paint(bundle, [labelled, styled])
    assert recorded[0]["style"].tolist() == [[0.0] * 13 + [1.0, 1.0]]
    assert recorded[1]["style"].tolist() == [[0.5] * 13 + [1.0, 0.0]]


def test_a_picture_is_returned_in_the_stain_of_its_appearance(bundle):
    condition = Condition(None, (128, 128))
    canonical, stained = (
        paint(bundle, [replace(item(condition), appearance=Appearance(frame, APPEARANCE.style))])
        for frame in (StainFrame(), APPEARANCE.frame)
    )
    expected = APPEARANCE.frame.from_canonical(canonical[0][1])
    np.testing.assert_allclose(stained[0][1], expected, atol=1e-3)


def test_the_noise_follows_the_seed_the_content_of_the_condition_and_the_variant(
    bundle, tile, recorded
):
    empty = [Condition(None, (128, 128)), Condition(nuclei(KNOWN, (0,)), (128, 128))]
    list(
        synthesize(
            bundle,
            empty,
            [APPEARANCE] * 2,
            seed=3,
            variants=2,
            settings=ONE_STEP,
            batch=1,
        )
    )
    masked = completion(tile)
    list(complete(bundle, [masked], seed=4, settings=ONE_STEP, batch=1))
    generators = []
    for condition in empty:
        key = condition_key(condition)
        generators += [item_generator(3, key, 0), item_generator(3, key, 1)]
    generators.append(item_generator(4, condition_key(masked)))
    assert len(recorded) == len(generators)
    for call, generator in zip(recorded, generators, strict=True):
        assert torch.equal(call["noise"], item_noise(call["noise"].shape[1:], [generator]))
