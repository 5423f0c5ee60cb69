"""Adapters on bases of another make: trained by the one loop, worn by plain diffusers, the base
untouched."""

import json
import shutil
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from small import LOOP, SOURCE

from histosynth import open_bundle, synthesize
from histosynth.core.errors import (
    BadRecipe,
    BadWeights,
    BundleMismatch,
    HistosynthError,
    NeedsExtra,
    ResumeMismatch,
    UnknownLabel,
)
from histosynth.core.store import sha256_of
from histosynth.model.adapters import ADAPTER_FILE, add_adapter
from histosynth.model.packing import pack
from histosynth.model.structure import StructureFeatures, StructureMaps
from histosynth.pipeline import train_context
from histosynth.pipeline.train import dry_run, train
from histosynth.testing_bases import tiny_base
from histosynth.tissue.layout import draw_layout

CLASSES = '["epithelial", "lymphocyte", "stromal"]'


def write(
    folder,
    tissue,
    base,
    *,
    task="global",
    steps=4,
    every=4,
    label="breast",
):
    text = f'task = "{task}"\nbase = "{base}"\nseed = 3\nlabels = ["{label}"]\n'
    text += f"[loop]\n{LOOP.format(steps=steps, every=every)}"
    text += f'[data]\nroot = "{tissue}"\nmpp = 0.5\nviews = 1\nkinds = {CLASSES}\n'
    for side, members in (("train", "train.txt"), ("validation", "val.txt")):
        text += f'[[data.{side}]]\n{SOURCE.format(members=members)}points = "points"\n'
    text += (
        f"[conditions]\nmask_share = {float(task == 'local')}\ncrops = [128]\ndrop_style = 0.1\n"
    )
    text += '[prompts]\ntemplate = "H&E, {label}, {site}"\nfacts = { site = "chest" }\n'
    text += (
        "[adapter]\nrank = 4\nalpha = 8.0\n" + 'targets = ["cross-attention"]\nstructure = true\n'
    )
    path = folder / f"{task}-{steps}.toml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module", autouse=True)
def _sketches():
    """Validation pictures of two steps: nobody looks at them here."""
    before = train_context.VALIDATION_STEPS
    train_context.VALIDATION_STEPS = 2
    yield
    train_context.VALIDATION_STEPS = before


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
    return {
        str(each.relative_to(folder)): sha256_of(each)
        for each in folder.rglob("*")
        if each.is_file()
    }


def test_the_loss_falls_and_the_base_is_bit_for_bit_what_it_was(tissue, tmp_path):
    base = tiny_base(tmp_path / "base", "sd15", width=64)
    before = digests(base)
    run = tmp_path / "run"
    train(write(tmp_path, tissue, base, steps=20, every=10), run, device="cpu")
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    validated = [row["validation_loss"] for row in rows if "validation_loss" in row]
    assert len(validated) == 2 and validated[-1] < validated[0]
    assert digests(base) == before


def test_training_one_adapter_leaves_the_other_as_it_was(
    tissue,
    place,
    trained,
    tmp_path,
):
    train(
        write(tmp_path, tissue, place, task="local"),
        tmp_path / "run",
        device="cpu",
    )
    together = tmp_path / "run" / "weights" / "adapters"
    shutil.copytree(trained / "weights" / "adapters" / "global", together / "global")
    bundle = open_bundle(tmp_path / "run" / "weights", dtype="fp32")
    assert set(bundle.adapters) == {"global", "local"}
    alone = open_bundle(trained / "weights", dtype="fp32")
    one, other = (answer(each.with_merged_adapter("global")) for each in (bundle, alone))
    assert torch.equal(one, other) and not torch.equal(
        one, answer(bundle.with_merged_adapter("local"))
    )


def test_an_adapter_trained_next_to_another_leaves_it_and_the_base_bit_for_bit(trained):
    """As the loop does it: both on one network, one of them learning."""
    bundle = open_bundle(trained / "weights", dtype="fp32")
    before = {key: value.clone() for key, value in bundle.unet.state_dict().items()}
    add_adapter(
        bundle.unet,
        "local",
        rank=4,
        alpha=4,
        targets=("attn2.to_q", "attn2.to_v"),
    )
    learning = [each for each in bundle.unet.parameters() if each.requires_grad]
    optimiser = torch.optim.SGD(learning, lr=10.0)
    for _ in range(2):  # at first one of the two matrices is 0, and so is the other's gradient
        answer_of(bundle).square().mean().backward()
        optimiser.step()
    after = bundle.unet.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())
    assert any(bool((after[key] != 0).all()) for key in after if ".lora_B.local." in key)


def answer(bundle):
    with torch.no_grad():
        return answer_of(bundle)


def answer_of(bundle, step=500):
    grid = 16
    scales = tuple(
        torch.ones(1, out, grid // by, grid // by)
        for out, by in zip(
            bundle.structure.config.outputs,
            bundle.structure.config.strides,
            strict=True,
        )
    )
    style = torch.zeros(1, 15)
    style[0, 13:] = 1
    noisy = torch.randn(
        1,
        4,
        grid,
        grid,
        generator=torch.Generator().manual_seed(0),
    )
    features = StructureFeatures(torch.zeros(1, 0, grid, grid), scales)
    return bundle.denoiser.predict(
        noisy,
        torch.tensor([step / 999]),
        features,
        style,
    )


def test_plain_diffusers_with_the_adapter_samples_the_same(place, trained):
    bundle = open_bundle(trained / "weights", dtype="fp32").with_merged_adapter("global")
    pipe = StableDiffusionPipeline.from_pretrained(
        place,
        local_files_only=True,
        safety_checker=None,
    )
    pipe.load_lora_weights(trained / "weights" / "adapters" / "global", weight_name=ADAPTER_FILE)
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    noise = torch.randn(
        1,
        4,
        16,
        16,
        generator=torch.Generator().manual_seed(0),
    )
    prompt = bundle.info.prompts[2]
    common = {"num_inference_steps": 5, "guidance_scale": 1.0}
    theirs = pipe(
        prompt,
        latents=noise.clone(),
        output_type="latent",
        **common,
    ).images
    pipe.unload_lora_weights()
    bare = pipe(
        prompt,
        latents=noise.clone(),
        output_type="latent",
        **common,
    ).images
    pipe.scheduler.set_timesteps(5)
    style = torch.zeros(1, 15)
    x = noise.clone()
    style[0, 13:] = 1
    with torch.no_grad():
        for step in pipe.scheduler.timesteps:
            features = StructureFeatures(torch.zeros(1, 0, 16, 16), ())
            said = bundle.denoiser.predict(
                x,
                torch.tensor([float(step) / 999]),
                features,
                style,
            )
            x = pipe.scheduler.step(said, step, x).prev_sample
    torch.testing.assert_close(x, theirs, atol=2e-3, rtol=1e-3)
    assert float((bare - theirs).abs().max()) > 20 * float((x - theirs).abs().max())


def test_the_bundle_of_a_run_samples(trained):
    bundle = open_bundle(trained / "weights", dtype="fp32")
    assert bundle.info.prompts == ("", "H&E, chest", "H&E, breast, chest")
    nuclei = draw_layout((128, 128), mpp=0.5, seed=0)
    one, again, other = (
        synthesize(
            nuclei,
            bundle=bundle,
            label=label,
            steps=2,
        )[0].pixels
        for label in ("breast", "breast", None)
    )
    np.testing.assert_array_equal(one, again)
    assert one.shape == (128, 128, 3) and not np.array_equal(one, other)
    with pytest.raises(UnknownLabel):
        synthesize(
            nuclei,
            bundle=bundle,
            label="bone",
            steps=2,
        )


def test_another_base_under_the_same_name_is_refused(trained, tmp_path):
    other = tiny_base(tmp_path / "other", "sd15", seed=1, width=64)
    folder = tmp_path / "bundle"
    shutil.copytree(trained / "weights", folder)
    values = json.loads((folder / "bundle.json").read_text())
    values["base"]["source"] = str(other)
    (folder / "bundle.json").write_text(json.dumps(values))
    with pytest.raises(BundleMismatch, match="not those that"):
        open_bundle(folder)


def test_a_packed_bundle_names_no_folder_and_samples_where_the_base_is_named(
    trained,
    place,
    tmp_path,
    monkeypatch,
):
    pack(trained / "weights", tmp_path / "packed")
    text = (tmp_path / "packed" / "bundle.json").read_text() + (
        tmp_path / "packed" / "README.md"
    ).read_text()
    assert str(place.parent) not in text and place.name in text
    with pytest.raises(BadWeights, match="HISTOSYNTH_BASE"):
        open_bundle(tmp_path / "packed")
    monkeypatch.setenv("HISTOSYNTH_BASE", str(place))
    assert set(open_bundle(tmp_path / "packed").adapters) == {"global"}


@pytest.mark.parametrize("which", ["sd21", "sd15-inpainting", "pixart"])
def test_every_family_of_bases_is_trained_and_read_again(tissue, tmp_path, which):
    base = tiny_base(tmp_path / "base", which, width=None if which == "pixart" else 64)
    train(
        write(tmp_path, tissue, base, task="local", steps=2),
        tmp_path / "run",
        device="cpu",
    )
    bundle = open_bundle(tmp_path / "run" / "weights", dtype="fp32")
    assert bundle.adapters["local"].alpha == 8 and "Apache" not in bundle.adapters["local"].licence
    assert bundle.info.family == ("pixart" if which == "pixart" else "stable-diffusion")
    if which == "sd15-inpainting":
        what_an_inpainting_base_is_shown_is_what_diffusers_shows_it(bundle)


def what_an_inpainting_base_is_shown_is_what_diffusers_shows_it(bundle):
    """Hole, then the scaled latents of the picture without it: after the noisy latents, in this
    order."""
    picture = (
        torch.rand(
            1,
            3,
            64,
            64,
            generator=torch.Generator().manual_seed(0),
        )
        * 2
        - 1
    )
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 16:40, 24:64] = 1
    maps = StructureMaps(
        torch.zeros(1, 3, 32, 32),
        torch.zeros(1),
        picture * (1 - mask),
        mask,
    )
    with torch.no_grad():
        shown = bundle.features(maps).fine
        vae = bundle.autoencoder
        latents = vae.encode(picture * (mask < 0.5)).latent_dist.mode() * vae.config.scaling_factor
    small = torch.nn.functional.interpolate(mask, size=(8, 8))  # nearest, as the pipeline has it
    torch.testing.assert_close(shown[:, :1], small)
    torch.testing.assert_close(
        shown[:, 1:],
        latents,
        atol=1e-5,
        rtol=1e-5,
    )


def test_labels_are_refused_before_the_base_is_opened(tissue, tmp_path):
    with pytest.raises(UnknownLabel, match="breast"):
        dry_run(write(tmp_path, tissue, "gone/gone", label="bone"))


def test_what_does_not_fit_the_base_is_reported(tissue, place, tmp_path):
    path = write(tmp_path, tissue, place)
    path.write_text(path.read_text().replace('["cross-attention"]', '["attn9"]'))
    with pytest.raises(BadRecipe, match="attn9"):
        dry_run(path)
    path.write_text(
        path.read_text()
        .replace('["attn9"]', '["attention"]')
        .replace("seed = 3", "structure_widths = [8]")
    )
    with pytest.raises(BadRecipe, match="4 places"):
        dry_run(path)


def test_a_run_goes_on_on_a_moved_base_and_not_on_another_one(tissue, tmp_path):
    first = tiny_base(tmp_path / "first", "sd15", width=64)
    train(write(tmp_path, tissue, first, steps=2), tmp_path / "run", device="cpu")
    shutil.move(first, tmp_path / "moved")
    longer = write(tmp_path, tissue, tmp_path / "moved", steps=3)
    assert train(longer, tmp_path / "run", device="cpu")["steps"] == 3
    shutil.rmtree(tmp_path / "moved")
    tiny_base(tmp_path / "moved", "sd15", seed=1, width=64)
    with pytest.raises(ResumeMismatch, match="what is in base"):
        train(
            write(tmp_path, tissue, tmp_path / "moved", steps=4),
            tmp_path / "run",
            device="cpu",
        )


def test_a_template_that_names_a_label_needs_labels(tissue, place, tmp_path):
    path = write(tmp_path, tissue, place)
    path.write_text(path.read_text().replace('labels = ["breast"]\n', ""))
    with pytest.raises(BadRecipe, match="labels is empty; the tiles have breast"):
        dry_run(path)


@pytest.mark.parametrize(
    ("before", "after", "error", "words"),
    [
        ("log_every = 1", 'log_every = 1\ntrackers = ["wandb"]', NeedsExtra, "wandb"),
        ("log_every = 1", 'log_every = 1\noptimiser = "adamw8bit"', NeedsExtra, "bitsandbytes"),
        (
            "seed = 3",
            'seed = 3\nrare_labels = { table = "nowhere.csv" }',
            HistosynthError,
            "nowhere.csv",
        ),
    ],
)
def test_what_would_fail_late_fails_in_a_dry_run(
    tissue,
    tmp_path,
    before,
    after,
    error,
    words,
):
    if words != "nowhere.csv" and find_spec(words):
        pytest.skip(f"{words} is installed")
    path = write(tmp_path, tissue, "gone/gone")
    path.write_text(path.read_text().replace(before, after))
    with pytest.raises(error, match=words):
        dry_run(path)
