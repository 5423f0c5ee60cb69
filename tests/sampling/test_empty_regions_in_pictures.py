"""Regions without tissue: what the networks are shown, what recipes state, what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import histosynth as hs
from histosynth.annotation.nuclei_files import write_csv
from histosynth.core.condition import Condition, Context
from histosynth.core.errors import BadMask, BadOption, SizeMismatch
from histosynth.core.synthetic import read_recipe
from histosynth.model.conditioning import conditions_of
from histosynth.pipeline.synthesize_files import synthesize_files
from histosynth.sampling.options import SamplingOptions
from histosynth.sampling.tile_sizes import TileSize
from histosynth.tissue.appearance import TYPICAL_GLASS, measure_appearance

NUCLEI = hs.draw_layout((128, 128), mpp=0.5, seed=0)
OPTIONS = SamplingOptions(steps=1, device="cpu", dtype="fp32")


def lumen(left=32):
    empty = np.zeros((128, 128), bool)
    empty[40:90, left : left + 50] = True
    return empty


@pytest.fixture(scope="module")
def bundle(bundle_folder):
    return hs.open_bundle(bundle_folder, device="cpu", dtype="fp32")


def made(bundle, **options):
    return hs.synthesize(NUCLEI, bundle=bundle, steps=1, **options)


def test_networks_are_shown_glass_where_there_is_no_tissue(tile):
    appearance = measure_appearance(tile)
    shown = conditions_of(Condition(NUCLEI, NUCLEI.size, empty=lumen()), appearance, None)
    np.testing.assert_array_equal(shown.mask, ~lumen())
    glass = appearance.frame.to_canonical(appearance.glass())
    assert (shown.known[lumen()] == glass).all() and glass.min() > 220


def test_glass_beside_known_tissue_lies_in_the_hole_only(tile):
    pixels = tile[:128, :128]
    hole = np.zeros((128, 128), bool)
    hole[:, 40:] = True
    appearance = measure_appearance(pixels, hole)
    condition = Condition(NUCLEI, NUCLEI.size, None, Context(pixels, hole), lumen())
    shown = conditions_of(condition, appearance, None)
    np.testing.assert_array_equal(shown.mask, hole & ~lumen())
    np.testing.assert_array_equal(
        shown.known[~hole],
        appearance.frame.to_canonical(pixels)[~hole],
    )


def test_glass_is_as_white_as_the_reference_and_never_darker_than_usual(tile):
    assert measure_appearance(tile).glass().min() >= TYPICAL_GLASS
    white = tile.copy()
    white[:60] = 252
    assert measure_appearance(white).glass().tolist() == [252, 252, 252]


def test_a_region_changes_the_picture_and_is_in_its_recipe(bundle):
    (plain,) = made(bundle)
    (stated,) = made(bundle, empty=lumen())
    (other,) = made(bundle, empty=lumen(60))
    assert "empty" not in plain.recipe
    assert stated.recipe["empty"]["share"] == round(float(lumen().mean()), 4)
    digests = {each.recipe["empty"]["sha256"] for each in (stated, other)}
    assert len(digests) == 2
    assert len({each.recipe["place"][0] for each in (plain, stated, other)}) == 3
    assert (plain.pixels != stated.pixels).any() and (other.pixels != stated.pixels).any()
    assert stated.recipe["nuclei"] == plain.recipe["nuclei"]


def test_a_mask_that_marks_nothing_changes_nothing(bundle):
    (plain,) = made(bundle)
    (stated,) = made(bundle, empty=np.zeros((128, 128), bool))
    assert stated.recipe == plain.recipe
    np.testing.assert_array_equal(stated.pixels, plain.pixels)


def test_each_set_of_nuclei_may_have_its_own(bundle):
    several = [NUCLEI, NUCLEI, NUCLEI]
    masks = [lumen(), None, torch.from_numpy(lumen(60))]
    pictures = hs.synthesize(several, empty=masks, bundle=bundle, steps=1)
    singly = [made(bundle, empty=mask)[0] for mask in masks]
    for picture, single in zip(pictures, singly, strict=True):
        np.testing.assert_array_equal(picture.pixels, single.pixels)


@pytest.mark.parametrize(
    ("empty", "error", "message"),
    [
        (np.ones((128, 128), bool), BadMask, "cover the whole tile"),
        (np.zeros((64, 128), bool), SizeMismatch, "128 x 64"),
        (np.full((128, 128), 0.5), BadMask, "empty"),
        ([lumen(), lumen()], BadOption, "a list of 2"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(bundle, empty, error, message):
    with pytest.raises(error) as refused:
        made(bundle, empty=empty)
    assert message in str(refused.value)


def write_layouts(folder, *stems):
    folder.mkdir(exist_ok=True)
    for stem in stems:
        write_csv(folder / f"{stem}.csv", NUCLEI)
    return folder


def run(bundle_folder, nuclei, out, **options):
    return synthesize_files(
        nuclei,
        out,
        size=TileSize.of(options.pop("size", "128"), options.pop("crop", None)),
        options=OPTIONS,
        bundle=bundle_folder,
        **options,
    )


def write_lumen(path, left=32):
    Image.fromarray(lumen(left).astype(np.uint8) * 255).save(path)
    return path


def test_files_give_what_python_gives(bundle_folder, bundle, tmp_path):
    nuclei = write_layouts(tmp_path / "nuclei", "a", "b")
    regions = tmp_path / "regions"
    regions.mkdir()
    write_lumen(regions / "a.png")
    ring = [[60, 40], [110, 40], [110, 90], [60, 90], [60, 40]]
    feature = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"classification": {"name": "lumen"}},
    }
    (regions / "b.geojson").write_text(json.dumps({"features": [feature]}))
    outcome = run(bundle_folder, nuclei, tmp_path / "out", regions=regions)
    assert not outcome.refused
    recipes = [read_recipe(tmp_path / "out" / f"{stem}_0.png")["empty"]["share"] for stem in "ab"]
    assert recipes == pytest.approx([lumen().mean(), lumen(60).mean()], abs=0.01)
    found = hs.read_nuclei(nuclei / "a.csv", size=(128, 128), mpp=0.5, classes=NUCLEI.classes)
    (expected,) = hs.synthesize(found, empty=lumen(), bundle=bundle, steps=1)
    pixels = np.asarray(Image.open(tmp_path / "out" / "a_0.png").convert("RGB"))
    np.testing.assert_array_equal(pixels, expected.pixels)


def test_a_mask_of_another_size_refuses_its_layout_and_no_other(bundle_folder, tmp_path):
    nuclei = write_layouts(tmp_path / "nuclei", "a", "b")
    regions = tmp_path / "regions"
    regions.mkdir()
    write_lumen(regions / "a.png")
    Image.fromarray(np.full((60, 60), 255, np.uint8)).save(regions / "b.png")
    outcome = run(bundle_folder, nuclei, tmp_path / "out", regions=regions)
    assert list(outcome.refused) == [str(nuclei / "b.csv")]
    assert (tmp_path / "out" / "a_0.png").exists()
    assert not (tmp_path / "out" / "b_0.png").exists()


def test_nuclei_inside_of_regions_are_noted(bundle_folder, tmp_path):
    nuclei = write_layouts(tmp_path / "nuclei", "a")
    regions = write_lumen(tmp_path / "lumen.png")
    outcome = run(bundle_folder, nuclei, tmp_path / "out", regions=regions)
    columns, rows = np.rint(NUCLEI.xy).astype(int).T
    inside = int(lumen()[rows, columns].sum())
    assert inside > 1
    assert outcome.notes == [
        f"{inside} nuclei lie in regions without tissue; the pictures may lack them."
    ]


def test_drawn_layouts_take_no_regions(bundle_folder, tmp_path):
    with pytest.raises(BadOption, match="--regions"):
        run(
            bundle_folder,
            None,
            tmp_path / "out",
            draw=1,
            regions=write_lumen(tmp_path / "m.png"),
        )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("mask_share", "of_regions"),
    [(0.25, "global"), (0.0, "local"), (None, "local")],
)
def test_tiles_with_regions_are_sampled_by_an_adapter_that_has_learnt_masks(mask_share, of_regions):
    """The order of pictures is that of the conditions."""
    bundle = hs.open_bundle()
    whole_tiles = bundle.adapters["global"]
    bundle.adapters["global"] = replace(whole_tiles, mask_share=mask_share)
    conditions = [None, lumen(), np.zeros((128, 128), bool)]
    pictures = list(hs.synthesize([NUCLEI] * 3, empty=conditions, bundle=bundle, steps=1))
    adapters = [picture.recipe["bundle"]["adapter"] for picture in pictures]
    assert adapters == ["global", of_regions, "global"]
    assert np.array_equal(pictures[0].pixels, pictures[2].pixels)


def test_the_adapter_in_the_package_follows_sizes_beside_regions():
    bundle = hs.open_bundle()
    assert bundle.adapters["global"].mask_share == 0.25
    (picture,) = hs.synthesize(NUCLEI, empty=lumen(), bundle=bundle, steps=1)
    assert picture.recipe["nuclei"]["drawn_shapes"] > 0


def test_stated_glass_is_kept_by_the_bundle_in_the_package():
    """Its median is that of glass: with an adapter of whole tiles alone tissue grew over it."""
    (picture,) = hs.synthesize(NUCLEI, empty=lumen(), seed=1)
    inside = picture.pixels[lumen()].astype(float)
    (free,) = hs.synthesize(NUCLEI, seed=1)
    assert np.median(inside) > 228  # 222 by an adapter that has not learnt masks
    assert np.median(inside) > np.median(free.pixels[lumen()]) + 10
