"""A new decoder behind the encoder of another autoencoder, and the decoder it learns from."""

import json

import pytest
import torch
from diffusers import AutoencoderDC
from safetensors.torch import load_file
from small import write_recipe

from histosynth.core.errors import BadRecipe
from histosynth.model.parts import load_part
from histosynth.pipeline.train import train
from histosynth.pipeline.train_options import read_train_recipe

SHALLOW = """decoder_only = true
decoder_widths = [16, 16, 16, 32]
decoder_layers = [0, 1, 1, 2]
"""


def decoder_recipe(folder, tissue, start, *, more="", steps=4):
    path = write_recipe(folder, tissue, "autoencoder", steps=steps)
    text = path.read_text().replace("seed = 3\n", f'seed = 3\nstart = "{start}"\n')
    text = text.replace("decoder_layers = [0, 1, 1, 1]\n", SHALLOW + more)
    path.write_text(text)
    return path


def weights_of(folder):
    return load_file(folder / "diffusion_pytorch_model.safetensors")


def test_a_new_decoder_is_learnt_behind_the_same_encoder(tmp_path, tissue, autoencoder):
    recipe = decoder_recipe(tmp_path, tissue, autoencoder, more="teacher_weight = 1.0\n")
    train(recipe, tmp_path / "run", device="cpu")
    learnt = load_part(tmp_path / "run" / "weights", AutoencoderDC)
    assert tuple(learnt.config.decoder_block_out_channels) == (16, 16, 16, 32)
    assert tuple(learnt.config.decoder_layers_per_block) == (0, 1, 1, 2)
    assert tuple(learnt.config.encoder_block_out_channels) == (16, 16, 32, 32)
    old, new = weights_of(autoencoder), weights_of(tmp_path / "run" / "weights")
    encoder = {name for name in old if name.startswith("encoder.")}
    assert encoder == {name for name in new if name.startswith("encoder.")}
    for name in encoder:
        assert torch.equal(old[name], new[name]), name


def test_what_fits_of_the_old_decoder_is_where_the_new_one_begins(tmp_path, tissue, autoencoder):
    recipe = decoder_recipe(tmp_path, tissue, autoencoder, steps=1)
    recipe.write_text(recipe.read_text().replace("1e-3", "1e-12"))
    train(recipe, tmp_path / "run", device="cpu")
    old, new = weights_of(autoencoder), weights_of(tmp_path / "run" / "weights")
    kept = [name for name in new if name in old and old[name].shape == new[name].shape]
    decoder = [name for name in kept if name.startswith("decoder.")]
    assert len(decoder) > 5
    for name in decoder:
        torch.testing.assert_close(old[name], new[name], rtol=0, atol=1e-6, msg=name)


def test_the_teacher_changes_what_is_learnt_and_is_not_written(tmp_path, tissue, autoencoder):
    learnt = []
    for weight in ("0.0", "3.0"):
        folder = tmp_path / weight
        folder.mkdir()
        more = f"teacher_weight = {weight}\n"
        train(
            decoder_recipe(folder, tissue, autoencoder, more=more),
            folder / "run",
            device="cpu",
        )
        learnt.append(weights_of(folder / "run" / "weights"))
    assert learnt[0].keys() == learnt[1].keys()
    assert any(not torch.equal(learnt[0][name], learnt[1][name]) for name in learnt[0])
    lines = (tmp_path / "3.0" / "run" / "log.jsonl").read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in lines if '"loss"' in line]
    assert max(losses) < 100


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("[16, 16, 16, 32]", "[16, 16, 32]", "model: decoder_widths must hold 4 values, or none"),
        (
            "[16, 16, 16, 32]",
            "[16, 16, 24, 36]",
            "model: decoder_widths: 4 x 16 must be a multiple of 24",
        ),
        (
            "[0, 1, 1, 2]",
            "[0, 0, 1, 2]",
            "model: decoder_layers must be at least 1 at each scale but the first",
        ),
        (
            "encoder_layers = [0, 1, 1, 1]",
            "encoder_layers = [0, 0, 1, 1]",
            "model: encoder_layers must be at least 1 at each scale but the first",
        ),
        (
            "decoder_only = true",
            "decoder_only = false",
            "model: decoder_widths needs decoder_only = true",
        ),
        (
            'start = "START"',
            "",
            "model.decoder_widths and model.teacher_weight need a start",
        ),
    ],
)
def test_a_decoder_that_cannot_be_built_is_refused(tmp_path, tissue, old, new, problem):
    path = decoder_recipe(tmp_path, tissue, "START")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(BadRecipe) as refused:
        read_train_recipe(path)
    assert problem in str(refused.value)
