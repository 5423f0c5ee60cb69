"""Python as people write it: pictures in any form, batches, progress, callbacks, devices."""

import numpy as np
import pytest
import torch
from PIL import Image

import histosynth as hs
from histosynth.core.errors import (
    BadMask,
    BadOption,
    Cancelled,
    ConflictingScales,
    NotRGB,
    ScaleMismatch,
)
from histosynth.core.synthetic import is_synthetic, read_recipe
from histosynth.sampling.solvers import SOLVERS
from histosynth.testing import tiny_bundle
from histosynth.tissue.layout import draw_layout

SIZE = (128, 136)


@pytest.fixture(scope="module")
def bundle():
    return tiny_bundle()


@pytest.fixture
def mask():
    missing = np.zeros(SIZE[::-1], bool)
    missing[40:80, 30:90] = True
    return missing


def nuclei(seed=0):
    return draw_layout(SIZE, mpp=0.5, seed=seed)


def real_tile(pixels, mpp):
    return hs.Tile(hs.TileRef("s1", "p1", hs.Box(0, 0, *SIZE), mpp), pixels)


# pictures


def test_an_appearance_in_any_form_gives_the_same_tile(bundle, tile, tmp_path):
    path = tmp_path / "reference.png"
    Image.fromarray(tile).save(path)
    forms = [
        tile,
        path,
        str(path),
        Image.fromarray(tile),
        torch.from_numpy(tile).permute(2, 0, 1) / 255,
        real_tile(tile, 0.55),
        hs.measure_appearance(path),
    ]
    tiles = [hs.synthesize(nuclei(), appearance=form, bundle=bundle)[0] for form in forms]
    assert all((each.pixels == tiles[0].pixels).all() for each in tiles)
    assert (tiles[0].pixels != hs.synthesize(nuclei(), bundle=bundle)[0].pixels).any()


def test_a_name_of_the_palette_comes_before_a_file_of_that_name(
    bundle, tile, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(tile).save("stain.png")
    (tmp_path / "stain.png").rename("stain-2")
    named = hs.synthesize(nuclei(), appearance="stain-2", bundle=bundle)[0]
    assert named.recipe["appearance"]["scale"] == [1.0, 1.2, 1.0]


def test_one_appearance_for_each_set_of_nuclei(bundle, tile):
    sets = [nuclei(0), nuclei(1)]
    other = tile[:, ::-1] // 2
    together = hs.synthesize(sets, appearance=np.stack([tile, other]), bundle=bundle)
    for one, appearance, found in zip(sets, [tile, other], together, strict=True):
        alone = hs.synthesize(one, appearance=appearance, bundle=bundle)[0]
        assert (alone.pixels == found.pixels).all()
    with pytest.raises(BadOption) as caught:
        hs.synthesize(sets, appearance=[tile, tile, tile], bundle=bundle)
    assert str(caught.value) == (
        "appearance is a list of 3, but must be one, or one for each of 2 sets of nuclei. "
        "Give another value."
    )


@pytest.mark.parametrize(
    ("nuclei", "name"), [("tumour", "str"), (None, "NoneType"), ([1.0], "float")]
)
def test_what_is_no_nuclei_is_refused_by_name(bundle, nuclei, name):
    with pytest.raises(BadOption) as refused:
        hs.synthesize(nuclei, bundle=bundle)
    assert refused.value.problem == (
        f"nuclei is of type {name}, but must be Nuclei or a list of them, as read_nuclei returns."
    )


def test_nuclei_of_a_completion_are_refused_by_name_too(bundle, tile, mask):
    layout = draw_layout((128, 128), mpp=0.5, seed=0)
    for nuclei, name in (("cells.csv", "str"), ([layout], "list")):
        with pytest.raises(BadOption, match=f"nuclei is of type {name}, but must be Nuclei"):
            hs.complete(tile, mask, nuclei=nuclei, bundle=bundle)
    with pytest.raises(BadOption, match="nuclei is of type str"):
        hs.complete([tile], [mask], nuclei=["cells.csv"], bundle=bundle)
    with pytest.raises(BadOption, match=r"n is 1\.5, but must be a whole number from 1 to 10000"):
        hs.synthesize(layout, n=1.5, bundle=bundle)


def test_an_image_and_a_mask_in_any_form_give_the_same_tile(bundle, tile, mask, tmp_path):
    Image.fromarray(tile).save(tmp_path / "torn.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    expected = hs.complete(tile, mask, bundle=bundle)
    for image, missing in (
        (tmp_path / "torn.png", str(tmp_path / "mask.png")),
        (Image.fromarray(tile), Image.fromarray(mask)),
        (torch.from_numpy(tile).permute(2, 0, 1) / 255, torch.from_numpy(mask)[None].float()),
        (real_tile(tile, 0.5), mask.astype(np.uint8)),
    ):
        found = hs.complete(image, missing, bundle=bundle)
        assert (found.pixels == expected.pixels).all() and found.recipe == expected.recipe
    assert (expected.pixels[~mask] == tile[~mask]).all()


def test_a_batch_is_completed_together_and_comes_back_as_a_list(bundle, tile, mask):
    images = np.stack([tile, tile[::-1]])
    masks = torch.from_numpy(np.stack([mask, mask[:, ::-1]]))[:, None]
    known = [None, nuclei()]
    batch = hs.complete(images, masks, nuclei=known, bundle=bundle)
    listed = hs.complete(list(images), list(masks), nuclei=known, bundle=bundle)
    for index, (one, other) in enumerate(zip(batch, listed, strict=True)):
        alone = hs.complete(images[index], masks[index], nuclei=known[index], bundle=bundle)
        assert (one.pixels == other.pixels).all() and (one.pixels == alone.pixels).all()
    assert [type(hs.complete(images[:1], masks[:1], bundle=bundle))] == [list]


def test_as_many_masks_and_sets_of_nuclei_as_images(bundle, tile, mask):
    for masks, found in ((mask, 1), ([mask], 1), ([mask] * 3, 3)):
        with pytest.raises(BadMask) as caught:
            hs.complete([tile, tile], masks, bundle=bundle)
        assert str(caught.value) == (
            f"There are 2 images and {found} masks. Hand in a list of masks, one for each image."
        )
    for sets, found in ((nuclei(), "one set"), ([nuclei()], "a list of 1")):
        with pytest.raises(BadOption) as caught:
            hs.complete([tile, tile], [mask, mask], nuclei=sets, bundle=bundle)
        assert str(caught.value) == (
            f"nuclei is {found}, but must be a list of 2, one for each image. Give another value."
        )
    with pytest.raises(BadMask, match="The mask is a list and no array"):
        hs.complete(tile, [mask], bundle=bundle)


def test_ranges_and_layouts_are_refused_by_the_verbs(bundle, tile, mask):
    with pytest.raises(NotRGB, match=r"^image is .* with values from 0 to 246.*divide it by 255"):
        hs.complete(np.where(tile > 246, 246, tile).astype(np.float32) * (tile > 40), mask)
    with pytest.raises(NotRGB, match=r"^the appearance is an array of shape \(136, 128\)"):
        hs.synthesize(nuclei(), appearance=tile[..., 0], bundle=bundle)


def test_the_scale_that_a_tile_states_is_checked(bundle, tile, mask):
    wrong = (
        "The scale is 0.25 um/px, but this bundle paints at 0.5 um/px (within 20%). "
        "Resample the tile and its nuclei to 0.5 um/px, or use another bundle."
    )
    for call in (
        lambda: hs.complete(real_tile(tile, 0.25), mask, bundle=bundle),
        lambda: hs.complete(tile, mask, mpp=0.25, bundle=bundle),
        lambda: hs.synthesize(nuclei(), appearance=real_tile(tile, 0.25), bundle=bundle),
    ):
        with pytest.raises(ScaleMismatch) as caught:
            call()
        assert str(caught.value) == wrong
    with pytest.raises(ConflictingScales) as conflict:
        hs.complete(real_tile(tile, 0.5), mask, mpp=0.52, bundle=bundle)
    assert str(conflict.value) == (
        "The image states two scales that differ by more than 1 %: mpp=0.52, and 0.5 um/px of the "
        "tile. Give the right one with --mpp, in micrometres per pixel."
    )
    with pytest.raises(BadOption, match="--mpp is -1"):
        hs.complete(tile, mask, mpp=-1, bundle=bundle)
    assert hs.complete(real_tile(tile, 0.5), mask, mpp=0.504, bundle=bundle)


# progress and steps


def test_progress_goes_to_a_function_to_a_bar_or_nowhere(bundle, tile, mask, capsys):
    seen = []
    hs.synthesize(nuclei(), bundle=bundle, steps=3, progress=lambda *at: seen.append(at))
    assert seen[-1][0] == seen[-1][1] and seen == sorted(seen)
    assert capsys.readouterr() == ("", "")
    hs.complete(tile, mask, bundle=bundle, steps=3, progress=True)
    shown = capsys.readouterr()
    assert shown.out == "" and "completing: 100%" in shown.err
    hs.complete(tile, mask, bundle=bundle, steps=3)
    assert capsys.readouterr() == ("", "")


def test_each_step_states_where_it_is(bundle):
    seen = []
    hs.synthesize(
        [nuclei(0), nuclei(1)],
        n=2,
        bundle=bundle,
        steps=2,
        batch=1,
        on_step=seen.append,
    )
    assert [(at.step, at.steps, *at.places, at.finished, at.pictures) for at in seen] == [
        (step, 2, (index, variant), 2 * index + variant, 4)
        for index in (0, 1)
        for variant in (0, 1)
        for step in (1, 2)
    ]
    assert repr(seen[0]) == (
        "SamplingStep(step=1, steps=2, places=[(0, 0)], finished=0, pictures=4)"
    )


@pytest.mark.parametrize("solver", SOLVERS)
def test_previews_lead_to_the_picture_and_change_nothing(bundle, solver, tmp_path):
    previews = []
    options = {"bundle": bundle, "steps": 4, "solver": solver, "guidance": 1.5}
    watched = hs.synthesize(nuclei(), on_step=lambda at: previews.extend(at.preview()), **options)
    plain = hs.synthesize(nuclei(), **options)
    assert (watched[0].pixels == plain[0].pixels).all() and watched[0].recipe == plain[0].recipe
    differences = [np.abs(each.pixels - plain[0].pixels.astype(int)).mean() for each in previews]
    assert len(differences) == 4 and differences[-1] < differences[0]
    assert previews[0].recipe == {**plain[0].recipe, "preview": {"step": 1, "steps": 4}}
    previews[0].save(tmp_path / "preview.png")
    assert is_synthetic(tmp_path / "preview.png")
    assert read_recipe(tmp_path / "preview.png")["preview"] == {"step": 1, "steps": 4}


def test_the_last_step_of_euler_previews_the_picture_itself(bundle):
    previews = []
    options = {"bundle": bundle, "steps": 3, "solver": "euler"}
    (tile,) = hs.synthesize(nuclei(), on_step=lambda at: previews.extend(at.preview()), **options)
    assert np.abs(previews[-1].pixels - tile.pixels.astype(int)).max() <= 1


def test_a_preview_of_a_completion_keeps_the_known_tissue(bundle, tile, mask):
    previews = []
    found = hs.complete(
        tile, mask, bundle=bundle, steps=3, on_step=lambda at: previews.extend(at.preview())
    )
    assert len(previews) == 3
    for each in previews:
        assert (each.pixels[~mask] == tile[~mask]).all()
    assert (previews[0].pixels != found.pixels)[mask].any()
    assert (found.pixels == hs.complete(tile, mask, bundle=bundle, steps=3).pixels).all()


def test_cancelling_keeps_what_was_complete(bundle, tile, mask):
    def at_the_second(at):
        if at.finished == 1 and at.step == 2:
            at.cancel()

    options = {"bundle": bundle, "steps": 3, "batch": 1}
    with pytest.raises(Cancelled) as caught:
        hs.synthesize([nuclei(0), nuclei(1)], on_step=at_the_second, **options)
    assert (caught.value.step, caught.value.steps) == (2, 3)
    (finished,) = caught.value.finished
    assert (finished.pixels == hs.synthesize(nuclei(0), **options)[0].pixels).all()
    with pytest.raises(Cancelled) as caught:
        hs.complete([tile, tile[::-1]], [mask, mask], on_step=at_the_second, **options)
    (finished,) = caught.value.finished
    assert (finished.pixels == hs.complete(tile, mask, **options).pixels).all()


def test_an_error_of_a_callback_leaves_the_verb(bundle):
    def broken(at):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        hs.synthesize(nuclei(), bundle=bundle, on_step=broken)


# devices and number types


def test_a_bundle_is_taken_by_its_folder_in_the_number_type_that_is_wanted(bundle_folder):
    found = {}
    for dtype in ("fp32", torch.float32, "float32", "bf16", torch.bfloat16):
        (tile,) = hs.synthesize(nuclei(), bundle=bundle_folder, device="cpu", dtype=dtype, steps=1)
        found[str(dtype)] = tile.recipe["bundle"]["dtype"], tile.recipe["bundle"]["device"]
    assert found == {
        "fp32": ("float32", "cpu"),
        "torch.float32": ("float32", "cpu"),
        "float32": ("float32", "cpu"),
        "bf16": ("bfloat16", "cpu"),
        "torch.bfloat16": ("bfloat16", "cpu"),
    }


def test_an_open_bundle_is_not_moved_behind_its_owners_back(bundle):
    with pytest.raises(BadOption) as caught:
        hs.synthesize(nuclei(), bundle=bundle, dtype="bf16")
    assert str(caught.value) == (
        "dtype is bfloat16, but must be float32, as the bundle is; open_bundle(dtype=...) opens "
        "another. Give another value."
    )
    with pytest.raises(BadOption) as caught:
        hs.synthesize(nuclei(), bundle=bundle, dtype="int8")
    assert str(caught.value) == (
        "the number type is int8, but must be one of bf16, fp32, fp16. Give another value."
    )
    assert hs.synthesize(nuclei(), bundle=bundle, device="cpu", dtype="fp32", steps=1)


def test_a_bundle_on_another_device_is_refused(bundle, monkeypatch):
    other = torch.device("cuda:1")
    monkeypatch.setattr("histosynth.tensors.device.pick_device", lambda wanted: other)
    with pytest.raises(BadOption) as caught:
        hs.synthesize(nuclei(), bundle=bundle, device=other)
    assert str(caught.value) == (
        "device is cuda:1, but must be cpu, where the bundle is; open_bundle(device=...) opens "
        "another. Give another value."
    )


def test_the_compact_bundle_is_opened_once_for_a_device_and_a_type(bundle, monkeypatch):
    from histosynth.pipeline import default_bundle

    opened = []

    def open_bundle(**options):
        opened.append(options)
        return bundle

    monkeypatch.setattr("histosynth.model.opening.open_bundle", open_bundle)
    default_bundle._default_bundle_on.cache_clear()
    for device, dtype in (("cpu", "fp32"), (torch.device("cpu"), torch.float32), (None, "float32")):
        assert default_bundle.bundle_for(None, device, dtype) is bundle
    default_bundle._default_bundle_on.cache_clear()
    assert opened == [{"device": torch.device("cpu"), "dtype": torch.float32}]
