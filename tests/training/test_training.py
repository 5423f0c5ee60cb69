"""One loop, exact resume, no leaks: training on fake tissue."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from small import write_recipe

import histosynth as hs
from histosynth.core.errors import BadRecipe, BadWeights, ResumeMismatch, SplitLeak
from histosynth.core.images import read_rgb
from histosynth.core.synthetic import read_recipe
from histosynth.model.adapters import adapter_parameters
from histosynth.pipeline.train import dry_run, train
from histosynth.tissue.layout import draw_layout
from histosynth.training.loop.schedule import learning_rate
from histosynth.training.recipes.loop import LoopPlan


def states_of(run: Path):
    return load_file(run / "state.safetensors")


@pytest.mark.parametrize("task", ["autoencoder", "base", "local"])
def test_a_stopped_run_that_goes_on_is_the_run_that_was_never_stopped(
    tmp_path,
    tissue,
    autoencoder,
    base,
    task,
):
    start = {
        "autoencoder": "",
        "base": autoencoder,
        "local": base,
    }[task]
    recipe = write_recipe(tmp_path, tissue, task, start=start, steps=6)
    train(recipe, tmp_path / "through", device="cpu")
    interrupted = tmp_path / "interrupted"

    class Stop(Exception):
        pass

    def stop(step, numbers):
        if step == 5:
            raise Stop

    with pytest.raises(Stop):
        train(recipe, interrupted, on_step=stop, device="cpu")
    train(recipe, interrupted, device="cpu")  # goes on from the checkpoint of step 4
    expected = states_of(tmp_path / "through")
    resumed = states_of(interrupted)
    assert expected.keys() == resumed.keys()
    for key, value in expected.items():
        assert torch.equal(value, resumed[key]), key


def test_a_base_learns_and_exports_a_bundle_that_samples(base):
    bundle = hs.open_bundle(base, device="cpu", dtype="fp32")
    assert bundle.info.classes == (
        "epithelial",
        "lymphocyte",
        "stromal",
    ) and bundle.info.labels == ("breast",)
    assert len(bundle.info.palette) >= 2
    tile = hs.synthesize(draw_layout((128, 128), mpp=0.5, seed=0), bundle=bundle, steps=2)[0]
    assert tile.pixels.shape == (128, 128, 3)


def test_training_one_adapter_leaves_base_and_other_adapter_alone(tmp_path, tissue, base):
    import shutil

    bundle = shutil.copytree(base, tmp_path / "bundle")
    before = {path: path.read_bytes() for path in sorted(bundle.rglob("*.safetensors"))}
    for task in ("local", "global"):
        run = tmp_path / task
        train(write_recipe(tmp_path, tissue, task, start=bundle), run, device="cpu")
        shutil.copytree(run / "weights", bundle / "adapters" / task)
        if task == "local":
            local = (
                bundle / "adapters" / "local" / "pytorch_lora_weights.safetensors"
            ).read_bytes()
    assert all(path.read_bytes() == content for path, content in before.items())
    assert (
        bundle / "adapters" / "local" / "pytorch_lora_weights.safetensors"
    ).read_bytes() == local
    opened = hs.open_bundle(bundle, device="cpu", dtype="fp32")
    for name in ("global", "local"):
        learned = [p for p in adapter_parameters(opened.unet, name) if p.abs().sum() > 0]
        assert len(learned) == len(adapter_parameters(opened.unet, name)) > 0


def test_the_loss_falls_on_tissue_it_sees_often(tmp_path, tissue):
    run = tmp_path / "run"
    train(
        write_recipe(
            tmp_path,
            tissue,
            "autoencoder",
            steps=40,
            every=20,
        ),
        run,
        device="cpu",
    )
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in rows if "loss" in row]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])
    held_out = [row["validation_psnr_db"] for row in rows if "validation_psnr_db" in row]
    assert held_out[-1] > held_out[0]
    assert read_recipe(run / "pictures" / "0000040.png") == {
        "verb": "train",
        "step": 40,
    }  # marked synthetic


def test_a_patient_on_both_sides_is_refused(tmp_path, tissue):
    path = write_recipe(
        tmp_path,
        tissue,
        "autoencoder",
        held_out="leak.txt",
    )
    with pytest.raises(SplitLeak, match=r"1 patient\(s\) stand in more than one split: P3"):
        train(path, tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


def test_a_run_begun_with_another_recipe_is_refused_and_a_longer_one_goes_on(tmp_path, tissue):
    run = tmp_path / "run"
    train(write_recipe(tmp_path, tissue, "autoencoder", steps=2), run, device="cpu")
    longer = write_recipe(tmp_path, tissue, "autoencoder", steps=3)
    assert train(longer, run, device="cpu")["steps"] == 3
    longer.write_text(longer.read_text().replace("seed = 3", "seed = 4"))
    with pytest.raises(ResumeMismatch, match=r"changed: seed"):
        train(longer, run, device="cpu")


def test_a_cut_off_checkpoint_is_refused(tmp_path, tissue):
    run = tmp_path / "run"
    recipe = write_recipe(tmp_path, tissue, "autoencoder", steps=2)
    train(recipe, run, device="cpu")
    state = run / "state.safetensors"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(BadWeights):
        train(recipe, run, device="cpu")


def test_a_dry_run_counts_and_trains_nothing(tmp_path, tissue):
    plan = dry_run(write_recipe(tmp_path, tissue, "autoencoder"))
    assert (plan.tiles, plan.patients, plan.validation_tiles, plan.steps) == (4, 4, 2, 4)


def test_an_unknown_task_is_refused(tmp_path):
    (tmp_path / "r.toml").write_text('task = "magic"')
    with pytest.raises(BadRecipe, match="not one of detector, autoencoder, base, global, local"):
        train(tmp_path / "r.toml", tmp_path / "run")


def test_the_learning_rate_rises_stays_and_falls():
    plan = LoopPlan(
        steps=100,
        batch=1,
        learning_rate=1.0,
        warmup=10,
        cooldown=0.5,
    )
    rates = [learning_rate(step, plan) for step in (0, 9, 40, 75, 99)]
    assert rates[0] == pytest.approx(0.1) and rates[1] == rates[2] == pytest.approx(1.0)
    assert rates[3] == pytest.approx(0.525) and rates[4] < 0.06


def test_a_refused_run_writes_nothing_and_a_dry_run_refuses_the_same(tmp_path, tissue, autoencoder):
    wrong = write_recipe(
        tmp_path,
        tissue,
        "base",
        start=tmp_path / "absent",
    )
    for attempt in (lambda: dry_run(wrong), lambda: train(wrong, tmp_path / "run", device="cpu")):
        with pytest.raises(BadRecipe, match=r"start: there is no folder .*absent"):
            attempt()
    assert not (tmp_path / "run").exists()
    right = write_recipe(tmp_path, tissue, "base", start=autoencoder)
    right.write_text(
        right.read_text().replace(
            "[conditions]", "[conditions]\nnucleus_weights = {epitelial = 2.0}"
        )
    )
    with pytest.raises(BadRecipe, match="names epitelial, not in data"):
        dry_run(right)


def test_a_run_of_an_older_version_and_a_cut_off_log_go_on(tmp_path, tissue, autoencoder):
    run = tmp_path / "run"
    train(
        write_recipe(
            tmp_path,
            tissue,
            "base",
            start=autoencoder,
            steps=2,
        ),
        run,
        device="cpu",
    )
    saved = json.loads((run / "recipe.json").read_text())
    del (
        saved["conditions"]["drop_classes"],
        saved["adapter"]["guided"],
    )  # newer keys
    (run / "recipe.json").write_text(json.dumps(saved))
    with (run / "log.jsonl").open("a") as log:
        log.write('{"step": 2, "lo')
    assert (
        train(
            write_recipe(
                tmp_path,
                tissue,
                "base",
                start=autoencoder,
                steps=3,
            ),
            run,
            device="cpu",
        )["steps"]
        == 3
    )
    assert [json.loads(line)["step"] for line in (run / "log.jsonl").read_text().splitlines()][
        -1
    ] == 3


def test_cached_views_are_those_of_the_tiles_that_are_there(tmp_path, tissue, autoencoder):
    import shutil

    tiles = shutil.copytree(tissue, tmp_path / "tissue")
    recipe = write_recipe(
        tmp_path,
        tiles,
        "base",
        start=autoencoder,
        steps=1,
    )
    encoded = []

    def attempt(name):
        encoded.clear()
        train(
            recipe,
            tmp_path / name,
            on_encoded=lambda done, _: encoded.append(done),
            device="cpu",
        )
        return len(encoded)

    assert attempt("first") == 6 and attempt("second") == 0
    path = tiles / "images" / "P0_tile.png"
    Image.fromarray(255 - read_rgb(path)).save(path)
    assert attempt("third") == 4  # the training side again, not the validation side


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("learning_rate = 1e-3", "learning_rate = nan", "finite"),
        ("learning_rate = 1e-3", "learning_rate = -1.0", "learning_rate"),
        ("mpp = 0.5\ncrop", "mpp = 0.0\ncrop", "mpp must lie"),
        ("mpp = 0.5\nlabel", "mpp = 5000.0\nlabel", "mpp must lie"),
        ("mask_share = 0.5", "mask_share = 7.0", "mask_share must lie"),
        ("crops = [128]", "crops = [0]", "must be a multiple of 16 from 64, not 0"),
        ("views = 2", "views = 0", "views must be"),
        ('task = "base"', 'task = ["base"]', "not one of"),
        ('members = "val.txt"', 'members = "absent.txt"', r"there is no file .*absent\.txt"),
        ('members = "val.txt"', 'members = "empty.txt"', "validation sources hold no tile"),
    ],
)
def test_a_recipe_that_cannot_be_trained_is_refused(
    tmp_path,
    tissue,
    autoencoder,
    before,
    after,
    sentence,
):
    (tissue / "empty.txt").write_text("")
    path = write_recipe(tmp_path, tissue, "base", start=autoencoder)
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    with pytest.raises(BadRecipe, match=sentence):
        dry_run(path)


def test_a_source_without_known_patients_is_on_one_side_only(tmp_path, tissue):
    path = write_recipe(tmp_path, tissue, "autoencoder")
    path.write_text(path.read_text().replace('patient = "^(..)"', 'patient = ""'))
    with pytest.raises(SplitLeak, match="unknown of images"):
        dry_run(path)
