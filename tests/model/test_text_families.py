"""Text-conditioned bases: their noise, their prompts, and that they predict what diffusers does."""

import fnmatch
import json
import math
import shutil
from pathlib import Path

import huggingface_hub
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, UNet2DConditionModel
from safetensors.torch import load_file, save_file

from histosynth.core.errors import BadRecipe, BadWeights
from histosynth.model.adapters import base_sha256
from histosynth.model.families import TEXT_FAMILIES
from histosynth.model.families.opening import BaseLocation, embed, open_base
from histosynth.model.families.schedule import read_schedule
from histosynth.model.families.text import Text
from histosynth.model.families.text_family import TextBase
from histosynth.model.structure import StructureFeatures
from histosynth.testing_bases import tiny_base

FLAG_INDEX = 13
PROMPTS = ("", "tissue", "breast tissue", "sarcoma tissue")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Tiny bases by name, each written once."""
    written = {}

    def of(which):
        if which not in written:
            written[which] = tiny_base(
                tmp_path_factory.mktemp(which),
                which,
                width=None if which == "pixart" else 64,
            )
        return written[which]

    return of


def open_tiny(folder):
    source = BaseLocation(str(folder), Path())
    base = open_base(source)
    text = embed(source, base.family, PROMPTS)
    return base, TextBase(
        base.family,
        base.schedule,
        text,
        FLAG_INDEX,
        base.inpainting,
    )


def style_of(label=None, has_prompt=True):
    style = torch.zeros(1, FLAG_INDEX + 1 + 2)
    style[0, FLAG_INDEX] = float(has_prompt)
    if label is not None:
        style[0, FLAG_INDEX + 1 + label] = 1
    return style


def no_structure(base, grid=16):
    outputs, strides = base.family.residual_shapes(base.network)
    fine = torch.zeros(1, 5 if base.inpainting else 0, grid, grid)
    scales = (
        torch.zeros(1, out, grid // by, grid // by)
        for out, by in zip(outputs, strides, strict=True)
    )
    return StructureFeatures(fine, tuple(scales))


@pytest.mark.parametrize("rescaled", [False, True])
def test_levels_at_whole_steps_are_diffusers_own(rescaled):
    config = {
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
    }
    config |= {"prediction_type": "v_prediction", "rescale_betas_zero_snr": rescaled}
    schedule = read_schedule(config, Path("x"))
    ddpm = DDPMScheduler(**config)
    steps = torch.tensor([0, 1, 500, 998, 999])
    level = schedule.level(steps / 999)
    kept = ddpm.alphas_cumprod[steps]
    torch.testing.assert_close(
        level.signal,
        kept.sqrt(),
        atol=1e-6,
        rtol=0,
    )
    torch.testing.assert_close(
        level.noise,
        (1 - kept).sqrt(),
        atol=1e-6,
        rtol=0,
    )
    torch.testing.assert_close(schedule.step_of(steps / 999), steps.float())


def test_a_mixture_of_the_flow_is_the_bases_own_but_for_a_factor():
    schedule = read_schedule(
        {
            "beta_schedule": "scaled_linear",
            "beta_start": 0.00085,
            "beta_end": 0.012,
        },
        Path(),
    )
    time = torch.tensor([0.1, 0.4, 0.8])
    size, step, level = schedule.along_flow(time)
    torch.testing.assert_close(
        size * (1 - time),
        level.signal,
        atol=1e-5,
        rtol=0,
    )
    torch.testing.assert_close(
        size * time,
        level.noise,
        atol=1e-5,
        rtol=0,
    )
    torch.testing.assert_close(
        schedule.level(step).noise,
        level.noise,
        atol=1e-5,
        rtol=0,
    )
    _, last, most = schedule.along_flow(torch.ones(1))  # beyond the last step: that step's
    assert float(last) == 1 and float(most.signal) == pytest.approx(
        math.cos(float(schedule.angles[-1]))
    )


@pytest.mark.parametrize(
    "config", [{"prediction_type": "sample"}, {"beta_schedule": "odd"}, {"beta_end": 3.0}]
)
def test_noise_that_makes_no_sense_is_refused(config):
    with pytest.raises(BadWeights, match="scheduler"):
        read_schedule(config, Path("base"))


@pytest.mark.parametrize("which", ["sd15", "sd20", "sd21", "sd15-inpainting", "sd20-inpainting"])
def test_the_denoiser_predicts_what_diffusers_unet_predicts(folders, which):
    folder = folders(which)
    base, text_base = open_tiny(folder)
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", local_files_only=True)
    features = no_structure(base)
    noisy = torch.randn(
        1,
        4,
        16,
        16,
        generator=torch.Generator().manual_seed(0),
    )
    with torch.no_grad():
        output_of_denoiser = text_base.make_denoiser(base.network).predict(
            noisy,
            torch.tensor([700 / 999]),
            features,
            style_of(1),
        )
        taken = torch.cat([noisy, features.fine], dim=1)
        expected = unet(taken, 700, encoder_hidden_states=text_base.text.states[3:4]).sample
    torch.testing.assert_close(
        output_of_denoiser,
        expected,
        atol=1e-5,
        rtol=1e-5,
    )
    assert base.schedule.prediction_type == ("v_prediction" if which == "sd21" else "epsilon")
    assert base.inpainting == which.endswith("inpainting")


@pytest.mark.parametrize("which", ["sd15", "sd21"])
def test_following_the_flow_is_one_step_of_ddim_to_clean(folders, which):
    base, text_base = open_tiny(folders(which))
    config = json.loads((folders(which) / "scheduler" / "scheduler_config.json").read_text())
    ddim = DDIMScheduler.from_config(config | {"clip_sample": False})
    ddim.set_timesteps(1000)
    denoiser = text_base.make_denoiser(base.network)
    step = 400
    level = base.schedule.level(torch.tensor([step / 999]))
    mixed = torch.randn(
        1,
        4,
        16,
        16,
        generator=torch.Generator().manual_seed(1),
    )
    total = level.signal + level.noise
    with torch.no_grad():
        clean = denoiser.predict_x0(
            mixed / total,
            level.noise / total,
            no_structure(base),
            style_of(0),
        )
        output = denoiser.predict(
            mixed,
            torch.tensor([step / 999]),
            no_structure(base),
            style_of(0),
        )
    expected = ddim.step(output, step, mixed, eta=0.0).pred_original_sample
    torch.testing.assert_close(
        clean,
        expected,
        atol=2e-4,
        rtol=1e-3,
    )


@pytest.mark.parametrize("which", ["sd15", "pixart"])
def test_structure_and_prompt_change_the_output(folders, which):
    base, text_base = open_tiny(folders(which))
    denoiser = text_base.make_denoiser(base.network)
    noisy = torch.ones(1, 4, 16, 16)
    zero_features = no_structure(base)
    other_features = StructureFeatures(
        zero_features.fine, tuple(scale + 1 for scale in zero_features.scales)
    )
    with torch.no_grad():
        plain, labelled, unconditional = (
            denoiser.predict(noisy, torch.tensor([0.5]), zero_features, style)
            for style in (style_of(), style_of(1), denoiser.unconditional(style_of(1)))
        )
        structured = denoiser.predict(noisy, torch.tensor([0.5]), other_features, style_of())
    answers = [plain, labelled, unconditional, structured]
    assert all(answer.shape == (1, 4, 16, 16) for answer in answers)
    distances = [
        float((one - other).abs().max()) for i, one in enumerate(answers) for other in answers[:i]
    ]
    assert min(distances) > 1e-5


def test_each_item_gets_its_own_prompt():
    text = Text(torch.arange(4.0).reshape(4, 1, 1))
    labels = torch.tensor([[0.0, 0], [1, 0], [0, 1], [0, 1]])
    assert text.rows(torch.tensor([1.0, 1, 1, 0]), labels).tolist() == [1, 2, 3, 0]
    assert text.rows(torch.tensor([1.0, 0]), torch.zeros(2, 0)).tolist() == [1, 0]


def test_the_message_for_an_absent_base_explains_how_to_point_at_a_copy(tmp_path):
    for name in ("./gone", str(tmp_path / "gone")):
        with pytest.raises(BadWeights, match="no such folder or file") as caught:
            open_base(BaseLocation(name, tmp_path))
        assert "Point base at a copy" in str(caught.value)


def test_weights_in_half_precision_alone_are_the_same_base_here_and_on_the_hub(
    tmp_path, monkeypatch
):
    there = tiny_base(tmp_path / "there", "sd15", width=64)
    here = tmp_path / "here"
    whole = open_base(BaseLocation(str(there), tmp_path))
    prompts = PROMPTS[:2]
    output = embed(BaseLocation(str(there), tmp_path), TEXT_FAMILIES["stable-diffusion"], prompts)
    for path in list(there.glob("*/*.safetensors")):
        halves = {key: value.half() for key, value in load_file(path).items()}
        save_file(
            halves,
            path.with_suffix(".fp16.safetensors"),
            metadata={"format": "pt"},
        )
        path.unlink()

    def snapshot_download(name, *, revision, allow_patterns):
        for path in there.rglob("*"):
            relative = path.relative_to(there)
            if path.is_file() and any(
                fnmatch.fnmatch(str(relative), pattern) for pattern in allow_patterns
            ):
                (here / relative).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, here / relative)
        return str(here)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    for source in (BaseLocation(str(there), tmp_path), BaseLocation("someone/halves", tmp_path)):
        open_tiny = open_base(source)
        assert base_sha256(open_tiny.network) == base_sha256(whole.network)
        assert open_tiny.network.dtype == torch.float32
        assert torch.allclose(
            embed(source, TEXT_FAMILIES["stable-diffusion"], prompts).states,
            output.states,
            atol=0.02,
        )


@pytest.mark.parametrize("older", [False, True])
def test_no_part_of_a_base_stays_mapped_in_addition_to_its_converted_weights(
    folders, tmp_path, older
):
    folder = shutil.copytree(folders("sd15"), tmp_path / "base")
    path = folder / "vae" / "diffusion_pytorch_model.safetensors"
    tensors = {}
    for key, value in load_file(path).items():  # Stable Diffusion 1.5 has the older names
        for new, old in (
            ("to_q", "query"),
            ("to_k", "key"),
            ("to_v", "value"),
            ("to_out.0", "proj_attn"),
        ):
            key = key if older else key.replace(f".{old}.", f".{new}.")
            key = key.replace(f".{new}.", f".{old}.") if older else key
        tensors[key] = value.clone()
    del value
    save_file(tensors, path, metadata={"format": "pt"})
    open_tiny = open_base(BaseLocation(str(folder), tmp_path))
    for part in (open_tiny.network, open_tiny.autoencoder):
        starts = {each.untyped_storage().data_ptr() for each in part.parameters()}
        assert len(starts) == len(list(part.parameters()))
        assert all(each.untyped_storage().nbytes() == each.nbytes for each in part.parameters())
    maps = Path("/proc/self/maps")
    assert not maps.exists() or str(folder) not in maps.read_text()


def test_folders_that_hold_no_base_are_refused(folders, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadWeights, match="unet and transformer"):
        open_base(BaseLocation("empty", tmp_path))
    copied = tiny_base(tmp_path / "broken", "sd15", width=64)
    (copied / "scheduler" / "scheduler_config.json").write_text("[1]")
    with pytest.raises(BadWeights, match="no names with values"):
        open_base(BaseLocation(str(copied), tmp_path))


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_weights_of_8_bits_are_refused_by_their_type(tmp_path, part):
    """Read as they stand they would be a coarser network, and scaled fp8 a wrong one."""
    folder = tiny_base(tmp_path / "base", "sd15", width=64)
    (path,) = (folder / part).glob("*.safetensors")
    tensors = load_file(path)
    coarse = {key: value.to(torch.float8_e4m3fn) for key, value in tensors.items()}
    save_file(coarse, path, metadata={"format": "pt"})
    location = BaseLocation(str(folder), Path())
    with pytest.raises(BadWeights) as caught:
        open_base(location)
        embed(location, TEXT_FAMILIES["stable-diffusion"], PROMPTS)
    count = f"{len(tensors):,}"
    assert str(caught.value) == (
        f"{path} cannot be loaded as weights: {count} of its {count} weights are of the type "
        "F8_E4M3, too coarse to train or sample with. Give the weights in float16, bfloat16 or "
        "float32, as their authors publish them."
    )


def test_a_text_encoder_with_missing_weights_is_refused_and_not_initialised(tmp_path):
    folder = tiny_base(tmp_path / "base", "sd15", width=64)
    path = folder / "text_encoder" / "model.safetensors"
    kept = load_file(path)
    save_file(
        {key: kept[key] for key in sorted(kept)[::2]},
        path,
        metadata={"format": "pt"},
    )
    with pytest.raises(BadWeights, match="weights are missing"):
        embed(BaseLocation(str(folder), Path()), TEXT_FAMILIES["stable-diffusion"], PROMPTS)


def test_prompts_that_would_be_cut_are_refused(folders):
    with pytest.raises(BadRecipe, match="tokens, and the encoder reads 77"):
        embed(
            BaseLocation(str(folders("sd15")), Path()),
            TEXT_FAMILIES["stable-diffusion"],
            ("", "xyz " * 60),
        )


def test_networks_that_take_more_than_text_are_refused(tmp_path):
    folder = tiny_base(tmp_path / "base", "sd15", width=64)
    config = folder / "unet" / "config.json"
    values = json.loads(config.read_text())
    config.write_text(json.dumps(values | {"class_embed_type": "identity"}))
    with pytest.raises(BadWeights, match="more than text: class_embed_type"):
        open_base(BaseLocation(str(folder), Path()))


def test_a_tokenizer_that_names_code_is_never_run(tmp_path, monkeypatch):
    folder = tiny_base(tmp_path / "base", "pixart")
    (folder / "tokenizer" / "evil.py").write_text("raise SystemExit('ran')\nclass Evil: pass\n")
    path = folder / "tokenizer" / "tokenizer_config.json"
    named = {"auto_map": {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}}
    path.write_text(json.dumps(json.loads(path.read_text()) | named))
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a question was printed"))
    assert (
        embed(BaseLocation(str(folder), Path()), TEXT_FAMILIES["pixart"], PROMPTS)
        .states.isfinite()
        .all()
    )
