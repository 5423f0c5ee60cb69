#!/bin/sh
# diffusers' AutoencoderDC leaves out the resampling of a scale that has no blocks, and its compression ratio does not say so.
#
# Packages: diffusers 0.36.0, torch 2.13.0 (a CPU build suffices). Run on 2026-11-30.
# Expected: layers_per_block states how many blocks each scale has; a scale of 0 blocks still halves (encoder) or doubles
#   (decoder) the sides, as the published autoencoders with 0 blocks at the finest scale do, or is refused.
# Seen: at the finest scale 0 blocks are fine. At the next one (0, 0, 1, 1) the encoder gives latents of 4 x 4 px a cell in
#   place of 8 x 8, while spatial_compression_ratio is 8; with such a decoder alone, a picture of 64 px comes back with 32 px.
#   No error, no warning.
# Why it matters: who makes the decoder faster by taking blocks away gets pictures of half the size, and who plans tiles by
#   spatial_compression_ratio places them wrongly.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3.11 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check diffusers==0.36.0 torch==2.13.0 || exit 2
cat > try.py <<'PY'
import diffusers
import torch
from diffusers import AutoencoderDC

print("diffusers", diffusers.__version__, "torch", torch.__version__)


def sizes(encoder_layers, decoder_layers):
    network = AutoencoderDC(
        latent_channels=8,
        encoder_block_types="ResBlock",
        decoder_block_types="ResBlock",
        encoder_block_out_channels=(16, 16, 16, 32),
        decoder_block_out_channels=(16, 16, 16, 32),
        encoder_layers_per_block=encoder_layers,
        decoder_layers_per_block=decoder_layers,
        encoder_qkv_multiscales=((),) * 4,
        decoder_qkv_multiscales=((),) * 4,
        downsample_block_type="pixel_unshuffle",
        upsample_block_type="pixel_shuffle",
    )
    with torch.no_grad():
        latents = network.encode(torch.zeros(1, 3, 64, 64)).latent
        picture = network.decode(latents).sample
    found = (latents.shape[-1], picture.shape[-1], network.spatial_compression_ratio)
    print(f"encoder {encoder_layers}, decoder {decoder_layers}: 64 px => latents {found[0]}, picture {found[1]}, ratio {found[2]}")
    return found


assert sizes((0, 1, 1, 1), (0, 1, 1, 1)) == (8, 64, 8)
assert sizes((0, 0, 1, 1), (0, 0, 1, 1)) == (16, 64, 8)
assert sizes((0, 1, 1, 1), (0, 0, 1, 1)) == (8, 32, 8)
PY
venv/bin/python try.py
