"""The unconditional branch of guidance, as the network gets it."""

import torch

from histosynth.core.geometry import Size
from histosynth.model.conditioning import ItemConditions, encode_conditions
from histosynth.model.families.schedule import read_schedule
from histosynth.model.families.text import Text
from histosynth.model.families.text_family import TextBase, TextFamily
from histosynth.sampling.painter import SamplingSettings, paint_latents
from histosynth.testing import tiny_bundle


class RecordingFamily(TextFamily):
    """Records the prompts of each call, and predicts zeros."""

    name = "recording"
    adapter_prefix = "unet."
    network_folder = "unet"
    network_class = None
    weight_files = "unet/*"

    def __init__(self):
        self.prompts = []

    def takes_known_latents(self, network):
        return False

    def residual_shapes(self, network):
        raise NotImplementedError

    def grid_px(self, network):
        return 32

    def embed(self, folder, prompts):
        raise NotImplementedError

    def call_network(self, network, noisy, step, features, prompts):
        self.prompts.append(prompts.states[:, 0, 0].tolist())
        return torch.zeros_like(noisy)


def test_guidance_of_a_text_conditioned_base_leads_away_from_the_empty_prompt():
    bundle = tiny_bundle()
    family = RecordingFamily()
    empty, no_label, breast = 10.0, 11.0, 12.0
    states = torch.tensor([empty, no_label, breast]).reshape(3, 1, 1)
    schedule = read_schedule({"beta_schedule": "scaled_linear"}, "x")
    flag_index = len(bundle.info.style_mean)
    bundle.base = TextBase(family, schedule, Text(states), flag_index)
    style = torch.zeros(flag_index)
    items = [ItemConditions(style=style, label=0), ItemConditions(style=style)]
    conditioning = encode_conditions(items, bundle.info, size=Size(64, 64))
    noise = torch.zeros(2, 4, 8, 8)
    for guidance, expected in (
        (1.0, [breast, no_label]),
        (2.0, [breast, no_label, empty, empty]),
    ):
        family.prompts.clear()
        settings = SamplingSettings(steps=1, guidance=guidance)
        paint_latents(bundle, conditioning.maps, conditioning.style, noise, settings)
        assert family.prompts and all(prompts == expected for prompts in family.prompts)
