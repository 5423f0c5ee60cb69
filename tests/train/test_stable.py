"""Adapters on bases of another make: trained by the one loop, worn by plain diffusers, the base untouched."""

import json

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from small import LOOP, SOURCE

from histosynth import open_bundle, synthesize
from histosynth.core.errors import BadRecipe, BadWeights, BundleMismatch, UnknownLabel
from histosynth.core.layout import draw_layout
from histosynth.core.store import sha256_of
from histosynth.model.adapters import FILE
from histosynth.model.structure import StructureFeatures
from histosynth.pipeline import training
from histosynth.pipeline.packing import pack
from histosynth.pipeline.training import dry_run, train
from histosynth.testing_bases import tiny_base

KINDS = '["epithelial", "lymphocyte", "stromal"]'


def write(folder, tissue, base, *, task="global", steps=4, every=4, label="breast"):
    text = f'task = "{task}"\nbase = "{base}"\nseed = 3\nlabels = ["{label}"]\n'
    text += f"[loop]\n{LOOP.format(steps=steps, every=every)}"
    text += f'[data]\nroot = "{tissue}"\nmpp = 0.5\nviews = 1\nkinds = {KINDS}\n'
    for side, members in (("train", "train.txt"), ("validation", "val.txt")):
        text += f'[[data.{side}]]\n{SOURCE.format(members=members)}points = "points"\n'
    text += f"[conditions]\nhole_share = {float(task == 'local')}\ncrops = [128]\ndrop_style = 0.1\n"
    text += '[prompts]\ntemplate = "H&E, {label}, {site}"\nfacts = { site = "chest" }\n'
    text += "[adapter]\nrank = 4\nalpha = 8.0\n" + 'targets = ["cross-attention"]\nstructure = true\n'
    path = folder / f"{task}-{steps}.toml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module", autouse=True)
def _sketches():
    """Validation pictures of two steps: nobody looks at them here."""
    before, training.VALIDATION_STEPS = training.VALIDATION_STEPS, 2
    yield
    training.VALIDATION_STEPS = before


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tiny_base(tmp_path_factory.mktemp("sd15"), "sd15", width=64)


@pytest.fixture(scope="module")
def trained(tissue, place, tmp_path_factory):
    """A run folder of `global` on a tiny Stable Diffusion 1.5."""
    folder = tmp_path_factory.mktemp("stable")
    train(write(folder, tissue, place), folder / "run", device="cpu")
    return folder / "run"


def digests(folder):
    return {str(each.relative_to(folder)): sha256_of(each) for each in folder.rglob("*") if each.is_file()}


def test_the_loss_falls_and_the_base_is_bit_for_bit_what_it_was(tissue, tmp_path):
    base = tiny_base(tmp_path / "base", "sd15", width=64)
    before = digests(base)
    run = tmp_path / "run"
    train(write(tmp_path, tissue, base, steps=20, every=10), run, device="cpu")
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    validated = [row["validation_loss"] for row in rows if "validation_loss" in row]
    assert len(validated) == 2 and validated[-1] < validated[0]
    assert digests(base) == before


def test_training_one_adapter_leaves_the_other_as_it_was(tissue, place, trained, tmp_path):
    before = digests(trained / "weights" / "adapters" / "global")
    train(write(tmp_path, tissue, place, task="local"), tmp_path / "run", device="cpu")
    together = tmp_path / "run" / "weights" / "adapters"
    (together / "global").mkdir()
    for name in before:
        target = together / "global" / name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes((trained / "weights" / "adapters" / "global" / name).read_bytes())
    bundle = open_bundle(tmp_path / "run" / "weights", dtype="fp32")
    assert set(bundle.adapters) == {"global", "local"}
    alone = open_bundle(trained / "weights", dtype="fp32")
    one, other = (answer(each.dressed("global")) for each in (bundle, alone))
    assert torch.equal(one, other) and not torch.equal(one, answer(bundle.dressed("local")))
    assert digests(trained / "weights" / "adapters" / "global") == before


def answer(bundle, step=500):
    grid = 16
    scales = tuple(
        torch.ones(1, out, grid // by, grid // by)
        for out, by in zip(bundle.structure.config.outputs, bundle.structure.config.strides, strict=True)
    )
    style = torch.zeros(1, 15)
    style[0, 13:] = 1
    with torch.no_grad():
        noisy = torch.randn(1, 4, grid, grid, generator=torch.Generator().manual_seed(0))
        features = StructureFeatures(torch.zeros(1, 0, grid, grid), scales)
        return bundle.denoiser.raw(noisy, torch.tensor([step / 999]), features, style)


def test_plain_diffusers_wears_the_adapter_and_paints_the_same(place, trained):
    bundle = open_bundle(trained / "weights", dtype="fp32").dressed("global")
    pipe = StableDiffusionPipeline.from_pretrained(place, local_files_only=True, safety_checker=None)
    pipe.load_lora_weights(trained / "weights" / "adapters" / "global", weight_name=FILE)
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    noise = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    prompt, common = bundle.info.prompts[2], {"num_inference_steps": 5, "guidance_scale": 1.0}
    theirs = pipe(prompt, latents=noise.clone(), output_type="latent", **common).images
    pipe.unload_lora_weights()
    bare = pipe(prompt, latents=noise.clone(), output_type="latent", **common).images
    pipe.scheduler.set_timesteps(5)
    style, x = torch.zeros(1, 15), noise.clone()
    style[0, 13:] = 1
    with torch.no_grad():
        for step in pipe.scheduler.timesteps:
            features = StructureFeatures(torch.zeros(1, 0, 16, 16), ())
            said = bundle.denoiser.raw(x, torch.tensor([float(step) / 999]), features, style)
            x = pipe.scheduler.step(said, step, x).prev_sample
    torch.testing.assert_close(x, theirs, atol=2e-3, rtol=1e-3)
    assert float((bare - theirs).abs().max()) > 20 * float((x - theirs).abs().max())


def test_the_bundle_of_a_run_paints(trained):
    bundle = open_bundle(trained / "weights", dtype="fp32")
    assert bundle.info.prompts == ("", "H&E, chest", "H&E, breast, chest")
    nuclei = draw_layout((128, 128), mpp=0.5, seed=0)
    one, again, other = (
        synthesize(nuclei, bundle=bundle, label=label, steps=2)[0].pixels
        for label in ("breast", "breast", None)
    )
    np.testing.assert_array_equal(one, again)
    assert one.shape == (128, 128, 3) and not np.array_equal(one, other)
    with pytest.raises(UnknownLabel):
        synthesize(nuclei, bundle=bundle, label="bone", steps=2)


def test_another_base_under_the_same_name_is_refused(trained, tmp_path):
    other = tiny_base(tmp_path / "other", "sd15", seed=1, width=64)
    folder = tmp_path / "bundle"
    for each in trained.joinpath("weights").rglob("*"):
        if each.is_file():
            target = folder / each.relative_to(trained / "weights")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(each.read_bytes())
    values = json.loads((folder / "bundle.json").read_text())
    values["base"]["source"] = str(other)
    (folder / "bundle.json").write_text(json.dumps(values))
    with pytest.raises(BundleMismatch, match="not those that"):
        open_bundle(folder)


def test_what_is_packed_tells_no_folder_and_paints_where_the_base_is_named(
    trained, place, tmp_path, monkeypatch
):
    pack(trained / "weights", tmp_path / "packed")
    text = (tmp_path / "packed" / "bundle.json").read_text() + (tmp_path / "packed" / "README.md").read_text()
    assert str(place.parent) not in text and place.name in text
    with pytest.raises(BadWeights, match="HISTOSYNTH_BASE"):
        open_bundle(tmp_path / "packed")
    monkeypatch.setenv("HISTOSYNTH_BASE", str(place))
    assert set(open_bundle(tmp_path / "packed").adapters) == {"global"}


@pytest.mark.parametrize("which", ["sd21", "sd15-inpainting", "pixart"])
def test_every_make_of_base_is_trained_and_read_again(tissue, tmp_path, which):
    base = tiny_base(tmp_path / "base", which, width=None if which == "pixart" else 64)
    train(write(tmp_path, tissue, base, task="local", steps=2), tmp_path / "run", device="cpu")
    bundle = open_bundle(tmp_path / "run" / "weights", dtype="fp32")
    assert bundle.adapters["local"].alpha == 8
    assert bundle.info.family == ("pixart" if which == "pixart" else "stable-diffusion")


def test_labels_are_refused_before_the_base_is_opened(tissue, tmp_path):
    with pytest.raises(UnknownLabel, match="breast"):
        dry_run(write(tmp_path, tissue, "gone/gone", label="bone"))


def test_what_does_not_fit_the_base_is_said(tissue, place, tmp_path):
    path = write(tmp_path, tissue, place)
    path.write_text(path.read_text().replace('["cross-attention"]', '["attn9"]'))
    with pytest.raises(BadRecipe, match="attn9"):
        dry_run(path)
    path.write_text(
        path.read_text().replace('["attn9"]', '["attention"]').replace("seed = 3", "structure_widths = [8]")
    )
    with pytest.raises(BadRecipe, match="4 places"):
        dry_run(path)
