"""What would be learnt amiss, or crash after hours, is refused before anything is written."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small import write_recipe

from histosynth.core.errors import (
    BadRecipe,
    BadRun,
    NotWritable,
    ResumeMismatch,
    ScaleMismatch,
    UnknownLabel,
)
from histosynth.core.images import read_rgb
from histosynth.pipeline.train import dry_run, train
from histosynth.tissue.augment import pose
from histosynth.training.data.views import VIEW_SEED, _pose, view_sides
from histosynth.training.recipes.adapter_options import AdapterPlan

CLASSES = 'kinds = ["epithelial", "lymphocyte", "stromal"]'


def changed(path: Path, *changes: tuple[str, str]) -> Path:
    text = path.read_text()
    for before, after in changes:
        assert before in text, before
        text = text.replace(before, after)
    path.write_text(text)
    return path


def cut(
    tissue: Path,
    folder: Path,
    side: int,
    names: str = "*",
) -> Path:
    """The same tiles without points, some of them smaller."""
    copy = shutil.copytree(tissue, folder / "tissue")
    for path in (copy / "images").glob(f"{names}.png"):
        Image.fromarray(np.ascontiguousarray(read_rgb(path)[:side, :side])).save(path)
    return copy


@pytest.mark.parametrize(
    "classes",
    ['["lymphocyte", "epithelial", "stromal"]', '["epithelial", "lymphocyte", "stromal", "other"]'],
)
def test_an_adapter_s_classes_are_the_base_s_in_its_order(
    tmp_path,
    tissue,
    base,
    classes,
):
    path = changed(
        write_recipe(tmp_path, tissue, "global", start=base), (CLASSES, f"kinds = {classes}")
    )
    told = r"data.classes is .*, but the base .* epithelial, lymphocyte, stromal, in this order"
    for attempt in (lambda: dry_run(path), lambda: train(path, tmp_path / "run", device="cpu")):
        with pytest.raises(BadRecipe, match=told):
            attempt()
    assert not (tmp_path / "run").exists()


def test_an_adapter_s_scale_is_the_base_s_within_its_tolerance(tmp_path, tissue, base):
    path = changed(
        write_recipe(tmp_path, tissue, "local", start=base), ("mpp = 0.5\ncrop", "mpp = 0.58\ncrop")
    )
    dry_run(path)
    changed(path, ("mpp = 0.58", "mpp = 0.61"))
    with pytest.raises(ScaleMismatch, match=r"data.mpp: The scale is 0.61 um/px, but .* 0.5 um/px"):
        dry_run(path)


@pytest.mark.parametrize("task", ["base", "global"])
def test_a_label_that_the_base_does_not_list_is_refused(
    tmp_path,
    tissue,
    autoencoder,
    base,
    task,
):
    start = autoencoder if task == "base" else base
    path = changed(
        write_recipe(tmp_path, tissue, task, start=start),
        ('label = "breast"\n', 'label = "brest"\n'),
    )
    with pytest.raises(
        UnknownLabel, match="P0_tile: Unknown label 'brest'; this bundle knows breast"
    ):
        dry_run(path)
    changed(path, ('label = "brest"\n', 'label = ""\n'))
    dry_run(path)


def test_a_base_without_labels_ignores_them(tmp_path, tissue, autoencoder):
    path = write_recipe(tmp_path, tissue, "base", start=autoencoder)
    dry_run(changed(path, ('labels = ["breast"]', "labels = []")))


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        (
            "crops = [128]",
            "crops = [512]",
            r"names 512, but the views of the largest tile are 2\d\d px",
        ),
        ("crops = [128]", "crops = [80]", "names 80, not multiples of 32"),
        (
            "mpp = 0.5\nlabel",
            "share = 0.0\nmpp = 0.5\nlabel",
            "share is 0 for all of its 4 training tiles",
        ),
        ("rank = 4", "rank = 0", r"adapter.rank must lie in \[1, 1024\], not 0"),
        ("rank = 4", "rank = -3", "rank must lie"),
        ("rank = 4", "rank = 4\nalpha = -2.0", "alpha must be positive"),
        (
            'targets = ["conv1", "to_q"]',
            'targets = ["conv1", "nope"]',
            "targets names nope, which is no",
        ),
        (
            'targets = ["conv1", "to_q"]',
            'targets = ["mid_block"]',
            "targets names mid_block, which is no",
        ),
        ('targets = ["conv1", "to_q"]', "targets = []", "targets must name"),
        ("seed = 3", "seed = -5", r"seed must lie in \[0, 9"),
        ("seed = 3", "seed = 9223372036854775808", r"seed is a whole number of more than 63 bits"),
        ("crop_shares = [1.0]", "crop_shares = [1.0]\nstyle_noise = -1.0", "style_noise"),
        (
            "[128]\ncrop_shares = [1.0]",
            "[128, 64]\ncrop_shares = [2.0, -1.0]",
            "crop_shares\\[1\\] must not be",
        ),
        (CLASSES, 'kinds = ["any"]', "none of them any"),
    ],
)
def test_what_would_crash_is_refused_by_the_dry_run(
    tmp_path,
    tissue,
    base,
    before,
    after,
    sentence,
):
    path = changed(write_recipe(tmp_path, tissue, "global", start=base), (before, after))
    with pytest.raises(BadRecipe, match=sentence):
        dry_run(path)


@pytest.mark.parametrize("task", ["autoencoder", "detector"])
@pytest.mark.parametrize("seed", [-1, 1 << 63])
def test_a_seed_that_no_generator_takes_is_refused(
    tmp_path,
    tissue,
    task,
    seed,
):
    path = changed(write_recipe(tmp_path, tissue, task), ("seed = 3", f"seed = {seed}"))
    with pytest.raises(
        BadRecipe, match=r"seed (must lie in|is a whole number of more than 63 bits)"
    ):
        dry_run(path)


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("widths = [32, 32, 64]", "widths = [32, 40, 64]", r"widths\[1\] must be a multiple of 32"),
        (
            "structure_widths = [16, 16, 16]",
            "structure_widths = [16, 16]",
            "structure_widths as many",
        ),
        ("layers = 1", "layers = 0", "layers must be"),
    ],
)
def test_a_shape_that_no_base_has_is_refused(
    tmp_path,
    tissue,
    autoencoder,
    before,
    after,
    sentence,
):
    path = changed(write_recipe(tmp_path, tissue, "base", start=autoencoder), (before, after))
    with pytest.raises(BadRecipe, match=sentence):
        dry_run(path)


@pytest.mark.parametrize(
    ("task", "names", "side", "sentence"),
    [
        (
            "autoencoder",
            "P1*",
            60,
            "1 of 4 tiles, first P1_tile of 60 x 60 px, are smaller than 64 px",
        ),
        (
            "autoencoder",
            "P4*",
            60,
            "1 of 2 tiles, first P4_tile of 60 x 60 px, are smaller than 64 px",
        ),
        ("base", "P1*", 130, "1 of 4 tiles, first P1_tile of 130 x 130 px, give no crop of 128 px"),
        ("base", "P1*", 5, "P1_tile of 5 x 5 px, give no crop"),
        ("base", "P5*", 40, "first P5_tile of 40 x 40 px, are smaller than 64 px"),
    ],
)
def test_a_tile_that_is_too_small_is_named_with_its_size(
    tmp_path,
    tissue,
    autoencoder,
    task,
    names,
    side,
    sentence,
):
    small = cut(tissue, tmp_path, side, names)
    path = write_recipe(tmp_path, small, task, start=autoencoder)
    if task == "base":
        changed(path, ('points = "points"\n', ""))
    with pytest.raises(BadRecipe, match=sentence):
        dry_run(path)


def test_a_detector_s_tiles_hold_its_crop_and_its_threshold_leaves_patients_to_learn_from(
    tmp_path, tissue
):
    path = changed(write_recipe(tmp_path, tissue, "detector"), ("crop = 64", "crop = 320"))
    with pytest.raises(
        BadRecipe, match="6 of 6 tiles, first P0_tile of 264 x 264 px, are smaller than 320"
    ):
        dry_run(path)
    changed(path, ("crop = 320", "crop = 64"), ("aside = 0.25", "aside = 0.95"))
    with pytest.raises(BadRecipe, match="leaves none of 4 patients"):
        dry_run(path)


@pytest.mark.parametrize("task", ["autoencoder", "base"])
def test_held_out_tiles_smaller_than_the_usual_probe_are_measured_as_they_are(
    tmp_path,
    tissue,
    autoencoder,
    task,
):
    small = cut(tissue, tmp_path, 171)
    path = write_recipe(
        tmp_path,
        small,
        task,
        start=autoencoder,
        steps=1,
        every=1,
    )
    changed(path, *([('points = "points"\n', "")] if task == "base" else []))
    dry_run(path)
    train(path, tmp_path / "run", device="cpu")
    side = {"autoencoder": 168, "base": 160}[task]
    assert read_rgb(tmp_path / "run" / "pictures" / "0000001.png").shape[1] == 2 * side


@pytest.mark.parametrize("size", [(136, 129), (264, 200), (9, 8), (7, 300)])
def test_the_sides_of_views_are_those_that_views_have(size):
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    sides = view_sides(size, 5, 12)
    if min(size) < 8:
        assert sides == [0] * 12
        return
    turns = [_pose(size, 5, view, seed=VIEW_SEED, whole=False) for view in range(12)]
    cuts = [pose(pixels, turn.index)[turn.dy :, turn.dx :].shape[:2] for turn in turns]
    assert sides == [min(cut) // 8 * 8 for cut in cuts]


def test_an_adapter_s_plan_is_checked_alone():
    for wrong in (
        {"rank": 0},
        {"rank": 1 << 20},
        {"alpha": 0.0},
        {"targets": ()},
        {"targets": ("",)},
    ):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            AdapterPlan(**wrong)


def test_a_dry_run_refuses_the_run_folder_that_the_run_would_and_writes_nothing(tmp_path, tissue):
    recipe = write_recipe(tmp_path, tissue, "autoencoder", steps=1)
    dry_run(recipe, tmp_path / "new" / "run")
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "run"):
        for attempt in (lambda at: dry_run(recipe, at), lambda at: train(recipe, at, device="cpu")):
            with pytest.raises(NotWritable):
                attempt(place)
    run = tmp_path / "run"
    train(recipe, run, device="cpu")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    dry_run(write_recipe(tmp_path, tissue, "autoencoder", steps=9), run)  # a run may be prolonged
    with pytest.raises(ResumeMismatch, match="changed: seed"):
        dry_run(changed(recipe, ("seed = 3", "seed = 4")), run)
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "spoilt",
    [b"{", b"\xff\xfe\x00", b"[]", b"3", None],
    ids=repr,
)
def test_an_unreadable_recipe_in_a_run_folder_is_refused(tmp_path, tissue, spoilt):
    recipe = write_recipe(tmp_path, tissue, "autoencoder")
    kept = tmp_path / "run" / "recipe.json"
    kept.parent.mkdir()
    kept.mkdir() if spoilt is None else kept.write_bytes(spoilt)
    for attempt in (
        lambda: dry_run(recipe, kept.parent),
        lambda: train(recipe, kept.parent, device="cpu"),
    ):
        with pytest.raises(
            BadRun, match=r"recipe.json cannot be gone on from: .* begin again with a new"
        ):
            attempt()
