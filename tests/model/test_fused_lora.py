"""Fused layers compute what diffusers and PEFT do, forward and backward, and step aside where they
cannot."""

import copy
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from peft.tuners.lora import LoraLayer
from torch import nn

from histosynth.model import fused_lora
from histosynth.model.adapters import adapter_parameters, add_adapter, set_active_adapter
from histosynth.model.families.opening import BaseLocation, embed, open_base
from histosynth.model.families.text_family import TextBase
from histosynth.model.fused_lora import FusedAttention, apply_layers, fuse_lora_layers, geglu
from histosynth.model.structure import StructureFeatures
from histosynth.testing_bases import tiny_base

PROMPTS = ("", "tissue", "breast tissue, stained purple")
ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
CASES = {
    "sd15": ATTENTION,
    "sd21": (*ATTENTION, "conv1", "conv2", "ff.net.0.proj", "ff.net.2"),
    "pixart": ("attn1.to_q", "attn2.to_v"),
}
"""A base each, and layers that its adapter sits on: some of an attention's, all, and others'
too."""


@pytest.fixture(scope="module", params=list(CASES))
def twins(request, tmp_path_factory):
    """A network with a random adapter, the same fused, and a function to call either."""
    folder = tiny_base(
        tmp_path_factory.mktemp("base"),
        request.param,
        width=None if request.param == "pixart" else 64,
    )
    source = BaseLocation(str(folder), Path())
    opened = open_base(source)
    base = TextBase(
        opened.family,
        opened.schedule,
        embed(source, opened.family, PROMPTS),
        0,
        opened.inpainting,
    )
    network = opened.network
    add_adapter(
        network,
        "global",
        rank=4,
        alpha=8.0,
        targets=CASES[request.param],
    )
    with torch.no_grad():
        for parameter in adapter_parameters(network, "global"):
            parameter.normal_(
                0,
                0.05,
                generator=torch.Generator().manual_seed(len(parameter)),
            )

    def answer(unet, dtype=torch.float32):
        generator = torch.Generator().manual_seed(0)
        outputs, strides = base.family.residual_shapes(unet)
        scales = tuple(
            (0.1 * torch.randn(3, out, 16 // by, 16 // by, generator=generator)).requires_grad_()
            for out, by in zip(outputs, strides, strict=True)
        )
        features = StructureFeatures(torch.zeros(3, 0, 16, 16), scales)
        style = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])  # nothing, no label, the label
        output = base.make_denoiser(unet.to(dtype)).predict(
            torch.randn(3, 4, 16, 16, generator=generator),
            torch.tensor([0.2, 0.5, 0.9]),
            features,
            style,
        )
        (output * torch.randn(output.shape, generator=generator)).sum().backward()
        gradients = [each.grad for each in adapter_parameters(unet, "global")]
        unet.zero_grad()
        return output.detach(), [*gradients, *(scale.grad for scale in scales)]

    return network, fuse_lora_layers(copy.deepcopy(network)), answer


def test_outputs_and_all_gradients_are_those_of_diffusers_and_peft(twins):
    plain, quick, answer = twins
    (output, gradients), (own_output, own_gradients) = answer(plain), answer(quick)
    assert torch.allclose(own_output, output, rtol=1e-5, atol=1e-5)
    assert any(float(each.abs().max()) > 0 for each in gradients)
    for own, each in zip(own_gradients, gradients, strict=True):
        assert torch.allclose(
            own,
            each,
            rtol=1e-4,
            atol=1e-5 * float(each.abs().max()),
        )


def test_computing_activations_again_gives_the_same_gradients(twins):
    _, quick, answer = twins
    output, gradients = answer(quick)
    again = copy.deepcopy(quick).train()
    again.enable_gradient_checkpointing()
    own_output, own_gradients = answer(again)
    assert torch.allclose(own_output, output, atol=1e-6)
    pairs = zip(own_gradients, gradients, strict=True)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in pairs)


def test_every_attention_of_the_blocks_is_fused_and_no_weight_changes_its_name(twins):
    plain, quick, _ = twins
    fused_ones = [
        isinstance(m.processor, FusedAttention) for m in quick.modules() if isinstance(m, Attention)
    ]
    assert fused_ones and all(fused_ones)
    assert list(plain.state_dict()) == list(quick.state_dict())
    left = [each for each in plain.modules() if isinstance(each, Attention)]
    assert all(isinstance(each.processor, AttnProcessor2_0) for each in left)


def test_the_fused_base_without_its_adapter_is_the_base(twins):
    plain, quick, answer = twins
    active, _ = answer(quick)
    for each in (plain, quick):
        set_active_adapter(each, None)
    with torch.no_grad():
        output, own = (layer_outputs(each) for each in (plain, quick))
    set_active_adapter(plain, "global")
    set_active_adapter(quick, "global")
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(output, own, strict=True))
    assert torch.equal(active, answer(quick)[0])


def layer_outputs(network):
    """Of each attention, on noise."""
    found = []
    for module in network.modules():
        if isinstance(module, Attention):
            generator = torch.Generator().manual_seed(1)
            x = torch.randn(2, 9, module.query_dim, generator=generator)
            words = torch.randn(
                2,
                5,
                module.cross_attention_dim,
                generator=generator,
            )
            found.append(module(x, words if module.is_cross_attention else None))
    return found


def layer_with_adapter(dropout=0.0):
    """A linear layer with an adapter, in a network with adapters of PEFT."""
    from peft import LoraConfig, inject_adapter_in_model

    torch.manual_seed(0)
    holder = nn.Sequential(nn.Linear(6, 5))
    config = LoraConfig(
        r=2,
        target_modules=["0"],
        lora_dropout=dropout,
        init_lora_weights=False,
    )
    inject_adapter_in_model(config, holder, adapter_name="one")
    layer = holder[0]
    assert isinstance(layer, LoraLayer)
    return holder, layer


def test_dropout_of_an_adapter_is_left_to_peft():
    holder, layer = layer_with_adapter(dropout=0.5)
    x = torch.randn(40, 6)
    holder.train()
    torch.manual_seed(3)
    output = layer(x)
    torch.manual_seed(3)
    assert torch.equal(apply_layers([layer], x)[0], output)
    holder.eval()  # nothing is dropped: fused again
    assert fused_lora.layer_of(layer) is not None
    assert torch.allclose(apply_layers([layer], x)[0], layer(x), atol=1e-6)


def test_two_active_adapters_and_a_trained_base_are_left_to_peft():
    from peft import LoraConfig, inject_adapter_in_model

    holder, layer = layer_with_adapter()
    assert fused_lora.layer_of(layer).scale == pytest.approx(8 / 2)
    layer.base_layer.requires_grad_(True)
    assert fused_lora.layer_of(layer) is None
    layer.base_layer.requires_grad_(False)
    with pytest.warns(UserWarning, match="multiple adapters"):
        inject_adapter_in_model(
            LoraConfig(r=2, target_modules=["0"]),
            holder,
            adapter_name="two",
        )
    layer.set_adapter(["one", "two"])
    assert fused_lora.layer_of(layer) is None
    x = torch.randn(3, 6)
    assert torch.equal(apply_layers([layer], x)[0], layer(x))
    layer.set_adapter("one")
    layer.lora_A.one.bfloat16()  # PEFT converts its input, and a fused sum does not
    layer.lora_B.one.bfloat16()
    assert torch.equal(apply_layers([layer], x)[0], layer(x))


def test_the_gate_is_the_product_it_replaces_in_any_number_of_pieces(monkeypatch):
    for piece in (1, 64, 1 << 20):
        monkeypatch.setattr(fused_lora, "GATE_PIECE_SIZE", piece)
        both = torch.randn(
            2,
            5,
            12,
            dtype=torch.float64,
            requires_grad=True,
        )
        assert torch.autograd.gradcheck(geglu, both)
        value, gate = both.chunk(2, -1)
        assert torch.allclose(geglu(both), value * F.gelu(gate))


def test_fused_layers_in_bfloat16_are_as_close_to_float32_as_those_they_replace(twins):
    plain, quick, answer = twins
    output, gradients = answer(quick)
    errors = {}
    for name, network in (("plain", plain), ("quick", quick)):
        own, own_gradients = answer(copy.deepcopy(network), torch.bfloat16)
        flat, true = (
            torch.cat([each.float().flatten() for each in of]) for of in (own_gradients, gradients)
        )
        errors[name] = [float((a - b).norm() / b.norm()) for a, b in ((own, output), (flat, true))]
    for own_error, error in zip(errors["quick"], errors["plain"], strict=True):
        assert 0 < own_error < 1.2 * error < 0.2


def test_narrow_heads_are_trained_in_float32_on_a_cpu_and_wide_ones_are_not(monkeypatch):
    taken = []
    real = F.scaled_dot_product_attention

    def recording(query, *args, **kwargs):
        taken.append(query.dtype)
        return real(query, *args, **kwargs)

    monkeypatch.setattr(F, "scaled_dot_product_attention", recording)
    for width, keys in ((8, 200), (64, 20), (64, 200)):
        one = torch.randn(
            1,
            2,
            keys,
            width,
            dtype=torch.bfloat16,
            requires_grad=True,
        )
        assert fused_lora._attend(one, one, one, None).dtype == torch.bfloat16
        with torch.no_grad():
            fused_lora._attend(one, one, one, None)
    trained = taken[::2]
    sampled = taken[1::2]
    assert trained == [torch.float32, torch.float32, torch.bfloat16]
    assert sampled == [torch.bfloat16] * 3
