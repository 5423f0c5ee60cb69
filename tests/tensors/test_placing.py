"""Networks that measure, elsewhere: their results come back, and names and facts state it."""

from collections import OrderedDict
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from histosynth.core.errors import BadOption
from histosynth.core.place import CPU_PLACE, ComputePlace
from histosynth.detectors.opening import detector_name, open_detector
from histosynth.encoders.opening import open_encoder, open_perceptual
from histosynth.tensors import placing
from histosynth.tensors.placing import PlacedNetwork, measuring_place, placed

ELSEWHERE = ComputePlace("elsewhere")


@pytest.fixture
def elsewhere(monkeypatch):
    """A device of another name that this machine has."""
    monkeypatch.setattr(placing, "pick_device", lambda name: torch.device("cpu"))


class Outputs(nn.Module):
    """Gives results in every form that networks have them in."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x, *, scale=1.0):
        found = scale * self.layer(x)
        counts = torch.arange(3)
        return found, [found.half(), counts], OrderedDict(logits=found.double())


def test_results_in_any_form_come_back_as_float32(elsewhere):
    network = Outputs()
    x = torch.randn(2, 4)
    whole, (half, counts), output = PlacedNetwork(network, ELSEWHERE)(x, scale=torch.tensor(2.0))
    expected = 2 * network.layer(x)
    assert torch.equal(whole, expected)
    assert half.dtype == torch.float32 and torch.equal(half, expected.half().float())
    assert torch.equal(counts, torch.arange(3)) and counts.dtype == torch.int64
    assert output["logits"].dtype == torch.float32


def test_the_network_itself_is_not_moved(elsewhere):
    network = Outputs()
    other = PlacedNetwork(network, ELSEWHERE)
    assert other.layer is not network.layer
    assert torch.equal(other.layer.weight, network.layer.weight)
    called = PlacedNetwork(partial(lambda net, x: net(x)[0], network), ELSEWHERE)
    x = torch.randn(2, 4)
    assert torch.equal(called(x), network.layer(x))


def test_bfloat16_computes_products_in_it():
    network = nn.Linear(64, 64)
    x = torch.randn(8, 64)
    found = PlacedNetwork(network, ComputePlace("cpu", bf16=True))(x)
    with torch.autocast("cpu", torch.bfloat16):
        expected = network(x)
    assert expected.dtype == torch.bfloat16
    assert found.dtype == torch.float32 and torch.equal(found, expected.float())
    assert not torch.equal(found, network(x))


def test_detectors_find_the_same_elsewhere_and_nearly_the_same_in_bfloat16(elsewhere, tile):
    own = open_detector("centroids")(tile)
    other = open_detector("centroids", ELSEWHERE)(tile)
    assert len(own) and np.array_equal(own.xy, other.xy) and np.array_equal(own.score, other.score)
    rounded = open_detector("centroids", ComputePlace(bf16=True))(tile)
    assert len(rounded) and not np.array_equal(rounded.score, own.score)
    assert abs(len(rounded) - len(own)) <= 2


def test_the_name_of_a_detector_states_its_number_type():
    plain = detector_name("centroids")
    assert detector_name("centroids", ELSEWHERE) == plain
    assert detector_name("centroids", ComputePlace(bf16=True)) == f"{plain}, bf16"
    assert detector_name("blobs", ComputePlace(bf16=True)) == "blobs 1"
    assert open_detector("blobs", ELSEWHERE).name == "blobs 1"


def test_encoders_and_distances_give_the_same_elsewhere_and_state_it(elsewhere, tile):
    own = open_encoder("histo")
    other = open_encoder("histo", device="elsewhere")
    assert other.about == {**own.about, "device": "elsewhere"} and "device" not in own.about
    assert np.array_equal(own.embed(tile[None]).features, other.embed(tile[None]).features)
    both = open_encoder("histo", bf16=True, device="elsewhere")
    assert both.about["numbers"] == "bfloat16, sums in float32"
    mask = np.ones((1, 1, *tile.shape[:2]), bool)
    pair = tile[None], tile[None, ::-1]
    near = open_perceptual("histo")
    far = open_perceptual("histo", device="elsewhere")
    assert np.array_equal(near.distance(*pair, mask), far.distance(*pair, mask))
    assert far.about["device"] == "elsewhere" and far.name == near.name == "perceptual_histo"


def test_a_tool_whose_network_cannot_be_moved_is_refused(elsewhere):
    class Fixed:
        name = "instanseg"

    tool = Fixed()
    assert placed(tool, CPU_PLACE) is tool
    for place, shown in ((ELSEWHERE, "elsewhere"), (ComputePlace(bf16=True), "cpu, bf16")):
        with pytest.raises(BadOption) as caught:
            placed(tool, place)
        assert str(caught.value) == (
            f"the device is {shown}, but must be left out: instanseg takes none. "
            "Give another value."
        )


def test_options_name_a_place():
    assert measuring_place(None, None) == measuring_place("cpu", "fp32") == CPU_PLACE
    assert measuring_place(None, "bf16") == ComputePlace("cpu", True)
    with pytest.raises(BadOption) as caught:
        measuring_place(None, "fp16")
    assert str(caught.value) == (
        "the number type is fp16, but must be fp32 or bf16, where tiles are measured. "
        "Give another value."
    )
    with pytest.raises(BadOption, match="the device is nowhere, but must be one that torch can"):
        measuring_place("nowhere", None)
