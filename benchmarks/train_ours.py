"""Our side of train.py, and the bases and tissue that both sides train on; a process each.

    python benchmarks/train_ours.py '{"make": ...}' | '{"base": ..., "tissue": ..., ...}'

Prints one JSON object.
"""

from __future__ import annotations

import json
import math
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import safe_open
from torch.utils.flop_counter import FlopCounterMode
from train import Turns, peak_mb

from histosynth.annotation.nuclei_files import read_nuclei, write_csv
from histosynth.core.geometry import Box
from histosynth.core.store import ensure_folder
from histosynth.model.families.single_file import published_settings
from histosynth.pipeline.train import train
from histosynth.testing_bases import tiny_base, tiny_settings
from histosynth.tissue.layout import draw_layout

TILES = 8
HELD_OUT = 1
CLASSES = ("epithelial", "lymphocyte", "stromal")
Settings = dict[str, dict[str, Any]]


def settings_of(name: str) -> Settings:
    """Settings of a base by name; `true` is Stable Diffusion 1.5, `true21` is 2.1."""
    if name == "true":
        return published_settings("sd1", channels=4, prediction="epsilon")
    if name == "true21":
        return published_settings("sd2", channels=4, prediction="v_prediction")
    settings = tiny_settings("sd15")
    if name != "tiny":
        settings["unet"]["block_out_channels"] = [96, 192, 384, 384]
        settings["vae"]["block_out_channels"] = [32, 96, 160, 160]
        settings["text_encoder"] |= {"intermediate_size": 3072, "num_hidden_layers": 1}
    if name == "middle":  # diffusers means heads by this name
        settings["unet"]["attention_head_dim"] = 2
    return settings


def write_base(folder: Path, name: str) -> None:
    """A base of random weights in diffusers' layout; its words and noise are those of the tiny
    one."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    tiny_base(folder, "sd21" if name == "true21" else "sd15")
    if name == "tiny":
        return
    settings = settings_of(name)
    torch.manual_seed(0)
    parts = {
        "unet": UNet2DConditionModel.from_config(settings["unet"]),
        "vae": AutoencoderKL.from_config(settings["vae"]),
        "text_encoder": CLIPTextModel(CLIPTextConfig(**settings["text_encoder"])),
    }
    for part, network in parts.items():
        shutil.rmtree(folder / part)
        if name == "true21":
            network.half()  # half of the disk, and both sides read it
        network.save_pretrained(folder / part)


def products(name: str, side: int) -> dict[str, float]:
    """GFLOP of one item's forward pass through each part, and millions of the U-Net's
    parameters."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    settings = settings_of(name)
    with torch.device("meta"), torch.no_grad():
        unet = UNet2DConditionModel.from_config(settings["unet"])
        vae = AutoencoderKL.from_config(settings["vae"])
        text = CLIPTextModel(CLIPTextConfig(**settings["text_encoder"]))
        states = torch.zeros(1, 77, settings["text_encoder"]["hidden_size"])
        passes = {
            "unet": lambda: unet(torch.zeros(1, 4, side // 8, side // 8), torch.ones(1), states),
            "autoencoder": lambda: vae.encode(torch.zeros(1, 3, side, side)),
            "text encoder": lambda: text(torch.zeros(1, 77, dtype=torch.long)),
        }
        found = {"M parameters": sum(each.numel() for each in unet.parameters()) / 1e6}
        for part, run in passes.items():
            with FlopCounterMode(display=False) as counter:
                run()
            found[part] = counter.get_total_flops() / 1e9
    return {key: round(value, 1) for key, value in found.items()}


def write_tissue(folder: Path, data: Path, *, side: int) -> str:
    """Tiles of different patients with their nuclei, from brca-m2c if it is there; returns what
    they are."""
    names: list[str] = []
    source = data / "brca-m2c"
    if source.is_dir():
        listed = sorted((source / "train.txt").read_text().split())
        names = list({name[:12]: name for name in listed}.values())[: TILES + HELD_OUT]
    for part in ("images", "held", "points"):
        ensure_folder(folder / part)
    for index in range(TILES + HELD_OUT):
        if index < len(names):
            stem = Path(names[index]).stem
            pixels = np.asarray(Image.open(source / "images" / names[index]).convert("RGB"))
            file = source / "points" / f"{stem}.csv"
            size = (pixels.shape[1], pixels.shape[0])
            nuclei = read_nuclei(
                file,
                size=size,
                mpp=0.5,
                classes=CLASSES,
            )
        else:
            stem = f"PATIENT-{index:04}"
            whole = max(496, side + side // 8)
            pixels = np.random.default_rng(index).integers(
                0,
                256,
                (whole, whole, 3),
                np.uint8,
            )
            nuclei = draw_layout((whole, whole), mpp=0.5, seed=index)
        if index >= TILES:  # one crop: what is measured are steps, not validation
            pixels = pixels[:side, :side]
            nuclei = nuclei.crop(Box(0, 0, side, side))
        part = "images" if index < TILES else "held"
        Image.fromarray(pixels).save(folder / part / f"{stem}.png")
        write_csv(folder / "points" / f"{stem}.csv", nuclei)
    return "brca-m2c" if names else "random pixels"


def write_recipe(path: Path, ask: dict[str, Any]) -> Path:
    """Our recipe of what the reference does, with structure and the weights of nuclei on top."""
    source = (
        'images = "{}"\npoints = "points"\npatient = "^(.{{12}})"\nmpp = 0.5\nlabel = "breast"\n'
    )
    path.write_text(
        f'task = "global"\nbase = "{ask["base"]}"\nlabels = ["breast"]\nstop_copying = 1.0\n'
        f"structure_widths = {ask.get('widths', [])}\n"
        f"[loop]\nsteps = {ask['steps']}\nbatch = {ask['batch']}\nlearning_rate = "
        "1e-4\nwarmup = 0\n"
        f'precision = "{ask["precision"]}"\ntrackers = []\n'
        f"checkpointing = {json.dumps(ask.get('checkpointing', False))}\n"
        f"validate_every = {ask['steps']}\ncheckpoint_every = {ask['steps']}\n"
        f'[data]\nroot = "{ask["tissue"]}"\nmpp = 0.5\nviews = 1\n'
        f"kinds = {json.dumps(CLASSES)}\n"
        f"[[data.train]]\n{source.format('images')}[[data.validation]]\n{source.format('held')}"
        f"[conditions]\nmask_share = 0.0\ncrops = [{ask['crop']}]\n"
        '[prompts]\ntemplate = "H&E, {label}"\n'
        f'[adapter]\nrank = {ask["rank"]}\nalpha = {ask["rank"]}.0\ntargets = ["attention"]\n'
        "structure = true\n"
    )
    return path


def run(ask: dict[str, Any]) -> dict[str, object]:
    """Train in this process, whole: reading, encoding what is not cached yet, steps, one
    validation."""
    torch.set_num_threads(ask["threads"])
    folder = ensure_folder(Path(ask["work"]))
    turns = Turns()
    encoded = [0.0]
    marks = {"encoded_mb": 0.0}

    def told(done: int, total: int) -> None:
        encoded.append(time.perf_counter())
        marks["encoded_mb"] = peak_mb()

    name = ask["name"]
    recipe = write_recipe(folder / f"{name}-{ask.get('process', 0)}.toml", ask)
    train(
        recipe,
        folder / name,
        on_step=lambda step, numbers: turns.stepped(numbers["loss"]),
        on_encoded=told,
        device=ask.get("device", "cpu"),
    )
    trained = {"unet": 0, "structure": 0}
    with safe_open(folder / name / "state.safetensors", framework="pt") as state:
        for key in state.keys():  # noqa: SIM118
            if key.startswith("master/"):
                trained[key.split("/")[1].split(".")[0]] += math.prod(
                    state.get_slice(key).get_shape()
                )
    # of tiles one after the other; the first began at an unknown time
    encode_s = float(np.diff(encoded[1 : TILES + 1]).min()) if len(encoded) > TILES else None
    return {
        "whole_mb": peak_mb(),
        "trained": trained,
        "encode_s": encode_s,
        **marks,
    }


def main(ask: dict[str, Any]) -> object:
    if "make" not in ask:
        return run(ask)
    work = Path(ask["make"])
    for name in ask["bases"]:
        write_base(work / name, name)
    return {
        "tissue": write_tissue(work / "tissue", Path(ask["data"]), side=ask["crop"]),
        "gflop": {name: products(name, ask["crop"]) for name in {*ask["bases"], "true"}},
    }


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
