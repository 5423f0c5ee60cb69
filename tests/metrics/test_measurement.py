"""Measuring a tile: order of metrics, features by number, and detectors that run once."""

import numpy as np
import pytest

from histosynth.core.nuclei import Nuclei
from histosynth.detectors.detector import DetectedNuclei
from histosynth.encoders.encoder import Embedded
from histosynth.metrics import METRICS
from histosynth.metrics.measurement import embed_tiles, measure_tile
from histosynth.metrics.metric import Metric, TileInput, Tools


class SpatialEncoder:
    """Features are the mean colour, spatial features the colours of the corners."""

    name = "spatial"

    def __init__(self, has_spatial=True):
        self.about = {}
        self.has_spatial = has_spatial

    def embed(self, pictures):
        features = pictures.mean(axis=(1, 2), dtype=np.float32)
        spatial = pictures[:, ::-1, 0].astype(np.float32).reshape(len(pictures), -1)
        return Embedded(features, spatial if self.has_spatial else None)


def picture(side, seed):
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3)).astype(np.uint8)


def test_features_are_those_of_each_picture():
    pictures = {7: picture(8, 0), 2: picture(6, 1), 4: picture(8, 2)}
    values = embed_tiles(pictures, SpatialEncoder())
    assert sorted(values) == [2, 4, 7]
    for number, pixels in pictures.items():
        assert list(values[number]) == ["embed/features", "embed/spatial"]
        np.testing.assert_allclose(
            values[number]["embed/features"], pixels.mean(axis=(0, 1)), rtol=1e-6
        )
        assert np.array_equal(
            values[number]["embed/spatial"], pixels[::-1, 0].astype(float).ravel()
        )
    plain = embed_tiles(pictures, SpatialEncoder(has_spatial=False))
    assert [list(plain[number]) for number in pictures] == [["embed/features"]] * 3
    assert embed_tiles({}, SpatialEncoder()) == {}


class Finder:
    """Finds one nucleus more on each run."""

    name = "finder"
    mpp = 0.25
    classes = ("round", "long")
    halo_px = 16
    lattice_px = 8

    def __init__(self):
        self.runs = []

    def __call__(self, pixels):
        self.runs.append(pixels)
        count = len(self.runs)
        return DetectedNuclei(
            np.full((count, 2), 3, np.float32),
            np.zeros(count, np.uint8),
            np.ones(count, np.float32),
        )


@pytest.fixture
def probes(monkeypatch):
    """Two metrics that call the detector, and the tools that they receive."""
    received = []

    def probe(name):
        def measure(tile, tools):
            received.append(tools)
            found = [len(each(tile.pixels)) for each in (tools.detectors or {}).values()]
            return {f"{name}/found": np.array(found)}

        return Metric(name, measure, lambda sides, settings: None)

    metrics = {name: probe(name) for name in ("first", "second", "third")}
    monkeypatch.setattr("histosynth.metrics.measurement.METRICS", metrics)
    return received


def test_metrics_measure_in_the_order_of_the_report(probes):
    tile = TileInput(picture(16, 0), 0.25)
    values = measure_tile(tile, iter(["third", "first", "unknown"]), Tools())
    assert list(values) == ["first/found", "third/found"]
    assert values["first/found"].size == 0
    assert "unknown" not in METRICS


def test_a_detector_runs_once_a_picture_and_keeps_its_properties(probes):
    finders = {"a": Finder(), "b": Finder()}
    classes = ("round",)
    tools = Tools(detectors=finders, classes=classes, nima=len)
    tile = TileInput(picture(16, 0), 0.25)
    values = measure_tile(tile, ["first", "second"], tools)
    assert {key: each.tolist() for key, each in values.items()} == {
        "first/found": [1, 1],
        "second/found": [1, 1],
    }
    assert [len(each.runs) for each in finders.values()] == [1, 1]
    assert np.array_equal(finders["a"].runs[0], tile.pixels)
    once, again = probes
    assert once is again
    assert list(once.detectors) == ["a", "b"]
    assert once.classes == classes
    assert once.nima is len
    for each in once.detectors.values():
        properties = (each.name, each.mpp, each.classes, each.halo_px, each.lattice_px)
        assert properties == ("finder", 0.25, ("round", "long"), 16, 8)
    cached = once.detectors["a"]
    assert len(cached(tile.pixels.copy())) == 1
    # another picture is searched, and then the first one again
    assert len(cached(picture(16, 1))) == 2
    assert len(cached(picture(16, 1))) == 2
    assert len(cached(tile.pixels)) == 3


def test_nuclei_of_a_picture_without_pixels_are_searched_for_once(probes):
    finder = Finder()
    tools = Tools(detectors={"a": finder})
    empty = TileInput(np.zeros((0, 0, 3), np.uint8), 0.25)
    measure_tile(empty, ["first", "second"], tools)
    assert len(finder.runs) == 1


def test_tools_without_detectors_are_passed_on(probes):
    tools = Tools()
    nuclei = Nuclei.none((16, 16), 0.25, ())
    measure_tile(TileInput(picture(16, 0), 0.25, nuclei), ["first"], tools)
    assert probes[0] is tools
