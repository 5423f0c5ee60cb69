"""The node of ComfyUI: residuals where its U-Net takes them, and maps at their own size only."""

import comfy_double
import numpy as np
import pytest
import torch

from histosynth import NucleiT2IAdapter, draw_layout
from histosynth.comfyui import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS
from histosynth.core.errors import BadOption, BadWeights
from histosynth.model.parts import save_part

CLASSES = ("epithelial", "lymphocyte", "stromal")
WIDTH = 128
HEIGHT = 192


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An adapter for a base of four levels, random in its output layers too."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        adapter = NucleiT2IAdapter(
            classes=CLASSES,
            mpp=0.5,
            widths=(8, 8, 8, 8),
            outputs=(16, 24, 32, 40),
            strides=(1, 2, 4, 8),
        )
        for parameter in adapter.encoder.leave.parameters():
            torch.nn.init.normal_(parameter)
    path = tmp_path_factory.mktemp("node") / "adapter"
    save_part(adapter, path, dtype=torch.float32)
    return path


@pytest.fixture
def control(folder, monkeypatch):
    comfy_double.install(monkeypatch)
    (node,) = NODE_CLASS_MAPPINGS.values()
    (found,) = getattr(node(), node.FUNCTION)(str(folder))
    return found


def picture(adapter):
    """A nuclei map as ComfyUI loads it: (1, 3, H, W) in [0, 1]."""
    pixels = np.asarray(adapter.nuclei_picture(draw_layout((WIDTH, HEIGHT), mpp=0.5, seed=0)))
    return torch.from_numpy(pixels / np.float32(255)).permute(2, 0, 1)[None]


@torch.no_grad()
def test_each_level_takes_its_residual_in_its_last_block_before_the_next_one(folder, control):
    adapter = NucleiT2IAdapter.from_pretrained(folder)
    hint = picture(adapter)
    blocks = control.set_cond_hint(hint).get_control(torch.zeros(1, 4, HEIGHT // 8, WIDTH // 8))
    assert set(blocks) == {"input"}
    taken = [blocks["input"].pop() for _ in range(12)]
    assert [index for index, each in enumerate(taken) if each is not None] == [2, 5, 8, 11]
    for found, expected in zip(taken[2::3], adapter(hint), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


@torch.no_grad()
def test_a_copy_has_its_own_strength_and_the_same_network(folder, control):
    hint = picture(NucleiT2IAdapter.from_pretrained(folder))
    latents = torch.zeros(2, 4, HEIGHT // 8, WIDTH // 8)
    whole = control.set_cond_hint(hint).get_control(latents)["input"][0]
    half = control.copy().set_cond_hint(hint, strength=0.5).get_control(latents)["input"][0]
    torch.testing.assert_close(half, whole / 2)
    assert control.strength == 1.0


def test_a_map_of_another_size_than_the_picture_is_refused(folder, control):
    hint = picture(NucleiT2IAdapter.from_pretrained(folder))
    with pytest.raises(BadOption) as error:
        control.set_cond_hint(hint).get_control(torch.zeros(1, 4, 16, 16))
    assert str(error.value) == (
        "the size of the latents is 128 x 128 px, but must be 128 x 192 px. Give another value."
    )


def test_a_folder_without_an_adapter_is_refused(tmp_path):
    (node,) = NODE_CLASS_MAPPINGS.values()
    with pytest.raises(BadWeights):
        node().load(str(tmp_path))


def test_comfyui_reads_what_a_node_is():
    assert set(NODE_CLASS_MAPPINGS) == set(NODE_DISPLAY_NAME_MAPPINGS)
    (node,) = NODE_CLASS_MAPPINGS.values()
    assert node.RETURN_TYPES == ("CONTROL_NET",)
    assert node.INPUT_TYPES()["required"]["folder"][0] == "STRING"
