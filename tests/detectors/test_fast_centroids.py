"""The faster ways to the nuclei: peaks without pooling, whole tiles at once, the fast network."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from histosynth.detectors.centroids import build_network, load_detector
from histosynth.detectors.fast_network import FastCentroidNet
from histosynth.detectors.info import FAST_DETECTOR, SHIPPED_CARDS
from histosynth.detectors.network import find_peaks
from histosynth.detectors.opening import open_detector


def mean_of_neighbours(maps):
    """(B, C, h, w): mean over 3 x 3 cells, of fewer at the border."""
    return F.avg_pool2d(
        maps,
        3,
        1,
        1,
        count_include_pad=False,
    )


def test_peaks_and_classes_are_those_of_pooling_the_whole_maps():
    generator = torch.Generator().manual_seed(0)
    heat = torch.rand(60, 70, generator=generator)
    classes = torch.randn(3, 60, 70, generator=generator)
    image = heat[None, None]
    level = image + 0.25 * mean_of_neighbours(image)
    is_highest = (F.max_pool2d(level, 5, 1, 2) == level)[0, 0]
    y, x = torch.nonzero(is_highest & (heat >= 0.3), as_tuple=True)
    shares = mean_of_neighbours(classes.softmax(0)[None])[0]
    xy, class_ids, score = find_peaks(heat, classes, threshold=0.3)
    assert len(xy) > 100
    assert torch.equal(score, heat[y, x])
    assert torch.equal(class_ids, shares[:, y, x].argmax(0))
    cells = torch.stack([x, y], dim=1)
    assert float((xy - (cells * 2 + 0.5)).abs().max()) <= 1


def test_peaks_at_the_border_are_found_with_their_class():
    heat = torch.zeros(8, 9)
    heat[0, 0] = heat[7, 8] = 0.9
    classes = torch.zeros(2, 8, 9)
    classes[1, 7, 8] = 3.0
    _, class_ids, score = find_peaks(heat, classes, threshold=0.5)
    assert class_ids.tolist() == [0, 1] and len(score) == 2


@pytest.mark.parametrize("name", SHIPPED_CARDS)
def test_large_windows_find_the_nuclei_of_small_ones(name, monkeypatch):
    small = open_detector(name)
    large = open_detector(name, large_windows=True)
    sizes = []
    run_network = type(large)._run_network

    def counted(detector, window):
        sizes.append(window.shape[:2])
        return run_network(detector, window)

    monkeypatch.setattr(type(large), "_run_network", counted)
    pixels = np.random.default_rng(0).integers(0, 256, (48, 688, 3))
    maps = [each.maps(pixels.astype(np.uint8))[0] for each in (large, small)]
    assert sizes[0] == (48, 688) and len(sizes) == 3
    assert float((maps[0] - maps[1]).abs().max()) < 5e-3


def test_detectors_without_windows_are_opened_as_they_are():
    blobs = open_detector("blobs", large_windows=True)
    assert blobs.name == open_detector("blobs").name


def test_the_fast_network_answers_for_the_cells_of_the_other():
    fast = build_network("fast", 2, (8, 16), (1, 1))
    usual = build_network("centroids", 2, (8, 16), (1, 1))
    images = torch.rand(2, 3, 32, 48) * 2 - 1
    with torch.no_grad():
        answers = fast(images)
        wanted = usual(images)
        last = fast(images.contiguous(memory_format=torch.channels_last))
    assert [each.shape for each in answers] == [each.shape for each in wanted]
    assert torch.allclose(answers[0], last[0], atol=1e-5)
    assert fast.stride == 8 and usual.stride == 4
    assert fast.halo_px % fast.stride == 0


def test_the_fast_network_expects_no_nucleus_before_training():
    torch.manual_seed(0)
    network = FastCentroidNet(3)
    with torch.no_grad():
        heat, _ = network(torch.zeros(1, 3, 64, 64))
    assert float(heat.max()) < -1


def test_levels_without_blocks_learn_too():
    network = FastCentroidNet(2, widths=(8, 8), blocks=(0, 0))
    heat, classes = network(torch.rand(1, 3, 32, 32))
    (heat.mean() + classes.mean()).backward()
    assert all(weight.grad is not None for weight in network.parameters())


def test_the_shipped_fast_detector_is_small_and_has_a_card():
    detector = load_detector(FAST_DETECTOR)
    assert detector.info.network == "fast" and detector.info.name == "centroids-fast"
    assert detector.classes == load_detector().classes
    assert (FAST_DETECTOR / "model.safetensors").stat().st_size < 3e6
    assert (FAST_DETECTOR / "README.md").is_file()
