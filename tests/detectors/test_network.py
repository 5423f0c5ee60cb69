"""The centroid network: peaks to a part of a cell, and the same answer in any window."""

import numpy as np
import pytest
import torch

from histosynth.core.errors import BadWeights
from histosynth.core.resampling import resample_rgb
from histosynth.detectors.centroids import CentroidDetector, load_detector, save_detector
from histosynth.detectors.finding import find_nuclei
from histosynth.detectors.info import SHIPPED_CARDS, DetectorInfo, read_detector_info
from histosynth.detectors.network import CELL_PX, CentroidNet, find_peaks


def bump(x_px, y_px, *, height=0.8, sigma=2.0):
    """Heat of a nucleus at (x, y) px on a map of 20 x 24 cells, and class logits of two classes."""
    rows, columns = torch.meshgrid(torch.arange(20.0), torch.arange(24.0), indexing="ij")
    centre_x = (x_px - (CELL_PX - 1) / 2) / CELL_PX
    centre_y = (y_px - (CELL_PX - 1) / 2) / CELL_PX
    distance = (columns - centre_x) ** 2 + (rows - centre_y) ** 2
    heat = height * torch.exp(-distance / (2 * sigma**2))
    classes = torch.zeros(2, 20, 24)
    return heat, classes


@pytest.mark.parametrize("point", [(20.5, 18.5), (21.3, 17.9), (19.75, 18.1)])
def test_a_peak_is_found_between_cells(point):
    heat, classes = bump(*point)
    xy, _, score = find_peaks(heat, classes, threshold=0.3)
    assert xy.tolist() == [pytest.approx(point, abs=0.1)]
    assert 0.7 < float(score[0]) < 0.81


def test_a_peak_counts_from_its_threshold_on():
    heat, classes = bump(20.5, 18.5)
    highest = float(heat.max())
    assert len(find_peaks(heat, classes, threshold=highest)[0]) == 1
    assert len(find_peaks(heat, classes, threshold=highest + 1e-4)[0]) == 0


def test_the_class_is_that_of_the_cells_around_a_peak():
    heat, classes = bump(20.5, 18.5)
    row, column = divmod(int(heat.argmax()), heat.shape[1])
    classes[1, row - 1 : row + 2, column - 1 : column + 2] = 2.0
    classes[0, row, column] = 4.0
    assert find_peaks(heat, classes, threshold=0.3)[1].tolist() == [1]


def test_two_cells_of_one_height_are_one_nucleus():
    heat, classes = bump(20.5, 18.5)
    heat[9, 10] = heat[9, 11] = heat.max() + 0.1
    assert len(find_peaks(heat, classes, threshold=0.3)[0]) == 1


def test_an_untrained_network_expects_no_nucleus():
    network = CentroidNet(2, widths=(8, 8), blocks=(1, 1))
    assert network.head[-1].bias[0].item() == -2.5
    with torch.no_grad():
        heat, classes = network(torch.zeros(1, 3, 16, 24))
    assert heat.shape == (1, 1, 8, 12) and classes.shape == (1, 2, 8, 12)


def noise(height, width):
    """A picture of grey levels from 100 to 255."""
    random = np.random.default_rng(0)
    levels = random.integers(100, 256, (height, width, 3))
    return levels.astype(np.uint8)


@pytest.mark.parametrize("folder", SHIPPED_CARDS.values())
def test_windows_of_a_large_picture_give_the_maps_of_the_whole(folder):
    whole = load_detector(folder)
    windows = CentroidDetector(
        whole.info,
        whole.network,
        window_px=192,
    )
    pixels = noise(200, 264)
    heat, classes = whole.maps(pixels)
    window_heat, window_classes = windows.maps(pixels)
    assert float((heat - window_heat).abs().max()) < 5e-3
    difference = classes.softmax(0) - window_classes.softmax(0)
    assert float(difference.abs().max()) < 0.02


def test_a_detector_is_read_as_it_was_saved_and_no_other_weights(tmp_path):
    info = DetectorInfo("small", 0.5, ("a", "b"), (8, 8), (1, 1), 0.4)
    network = CentroidNet(2, widths=(8, 8), blocks=(1, 1))
    save_detector(tmp_path, info, network.state_dict())
    detector = load_detector(tmp_path)
    assert detector.info == read_detector_info(tmp_path)
    assert detector.name == f"small {detector.info.sha256[:12]}"
    assert detector.lattice_px == 4 and detector.classes == ("a", "b")
    other = tmp_path / "other"
    save_detector(other, info, network.state_dict())
    (other / "model.safetensors").write_bytes(b"other")
    with pytest.raises(BadWeights, match=r"its sha256 is not the one that detector\.json names"):
        load_detector(other)


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": 0.0},
        {"threshold": 1.0},
        {"mpp": 0.04},
        {"classes": ()},
        {"widths": (8,)},
        {"widths": (8, 1025)},
        {"widths": (8, 0)},
        {"blocks": (1, 17)},
        {"widths": (8,) * 9, "blocks": (1,) * 9},
    ],
)
def test_a_card_out_of_its_limits_is_refused(wrong):
    values = {
        "name": "x",
        "mpp": 0.5,
        "classes": ("a",),
        "widths": (8, 8),
        "blocks": (1, 1),
        "threshold": 0.5,
    }
    assert DetectorInfo(**values).full_name == "x "
    with pytest.raises(ValueError, match="must"):
        DetectorInfo(**{**values, **wrong})


def test_positions_come_back_in_the_picture_s_own_pixels():
    """A detector that finds the darkest pixel, at twice the picture's scale."""

    class Darkest:
        name = "darkest"
        mpp = 0.25
        classes = ("k",)
        halo_px = 0
        lattice_px = 1

        def __call__(self, pixels):
            from histosynth.detectors.detector import DetectedNuclei

            at = np.argwhere(pixels[..., 0] == pixels[..., 0].min())[:, ::-1].mean(axis=0)
            xy = np.array([at], np.float32)
            return DetectedNuclei(xy, np.zeros(1, np.uint8), np.ones(1, np.float32))

    pixels = np.full((40, 60, 3), 250, np.uint8)
    pixels[10:13, 20:23] = 0
    found = find_nuclei(pixels, 0.5, Darkest())
    assert found.xy.tolist() == [pytest.approx((21, 11), abs=0.1)]
    assert found.size == (60, 40) and resample_rgb(pixels, 2.0).shape == (80, 120, 3)
