"""The artefact classifier: it learns, is measured on other patients, is loaded again, and is a
gate."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from glass import tissue, write_pixels
from PIL import Image
from safetensors.torch import load_file, save_file
from scipy import ndimage

from histosynth.core.errors import BadOption, BadRecipe, BadWeights, NeedsExtra, ResumeMismatch
from histosynth.detectors.artefact import cut_crops, load_artefact
from histosynth.detectors.artefact_network import build_artefact_network, load_published_weights
from histosynth.pipeline.train import dry_run, train
from histosynth.pipeline.train_options import read_train_recipe
from histosynth.preparation.grid import GridPlan
from histosynth.preparation.recipe import PrepareRecipe, StainPlan
from histosynth.preparation.rows import Facts, RowTools, make_rows
from histosynth.preparation.survey import survey_slide
from histosynth.preparation.tissue_mask import TissuePlan
from histosynth.slides import open_slide
from histosynth.training.recipes.artefact import artefact_recipe
from histosynth.training.tasks.artefact.labelled_tiles import open_labelled_tiles

RECIPE = """task = "artefact"
seed = 1
{extra}
[loop]
steps = {steps}
batch = 8
learning_rate = 3e-3
warmup = 2
cooldown = 0.0
ema = 0.9
validate_every = {steps}
checkpoint_every = 2
log_every = 1
precision = "{precision}"
[data]
root = "{root}"
patient = "^(P..)"
mpp = 0.5
crop = 64
held_out = 0.34
[model]
widths = [8, 16]
depths = [1, 1]
"""
FOLDERS = ("good", "fold", "blur")


def spoil(pixels: np.ndarray, how: str, random: np.random.Generator) -> np.ndarray:
    """A tile with a dark band across it, or out of focus."""
    if how == "fold":
        at = int(random.integers(8, 50))
        pixels = pixels.astype(float)
        pixels[at : at + 12] *= 0.45
    elif how == "blur":
        pixels = ndimage.gaussian_filter(pixels.astype(float), (3, 3, 0))
    return np.asarray(pixels).round().astype(np.uint8)


@pytest.fixture(scope="module")
def sorted_tiles(tmp_path_factory) -> Path:
    """Twelve patients of eight tiles each; nine of the patients have artefacts."""
    root = tmp_path_factory.mktemp("sorted")
    random = np.random.default_rng(0)
    for name in FOLDERS:
        (root / name).mkdir()
    for patient in range(12):
        picture, _ = tissue(
            320,
            160,
            seed=patient,
            dyes=tuple(random.uniform(0.8, 1.2, 2)),
        )
        for index in range(8):
            y = 80 * (index // 4)
            x = 80 * (index % 4)
            name = FOLDERS[index % 4 % 3] if patient % 4 else "good"
            cut = spoil(picture[y : y + 80, x : x + 80], name, random)
            Image.fromarray(cut).save(root / name / f"P{patient:02d}_{index}.png")
    return root


def write(
    folder: Path,
    root: Path,
    *,
    steps=4,
    precision="fp32",
    extra="",
) -> Path:
    path = folder / f"artefact-{steps}.toml"
    path.write_text(
        RECIPE.format(
            root=root,
            steps=steps,
            precision=precision,
            extra=extra,
        )
    )
    return path


@pytest.fixture(scope="module")
def run(sorted_tiles, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("artefact")
    train(write(folder, sorted_tiles, steps=80), folder / "run", device="cpu")
    return folder / "run"


def test_it_learns_and_is_measured_on_held_out_patients(run, sorted_tiles):
    card = json.loads((run / "weights" / "artefact.json").read_text())
    last = json.loads((run / "log.jsonl").read_text().splitlines()[-1])
    assert card["auc"]["value"] > 0.9
    assert (
        card["auc"]["low"] <= card["auc"]["value"] <= card["auc"]["high"] and card["auc"]["n"] == 4
    )
    assert last["validation_auc"] == pytest.approx(card["auc"]["value"], abs=1e-6)
    assert card["classes"] == ["good", "blur", "fold"]
    assert card["trained"]["patients"] + card["held_out"]["patients"] == 12
    assert (
        sum(card[side][kind] for side in ("trained", "held_out") for kind in ("good", "artefact"))
        == 96
    )
    assert list((run / "pictures").glob("*.png"))


def test_each_patient_is_on_one_side_only(sorted_tiles, tmp_path):
    path = write(tmp_path, sorted_tiles)
    tiles = open_labelled_tiles(read_train_recipe(path).data, tmp_path)
    train_side, held_out = (
        {each.tile.ref.patient for each in side} for side in (tiles.train, tiles.held_out)
    )
    assert not train_side & held_out and len(train_side | held_out) == 12
    plan = dry_run(path)
    assert (plan.tiles + plan.validation_tiles, plan.validation_patients) == (96, len(held_out))


def test_loaded_weights_classify_as_those_that_were_measured(run, sorted_tiles):
    classifier = load_artefact(run / "weights")
    tiles = open_labelled_tiles(artefact_recipe(sorted_tiles, "^(P..)", 0.5).data, Path())
    chances = {"good": [], "fold": [], "blur": []}
    for each in tiles.held_out:
        chances[each.label].append(classifier(each.tile.pixels, 0.5))
        assert classifier(each.tile.pixels, 0.5) == chances[each.label][-1]
    assert all(
        isinstance(each, float) and 0 <= each <= 1 for side in chances.values() for each in side
    )
    assert np.mean(chances["good"]) < 0.5 < min(np.mean(chances["fold"]), np.mean(chances["blur"]))
    assert classifier.name.startswith("artefact ") and len(classifier.info.sha256) == 64
    assert load_artefact(run / "weights") is classifier


def test_a_tile_is_classified_at_the_classifier_s_scale_and_by_its_worst_crop(run):
    classifier = load_artefact(run / "weights")
    large, _ = tissue(192, 192, seed=50)
    crops = cut_crops(large, 64)
    assert crops.shape == (9, 64, 64, 3)
    worst = max(classifier(crop, 0.5) for crop in crops)
    assert classifier(large, 0.5) == pytest.approx(worst, abs=1e-5)
    twice = large.repeat(2, axis=0).repeat(2, axis=1)
    assert classifier(twice, 0.25) == pytest.approx(classifier(large, 0.5), abs=1e-5)
    assert 0 <= classifier(large[:20, :30], 0.5) <= 1  # smaller than a crop
    with pytest.raises(BadOption, match=r"at most 0.625 um/px"):
        classifier(large, 1.0)


def test_changed_weights_and_cards_are_refused(run, tmp_path):
    folder = shutil.copytree(run / "weights", tmp_path / "weights")
    weights = folder / "model.safetensors"
    good = weights.read_bytes()
    weights.write_bytes(good[:-4] + b"\0\0\0\1")
    with pytest.raises(BadWeights, match="sha256"):
        load_artefact(folder)
    weights.write_bytes(good)
    card = json.loads((folder / "artefact.json").read_text())
    for changed in ({"widths": [8, 24]}, {"widths": [8, 1 << 20]}, {"mpp": "x"}):
        (folder / "artefact.json").write_text(json.dumps(card | changed))
        with pytest.raises(BadWeights):
            load_artefact(folder)
    with pytest.raises(BadWeights):
        load_artefact(tmp_path / "nowhere")


def test_a_stopped_run_that_goes_on_is_the_run_that_was_never_stopped(sorted_tiles, tmp_path):
    recipes = [write(tmp_path, sorted_tiles, steps=steps) for steps in (4, 8)]
    for recipe, name in ((recipes[1], "one"), (recipes[0], "two"), (recipes[1], "two")):
        train(recipe, tmp_path / name, device="cpu")
    one, two = (
        load_file(tmp_path / name / "weights" / "model.safetensors") for name in ("one", "two")
    )
    assert all(torch.equal(one[key], two[key]) for key in one)
    other = write(tmp_path, sorted_tiles, extra='name = "other"')
    with pytest.raises(ResumeMismatch, match="name"):
        train(other, tmp_path / "two", device="cpu")


def test_bf16_and_a_start_from_weights_on_disk(run, sorted_tiles, tmp_path):
    path = write(tmp_path, sorted_tiles, precision="bf16", extra=f'start = "{run / "weights"}"')
    train(path, tmp_path / "run", device="cpu")
    card = json.loads((tmp_path / "run" / "weights" / "artefact.json").read_text())
    assert 0 <= card["auc"]["value"] <= 1
    # a bare backbone, as the hub also keeps it
    stored = load_file(run / "weights" / "model.safetensors")
    bare = {key.removeprefix("resnet."): value for key, value in stored.items() if "resnet." in key}
    (tmp_path / "bare").mkdir()
    save_file(bare, tmp_path / "bare" / "model.safetensors")
    network = build_artefact_network((8, 16), (1, 1))
    load_published_weights(network, tmp_path / "bare")
    key = "resnet.embedder.embedder.convolution.weight"
    assert torch.equal(network.state_dict()[key], stored[key])
    for widths, depths in (((8, 24), (1, 1)), ((8, 16), (1, 2)), ((8,), (1,))):
        with pytest.raises(BadWeights, match="another layout"):
            load_published_weights(build_artefact_network(widths, depths), tmp_path / "bare")
    with pytest.raises(BadWeights):
        load_published_weights(network, tmp_path)


def test_it_is_one_more_gate_of_prepare(run, tmp_path):
    glass = np.full((320, 640, 3), 244, np.uint8)
    glass[32:288, 32:608], _ = tissue(576, 256, seed=77)
    glass[32:288, 320:608] = spoil(glass[32:288, 320:608], "blur", np.random.default_rng(0))
    write_pixels(tmp_path / "a.tif", glass)
    recipe = PrepareRecipe(
        ("a.tif",),
        tiles=GridPlan(size=64, tissue=0.9),
        tissue=TissuePlan(least_mm2=0.0),
        quality={"blur": 0.0, "fold": 1.0},  # the classifier's turn
        stain=StainPlan(method="none"),
    )
    slide = open_slide(tmp_path / "a.tif")
    survey = survey_slide(slide, recipe, None)
    indices = [index for index, share in enumerate(survey.shares) if share >= 0.9]
    tools = RowTools(artefact=load_artefact(run / "weights"))
    rows = list(
        make_rows(
            slide,
            survey,
            indices,
            Facts("a", "a", "", ""),
            recipe=recipe,
            tools=tools,
        )
    )
    assert all(
        (row.quality["artefact"] > 0.5) == row.refused.startswith("artefact: ") for row in rows
    )
    sharp = [row.refused for row in rows if row.ref.box.x + 64 <= 320]
    blurred = [row.refused for row in rows if row.ref.box.x >= 320]
    assert sum(map(bool, blurred)) > 0.8 * len(blurred) > 5
    assert sum(map(bool, sharp)) < 0.2 * len(sharp) and len(sharp) > 5


def test_what_cannot_be_learned_or_measured_is_refused_with_numbers(sorted_tiles, tmp_path):
    few = tmp_path / "few"
    for name in FOLDERS:
        (few / name).mkdir(parents=True)
        for path in (sorted_tiles / name).glob("P0[0-3]_*.png"):
            shutil.copy(path, few / name)
    with pytest.raises(
        BadRecipe, match=r"of 4 patients, 1 with .* are held out; at least 2 must be"
    ):
        open_labelled_tiles(artefact_recipe(few, "^(P..)", 0.5).data, tmp_path)
    shutil.rmtree(few / "good")
    with pytest.raises(BadRecipe, match="folder good"):
        open_labelled_tiles(artefact_recipe(few, "^(P..)", 0.5).data, tmp_path)
    with pytest.raises(BadRecipe, match="does not match"):
        open_labelled_tiles(artefact_recipe(sorted_tiles, "^(Q..)", 0.5).data, tmp_path)
    with pytest.raises(BadRecipe, match="there is no folder"):
        open_labelled_tiles(artefact_recipe(Path("nowhere"), "^(P..)", 0.5).data, tmp_path)
    path = write(tmp_path, sorted_tiles)
    path.write_text(path.read_text().replace("^(P..)", "^P.."))
    with pytest.raises(BadRecipe, match="needs one group"):
        read_train_recipe(path)


def test_without_transformers_the_error_names_the_extra_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(NeedsExtra, match=r"histosynth\[quality\]"):
        build_artefact_network((8,), (1,))
