"""The usual way to the same end: diffusers' ControlNet pipeline around our own U-Net and
autoencoder.

Only its speed is of interest, so its weights are random. The U-Net is ours less the style vector
and the 32 structure channels, which that pipeline has no room for: a little less work, not more.
"""

from collections.abc import Callable

import numpy as np
import torch
from diffusers import (
    AutoencoderDC,
    ControlNetModel,
    DPMSolverMultistepScheduler,
    StableDiffusionControlNetPipeline,
    UNet2DConditionModel,
)

from histosynth.model.bundle import Bundle
from histosynth.model.device import convert_network


class Vae(AutoencoderDC):
    """Our autoencoder under the names that the pipeline calls."""

    def decode(
        self,
        z,
        return_dict=True,
        generator=None,
    ):
        return super().decode(z, return_dict=return_dict)


def assemble(bundle: Bundle, *, dtype: torch.dtype) -> StableDiffusionControlNetPipeline:
    """The pipeline, in `dtype`, its convolutions in channels-last order as ours are."""
    config = dict(bundle.unet.config)
    config |= {
        "in_channels": config["out_channels"],
        "class_embed_type": None,
        "projection_class_embeddings_input_dim": None,
    }
    unet = UNet2DConditionModel.from_config(config)
    controlnet = ControlNetModel.from_unet(
        unet,
        conditioning_channels=3,
        load_weights_from_unet=False,
    )
    vae = Vae.from_config(dict(bundle.autoencoder.config))
    vae.register_to_config(block_out_channels=(1, 1, 1, 1), scaling_factor=1.0)  # 4 levels: 8 x
    for part in (unet, controlnet, vae):
        convert_network(part.eval().requires_grad_(False), dtype=dtype)
    pipeline = StableDiffusionControlNetPipeline(
        vae=vae,
        text_encoder=None,
        tokenizer=None,
        unet=unet,
        controlnet=controlnet,
        scheduler=DPMSolverMultistepScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def runner(
    pipeline: StableDiffusionControlNetPipeline,
    *,
    side: int,
    steps: int,
    guidance: float,
    count: int,
) -> Callable[[], np.ndarray]:
    """A function that makes `count` pictures of `side` px from one control picture each."""
    dtype = pipeline.unet.dtype
    control = torch.rand(count, 3, side, side, dtype=dtype)
    prompt = torch.zeros(
        count,
        1,
        pipeline.unet.config.cross_attention_dim,
        dtype=dtype,
    )
    how = {
        "num_inference_steps": steps,
        "guidance_scale": guidance,
        "output_type": "np",
    }
    told = {"prompt_embeds": prompt, "negative_prompt_embeds": prompt}
    return lambda: (
        pipeline(
            image=control,
            height=side,
            width=side,
            **told,
            **how,
        ).images
    )
