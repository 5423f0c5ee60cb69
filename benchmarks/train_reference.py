"""One side of train.py: an adapter as diffusers' own text-to-image LoRA example trains it, written
plainly.

    python benchmarks/train_reference.py '{"base": ..., "tissue": ..., ...}'

Pixels and words go through autoencoder and text encoder at every step. Where the example leaves a
choice, the faster one is taken: pictures lie decoded in memory, prompts are tokenised once, nothing
is logged, validated or saved. Prints one JSON object.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from diffusers.optimization import get_scheduler
from diffusers.training_utils import cast_training_params
from peft import LoraConfig
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from train import Turns, peak_mb
from transformers import CLIPTextModel, CLIPTokenizer

PROMPT = "H&E, breast"
TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]


class Crops(Dataset):
    """Random crops of pictures, flipped or not, in [-1, 1]; `length` of them."""

    def __init__(
        self,
        folder: Path,
        words: torch.Tensor,
        *,
        side: int,
        length: int,
    ) -> None:
        self.pictures = [
            np.asarray(Image.open(each).convert("RGB")) for each in sorted(folder.iterdir())
        ]
        self.words = words
        self.side = side
        self.length = length
        self.random = np.random.default_rng(0)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        picture = self.pictures[index % len(self.pictures)]
        top, left = (self.random.integers(length - self.side + 1) for length in picture.shape[:2])
        crop = picture[top : top + self.side, left : left + self.side]
        crop = np.ascontiguousarray(crop[:, ::-1] if self.random.random() < 0.5 else crop)
        pixels = torch.from_numpy(crop).permute(2, 0, 1).float() / 127.5 - 1
        return {"pixel_values": pixels, "input_ids": self.words}


def main(ask: dict) -> dict[str, object]:
    torch.set_num_threads(ask["threads"])
    torch.manual_seed(0)
    precision = ask["precision"]
    base = ask["base"]
    accelerator = Accelerator(
        cpu=ask.get("device", "cpu") == "cpu",
        mixed_precision="no" if precision == "fp32" else precision,
    )
    schedule = DDPMScheduler.from_pretrained(base, subfolder="scheduler")
    tokenizer = CLIPTokenizer.from_pretrained(base, subfolder="tokenizer")
    text = CLIPTextModel.from_pretrained(base, subfolder="text_encoder")
    vae = AutoencoderKL.from_pretrained(base, subfolder="vae")
    unet = UNet2DConditionModel.from_pretrained(base, subfolder="unet")
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[precision]
    for part in (text, vae, unet):
        part.requires_grad_(False)
        part.to(accelerator.device, dtype=dtype)
    if ask.get("checkpointing"):
        unet.enable_gradient_checkpointing()
    unet.add_adapter(
        LoraConfig(
            r=ask["rank"],
            lora_alpha=ask["rank"],
            init_lora_weights="gaussian",
            target_modules=TARGETS,
        )
    )
    cast_training_params(unet, dtype=torch.float32)
    trained = [each for each in unet.parameters() if each.requires_grad]
    optimiser = torch.optim.AdamW(
        trained,
        lr=1e-4,
        betas=(0.9, 0.999),
        weight_decay=1e-2,
        eps=1e-8,
    )
    told = tokenizer(
        PROMPT,
        padding="max_length",
        max_length=77,
        truncation=True,
        return_tensors="pt",
    )
    crops = Crops(
        Path(ask["tissue"]) / "images",
        told.input_ids[0],
        side=ask["crop"],
        length=ask["steps"] * ask["batch"],
    )
    batches = DataLoader(crops, batch_size=ask["batch"], shuffle=True)
    rate = get_scheduler(
        "constant",
        optimizer=optimiser,
        num_warmup_steps=0,
        num_training_steps=ask["steps"],
    )
    unet, optimiser, batches, rate = accelerator.prepare(unet, optimiser, batches, rate)
    unet.train()
    turns = Turns()
    for batch in batches:
        with accelerator.accumulate(unet):
            latents = vae.encode(batch["pixel_values"].to(dtype)).latent_dist.sample()
            latents = latents * vae.config.scaling_factor
            noise = torch.randn_like(latents)
            steps = torch.randint(
                0,
                schedule.config.num_train_timesteps,
                (len(latents),),
                device=latents.device,
            ).long()
            noisy = schedule.add_noise(latents, noise, steps)
            states = text(batch["input_ids"], return_dict=False)[0]
            said = unet(noisy, steps, states, return_dict=False)[0]
            loss = F.mse_loss(said.float(), noise.float(), reduction="mean")
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(trained, 1.0)
            optimiser.step()
            rate.step()
            optimiser.zero_grad()
        turns.stepped(loss.item())
    return {"whole_mb": peak_mb(), "trained": {"unet": sum(each.numel() for each in trained)}}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
