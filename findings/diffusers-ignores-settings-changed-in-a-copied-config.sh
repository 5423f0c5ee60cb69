#!/bin/sh
# diffusers' from_config ignores a setting that was changed in a copied config, if it was a default before.
#
# Packages: diffusers 0.36.0, torch 2.13.0 (a CPU build suffices). Run on 2026-11-30.
# Expected: Model.from_config(settings) builds a network with these settings, also where they are a copied config
#   with one value changed.
# Seen: of a U-Net whose dropout was not given, a copy with dropout 0.5 gives a network with dropout 0.0, without a
#   word; of one whose dropout was given as 0.0, the same copy gives 0.5. The hidden key _use_default_values names
#   settings that were left at their defaults, and their values are dropped. As keyword arguments they count.
# Why it matters: networks are widened by a copied config (more channels in, another condition, dropout for a small
#   data set). What was changed stays as it was, and training runs on without it.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3.11 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check diffusers==0.36.0 torch==2.13.0 || exit 2
cat > try.py <<'PY'
import diffusers
import torch
from diffusers import UNet2DModel

print("diffusers", diffusers.__version__, "torch", torch.__version__)
small = {
    "sample_size": 16,
    "block_out_channels": (32, 32),
    "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "UpBlock2D"),
}


def dropout_of(network):
    return network.config.dropout, network.down_blocks[0].resnets[0].dropout.p


seen = {}
for name, given in (("dropout left at its default", {}), ("dropout given as 0.0", {"dropout": 0.0})):
    first = UNet2DModel(**small, **given)
    settings = dict(first.config)
    settings["dropout"] = 0.5
    seen[name] = dropout_of(UNet2DModel.from_config(settings))
    print(f"{name}, 0.5 in the copied config: config and layer have", seen[name])
by_keyword = dropout_of(UNet2DModel.from_config(dict(UNet2DModel(**small).config), dropout=0.5))
print("dropout left at its default, 0.5 as a keyword argument:", by_keyword)
assert seen["dropout left at its default"] == (0.0, 0.0)
assert seen["dropout given as 0.0"] == (0.5, 0.5)
assert by_keyword == (0.5, 0.5)
PY
venv/bin/python try.py
