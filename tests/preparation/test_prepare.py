"""Sources, poses, stain jitter, palettes."""

import numpy as np
import pytest
from PIL import Image

from histosynth.core.errors import BadPairing, BadRecipe
from histosynth.tissue.appearance import Appearance, StainFrame
from histosynth.tissue.augment import pose, restain, stain_matrix
from histosynth.tissue.palette import choose_palette
from histosynth.training.data.sources import open_source
from histosynth.training.recipes.tiles import TileSource


def write(folder, name, tile):
    folder.mkdir(exist_ok=True)
    Image.fromarray(tile).save(folder / name)


def test_tiles_are_resampled_to_the_recipe_s_scale_with_their_nuclei(tmp_path, tile):
    write(tmp_path / "images", "AB_1.png", tile)
    (tmp_path / "points").mkdir()
    (tmp_path / "points" / "AB_1.csv").write_text("x,y,class\n20.5,30.5,stromal\n")
    source = TileSource("images", "^(..)", 0.25, points="points")
    (example,) = open_source(
        source,
        root=tmp_path,
        mpp=0.5,
        classes=("stromal",),
    )
    assert example.tile.size == (64, 68) and example.tile.ref.patient == "AB"
    np.testing.assert_allclose(example.nuclei.xy, [[10.0, 15.0]])
    assert example.nuclei.mpp == example.tile.ref.mpp == 0.5


def test_texture_may_keep_its_pixels(tmp_path, tile):
    write(tmp_path / "images", "AB_1.png", tile)
    source = TileSource("images", "^(..)", 1.0, resample=False)
    (example,) = open_source(
        source,
        root=tmp_path,
        mpp=0.5,
        classes=(),
    )
    assert (example.tile.pixels == tile).all() and example.nuclei is None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"images": "absent"}, "there is no folder"),
        ({"members": "list.txt"}, r"1 listed file\(s\) are absent, first gone.png"),
        ({"patient": "^(TCGA)"}, "does not match this name"),
        (
            {"points": "images"},
            r"no centroids for AB_1.png \(files ending in .csv, .geojson, .json\)",
        ),
        ({"points": "points"}, "no centroids for AB_1.png"),
    ],
)
def test_sources_that_are_not_whole_are_refused(
    tmp_path,
    tile,
    change,
    sentence,
):
    write(tmp_path / "images", "AB_1.png", tile)
    (tmp_path / "points").mkdir()
    (tmp_path / "list.txt").write_text("gone.png")
    source = TileSource(
        **(
            {
                "images": "images",
                "patient": "^(..)",
                "mpp": 0.5,
            }
            | change
        )
    )
    with pytest.raises(BadRecipe, match=sentence):
        open_source(
            source,
            root=tmp_path,
            mpp=0.5,
            classes=("stromal",),
        )


def opened(folder, **more):
    source = TileSource(**{"images": "images", "patient": "^(..)", "mpp": 0.5} | more)
    return open_source(
        source,
        root=folder,
        mpp=0.5,
        classes=("stromal",),
    )


def test_hidden_and_foreign_files_of_a_training_folder_are_left_out(tmp_path, tile):
    """macOS leaves `._a.png`; viewers and people leave overlays, notes and annotations."""
    write(tmp_path / "images", "AB_1.png", tile)
    (tmp_path / "points").mkdir()
    (tmp_path / "points" / "AB_1.csv").write_text("x,y,class\n20.5,30.5,stromal\n")
    for folder in ("images", "points"):
        for name in ("._AB_1.png", "._AB_1.csv", "Thumbs.db", ".DS_Store", "AB_1.xml", "AB_1.txt"):
            (tmp_path / folder / name).write_bytes(b"\0\5\x16\7")
    write(tmp_path / "points", "AB_1.png", tile)
    (example,) = opened(tmp_path, points="points")
    assert len(example.nuclei) == 1


def test_two_files_of_centroids_of_one_picture_are_refused_by_name(tmp_path, tile):
    write(tmp_path / "images", "AB_1.png", tile)
    (tmp_path / "points").mkdir()
    (tmp_path / "points" / "AB_1.csv").write_text("x,y,class\n")
    (tmp_path / "points" / "AB_1.geojson").write_text("[]")
    with pytest.raises(BadRecipe) as caught:
        opened(tmp_path, points="points")
    problem = "2 files of centroids for AB_1.png, AB_1.csv and AB_1.geojson; keep one"
    assert problem in str(caught.value)


def test_two_pictures_of_one_stem_are_refused_by_name(tmp_path, tile):
    write(tmp_path / "images", "AB_1.png", tile)
    write(tmp_path / "images", "AB_1.tif", tile)
    with pytest.raises(BadPairing, match=r"2 files that share a stem .*AB_1.png, AB_1.tif"):
        opened(tmp_path)


@pytest.mark.parametrize("values", [{"mpp": 0.0}, {"patient": "no group"}, {"share": -1.0}])
def test_impossible_sources_are_refused(values):
    with pytest.raises(ValueError, match=r"must|needs"):
        TileSource(**({"images": "x", "patient": "(.)", "mpp": 0.5} | values))


def test_the_eight_poses_are_all_different(tile):
    square = tile[:128]
    seen = {np.ascontiguousarray(pose(square, index)).tobytes() for index in range(8)}
    assert len(seen) == 8


def test_stain_jitter_of_no_strength_changes_nothing_and_glass_stays_glass(tile):
    random = np.random.default_rng(0)
    np.testing.assert_allclose(
        restain(tile, stain_matrix(random, 0.0)),
        tile,
        atol=1e-2,
    )
    glass = np.full((2, 2, 3), 255, np.uint8)
    np.testing.assert_allclose(restain(glass, stain_matrix(random, 0.3)), 255)


def test_a_palette_begins_with_the_most_usual_and_leaves_out_the_oddest():
    looks = [
        Appearance(StainFrame((s, 1.0, 1.0)), np.zeros(13, np.float32))
        for s in np.linspace(0.8, 1.2, 19)
    ]
    looks.append(Appearance(StainFrame((4.9, 1.0, 1.0)), np.zeros(13, np.float32)))
    chosen = choose_palette(looks, 4)
    assert chosen[0] in (8, 9, 10, 11) and 19 not in chosen and len(set(chosen)) == 4
