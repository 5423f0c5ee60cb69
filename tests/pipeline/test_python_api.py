"""Every verb of the command line from Python."""

import pytest
from glass import write_slide
from small import write_recipe

import histosynth as hs
from histosynth.core.errors import BadOption, BadRecipe
from histosynth.core.nuclei import Nuclei

VERBS = ("complete", "evaluate", "prepare", "synthesize", "train")


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_is_a_function_that_states_its_arguments_result_and_errors(verb):
    import histosynth.preparation  # noqa: F401 - no module may hide a verb

    text = getattr(hs, verb).__doc__
    assert "Args:" in text
    assert "Returns:" in text
    assert "Raises:" in text


def test_prepare_writes_a_tile_set_and_continues(tmp_path):
    write_slide(tmp_path / "s.tiff")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('slides = ["s.tiff"]\nnuclei.source = "none"\ntiles.size = 256\n')
    prepared = hs.prepare(str(recipe), str(tmp_path / "tiles"))
    rows = list(hs.TileSet(tmp_path / "tiles").rows())
    assert prepared.written == 1
    assert prepared.summary["kept"] == len(rows) > 0
    again = hs.prepare(recipe, tmp_path / "tiles")
    assert (again.written, again.finished) == (0, 1)
    with pytest.raises(BadRecipe, match="gone"):
        hs.prepare(tmp_path / "gone.toml", tmp_path / "other")


def test_prepare_takes_the_scale_of_slides_that_state_another(tmp_path):
    write_slide(tmp_path / "s.tiff")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('slides = ["s.tiff"]\nnuclei.source = "none"\ntiles.size = 256\n')
    stated = hs.prepare(recipe, tmp_path / "stated")
    given = hs.prepare(recipe, tmp_path / "given", mpp=0.25)
    assert given.summary["tiles"] < stated.summary["tiles"]


def test_train_writes_weights_and_continues(tmp_path):
    tiles = tmp_path / "tissue"
    make_tissue(tiles)
    recipe = write_recipe(tmp_path, tiles, "autoencoder", steps=2)
    steps = []
    result = hs.train(
        str(recipe),
        str(tmp_path / "run"),
        device="cpu",
        threads=1,
        on_step=lambda step, numbers: steps.append((step, numbers["loss"] > 0)),
    )
    assert result == {
        "task": "autoencoder",
        "steps": 2,
        "weights": str(tmp_path / "run" / "weights"),
    }
    assert steps == [(1, True), (2, True)]
    assert list((tmp_path / "run" / "weights").rglob("*.safetensors"))
    longer = write_recipe(tmp_path, tiles, "autoencoder", steps=3)
    assert hs.train(longer, tmp_path / "run", device="cpu")["steps"] == 3
    assert steps == [(1, True), (2, True)]


def test_train_refuses_a_base_where_the_recipe_has_none(tmp_path):
    tiles = tmp_path / "tissue"
    make_tissue(tiles)
    recipe = write_recipe(tmp_path, tiles, "autoencoder", steps=2)
    with pytest.raises(BadOption, match="--base"):
        hs.train(recipe, tmp_path / "run", base="somewhere", device="cpu")


def make_tissue(root):
    """Three tiles of three patients with their nuclei, split two to one."""
    from glass import tissue
    from PIL import Image

    from histosynth.annotation.nuclei_files import write_csv

    (root / "images").mkdir(parents=True)
    for index in range(3):
        pixels, _ = tissue(264, 264, seed=index)
        Image.fromarray(pixels).save(root / "images" / f"P{index}_tile.png")
        nuclei = Nuclei.none((264, 264), 0.5, hs.CLASSES)
        write_csv(root / "points" / f"P{index}_tile.csv", nuclei)
    (root / "train.txt").write_text("P0_tile.png\nP1_tile.png")
    (root / "val.txt").write_text("P2_tile.png")
