"""`synthesize` and `complete` in Python, on a tiny bundle."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import histosynth as hs
from histosynth.annotation.nuclei_files import write_csv
from histosynth.core.errors import (
    BadMask,
    BadOption,
    BadSize,
    NotRGB,
    ScaleMismatch,
    UnknownClasses,
    UnknownLabel,
)
from histosynth.core.images import write_mask
from histosynth.core.nuclei import Nuclei
from histosynth.model.adapters import AdapterInfo, add_adapter
from histosynth.sampling.options import SamplingOptions
from histosynth.sampling.settings import default_settings, settings_for
from histosynth.tissue.layout import draw_layout


@pytest.fixture(scope="module")
def bundle(bundle_folder):
    return hs.open_bundle(bundle_folder, device="cpu", dtype="fp32")


def cells(size=(128, 136), seed=0):
    return draw_layout(size, mpp=0.5, seed=seed)


def test_the_same_seed_gives_the_same_picture_and_another_seed_another(bundle):
    first, again, other = (
        hs.synthesize(cells(), seed=seed, bundle=bundle)[0] for seed in (1, 1, 2)
    )
    assert (first.pixels == again.pixels).all()
    assert (first.pixels != other.pixels).any()


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_a_picture_is_the_same_in_batches_of_one_and_eight(bundle_folder, dtype):
    bundle = hs.open_bundle(bundle_folder, device="cpu", dtype=dtype)
    singly, together = (
        hs.synthesize(
            cells(),
            n=8,
            bundle=bundle,
            batch=batch,
        )
        for batch in (1, 8)
    )
    for one, other in zip(singly, together, strict=True):
        assert (one.pixels == other.pixels).all()
        assert one.recipe == other.recipe


def test_sets_of_different_sizes_come_back_in_order(bundle):
    sets = [cells((128, 136)), cells((160, 128)), cells((128, 136), seed=1)]
    made = hs.synthesize(sets, n=2, bundle=bundle)
    shapes = [picture.pixels.shape[:2] for picture in made]
    assert shapes == [(136, 128)] * 2 + [(128, 160)] * 2 + [(136, 128)] * 2
    keys = [picture.recipe["place"][0] for picture in made]
    assert keys[0::2] == keys[1::2] and len(set(keys)) == 3
    assert [picture.recipe["place"][1] for picture in made] == [0, 1] * 3


def test_a_picture_does_not_depend_on_what_is_painted_beside_it(bundle):
    first = cells()
    second = cells(seed=1)
    pair = hs.synthesize([first, second], bundle=bundle)
    turned = hs.synthesize([second, first], bundle=bundle)
    assert (pair[0].pixels == turned[1].pixels).all() and (pair[1].pixels == turned[0].pixels).all()
    assert (pair[1].pixels == hs.synthesize(second, bundle=bundle)[0].pixels).all()


def test_nuclei_have_no_order(bundle):
    nuclei = cells()
    turned = Nuclei(
        nuclei.xy[::-1],
        nuclei.class_ids[::-1],
        nuclei.classes,
        nuclei.size,
        nuclei.mpp,
    )
    one, other = (hs.synthesize(each, bundle=bundle)[0] for each in (nuclei, turned))
    assert (one.pixels == other.pixels).all() and one.recipe["place"] == other.recipe["place"]


def test_a_hole_may_be_a_mask_of_whole_numbers(bundle, tile):
    mask = np.zeros(tile.shape[:2], np.uint8)
    mask[20:60, 20:60] = 255
    one, other = (hs.complete(tile, each, bundle=bundle) for each in (mask, mask > 0))
    assert (one.pixels == other.pixels).all()
    with pytest.raises(BadMask, match="float64"):
        hs.complete(tile, mask / 510, bundle=bundle)


@pytest.mark.parametrize("seed", [-1, 1.5, None])
def test_a_seed_is_a_whole_number(bundle, seed):
    with pytest.raises(BadOption, match="seed"):
        hs.synthesize(cells(), seed=seed, bundle=bundle)


@pytest.mark.parametrize("wrong", [np.zeros((32, 32, 3)), np.zeros((0, 0, 3), np.uint8), "tile", 3])
def test_an_appearance_is_a_picture(bundle, wrong):
    with pytest.raises((NotRGB, BadOption)):
        hs.synthesize(cells(), appearance=wrong, bundle=bundle)


def test_the_readmes_example_runs(
    bundle_folder,
    tmp_path,
    tile,
    monkeypatch,
):
    readme = Path(__file__).parents[2] / "README.md"
    code = readme.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    write_csv("cells.csv", draw_layout((512, 512), mpp=0.5, seed=0))
    Image.fromarray(tile).save("reference.png")
    Image.fromarray(tile).save("torn.png")
    write_mask(
        "mask.png", np.arange(tile.shape[0] * tile.shape[1]).reshape(tile.shape[:2]) % 128 < 40
    )
    tiny = hs.open_bundle(bundle_folder, device="cpu", dtype="fp32")
    monkeypatch.setattr("histosynth.pipeline.default_bundle.default_bundle", lambda: tiny)
    exec(code, {})
    assert (tmp_path / "tile.png").is_file() and (tmp_path / "completed.png").is_file()


def test_the_callers_arrays_stay_writeable(bundle, tile):
    mask = np.zeros(tile.shape[:2], bool)
    mask[20:60, 20:60] = True
    hs.complete(tile, mask, bundle=bundle)
    xy = np.zeros((1, 2), np.float32)
    kind = np.zeros(1, np.uint8)
    nuclei = Nuclei(xy, kind, bundle.info.classes, (128, 128), 0.5)
    assert all(array.flags.writeable for array in (tile, mask, xy, kind))
    xy[0, 0] = 5
    assert nuclei.xy[0, 0] == 0


def test_the_scale_of_the_nuclei_is_the_scale_of_the_picture(bundle):
    made = hs.synthesize(Nuclei.none((128, 128), 0.52, bundle.info.classes), bundle=bundle)[0]
    assert made.recipe["mpp"] == 0.52


def test_an_adapter_that_has_learnt_guidance_paints_without_by_default(bundle_folder):
    bundle = hs.open_bundle(bundle_folder, device="cpu", dtype="fp32")
    bundle.info = replace(bundle.info, guidance=1.5)
    assert default_settings(bundle, "synthesize").guidance == 1.5
    add_adapter(
        bundle.unet,
        "global",
        rank=2,
        alpha=2.0,
        targets=["conv1"],
    )
    facts = ("global", 2, 2.0, ("conv1",), bundle.base_sha256, bundle.info.classes, 0.5)
    bundle.adapters["global"] = AdapterInfo(*facts, guidance=(0.5, 1.0))
    assert default_settings(bundle, "synthesize").guidance == 1.0
    assert settings_for(bundle, "synthesize", SamplingOptions(guidance=1.3)).guidance == 1.3
    assert default_settings(bundle, "complete").guidance == 1.5


def test_nuclei_appearance_label_and_guidance_all_change_the_picture(bundle, tile):
    plain = hs.synthesize(cells(), bundle=bundle)[0].pixels
    others = {
        "nuclei": hs.synthesize(cells(seed=9), bundle=bundle),
        "no nuclei": hs.synthesize(
            Nuclei.none((128, 136), 0.5, bundle.info.classes), bundle=bundle
        ),
        "appearance": hs.synthesize(cells(), appearance=tile, bundle=bundle),
        "palette": hs.synthesize(cells(), appearance="stain-3", bundle=bundle),
        "label": hs.synthesize(cells(), label="breast", bundle=bundle),
        "guidance": hs.synthesize(cells(), guidance=3.0, bundle=bundle),
        "steps": hs.synthesize(cells(), steps=5, bundle=bundle),
    }
    for what, made in others.items():
        assert (made[0].pixels != plain).any(), what


def test_the_recipe_says_what_was_made_from_what(bundle):
    recipe = hs.synthesize(
        cells(),
        seed=7,
        label="breast",
        bundle=bundle,
    )[0].recipe
    assert recipe["synthetic"] is True and recipe["seed"] == 7 and recipe["label"] == "breast"
    assert recipe["nuclei"]["counts"] == cells().counts()
    assert recipe["bundle"]["name"] == "tiny" and len(recipe["bundle"]["sha256"]) == 64


def test_a_recipe_tells_a_hue_only_where_it_was_given(bundle, tile):
    mask = np.zeros(tile.shape[:2], bool)
    mask[40:80, 40:80] = True
    told = hs.synthesize(cells(), appearance=tile, bundle=bundle)[0].recipe["appearance"]["hue"]
    assert told["top"] >= 0.3 and len(told["hue"]) == 3 * len(told["pixels"])
    assert (
        hs.synthesize(cells(), bundle=bundle)[0].recipe["appearance"]["hue"] is None
    )  # of the palette
    assert (
        hs.complete(tile, mask, bundle=bundle).recipe["appearance"]["hue"] is None
    )  # matched in pasting


@pytest.mark.parametrize("size", [(136, 128), (131, 133)])
def test_complete_keeps_known_pixels_bit_for_bit_and_paints_the_hole(bundle, size):
    height, width = size
    image = np.random.default_rng(0).integers(
        0,
        255,
        (height, width, 3),
        dtype=np.uint8,
    )
    mask = np.zeros(size, bool)
    mask[40:90, 30:100] = True
    before = image.copy()
    made = hs.complete(
        image,
        mask,
        nuclei=cells((width, height)),
        bundle=bundle,
    )
    assert made.pixels.shape == image.shape
    assert (made.pixels[~mask] == before[~mask]).all()
    assert (made.pixels[mask] != before[mask]).any()
    assert (image == before).all(), "the caller's array must not change"
    assert made.recipe["extent"] == "hole" and made.recipe["context"]["hole_px"] == int(mask.sum())


def test_what_stands_in_the_hole_is_never_looked_at(bundle, tile):
    mask = np.zeros(tile.shape[:2], bool)
    mask[40:90, 30:100] = True
    spoiled = tile.copy()
    spoiled[mask] = 0
    one, other = (hs.complete(image, mask, bundle=bundle).pixels for image in (tile, spoiled))
    assert (one == other).all()


@pytest.mark.parametrize(
    ("size", "sentence"),
    [
        (
            (130, 128),
            "A tile of 130 x 128 px cannot be painted.*multiple of 8 from 128 to 1024.*128 x "
            "128 px",
        ),
        ((64, 128), "The nearest size that works is 128 x 128"),
        ((2048, 128), "1024 x 128"),
    ],
)
def test_sizes_that_cannot_be_painted_name_the_nearest_that_can(bundle, size, sentence):
    with pytest.raises(BadSize, match=sentence):
        hs.synthesize(Nuclei.none(size, 0.5, bundle.info.classes), bundle=bundle)


def test_a_far_scale_is_refused_and_a_near_one_taken(bundle):
    with pytest.raises(
        ScaleMismatch, match=r"The scale is 0.25 um/px, but this bundle paints at 0.5"
    ):
        hs.synthesize(Nuclei.none((128, 128), 0.25, bundle.info.classes), bundle=bundle)
    hs.synthesize(Nuclei.none((128, 128), 0.52, bundle.info.classes), bundle=bundle)


def test_other_classes_labels_and_names_are_refused(bundle, tile):
    with pytest.raises(UnknownClasses, match="tumour"):
        hs.synthesize(Nuclei.none((128, 128), 0.5, ("tumour",)), bundle=bundle)
    with pytest.raises(UnknownLabel, match="this bundle knows breast"):
        hs.synthesize(cells(), label="liver", bundle=bundle)
    with pytest.raises(BadOption, match="stain-1"):
        hs.synthesize(cells(), appearance="purple", bundle=bundle)
    with pytest.raises(NotRGB):
        hs.complete(tile[..., 0], np.ones(tile.shape[:2], bool), bundle=bundle)


@pytest.mark.parametrize("bad", [{"steps": 0}, {"guidance": -1.0}, {"n": 0}])
def test_impossible_options_are_refused(bundle, bad):
    with pytest.raises(BadOption):
        hs.synthesize(cells(), bundle=bundle, **bad)
