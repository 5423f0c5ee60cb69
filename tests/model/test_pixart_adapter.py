"""PixArt's adapters in other programs: peft loads them, diffusers' pipelines and kohya's do not."""

import json

import pytest
import torch
from diffusers import PixArtAlphaPipeline, PixArtTransformer2DModel, StableDiffusionPipeline
from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict
from safetensors import safe_open

from histosynth.core.errors import AdapterMismatch
from histosynth.model.adapters import (
    AdapterInfo,
    adapter_parameters,
    add_adapter,
    read_adapter,
    save_adapter,
)
from histosynth.model.families import FAMILIES
from histosynth.model.kohya import to_kohya

PREFIX = FAMILIES["pixart"].adapter_prefix


def transformer(network_class=PixArtTransformer2DModel):
    torch.manual_seed(0)
    return network_class(
        num_attention_heads=2,
        attention_head_dim=8,
        cross_attention_dim=16,
        num_layers=1,
        sample_size=16,
        caption_channels=12,
        norm_num_groups=8,
    ).eval()


def predict(network):
    random = torch.Generator().manual_seed(3)
    noisy = torch.randn((1, 4, 16, 16), generator=random)
    text = torch.randn((1, 5, 12), generator=random)
    with torch.inference_mode():
        return network(
            noisy,
            encoder_hidden_states=text,
            timestep=torch.tensor([500]),
            added_cond_kwargs={"resolution": None, "aspect_ratio": None},
        ).sample


@pytest.fixture
def adapter_file(tmp_path):
    """(output of the transformer with a random adapter, the adapter's file)."""
    network = transformer(FAMILIES["pixart"].network_class)
    targets = ("to_q", "to_k", "to_v", "to_out.0")
    add_adapter(network, "global", rank=4, alpha=6.0, targets=targets)
    torch.manual_seed(1)
    for parameter in adapter_parameters(network, "global"):
        torch.nn.init.normal_(parameter, std=0.2)
    info = AdapterInfo("global", 4, 6.0, targets, "ab" * 32, ("a",), 0.5)
    file = save_adapter(network, info, tmp_path, dtype=torch.float32, prefix=PREFIX)
    return predict(network), file


def test_peft_loads_it_on_the_transformer_as_the_documentation_shows(adapter_file):
    """The steps of docs/stable.md."""
    expected, file = adapter_file
    with safe_open(file, framework="pt") as opened:
        facts = json.loads(opened.metadata()["lora_adapter_metadata"])
        tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
    network = transformer()
    config = LoraConfig(**{key.removeprefix("transformer."): facts[key] for key in facts})
    inject_adapter_in_model(config, network)
    state = {key.removeprefix("transformer."): value for key, value in tensors.items()}
    set_peft_model_state_dict(network, state)
    assert not torch.allclose(expected, predict(transformer()), atol=1e-2)
    torch.testing.assert_close(predict(network), expected)


def test_pipelines_of_pixart_have_no_loader_of_adapters_and_stable_diffusions_has():
    """What docs/stable.md states of diffusers; where it changes, the page is to be changed too."""
    assert hasattr(StableDiffusionPipeline, "load_lora_weights")
    assert not hasattr(PixArtAlphaPipeline, "load_lora_weights")
    assert not hasattr(PixArtTransformer2DModel, "load_lora_adapter")


def test_kohyas_names_are_refused(adapter_file):
    info, tensors = read_adapter(adapter_file[1])
    with pytest.raises(AdapterMismatch, match="a LoRA of a U-Net alone can be renamed"):
        to_kohya(tensors, info)
