#!/bin/sh
# diffusers 0.36 takes a LoRA without metadata, and none whose metadata leaves rank_pattern out.
#
# Packages: diffusers 0.36.0 and, for comparison, 0.42.1; peft 0.21.2, torch 2.13.0 (a CPU build
#   suffices), safetensors 0.8.0. Run on 2026-11-29.
# Expected: the "lora_adapter_metadata" of a file are arguments of peft's LoraConfig, each of which has a
#   default: a file that states r, lora_alpha and target_modules alone loads like one that states all 40.
# Seen: KeyError: 'rank_pattern' in 0.36.0; 0.42.1 loads it, with the alpha that it states. The same file with no
#   metadata at all loads in 0.36.0: what is stated about a file makes it unreadable.
# Why it matters: a LoRA that loads for one colleague ends in a bare KeyError for another; writers that
#   state alpha, as without it the strength of the LoRA is guessed, must state empty patterns too.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3.11 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
  diffusers==0.36.0 peft==0.21.2 torch==2.13.0 safetensors==0.8.0 || exit 2
venv/bin/pip install --quiet --disable-pip-version-check --no-deps --target newer diffusers==0.42.1 || exit 2
cat > try.py <<'PY'
import json
import sys

import diffusers
import peft
import torch
from diffusers import UNet2DConditionModel
from peft import LoraConfig
from safetensors.torch import load_file, save_file

print("diffusers", diffusers.__version__, "peft", peft.__version__)
is_older = diffusers.__version__ == "0.36.0"
torch.manual_seed(0)
blocks = {
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
}
sizes = {"block_out_channels": (8, 8), "cross_attention_dim": 8, "attention_head_dim": 2, "norm_num_groups": 2}


def new_unet():
    return UNet2DConditionModel(sample_size=8, layers_per_block=1, **sizes, **blocks)


stated = {"r": 2, "lora_alpha": 4, "target_modules": ["to_q"]}
assert LoraConfig(**stated).rank_pattern == {}
unet = new_unet()
unet.add_adapter(LoraConfig(**stated), "one")
unet.save_lora_adapter("all", adapter_name="one")
tensors = load_file("all/pytorch_lora_weights.safetensors")
save_file(tensors, "none.safetensors")
for name, values in {"three": stated, "patterns": {**stated, "rank_pattern": {}, "alpha_pattern": {}}}.items():
    metadata = {"format": "pt", "lora_adapter_metadata": json.dumps(values)}
    save_file(tensors, f"{name}.safetensors", metadata=metadata)

seen = {}
for name in ("all/pytorch_lora_weights", "none", "three", "patterns"):
    unet = new_unet()
    try:
        unet.load_lora_adapter(".", weight_name=f"{name}.safetensors", prefix=None)
        seen[name] = unet.peft_config["default_0"].lora_alpha
    except KeyError as error:
        seen[name] = f"KeyError: {error}"
    print(f"metadata {name}: lora_alpha {seen[name]}")
assert seen["all/pytorch_lora_weights"] == seen["patterns"] == 4
assert seen["none"] == 2, "without metadata alpha is taken to be the rank"
assert seen["three"] == ("KeyError: 'rank_pattern'" if is_older else 4)
PY
venv/bin/python try.py
PYTHONPATH=newer venv/bin/python try.py
