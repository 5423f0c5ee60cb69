#!/bin/sh
# UniPC on flow models: the noise levels of the same settings moved between diffusers 0.36 and 0.42.
#
# Packages: diffusers 0.36.0 and 0.42.1, torch 2.13.0 (a CPU build suffices). Run on 2026-11-29.
# Expected: schedulers with the same settings (flow_prediction, use_flow_sigmas, flow_shift 1) step through the
#   same levels in both versions, and UniPC through those of DPM-Solver++, as it does in 0.36.
# Seen: DPM-Solver++ starts at 0.999 in both. UniPC starts at 0.999 in 0.36.0, and in 0.42.1 at 1.0 with the
#   timestep 999: level and timestep no longer agree, and neither do the two schedulers.
# Why it matters: a seed stored beside a picture makes another one after an upgrade, with no setting changed and
#   no warning; networks are asked at a time that is not the noise's own.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3.11 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check diffusers==0.36.0 torch==2.13.0 || exit 2
venv/bin/pip install --quiet --disable-pip-version-check --no-deps --target newer diffusers==0.42.1 || exit 2
cat > try.py <<'PY'
import diffusers
import torch
from diffusers import DPMSolverMultistepScheduler, UniPCMultistepScheduler

print("diffusers", diffusers.__version__)
is_older = diffusers.__version__ == "0.36.0"
settings = {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "final_sigmas_type": "zero"}
seen = {}
for scheduler_class in (DPMSolverMultistepScheduler, UniPCMultistepScheduler):
    scheduler = scheduler_class(**settings, flow_shift=1.0)
    scheduler.set_timesteps(4)
    levels = [round(float(level), 4) for level in scheduler.sigmas]
    timesteps = scheduler.timesteps.tolist()
    seen[scheduler_class] = (timesteps, levels)
    generator = torch.Generator().manual_seed(0)
    sample = torch.randn(1, 4, 8, 8, generator=generator)
    for timestep in scheduler.timesteps:
        sample = scheduler.step(torch.sin(3 * sample), timestep, sample).prev_sample
    print(scheduler_class.__name__, timesteps, levels, f"result {float(sample.std()):.6f}")
before = ([999, 749, 499, 249], [0.999, 0.7492, 0.4995, 0.2498, 0.0])
assert seen[DPMSolverMultistepScheduler] == before
after = ([999, 750, 500, 250], [1.0, 0.7502, 0.5005, 0.2508, 0.0])
assert seen[UniPCMultistepScheduler] == (before if is_older else after)
PY
venv/bin/python try.py
PYTHONPATH=newer venv/bin/python try.py
