"""Bundles as pipelines of plain diffusers: the same pictures, and every guard of `tensors/`."""

import json
import shutil
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace

import diffusers
import numpy as np
import pytest
import torch
from bundled import files, left, whole_bundle
from diffusers import DiffusionPipeline
from huggingface_hub import ModelCard
from page_code import python_blocks, replaced, run

from histosynth import (
    Cancelled,
    HistosynthPipeline,
    Synthetic,
    complete,
    draw_layout,
    open_bundle,
    synthesize,
)
from histosynth.core.errors import BadOption, BadWeights, BundleMismatch, InputError, NotWritable
from histosynth.core.synthetic import read_recipe
from histosynth.diffusers import BundleComponent
from histosynth.model.diffusers_export import export_diffusers
from histosynth.pipeline.bundle import export


@pytest.fixture(scope="module")
def source(bundle_folder, tmp_path_factory):
    """A bundle with an adapter `global`."""
    return whole_bundle(bundle_folder, tmp_path_factory.mktemp("source") / "bundle")


@pytest.fixture(scope="module")
def exported(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("exported") / "my-pipeline"
    export_diffusers(source, out)
    return out


@pytest.fixture(scope="module")
def pipe(exported):
    return DiffusionPipeline.from_pretrained(exported)


@pytest.fixture(scope="module")
def nuclei():
    return draw_layout((128, 128), mpp=0.5, seed=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_synthesizes_the_same_bytes(source, exported, nuclei, dtype):
    pipe = DiffusionPipeline.from_pretrained(exported, torch_dtype=dtype)
    assert type(pipe) is HistosynthPipeline and pipe.dtype == dtype
    found = pipe(nuclei, "stain-2", label="breast", seed=7, num_images_per_prompt=2)
    name = {torch.float32: "fp32", torch.bfloat16: "bf16"}[dtype]
    expected = synthesize(
        nuclei,
        appearance="stain-2",
        label="breast",
        n=2,
        seed=7,
        bundle=open_bundle(source, dtype=name, device="cpu"),
    )
    assert len(found.images) == len(found.tiles) == 2
    for image, tile, other in zip(found.images, found.tiles, expected, strict=True):
        np.testing.assert_array_equal(np.asarray(image), other.pixels)
        np.testing.assert_array_equal(tile.pixels, other.pixels)
        assert tile.recipe == other.recipe


def test_settings_reach_the_solver(pipe, source, nuclei):
    found = pipe(nuclei, seed=1, num_inference_steps=3, guidance_scale=2.0, solver="euler").tiles[0]
    bundle = open_bundle(source, dtype="fp32", device="cpu")
    other = synthesize(nuclei, seed=1, steps=3, guidance=2.0, solver="euler", bundle=bundle)[0]
    assert found.recipe == other.recipe
    np.testing.assert_array_equal(found.pixels, other.pixels)


def test_it_completes_the_same_bytes(pipe, source, tile):
    mask = np.zeros(tile.shape[:2], bool)
    mask[40:80, 40:90] = True
    found = pipe(image=tile, mask_image=mask, seed=3).tiles[0]
    bundle = open_bundle(source, dtype="fp32", device="cpu")
    np.testing.assert_array_equal(found.pixels, complete(tile, mask, seed=3, bundle=bundle).pixels)


def test_a_generator_gives_a_new_seed_at_each_call_and_the_same_ones_again(pipe, nuclei):
    seeds = []
    for _ in range(2):
        generator = torch.Generator().manual_seed(5)
        outputs = [pipe(nuclei, generator=generator) for _ in range(2)]
        seeds.append([output.tiles[0].recipe["seed"] for output in outputs])
    assert seeds[0] == seeds[1] and seeds[0][0] != seeds[0][1]
    again = pipe(nuclei, seed=seeds[0][1]).tiles[0]
    np.testing.assert_array_equal(again.pixels, outputs[1].tiles[0].pixels)


def test_pictures_come_in_the_forms_of_diffusers_and_are_marked(pipe, nuclei, tmp_path):
    output = pipe(nuclei, seed=0)
    pixels = output.tiles[0].pixels
    output.images[0].save(tmp_path / "a.png")
    assert read_recipe(tmp_path / "a.png") == output.tiles[0].recipe
    assert isinstance(output.tiles[0], Synthetic)
    array = pipe(nuclei, seed=0, output_type="np").images
    tensor = pipe(nuclei, seed=0, output_type="pt", return_dict=False)[0]
    assert array.shape == (1, 128, 128, 3) and array.dtype == np.float32
    assert tensor.shape == (1, 3, 128, 128) and tensor.dtype == torch.float32
    np.testing.assert_array_equal((array[0] * 255).round(), pixels)
    np.testing.assert_array_equal((tensor[0] * 255).round().permute(1, 2, 0), pixels)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, "nuclei is left out, but must be those of a tile, or give image and mask_image."),
        (
            {"nuclei": True, "seed": 1, "generator": torch.Generator()},
            "generator is given with a seed, but must be left out, or the seed.",
        ),
        (
            {"nuclei": True, "output_type": "latent"},
            "output_type is latent, but must be one of pil, np, pt.",
        ),
        (
            {"image": np.zeros((128, 128, 3), np.uint8)},
            "mask_image is left out, but must be given with image.",
        ),
        (
            {"mask_image": np.ones((128, 128), bool)},
            "image is left out, but must be given with mask_image.",
        ),
        (
            {
                "image": np.zeros((128, 128, 3), np.uint8),
                "mask_image": np.ones((128, 128), bool),
                "num_images_per_prompt": 2,
            },
            "num_images_per_prompt is more than 1, but must be 1: a completion is one picture "
            "of a seed.",
        ),
    ],
)
def test_arguments_that_cannot_be_used_are_refused(pipe, nuclei, arguments, sentence):
    if "nuclei" in arguments:
        arguments = {**arguments, "nuclei": nuclei}
    with pytest.raises(BadOption) as error:
        pipe(**arguments)
    assert str(error.value) == f"{sentence} Give another value."


def test_arrays_of_several_sizes_are_refused(pipe, nuclei):
    other = draw_layout((128, 136), mpp=0.5, seed=0)
    with pytest.raises(BadOption, match='must be "pil" for tiles of several sizes'):
        pipe([nuclei, other], seed=0, output_type="np")
    assert [each.size for each in pipe([nuclei, other], seed=0).images] == [(128, 128), (128, 136)]


def test_the_lines_of_the_page_run(exported, tmp_path, monkeypatch):
    (code,) = [block for block in python_blocks("diffusers.md") if "DiffusionPipeline" in block][:1]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cells.csv").write_text("x,y,class\n30,40,lymphocyte\n90,20,stromal\n")
    six_lines = replaced(code, {"my-pipeline": str(exported), "(512, 512)": "(128, 128)"})
    run(six_lines)
    assert read_recipe(tmp_path / "tile.png")["seed"] == 7
    (callback,) = [
        block for block in python_blocks("diffusers.md") if "callback_on_step_end" in block
    ]
    with pytest.raises(Cancelled):
        run(replaced(f"{six_lines}\n{callback}", {"index == 9": "index == 1"}))
    assert read_recipe(tmp_path / "preview-1.png")["preview"]["step"] == 2


def test_an_export_holds_the_bundle_and_what_diffusers_reads(source, exported):
    inside = {f"bundle/{name}" for name in files(source)} | {"bundle/README.md"}
    assert files(exported) == {"README.md", "model_index.json"} | inside
    assert json.loads((exported / "model_index.json").read_text()) == {
        "_class_name": "HistosynthPipeline",
        "_diffusers_version": "0.36.0",
        "bundle": ["histosynth", "BundleComponent"],
    }
    weights = "unet/diffusion_pytorch_model.safetensors"
    assert (exported / "bundle" / weights).read_bytes() == (source / weights).read_bytes()


def test_a_pipeline_is_saved_as_it_was_exported(pipe, exported, tmp_path):
    pipe.save_pretrained(tmp_path / "again")
    assert files(tmp_path / "again") == files(exported)
    for name in files(exported):
        assert (tmp_path / "again" / name).read_bytes() == (exported / name).read_bytes()


def test_a_pipeline_is_given_to_the_hub_as_it_was_exported(pipe, exported, monkeypatch):
    """diffusers puts a card of its own into the folder."""
    given = {}

    def upload(folder_path, **options):
        for name in files(Path(folder_path)):
            given[name] = (Path(folder_path) / name).read_bytes()

    hub = "diffusers.utils.hub_utils"
    monkeypatch.setattr(f"{hub}.create_repo", lambda *_, **__: SimpleNamespace(repo_id="me/pipe"))
    monkeypatch.setattr(
        f"{hub}.load_or_create_model_card", lambda *_, **__: ModelCard("---\n---\n")
    )
    monkeypatch.setattr(f"{hub}.populate_model_card", lambda card: card)
    monkeypatch.setattr(f"{hub}.upload_folder", upload)
    pipe.push_to_hub("me/pipe")
    assert set(given) == files(exported)
    for name in files(exported) - {"README.md"}:
        assert given[name] == (exported / name).read_bytes()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"safe_serialization": False}, "safe_serialization is False, but must be True."),
        (
            {"variant": "fp16"},
            "variant is fp16, but must be left out: the files are copied as they are.",
        ),
    ],
)
def test_a_pipeline_is_saved_in_no_other_form(pipe, tmp_path, options, sentence):
    with pytest.raises(BadOption) as error:
        pipe.save_pretrained(tmp_path / "a", **options)
    assert str(error.value) == f"{sentence} Give another value."
    assert left(tmp_path) == []


def test_a_pipeline_without_a_folder_cannot_be_saved(tmp_path):
    from histosynth.testing import tiny_bundle

    pipe = HistosynthPipeline(BundleComponent(tiny_bundle()))
    with pytest.raises(BadOption, match="but must be one that it was opened from"):
        pipe.save_pretrained(tmp_path / "a")
    assert left(tmp_path) == []


def test_it_is_moved_and_converted_whole(exported):
    pipe = DiffusionPipeline.from_pretrained(exported)
    pipe.to(torch.bfloat16)
    bundle = pipe.components["bundle"].bundle
    networks = (bundle.unet, bundle.autoencoder, bundle.structure)
    assert {network.dtype for network in networks} == {torch.bfloat16}
    pipe.to("meta")
    assert pipe.device.type == bundle.structure.device.type == "meta"


def test_the_own_class_opens_a_bundles_folder_too(source, exported, nuclei):
    for folder in (source, exported):
        pipe = HistosynthPipeline.from_pretrained(folder, torch_dtype=torch.float32)
        assert pipe.components["bundle"].bundle.info.name == "tiny"


def test_a_repository_of_the_hub_is_opened_and_no_other_is_fetched(exported, tmp_path, monkeypatch):
    fetched = []

    def snapshot_download(name, *, revision, allow_patterns):
        fetched.append(name)
        for each in sorted(files(exported if name == "me/pipe" else tmp_path / "other")):
            source = exported / each if name == "me/pipe" else tmp_path / "other" / each
            if any(fnmatch(each, pattern) for pattern in allow_patterns):
                target = tmp_path / "cache" / name / each
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
        (tmp_path / "cache" / name).mkdir(parents=True, exist_ok=True)
        return str(tmp_path / "cache" / name)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    (tmp_path / "other" / "unet").mkdir(parents=True)
    (tmp_path / "other" / "unet" / "model.safetensors").write_bytes(b"x")
    pipe = HistosynthPipeline.from_pretrained("me/pipe")
    assert pipe.components["bundle"].bundle.info.name == "tiny"
    with pytest.raises(BadWeights, match="it holds no bundle"):
        HistosynthPipeline.from_pretrained("me/other")
    assert files(tmp_path / "cache" / "me" / "other") == set()
    assert fetched == ["me/pipe", "me/pipe", "me/other"]


def test_a_strangers_index_decides_nothing_in_the_own_class(exported, tmp_path):
    folder = shutil.copytree(exported, tmp_path / "a")
    index = {"_class_name": "HistosynthPipeline", "bundle": ["os", "system"]}
    (folder / "model_index.json").write_text(json.dumps(index))
    assert (
        HistosynthPipeline.from_pretrained(folder).components["bundle"].bundle.info.name == "tiny"
    )


@pytest.mark.parametrize("opener", [DiffusionPipeline, HistosynthPipeline])
def test_altered_bundles_are_refused(exported, tmp_path, opener):
    folder = shutil.copytree(exported, tmp_path / "a")
    config = folder / "bundle" / "unet" / "config.json"
    config.write_text(config.read_text() + " ")
    with pytest.raises(BundleMismatch, match="its sha256 is another than"):
        opener.from_pretrained(folder)


@pytest.mark.parametrize("opener", [DiffusionPipeline, HistosynthPipeline])
def test_pickled_weights_are_never_read(exported, tmp_path, opener):
    folder = shutil.copytree(exported, tmp_path / "a")
    weights = folder / "bundle" / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(BundleMismatch, match="it is missing"):
        opener.from_pretrained(folder)


def test_other_ways_to_load_weights_are_refused(exported):
    with pytest.raises(BadOption) as error:
        HistosynthPipeline.from_pretrained(exported, variant="fp16")
    assert str(error.value) == (
        "variant is fp16, but must be left out: a bundle is loaded in one way. Give another value."
    )


def test_a_pipeline_is_loaded_to_one_device_and_not_distributed_over_several(exported):
    pipe = DiffusionPipeline.from_pretrained(exported, device_map="cpu")
    assert pipe.device.type == "cpu" and pipe.hf_device_map == "cpu"
    pipe.to("cpu", torch.bfloat16)
    assert pipe.dtype == torch.bfloat16
    with pytest.raises(BadOption, match="the device is meta, but must be one that torch can use"):
        HistosynthPipeline.from_pretrained(exported, device_map="meta")
    for devices, found in (("balanced", "several devices"), ({"unet": "cpu"}, "{'unet': 'cpu'}")):
        opener = DiffusionPipeline if devices == "balanced" else HistosynthPipeline
        with pytest.raises(BadOption) as error:
            opener.from_pretrained(exported, device_map=devices)
        assert str(error.value) == (
            f'device_map is {found}, but must be one device, e.g. "cuda": the networks of a bundle '
            "stay together. Give another value."
        )


def test_folders_without_a_bundle_are_refused(tmp_path):
    with pytest.raises(BadWeights, match="it holds no bundle"):
        HistosynthPipeline.from_pretrained(tmp_path)


def test_nothing_is_replaced_and_a_refusal_leaves_nothing(source, exported, tmp_path):
    with pytest.raises(NotWritable):
        export(source, "diffusers", exported)
    damaged = shutil.copytree(source, tmp_path / "damaged")
    (damaged / "notes.py").write_text("x")
    with pytest.raises(InputError, match=r"notes\.py cannot be given away"):
        export(damaged, "diffusers", tmp_path / "out")
    assert left(tmp_path) == ["damaged"]


def test_an_export_into_the_bundle_itself_is_refused(source):
    before = files(source)
    with pytest.raises(NotWritable, match="it lies in the bundle itself"):
        export(source, "diffusers", source / "out")
    assert files(source) == before


def test_diffusers_finds_the_classes_of_this_package():
    import histosynth.diffusers

    assert diffusers.HistosynthPipeline is HistosynthPipeline
    assert diffusers.pipelines.histosynth is histosynth.diffusers
