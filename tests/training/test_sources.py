"""Tile sets as sources of training: what `prepare` wrote is what is trained on, and nothing by
oversight."""

import json

import numpy as np
import pytest
from PIL import Image

from histosynth.core import recipe as recipes
from histosynth.core.errors import (
    BadRecipe,
    BadTileSet,
    NoFiles,
    SplitLeak,
    UnknownClasses,
)
from histosynth.core.geometry import Box
from histosynth.core.images import encode_png
from histosynth.core.nuclei import Nuclei
from histosynth.core.tile import TileRef
from histosynth.core.tileset import Row, write_rows
from histosynth.training.data.sources import open_source, refuse_leaks
from histosynth.training.recipes.data import DataPlan
from histosynth.training.recipes.tiles import TileSource
from histosynth.training.tasks.tile_checks import open_examples

CLASSES = ("epithelial", "lymphocyte")
OUTSIDE = Nuclei(
    np.array([[99, 3]], np.float32),
    np.zeros(1, np.uint8),
    CLASSES,
    (16, 24),
    0.5,
)


def pixels_of(x):
    return np.random.default_rng(x).integers(
        0,
        256,
        (24, 16, 3),
        np.uint8,
    )


def row(x=0, patient="P1", slide="S1", *, names=("lymphocyte", "any"), mpp=0.5, **more):
    nuclei = None
    if names is not None:
        xy = [[1.25 + 3 * n, 2.5 + 5 * n] for n in range(len(names))]
        nuclei = Nuclei.of(
            xy,
            names,
            size=(16, 24),
            mpp=mpp,
            classes=sorted({*names} - {"any"}),
        )
    facts = {
        "label": "UPS",
        "split": "train",
        "image": encode_png(pixels_of(x)),
        "nuclei": nuclei,
    } | more
    return Row(TileRef(slide, patient, Box(x, 8, 64, 96), mpp), **facts)


def read(
    root,
    source,
    *,
    mpp=0.5,
    classes=CLASSES,
):
    return open_source(
        source,
        root=root,
        mpp=mpp,
        classes=classes,
    )


@pytest.fixture
def tissue(tmp_path):
    """A tile set of two files: three patients in three splits, a refused tile, one without
    nuclei."""
    refused = row(
        99,
        refused="blur: it is 0.9, at most 0.5 is taken",
        image=None,
        names=None,
    )
    write_rows(
        tmp_path / "set" / "a.parquet",
        [row(0), refused, row(16, names=None)],
        {},
    )
    others = [
        row(
            0,
            "P2",
            "S2",
            split="validation",
            names=("epithelial",),
        ),
        row(
            0,
            "P3",
            "S3",
            split="test",
            label="",
            names=(),
        ),
    ]
    write_rows(tmp_path / "set" / "b.parquet", others, {})
    return tmp_path


def test_what_was_written_is_what_is_trained_on(tissue):
    first, bare, other, last = read(tissue, TileSource("set", share=2.0))
    assert np.array_equal(first.tile.pixels, pixels_of(0)) and np.array_equal(
        bare.tile.pixels, pixels_of(16)
    )
    assert first.tile.ref == TileRef("S1", "P1", Box(0, 8, 64, 96), 0.5)
    assert first.nuclei.xy.tolist() == [[1.25, 2.5], [4.25, 7.5]]
    assert first.nuclei.names() == ["lymphocyte", "any"] and first.nuclei.classes == CLASSES
    assert first.nuclei.size == first.tile.size == (16, 24)
    assert bare.nuclei is None and len(last.nuclei) == 0  # nobody looked, and nobody was found
    assert [each.tile.ref.patient for each in (bare, other, last)] == ["P1", "P2", "P3"]
    assert [each.label for each in (first, other, last)] == [
        "UPS",
        "UPS",
        "",
    ] and first.share == 2.0
    assert {each.label for each in read(tissue, TileSource("set", label="LMS"))} == {"LMS"}


def test_rows_are_resampled_to_the_recipe_s_scale_with_their_nuclei(tissue):
    first, *_ = read(tissue, TileSource("set"), mpp=1.0)
    small = Image.fromarray(pixels_of(0)).resize((8, 12), Image.Resampling.BOX)
    assert np.array_equal(first.tile.pixels, small)
    np.testing.assert_allclose(first.nuclei.xy, [[0.375, 1.0], [1.875, 3.5]])
    assert first.tile.ref.mpp == first.nuclei.mpp == 1.0 and first.tile.ref.box == Box(0, 8, 64, 96)
    same, *_ = read(tissue, TileSource("set", resample=False), mpp=1.0)
    assert np.array_equal(same.tile.pixels, pixels_of(0)) and same.nuclei.xy.tolist()[0] == [
        1.25,
        2.5,
    ]


def test_a_split_and_members_choose_rows(tissue):
    assert [
        each.tile.ref.slide for each in read(tissue, TileSource("set", split="validation"))
    ] == ["S2"]
    (tissue / "list.txt").write_text("S3_0_8\n\nS1_16_8\n")
    chosen = read(tissue, TileSource("set", members="list.txt"))
    assert [(each.tile.ref.slide, each.tile.ref.box.x) for each in chosen] == [
        ("S1", 16),
        ("S3", 0),
    ]
    (only,) = read(tissue, TileSource("set", members="list.txt", split="train"))
    assert only.tile.ref.box.x == 16


def test_classes_are_mapped_or_refused_all_at_once(tmp_path):
    rows = [
        row(0, names=("Tumor", "lymphocyte")),
        row(16, names=("Stroma",)),
        row(32, names=("any",)),
    ]
    write_rows(tmp_path / "set" / "a.parquet", rows, {})
    with pytest.raises(
        UnknownClasses, match="set: Unknown nucleus class: Stroma, Tumor; "
    ) as caught:
        read(tmp_path, TileSource("set"))
    assert caught.value.unknown == ("Stroma", "Tumor")
    with pytest.raises(UnknownClasses, match="class: stromal; "):
        read(tmp_path, TileSource("set", map={"Tumor": "epithelial", "Stroma": "stromal"}))
    source = TileSource("set", map={"Tumor": "epithelial", "Stroma": "any"})
    assert [each.nuclei.names() for each in read(tmp_path, source)] == [
        ["epithelial", "lymphocyte"],
        ["any"],
        ["any"],
    ]
    # an autoencoder's recipe names no kinds, and asks for no nuclei
    assert [each.nuclei for each in read(tmp_path, source, classes=())] == [None] * 3


def test_classes_of_rows_that_are_not_taken_do_not_matter(tissue):
    (only,) = read(tissue, TileSource("set", split="validation"), classes=("epithelial",))
    assert only.nuclei.names() == ["epithelial"]


def test_a_folder_of_pictures_may_map_classes_too(tmp_path):
    for name in ("images", "points"):
        (tmp_path / name).mkdir()
    Image.fromarray(pixels_of(0)).save(tmp_path / "images" / "AB_1.png")
    (tmp_path / "points" / "AB_1.csv").write_text("x,y,class\n2,3,Tumor\n")
    source = TileSource(
        "images",
        "^(..)",
        0.5,
        points="points",
        map={"Tumor": "epithelial"},
    )
    (example,) = read(tmp_path, source)
    assert example.nuclei.names() == ["epithelial"] and example.tile.ref.patient == "AB"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"split": "val"}, "no tile is of the split 'val'; there is test, train, validation"),
        ({"members": "list.txt"}, r"list.txt has 1 .*2 listed tile\(s\) are absent, first S1_99_8"),
        ({"mpp": 0.25}, "mpp is 0.25, but the tile set has rows of 0.5; leave it out"),
        (
            {"patient": "^(..)", "points": "p"},
            "rows bring patient and points; leave out patient and points",
        ),
    ],
)
def test_what_a_tile_set_cannot_follow_is_refused(tissue, change, sentence):
    (tissue / "list.txt").write_text(
        "S1_0_8\ngone\nS1_99_8\n"
    )  # a refused tile is not there to be taken
    assert read(tissue, TileSource("set", "", 0.5))
    with pytest.raises(BadRecipe, match=sentence):
        read(tissue, TileSource(**({"images": "set"} | change)))


def test_folders_of_pictures_must_state_patient_and_mpp_and_have_no_split(tmp_path):
    (tmp_path / "images").mkdir()
    with pytest.raises(BadRecipe) as caught:
        read(tmp_path, TileSource("images", split="train"))
    assert str(caught.value).startswith(
        "images has 3 problems: split is 'train', but only tile sets"
    )
    assert "lacks the key patient" in str(caught.value) and "lacks the key mpp" in str(caught.value)
    with pytest.raises(BadRecipe, match=r"images has 1 problem.*lacks the key mpp"):
        read(tmp_path, TileSource("images", ""))
    with pytest.raises(NoFiles, match=r"images holds no file ending in \.png"):
        read(tmp_path, TileSource("images", "", 0.5))


@pytest.mark.parametrize(
    ("broken", "refusal", "sentence"),
    [
        ({"image": None, "names": None}, BadTileSet, "S1_0_8 has no picture"),
        ({"mpp": 30.0}, BadTileSet, "a row's mpp is 30, not in"),
        ({"nuclei": OUTSIDE}, BadTileSet, "1 of 1 centroids lie outside"),
        ({"split": "test"}, SplitLeak, "P1"),
    ],
)
def test_damaged_sets_are_refused(
    tmp_path,
    broken,
    refusal,
    sentence,
):
    write_rows(tmp_path / "set" / "a.parquet", [row(0, **broken), row(16)], {})
    with pytest.raises(refusal, match=sentence):
        read(tmp_path, TileSource("set"))


def test_a_set_without_kept_tiles_gives_none(tmp_path):
    write_rows(tmp_path / "set" / "a.parquet", [], {})
    write_rows(
        tmp_path / "set" / "b.parquet",
        [
            row(
                0,
                refused="blur",
                image=None,
                names=None,
            )
        ],
        {},
    )
    assert read(tmp_path, TileSource("set")) == []
    with pytest.raises(BadRecipe, match="there is no tile"):
        read(tmp_path, TileSource("set", split="train"))


def plan(root, train, validation):
    values = {
        "root": str(root),
        "mpp": 0.5,
        "classes": list(CLASSES),
        "train": [train],
        "validation": [validation],
    }
    return recipes.build(values, DataPlan)


def test_tiles_kept_for_something_else_are_not_trained_on_by_oversight(tissue):
    held = {"images": "set", "split": "validation"}
    train, held_out = open_examples(plan(tissue, {"images": "set", "split": "train"}, held), tissue)
    assert (len(train), len(held_out)) == (2, 1)
    with pytest.raises(
        BadRecipe, match=r'tiles, 1 for test and 1 for validation .*S2.*set split = "train"'
    ):
        open_examples(plan(tissue, {"images": "set"}, held), tissue)
    # who asks for it by name may have it; without a split they are fine to measure on
    assert open_examples(plan(tissue, {"images": "set", "split": "test"}, held), tissue)
    refuse_leaks(
        read(tissue, TileSource("set", split="train")), read(tissue, TileSource("set"))[2:]
    )


def test_a_patient_on_both_sides_is_refused(tissue):
    with pytest.raises(SplitLeak, match="P1"):
        open_examples(
            plan(
                tissue,
                {"images": "set", "split": "train"},
                {"images": "set", "split": "train"},
            ),
            tissue,
        )


def test_recipes_of_older_runs_read_as_they_did():
    old = {
        "images": "i",
        "patient": "^(..)",
        "mpp": 0.25,
        "points": "p",
        "share": 4.0,
    }
    now = recipes.build(old, TileSource)
    assert now == TileSource("i", "^(..)", 0.25, points="p", share=4.0)
    saved = json.loads(json.dumps(recipes.as_dict(TileSource("set"))))
    assert saved["patient"] is saved["mpp"] is None and recipes.build(
        saved, TileSource
    ) == TileSource("set")
