#!/bin/sh
# diffusers resamples a tile of 500 pixels to 496 before it is encoded: the scale changes by 0.8 %.
#
# Packages: diffusers 0.42.1, torch 2.13.0 (a CPU build suffices), pillow 13.0.0, numpy 2.4.6.
#   Run on 2026-11-29.
# Expected: VaeImageProcessor.preprocess, the first step of diffusers' img2img pipelines, pads or crops a
#   size that is no multiple of 8, or refuses it: the pixel size stays.
# Seen: it resamples to the next smaller multiple, each side by itself, with no warning: 500 x 300 becomes
#   496 x 296, and the two directions change by different factors. postprocess does not resize back.
#   The autoencoder alone, given 100 x 100, answers with 96 x 96: there the rest is CUT, not resampled.
# Why it matters: tiles of 500, 300 or 250 pixels come back smaller. Laid over the original, outlines of
#   nuclei are up to 4 pixels off at the far side; "0.25 um/px" is then wrong in the output.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3.11 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
  diffusers==0.42.1 torch==2.13.0 pillow==13.0.0 numpy==2.4.6 || exit 2
venv/bin/python - <<'PY'
import diffusers
import numpy as np
import torch
from diffusers import AutoencoderKL
from diffusers.image_processor import VaeImageProcessor
from PIL import Image

print("diffusers", diffusers.__version__, "torch", torch.__version__)
tile = np.full((300, 500, 3), 255, np.uint8)
tile[148:152, 478:482] = 0  # a nucleus with its centre at column 480, row 150

processor = VaeImageProcessor(vae_scale_factor=8)
tensor = processor.preprocess(Image.fromarray(tile))
dark = 1 - (tensor[0].mean(0) + 1) / 2
weights = (dark / dark.sum()).numpy()
column = float((weights.sum(0) * (np.arange(weights.shape[1]) + 0.5)).sum())
row = float((weights.sum(1) * (np.arange(weights.shape[0]) + 0.5)).sum())
back = processor.postprocess(tensor, output_type="pil")[0]
print("500 x 300 becomes", tuple(tensor.shape), "and leaves as", back.size)
print(f"centre of the nucleus: column 480 becomes {column:.1f}, row 150 becomes {row:.1f}")
assert tuple(tensor.shape) == (1, 3, 296, 496) and back.size == (496, 296)
assert abs(column - 480 * 496 / 500) < 0.3 and abs(row - 150 * 296 / 300) < 0.3

torch.manual_seed(0)
vae = AutoencoderKL(
    block_out_channels=(8, 8, 8, 8), norm_num_groups=4, layers_per_block=1,
    down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
).eval()
with torch.no_grad():
    answer = vae(torch.zeros(1, 3, 100, 100)).sample
print("the autoencoder alone: 100 x 100 becomes", tuple(answer.shape))
assert tuple(answer.shape) == (1, 3, 96, 96)
PY
