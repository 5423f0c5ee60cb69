"""A discriminator beside the decoder: each learns from its own loss, grain lies between them."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small import write_recipe

from histosynth.core.errors import BadRecipe
from histosynth.core.geometry import Box
from histosynth.core.tile import Tile, TileRef
from histosynth.model.opening import open_bundle
from histosynth.pipeline.train import train
from histosynth.pipeline.train_options import read_train_recipe
from histosynth.tissue.appearance import fit_stain_frame
from histosynth.training.data.sources import Example
from histosynth.training.tasks.autoencoder import discriminator as discriminators
from histosynth.training.tasks.autoencoder.adversary import Adversary, TileGrain, in_canonical_stain
from histosynth.training.tasks.autoencoder.discriminator import (
    EDGE_PX,
    JITTER,
    Discriminator,
    adversarial_loss,
)


def recipe_with(folder, tissue, start, *, more, crop=96, steps=4):
    path = write_recipe(folder, tissue, "autoencoder", steps=steps)
    text = path.read_text().replace("seed = 3\n", f'seed = 3\nstart = "{start}"\n')
    text = text.replace("crop = 64\n", f"crop = {crop}\n")
    path.write_text(text + "decoder_only = true\n" + more)
    return path


def weights_of(folder):
    return load_file(folder / "diffusion_pytorch_model.safetensors")


def fine_noise(generator, count=8, side=96):
    return 0.2 * torch.randn(count, 3, side, side, generator=generator)


def test_gradients_of_each_side_reach_it_alone():
    torch.manual_seed(0)
    discriminator = Discriminator()
    generator = torch.Generator().manual_seed(1)
    real = fine_noise(generator)
    gradients = []
    for weight in (0.0, 0.5, 1.0):
        decoded = torch.zeros_like(real, requires_grad=True)
        discriminator.zero_grad()
        torch.manual_seed(2)
        adversarial_loss(discriminator, real, decoded, weight=weight).backward()
        own = torch.cat([value.grad.flatten() for value in discriminator.parameters()])
        gradients.append((own, decoded.grad))
    # the decoder's weight changes nothing for the discriminator
    assert torch.equal(gradients[0][0], gradients[1][0])
    assert gradients[0][0].abs().max() > 0
    assert gradients[0][1].abs().max() == 0
    torch.testing.assert_close(2 * gradients[1][1], gradients[2][1])
    assert gradients[2][1].abs().max() > 0


def test_edges_of_crops_do_not_count():
    torch.manual_seed(0)
    discriminator = Discriminator()
    generator = torch.Generator().manual_seed(1)
    real = fine_noise(generator)
    decoded = fine_noise(generator).requires_grad_()
    adversarial_loss(discriminator, real, decoded, weight=1.0).backward()
    edge = torch.ones(96, 96, dtype=torch.bool)
    edge[EDGE_PX:-EDGE_PX, EDGE_PX:-EDGE_PX] = False
    assert decoded.grad[..., edge].abs().max() == 0
    assert decoded.grad[..., ~edge].abs().mean() > 0


def test_brightness_is_jittered_by_channel_and_crop():
    torch.manual_seed(0)
    crops = torch.zeros(512, 3, 8, 8)
    found = discriminators._jittered(crops)
    assert found.std(dim=(0, 2, 3)) == pytest.approx(JITTER, rel=0.15)
    # one brightness a channel and item
    assert torch.equal(found.amax(dim=(2, 3)), found.amin(dim=(2, 3)))


def test_texture_that_is_missing_is_learnt_from_the_discriminator_alone():
    """One number, the strength of a noise, begins at a quarter of what real crops have."""
    torch.manual_seed(0)
    discriminator = Discriminator()
    strength = torch.nn.Parameter(torch.tensor(0.25))
    generator = torch.Generator().manual_seed(1)
    optimisers = [
        torch.optim.Adam(discriminator.parameters(), 5e-4, betas=(0.0, 0.9)),
        torch.optim.Adam([strength], 1e-2, betas=(0.0, 0.9)),
    ]
    for _ in range(120):
        decoded = strength * fine_noise(generator, side=64)
        loss = adversarial_loss(
            discriminator,
            fine_noise(generator, side=64),
            decoded,
            weight=1.0,
        )
        for optimiser in optimisers:
            optimiser.zero_grad()
        loss.backward()
        for optimiser in optimisers:
            optimiser.step()
    assert 0.7 < float(strength.detach()) < 1.4


def test_the_decoder_learns_and_the_discriminator_is_not_written(tmp_path, tissue, autoencoder):
    learnt = {}
    for weight in ("0.0", "2.0"):
        folder = tmp_path / weight
        folder.mkdir()
        recipe = recipe_with(
            folder,
            tissue,
            autoencoder,
            more=f"adversarial_weight = {weight}\nhalved = 0.0\n",
        )
        train(recipe, folder / "run", device="cpu")
        learnt[weight] = load_file(
            folder / "run" / "weights" / "diffusion_pytorch_model.safetensors"
        )
    old = load_file(autoencoder / "diffusion_pytorch_model.safetensors")
    assert learnt["2.0"].keys() == old.keys()
    changed = {name for name in old if not torch.equal(learnt["0.0"][name], learnt["2.0"][name])}
    assert changed
    assert all(name.startswith("decoder.") for name in changed)


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(tmp_path, tissue, autoencoder):
    found = []
    for name, lengths in (("whole", (4,)), ("stopped", (2, 4))):
        folder = tmp_path / name
        folder.mkdir()
        for steps in lengths:
            recipe = recipe_with(
                folder,
                tissue,
                autoencoder,
                more='adversarial_weight = 0.5\ngrain_of = "compact"\n',
                steps=steps,
            )
            # a rate that falls over another number of steps would be another run
            recipe.write_text(
                recipe.read_text().replace("warmup = 2", "warmup = 2\ncooldown = 0.0")
            )
            train(recipe, folder / "run", device="cpu")
        found.append(weights_of(folder / "run" / "weights"))
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def tile_of(pixels, patient):
    ref = TileRef(patient, patient, Box(0, 0, 128, 128), 0.5)
    return Example(Tile(ref, pixels), None, "breast")


def noisy_tile():
    random = np.random.default_rng(0)
    pixels = np.full((128, 128, 3), (225, 150, 195), np.float64)
    pixels[32:96, 32:96] = (120, 80, 160)
    return (pixels + random.normal(0, 9, pixels.shape)).clip(0, 255).astype(np.uint8)


def test_grain_lies_over_what_the_discriminator_sees():
    grain = TileGrain.of(open_bundle().grain, [noisy_tile()] * 2)
    decoded = torch.zeros(2, 3, 96, 96, requires_grad=True)
    shown = grain.add(decoded, np.array([0, 1]), np.random.default_rng(0))
    halved = TileGrain(grain.grain, [strength / 2 for strength in grain.strengths])
    half = halved.add(decoded, np.array([0, 1]), np.random.default_rng(0))
    assert (grain.strengths[0] > 1).all()
    # the same texture, as strong as the noise of the tile says
    torch.testing.assert_close(
        (shown - decoded).detach(),
        2 * (half - decoded).detach(),
        rtol=1e-3,
        atol=1e-3,
    )
    assert (127.5 * (shown - decoded).detach().std(dim=(0, 2, 3)) > 1).all()
    # two crops have two grains, and the gradient is that of the decoded crops alone
    assert not torch.equal(shown[0], shown[1])
    shown.sum().backward()
    assert torch.equal(decoded.grad, torch.ones_like(decoded))


def test_tiles_are_in_canonical_stain_where_grain_lies():
    noisy = noisy_tile()
    found = in_canonical_stain(tile_of(noisy, "P1"))
    canonical = fit_stain_frame(noisy).to_canonical(noisy)
    assert np.abs(found.pixels - canonical).max() <= 0.5 + 1e-3
    assert np.abs(canonical - noisy).mean() > 1
    assert found.patient == "P1"


def test_tiles_with_blocks_of_jpeg_are_not_shown():
    torch.manual_seed(0)
    discriminator = Discriminator()
    adversary = Adversary(discriminator, 1.0, is_shown=np.array([True, False]))
    generator = torch.Generator().manual_seed(1)
    real = fine_noise(generator, count=3)
    decoded = torch.zeros_like(real, requires_grad=True)
    random = np.random.default_rng(0)
    adversary.loss(real, decoded, np.array([0, 1, 0]), random).backward()
    assert decoded.grad[1].abs().max() == 0
    assert decoded.grad[[0, 2]].abs().amax(dim=(1, 2, 3)).min() > 0
    assert float(adversary.loss(real, decoded, np.array([1, 1, 1]), random)) == 0


@pytest.mark.parametrize(
    ("crop", "more", "problem"),
    [
        (64, "adversarial_weight = 0.1\n", "needs a data.crop of at least 96 px, not 64"),
        (96, 'grain_of = "compact"\n', "grain_of needs an adversarial_weight above 0"),
        (96, "adversarial_weight = -1.0\n", "adversarial_weight must not be negative"),
    ],
)
def test_a_discriminator_that_cannot_learn_is_refused(tmp_path, tissue, crop, more, problem):
    path = recipe_with(tmp_path, tissue, "compact", more=more, crop=crop)
    with pytest.raises(BadRecipe) as refused:
        read_train_recipe(path)
    assert problem in str(refused.value)


def test_a_bundle_without_grain_is_refused(tmp_path, tissue, base, autoencoder):
    more = f'adversarial_weight = 0.1\ngrain_of = "{base}"\n'
    path = recipe_with(tmp_path, tissue, autoencoder, more=more)
    with pytest.raises(BadRecipe) as refused:
        train(path, tmp_path / "run", device="cpu")
    assert f"the bundle {base} has no grain" in str(refused.value)
    assert not (tmp_path / "run").exists()
