"""A structure encoder that sees shapes begins as the one it was made of."""

import numpy as np
import torch

from histosynth.core.geometry import Size
from histosynth.core.nuclei import Nuclei
from histosynth.model.conditioning import structure_maps
from histosynth.model.structure import StructureEncoder, with_shapes

CLASSES = ("a", "b")


def maps_of(shapes):
    nuclei = Nuclei.of(
        [[40, 40], [90, 70]],
        ["a", "b"],
        size=(128, 128),
        mpp=0.5,
        classes=CLASSES,
        shapes=shapes,
    )
    return structure_maps(
        [nuclei, None], [None, None], [None, None], classes=2, size=Size(128, 128)
    )


def test_it_begins_as_the_other_and_can_learn_to_differ():
    torch.manual_seed(0)
    plain = StructureEncoder(classes=2, fine=8, widths=(16, 16), outputs=(16, 16), strides=(2, 4))
    wider = with_shapes(plain)
    assert wider.config.shapes and not plain.config.shapes
    known = maps_of([[60, 2, 30], [np.nan] * 3])
    before = plain(known).fine
    torch.testing.assert_close(wider(known).fine, before)
    weight = wider.enter[0].weight
    torch.nn.init.normal_(weight.data[:, plain.enter[0].weight.shape[1] :])
    assert (wider(known).fine[0] - before[0]).abs().max() > 1e-3
    unknown = maps_of(None)
    torch.testing.assert_close(wider(unknown).fine, plain(unknown).fine)
    torch.testing.assert_close(wider(known.without_nuclei()).fine[0], before[1])
