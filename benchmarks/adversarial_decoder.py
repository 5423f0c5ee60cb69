"""The decoder of the compact bundle, learning texture from a discriminator (docs/log.md).

    python benchmarks/adversarial_decoder.py BUNDLE OUT [--data ../shared/data] [--threads 1]

The discriminator sees crops of 64 px of training tiles of brca-m2c, in canonical stain, with grain:
half of them decoded from latents of the tiles, half from latents that `global` sampled for their
nuclei. The decoder learns from the tiles and from the discriminator's opinion; what was sampled
teaches it in the first stage alone. The result is 0.8 of its averaged weights and 0.2 of those it
began with, in OUT/autoencoder: put it into a copy of BUNDLE and run `histosynth bundle grain`.

The weights in the package came by the same stages of an earlier form of this script, stopped and
gone on between; this form was run for six steps. The task `autoencoder` has a discriminator too
(compact-adversarial-decoder), which sees decoded tiles alone; it did less well.
"""

import argparse
import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from crops import corners
from quality import source

import histosynth as hs
from histosynth.model import autoencoder as ae
from histosynth.model.device import convert_network
from histosynth.model.parts import save_part
from histosynth.sampling import batches
from histosynth.tissue.appearance import measure_appearance
from histosynth.training.data.sources import open_source
from histosynth.training.tasks.autoencoder.adversary import TileGrain
from histosynth.training.tasks.autoencoder.discriminator import Discriminator, adversarial_loss

ROOT = Path(__file__).resolve().parents[1]
STAGES = ((800, 0.04, 0.04, 0.5), (1200, 0.16, 0.0, 0.0))
"""Steps, weight of the discriminator's opinion of decoded and of sampled crops, weight of the
distance of sampled crops from what the decoder made of them before, at a quarter of the side."""
BATCH = 8
CELLS = 12
"""Latent cells along a crop: 96 px, of which the discriminator sees the inner 64."""
RATE = 2e-4
WARMUP = 50
AVERAGED = 0.004
KEPT_SHARE = 0.2
GRADIENT_WEIGHT = 0.4
LATENT_NOISE = 0.02


class Tissue:
    """A training tile: canonical pixels, latents, strength of its grain, latents sampled for it."""

    def __init__(self, bundle, example, index):
        pixels = example.pixels
        look = measure_appearance(pixels)
        height, width = (side // 8 * 8 for side in pixels.shape[:2])
        canonical = look.frame.to_canonical(pixels[:height, :width])
        signal = ae.to_signal(torch.from_numpy(canonical))[None]
        with torch.inference_mode():
            self.latents = ae.encode(bundle.autoencoder, signal)[0].numpy()
        self.pixels = np.rint(canonical).clip(0, 255).astype(np.uint8)
        self.strength = bundle.grain.table.strength_of(look.noise)
        self.sampled = list(sampled_latents(bundle, example, index))


def sampled_latents(bundle, example, index):
    """Raw latents (C, 32, 32) that `global` samples for the nuclei of each crop of a tile."""
    seen = []
    decode = batches.decode_canonical

    def watched(bundle, latents):
        seen.append(bundle.raw_latents(latents)[0].numpy())
        return decode(bundle, latents)

    batches.decode_canonical = watched
    try:
        for number, (_, nuclei, whole) in enumerate(corners(example)):
            seed = 100 + 4 * index + number
            nuclei = replace(nuclei, shapes=None)
            hs.synthesize(nuclei, appearance=whole, bundle=bundle, seed=seed)
            yield seen.pop()
    finally:
        batches.decode_canonical = decode


class Batch:
    """Crops of random patients: even ones encoded, odd ones sampled, and a real one beside each."""

    def __init__(self, by_patient, random):
        latents, wanted, real, self.strengths = [], [], [], []
        for item in range(BATCH):
            tiles = by_patient[random.integers(len(by_patient))]
            tile = tiles[random.integers(len(tiles))]
            of = tile.sampled[random.integers(len(tile.sampled))] if item % 2 else tile.latents
            y, x = (random.integers(0, side - CELLS + 1) for side in of.shape[1:])
            latents.append(of[:, y : y + CELLS, x : x + CELLS])
            if item % 2 == 0:
                wanted.append(crop_of(tile.pixels, 8 * y, 8 * x))
            y, x = (random.integers(0, side - 8 * CELLS + 1) for side in tile.pixels.shape[:2])
            real.append(np.rot90(crop_of(tile.pixels, y, x), random.integers(4)))
            self.strengths.append(tile.strength)
        self.latents = torch.from_numpy(np.stack(latents))
        self.latents[::2] += LATENT_NOISE * torch.randn_like(self.latents[::2])
        self.wanted = ae.to_signal(torch.from_numpy(np.stack(wanted)))
        self.real = ae.to_signal(torch.from_numpy(np.stack(real)))


def crop_of(pixels, y, x):
    return pixels[y : y + 8 * CELLS, x : x + 8 * CELLS]


def distance(first, second):
    """L1 of values and of gradients."""
    difference = first - second
    slopes = [
        (difference[..., reach:] - difference[..., :-reach]).abs().mean()
        + (difference[..., reach:, :] - difference[..., :-reach, :]).abs().mean()
        for reach in (1, 2)
    ]
    return difference.abs().mean() + GRADIENT_WEIGHT * sum(slopes) / 2


def trained(bundle, tissue, stages):
    """Averaged weights of the decoder after all stages."""
    random = np.random.default_rng(1)
    torch.manual_seed(0)
    by_patient = list(tissue.values())
    decoder = bundle.autoencoder.decoder.requires_grad_(True).train()
    before = copy.deepcopy(decoder).eval().requires_grad_(False)
    averaged = copy.deepcopy(before)
    discriminator = Discriminator()
    convert_network(discriminator)
    optimisers = [
        torch.optim.Adam(network.parameters(), RATE, betas=(0.0, 0.95))
        for network in (decoder, discriminator)
    ]
    step = 0
    for steps, of_decoded, of_sampled, kept in stages:
        for _ in range(steps):
            step += 1
            for optimiser in optimisers:
                optimiser.param_groups[0]["lr"] = RATE * min(1, step / WARMUP)
            batch = Batch(by_patient, random)
            decoded = decoder(batch.latents)
            grain = TileGrain(bundle.grain, batch.strengths)
            shown = grain.add(decoded, np.arange(BATCH), random)
            # an item that is not to teach the decoder is shown all the same
            weights = torch.tensor([of_decoded, of_sampled]).repeat(BATCH // 2)
            loss = distance(decoded[::2], batch.wanted)
            loss = loss + adversarial_loss(discriminator, batch.real, shown, weight=2 * weights)
            if kept:
                with torch.no_grad():
                    old = before(batch.latents[1::2])
                coarse = [F.avg_pool2d(each, 4) for each in (decoded[1::2], old)]
                loss = loss + kept * F.l1_loss(*coarse)
            for optimiser in optimisers:
                optimiser.zero_grad()
            loss.backward()
            for optimiser in optimisers:
                optimiser.step()
            with torch.no_grad():
                for mean, value in zip(averaged.parameters(), decoder.parameters(), strict=True):
                    mean.lerp_(value, AVERAGED)
            if step % 50 == 0:
                print(f"step {step}: loss {float(loss.detach()):.4f}", flush=True)
    with torch.no_grad():
        for mean, old in zip(averaged.parameters(), before.parameters(), strict=True):
            mean.lerp_(old, KEPT_SHARE)
    return averaged.state_dict()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tiles", type=int, help="so many training tiles and few steps: a trial.")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    bundle = hs.open_bundle(args.bundle, dtype="fp32")
    examples = open_source(
        source("brca-m2c/train.txt"), root=args.data, mpp=0.5, classes=bundle.info.classes
    )
    tissue = {}
    for index, example in enumerate(examples[: args.tiles]):
        tissue.setdefault(example.patient, []).append(Tissue(bundle, example, index))
        print(f"sampled {index + 1} of {len(examples)} tiles", flush=True)
    stages = [(3, *stage[1:]) for stage in STAGES] if args.tiles else STAGES
    bundle.autoencoder.decoder.load_state_dict(trained(bundle, tissue, stages))
    folder = args.out / "autoencoder"
    folder.mkdir(parents=True, exist_ok=True)
    weights = bundle.autoencoder.state_dict()
    save_part(bundle.autoencoder, folder, dtype=torch.float32, weights=weights)


if __name__ == "__main__":
    main()
