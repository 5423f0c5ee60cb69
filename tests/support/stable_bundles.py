"""A tiny bundle on a tiny Stable Diffusion: what training writes, with random weights."""

import torch

from histosynth.model.adapters import AdapterInfo, adapter_parameters, add_adapter, base_sha256
from histosynth.model.bundle import Bundle
from histosynth.model.conditioning import style_length
from histosynth.model.families.opening import BaseLocation, embed, open_base
from histosynth.model.families.text_family import TextBase
from histosynth.model.info import BundleInfo, NamedBase
from histosynth.model.structure import StructureEncoder
from histosynth.testing import tiny_bundle
from histosynth.tissue.appearance import STYLE_NAMES

PROMPTS = ("", "tissue", "breast tissue")
CLASSES = ("epithelial", "lymphocyte", "stromal")


def write_stable_bundle(base_folder, folder, *, classes=CLASSES, own_structure=False):
    """Write a bundle with an adapter `global` on a base that `tiny_base` wrote.

    Args:
        own_structure: the adapter has a structure encoder of its own, other than the bundle's.
    """
    location = BaseLocation(str(base_folder), base_folder.parent)
    opened = open_base(location)
    residuals = opened.family.residual_shapes(opened.network)
    sha256 = base_sha256(opened.network)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        encoders = [_encoder(residuals, classes) for _ in range(2)]
        bundle = Bundle(
            _info(opened, sha256, classes, base_folder),
            opened.autoencoder,
            opened.network,
            encoders[0],
            base_sha256=sha256,
            base=TextBase(
                opened.family,
                opened.schedule,
                embed(location, opened.family, PROMPTS),
                flag_index=style_length(len(STYLE_NAMES), 0) - 1,
                inpainting=opened.inpainting,
            ),
        )
        bundle.save(folder)
        targets = ("attn2.to_q", "attn2.to_k")
        add_adapter(bundle.unet, "global", rank=2, alpha=3.0, targets=targets)
        for parameter in adapter_parameters(bundle.unet, "global"):
            torch.nn.init.normal_(parameter, std=0.1)
    info = AdapterInfo("global", 2, 3.0, targets, sha256, classes, 0.5)
    adapter_folder = folder / "adapters" / "global"
    bundle.save_adapter(info, adapter_folder)
    if own_structure:
        _save_structure(encoders[1], adapter_folder)
    return folder


def _encoder(residuals, classes):
    encoder = StructureEncoder(
        classes=len(classes),
        fine=0,
        widths=(16, 16, 32, 32),
        outputs=residuals.channels,
        strides=residuals.strides,
    )
    for parameter in encoder.leave.parameters():  # new ones are zero, and would show nothing
        torch.nn.init.normal_(parameter, std=0.3)
    return encoder


def _save_structure(encoder, folder):
    from histosynth.model.parts import save_part

    save_part(encoder, folder / "structure")


def _info(opened, sha256, classes, base_folder):
    config = opened.autoencoder.config
    channels = int(config.latent_channels)
    tiny = tiny_bundle().info
    return BundleInfo(
        name="tiny-stable",
        mpp=0.5,
        classes=classes,
        labels=("breast",),
        latent_mean=(0.0,) * channels,
        latent_std=(1 / float(config.scaling_factor),) * channels,
        style_mean=tiny.style_mean,
        style_std=tiny.style_std,
        prediction=opened.schedule.prediction_type,
        steps=2,
        palette=tiny.palette,
        family=opened.family.name,
        base=NamedBase(str(base_folder), sha256),
        prompts=PROMPTS,
    )
