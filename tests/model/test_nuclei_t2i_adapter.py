"""Nuclei in diffusers' own adapter pipeline: the structure encoder itself, and the LoRA with it."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionAdapterPipeline, T2IAdapter
from page_code import python_blocks, replaced, run
from stable_bundles import PROMPTS, write_stable_bundle

from histosynth import Nuclei, NucleiT2IAdapter, draw_layout, open_bundle
from histosynth.core.errors import BadOption, BadSize, BadWeights, ScaleMismatch, UnknownClasses
from histosynth.core.geometry import Size
from histosynth.core.shipped import COMPACT
from histosynth.model.adapters import ADAPTER_FILE
from histosynth.model.conditioning import ItemConditions, encode_conditions
from histosynth.model.device import convert_network, itemwise_norms
from histosynth.model.diffusers_export import export_diffusers
from histosynth.model.info import read_info
from histosynth.model.parts import load_part, save_part
from histosynth.model.structure import StructureEncoder, with_shapes
from histosynth.tensors.files import read_all_tensors
from histosynth.testing_bases import tiny_base

STEPS = 3


@pytest.fixture(scope="module")
def nuclei():
    return draw_layout((128, 192), mpp=0.5, seed=0)


@pytest.fixture(scope="module", params=["sd15", pytest.param("sd21", marks=pytest.mark.slow)])
def place(request, tmp_path_factory):
    """Folders of a base, of a bundle on it, and of what is exported."""
    folder = tmp_path_factory.mktemp(request.param)
    tiny_base(folder / "base", request.param, width=64)
    # in one of both the adapter has a structure encoder of its own
    own_structure = request.param == "sd15"
    write_stable_bundle(folder / "base", folder / "bundle", own_structure=own_structure)
    export_diffusers(folder / "bundle", folder / "exported")
    return folder


@pytest.fixture(scope="module")
def bundle(place):
    """The bundle with its adapter merged, as `synthesize` samples with it."""
    opened = open_bundle(place / "bundle", dtype="fp32", device="cpu")
    return opened.with_merged_adapter("global")


def no_nuclei(classes, size):
    return Nuclei(np.zeros((0, 2), np.float32), np.zeros(0, np.int64), classes, size, 0.5)


def features_of(bundle, nuclei):
    conditions = ItemConditions(nuclei, style=torch.zeros(13), label=0)
    conditioning = encode_conditions(
        [conditions],
        bundle.info,
        size=Size(*nuclei.size),
        grid_px=bundle.grid_px,
    )
    with torch.no_grad():
        return bundle.features(conditioning.maps), conditioning.style


def test_its_residuals_are_those_of_the_structure_encoder_bit_for_bit(place, bundle, nuclei):
    adapter = NucleiT2IAdapter.from_pretrained(place / "exported" / "adapter")
    features, _ = features_of(bundle, nuclei)
    with torch.no_grad():
        found = adapter(adapter.nuclei_map(nuclei))
    assert len(found) == len(features.scales) == 4
    for one, other in zip(found, features.scales, strict=True):
        assert float(one.abs().max()) > 0.1
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_the_pipeline_of_diffusers_predicts_what_the_bundle_predicts(place, bundle, nuclei):
    adapter = NucleiT2IAdapter.from_pretrained(place / "exported" / "adapter")
    pipe = StableDiffusionAdapterPipeline.from_pretrained(
        place / "base",
        adapter=adapter,
        local_files_only=True,
    )
    pipe.unet.load_lora_adapter(place / "exported", prefix="unet", weight_name=ADAPTER_FILE)
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    calls = []
    forward = pipe.unet.forward

    def recorded(latents, step, **options):
        output = forward(latents, step, **options)
        calls.append((latents.clone(), float(step), output[0].clone()))
        return output

    pipe.unet.forward = recorded
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        picture = pipe(
            PROMPTS[2],
            image=adapter.nuclei_map(nuclei),
            guidance_scale=1.0,
            num_inference_steps=STEPS,
        ).images[0]
    assert picture.size == (128, 192)
    features, style = features_of(bundle, nuclei)
    bare, _ = features_of(bundle, no_nuclei(nuclei.classes, nuclei.size))
    assert len(calls) == STEPS
    for latents, step, found in calls:
        time = torch.tensor([step / 999])
        with torch.no_grad():
            expected = bundle.denoiser.predict(latents, time, features, style)
            without = bundle.denoiser.predict(latents, time, bare, style)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
        assert float((without - expected).abs().max()) > 0.01


def test_the_lines_of_the_page_run(place, tmp_path, monkeypatch):
    (code,) = [block for block in python_blocks("diffusers.md") if "NucleiT2IAdapter" in block]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cells.csv").write_text("x,y,class\n30,40,lymphocyte\n90,20,stromal\n")
    changes = {
        "sarcoma/adapter": f"{place}/exported/adapter",
        '"sarcoma"': f'"{place}/exported"',
        "stable-diffusion-2-1": f"{place}/base",
        "(512, 512)": "(128, 128)",
        "num_inference_steps=25": "num_inference_steps=2",
    }
    names = run(replaced(code, changes))
    assert names["picture"].size == (128, 128)
    assert names["pipe"].unet.peft_config["default_0"].lora_alpha == 3.0


def test_what_is_exported_for_stable_diffusion(place):
    exported = place / "exported"
    names = {
        each.relative_to(exported).as_posix() for each in exported.rglob("*") if each.is_file()
    }
    assert names == {
        "README.md",
        "adapter/config.json",
        "adapter/diffusion_pytorch_model.safetensors",
        "kohya_lora_weights.safetensors",
        "pytorch_lora_weights.safetensors",
    }
    card = (exported / "README.md").read_text()
    assert "`tissue`, `breast tissue`" in card and str(place) not in card
    kohya, _ = read_all_tensors(exported / "kohya_lora_weights.safetensors")
    own, _ = read_all_tensors(exported / ADAPTER_FILE)
    assert len(kohya) == 3 * len(own) // 2 > 0
    assert all(name.startswith("lora_unet_") for name in kohya)


def test_a_picture_of_the_map_is_the_map_but_for_its_rounding(place, nuclei):
    adapter = NucleiT2IAdapter.from_pretrained(place / "exported" / "adapter")
    picture = adapter.nuclei_picture(nuclei)
    assert picture.mode == "RGB" and picture.size == (128, 192)
    values = torch.from_numpy(np.asarray(picture) / np.float32(255)).permute(2, 0, 1)
    exact = adapter.nuclei_map(nuclei)
    assert exact.shape == (1, 3, 192, 128) and exact.dtype == torch.float32
    assert float((values - exact[0]).abs().max()) <= 0.5 / 255 + 1e-6
    with torch.no_grad():
        pairs = zip(adapter(values[None]), adapter(exact), strict=True)
        assert all(float((a - b).abs().max()) < 0.01 * float(b.abs().max()) for a, b in pairs)


def test_each_class_has_its_colour_at_its_place(place):
    adapter = NucleiT2IAdapter.from_pretrained(place / "exported" / "adapter")
    xy = np.array([[20.5, 40.5], [60.5, 40.5], [100.5, 80.5]], np.float32)
    classes = ("epithelial", "lymphocyte", "stromal")
    nuclei = Nuclei(xy, np.arange(3), classes, Size(128, 128), 0.5)
    pixels = np.asarray(adapter.nuclei_picture(nuclei))
    for channel, (x, y) in enumerate(xy.astype(int)):
        expected = [0, 0, 0]
        expected[channel] = 255
        assert pixels[y, x].tolist() == expected
    assert (pixels[100:, :50] == 0).all()


@pytest.fixture(scope="module")
def adapter(tmp_path_factory):
    with torch.random.fork_rng(devices=[]):
        return NucleiT2IAdapter(
            classes=("a", "b"),
            mpp=0.5,
            widths=(8, 8),
            outputs=(16, 16),
            strides=(1, 2),
        ).eval()


def test_it_counts_as_an_adapter_of_diffusers(adapter):
    assert isinstance(adapter, T2IAdapter)
    assert (adapter.downscale_factor, adapter.total_downscale_factor) == (8, 16)


def test_a_picture_of_two_classes_leaves_the_third_channel_empty(adapter):
    with torch.no_grad():
        x = torch.rand(1, 2, 128, 128, generator=torch.Generator().manual_seed(0))
        two = adapter(x)
        three = adapter(torch.cat([x, torch.zeros(1, 1, 128, 128)], dim=1))
    assert all(torch.equal(a, b) for a, b in zip(two, three, strict=True))
    for channels in (torch.rand(1, 3, 128, 128), torch.zeros(1, 1, 128, 128)):
        with pytest.raises(BadOption) as error:
            adapter(channels)
        assert str(error.value) == (
            f"the number of the nuclei map's channels is {channels.shape[1]}, but must be 2, one "
            "for each of a, b. Give another value."
        )


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"classes": ("a", "c")}, UnknownClasses, "c"),
        ({"mpp": 0.25}, ScaleMismatch, "The scale is 0.25 um/px, but this bundle paints at 0.5"),
        ({"size": Size(130, 128)}, BadSize, "A tile of 130 x 128 px cannot be painted"),
        ({"size": Size(64, 128)}, BadSize, "A tile of 64 x 128 px cannot be painted"),
        ({"class_ids": [255]}, UnknownClasses, "any"),
    ],
)
def test_nuclei_that_do_not_fit_are_refused(adapter, changes, error, sentence):
    values = {
        "xy": [[10.0, 10.0]],
        "class_ids": [0],
        "classes": ("a", "b"),
        "size": Size(128, 128),
        "mpp": 0.5,
    }
    values |= changes
    xy = np.array(values["xy"], np.float32)
    nuclei = Nuclei(
        xy, np.array(values["class_ids"]), values["classes"], values["size"], values["mpp"]
    )
    with pytest.raises(error, match=sentence):
        adapter.nuclei_map(nuclei)


def test_four_classes_have_a_map_and_no_picture():
    classes = ("a", "b", "c", "d")
    adapter = NucleiT2IAdapter(classes=classes, mpp=0.5, widths=(8,), outputs=(16,), strides=(1,))
    nuclei = no_nuclei(classes, Size(128, 128))
    assert adapter.nuclei_map(nuclei).shape == (1, 4, 128, 128)
    with pytest.raises(BadOption) as error:
        adapter.nuclei_picture(nuclei)
    assert str(error.value) == (
        "the number of classes in a picture is 4, but must be at most 3: pass the tensor of "
        "nuclei_map instead. Give another value."
    )


def test_files_of_strangers_are_refused(place, tmp_path):
    folder = shutil.copytree(place / "exported" / "adapter", tmp_path / "adapter")
    config = folder / "config.json"
    values = json.loads(config.read_text())
    config.write_text(json.dumps({**values, "widths": [4096] * 4}))
    with pytest.raises(BadWeights, match="ask for a larger network"):
        NucleiT2IAdapter.from_pretrained(folder)
    config.write_text(json.dumps({**values, "quantization_config": {"quant_method": "x"}}))
    with pytest.raises(BadWeights, match="quantised by a library that the file chooses"):
        NucleiT2IAdapter.from_pretrained(folder)
    (folder / "diffusion_pytorch_model.safetensors").unlink()
    (folder / "diffusion_pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(BadWeights):
        NucleiT2IAdapter.from_pretrained(folder)


def test_an_encoder_that_sees_sizes_takes_them_as_two_channels_more(tmp_path, nuclei):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = StructureEncoder(classes=3, fine=0, widths=(8,), outputs=(16,), strides=(1,))
        encoder = with_shapes(encoder).requires_grad_(False)
        for parameter in encoder.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    info = read_info(COMPACT)
    save_part(encoder, tmp_path / "structure")
    encoder = load_part(tmp_path / "structure", StructureEncoder)
    save_part(NucleiT2IAdapter.of_encoder(encoder, info), tmp_path / "adapter")
    adapter = NucleiT2IAdapter.from_pretrained(tmp_path / "adapter")
    itemwise_norms(encoder)
    convert_network(encoder)
    shapes = np.full((len(nuclei), 3), np.nan, np.float32)
    shapes[::2] = (60, 1.8, 0.4)
    sized = replace(nuclei, shapes=shapes)
    found = {}
    for name, cells in (("sized", sized), ("bare", nuclei)):
        pixels = adapter.nuclei_map(cells)
        assert pixels.shape == (1, 5, 192, 128)
        conditions = ItemConditions(cells, style=torch.zeros(13), label=0)
        maps = encode_conditions([conditions], info, size=Size(*cells.size), grid_px=16).maps
        (found[name],) = adapter(pixels)
        torch.testing.assert_close(found[name], encoder(maps).scales[0], rtol=0, atol=0)
    assert not torch.equal(found["sized"], found["bare"])
    # a picture and a map of classes alone leave sizes to the network
    (alone,) = adapter(adapter.nuclei_map(nuclei)[:, :3])
    torch.testing.assert_close(alone, found["bare"], rtol=0, atol=0)
    pictures = [np.asarray(adapter.nuclei_picture(cells)) for cells in (sized, nuclei)]
    assert np.array_equal(*pictures)
