"""The dict of metrics: what callers may rely on when they loop over it."""

import subprocess
import sys

import numpy as np
import pytest

from histosynth.core.nuclei import Nuclei
from histosynth.detectors.blobs import BlobDetector
from histosynth.encoders.encoder import Embedded
from histosynth.metrics import METRICS, OLD_METRIC_NAMES, with_dependencies
from histosynth.metrics.measurement import embed_tiles, measure_tile
from histosynth.metrics.metric import Need, Settings, Sides, TileInput, Tool, Tools
from histosynth.metrics.sample import Sample, TileMeasurements


class CountedDetector:
    """A detector that counts how often it runs."""

    name = "counted"
    mpp = 0.5
    classes = ("round",)
    halo_px = 0
    lattice_px = 1

    def __init__(self):
        self.blobs = BlobDetector()
        self.runs = 0

    def __call__(self, pixels):
        self.runs += 1
        return self.blobs(pixels)


class MeanEncoder:
    """Features are the mean colour; remembers the sizes of its batches."""

    name = "mean"

    def __init__(self):
        self.about = {}
        self.batches = []

    def embed(self, pictures):
        self.batches.append(pictures.shape)
        return Embedded(pictures.mean(axis=(1, 2), dtype=np.float32))


def tile(side=96, seed=0):
    random = np.random.default_rng(seed)
    pixels = random.integers(120, 250, (side, side, 3)).astype(np.uint8)
    xy = random.uniform(4, side - 5, (12, 2))
    nuclei = Nuclei.of(xy, ["round"] * 12, size=(side, side), mpp=0.5, classes=("round",))
    return TileInput(pixels, 0.5, nuclei)


def test_each_metric_is_listed_under_its_own_name():
    assert [metric.name for metric in METRICS.values()] == list(METRICS)
    assert list(METRICS) == [
        "realism",
        "structure",
        "morphology",
        "layout",
        "inpainting",
        "copying",
        "quality",
        "stain",
    ]


def test_importing_the_dict_loads_no_metric():
    code = (
        "import sys; from histosynth.metrics import METRICS; "
        "print([name for name in ('torch', 'scipy', 'sklearn') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_inputs_and_tools_of_each_metric():
    needs = {name: metric.needs for name, metric in METRICS.items() if metric.needs}
    assert needs == {
        "structure": {Need.NUCLEI},
        "inpainting": {Need.MASKS},
        "copying": {Need.REFERENCE},
    }
    detecting = {name for name, metric in METRICS.items() if Tool.DETECTORS in metric.tools}
    assert detecting == {"structure", "morphology", "layout"}
    assert METRICS["realism"].tools == {Tool.ENCODER}
    assert METRICS["inpainting"].tools == {Tool.PERCEPTUAL}
    assert METRICS["quality"].tools == {Tool.NIMA}


def test_a_metric_brings_what_it_reads_in_the_order_of_the_report():
    assert with_dependencies(["stain", "copying"]) == ("realism", "copying", "stain")
    assert with_dependencies(["layout"]) == ("layout",)


def test_old_names_lead_to_metrics():
    assert OLD_METRIC_NAMES["mending"] == "inpainting"
    assert set(OLD_METRIC_NAMES.values()) <= set(METRICS)
    assert not set(OLD_METRIC_NAMES) & set(METRICS)


def test_only_the_requested_metrics_are_measured():
    values = measure_tile(tile(), ["stain", "copying"], Tools())
    assert {name.partition("/")[0] for name in values} == {"stain", "copy"}


def test_a_detector_runs_once_on_a_tile_however_many_metrics_use_it():
    detector = CountedDetector()
    tools = Tools(detectors={"counted": detector}, classes=("round",))
    values = measure_tile(tile(), ["structure", "morphology", "layout"], tools)
    assert detector.runs == 1
    assert "structure/counted/counts" in values
    assert "morphology/values" in values
    assert values["requested/layout/counts"].tolist() == [12, 0]
    measure_tile(tile(seed=1), ["layout"], tools)
    assert detector.runs == 2


def test_tiles_without_requested_nuclei_have_a_layout_but_no_structure():
    tools = Tools(detectors={"counted": CountedDetector()})
    bare = TileInput(tile().pixels, 0.5)
    values = measure_tile(bare, ["structure", "morphology", "layout"], tools)
    assert not any(name.startswith(("structure/", "requested/")) for name in values)
    assert "found/layout/counts" in values
    assert "morphology/values" in values


def test_inpainting_is_measured_only_where_the_original_is_known():
    completed = tile()
    mask = np.zeros((96, 96), bool)
    mask[30:60, 30:60] = True
    masked = TileInput(completed.pixels, 0.5, None, tile(seed=1).pixels, mask)
    assert measure_tile(completed, ["inpainting"], Tools()) == {}
    assert "inpainting/ssim" in measure_tile(masked, ["inpainting"], Tools())


def test_a_picture_is_rated_only_by_an_opened_network():
    without = measure_tile(tile(), ["quality"], Tools())
    assert "quality/nima" not in without
    rated = measure_tile(tile(), ["quality"], Tools(nima=lambda pixels: 4.5))
    assert rated["quality/nima"].tolist() == [4.5]


def test_pictures_of_one_size_are_embedded_as_one_batch():
    encoder = MeanEncoder()
    pictures = {3: tile(64).pixels, 5: tile(96).pixels, 8: tile(64, seed=2).pixels}
    features = embed_tiles(pictures, encoder)
    assert sorted(encoder.batches) == [(1, 96, 96, 3), (2, 64, 64, 3)]
    for number, pixels in pictures.items():
        expected = pixels.mean(axis=(0, 1))
        assert features[number]["embed/features"] == pytest.approx(expected, rel=1e-5)


def test_copying_without_a_training_set_is_refused():
    sides = Sides(Sample(()), Sample(()))
    with pytest.raises(ValueError, match="reference"):
        METRICS["copying"].conclude(sides, Settings())


def test_structure_compares_only_tiles_that_were_measured():
    detector = CountedDetector()
    tools = Tools(detectors={"counted": detector}, classes=("round",))
    tiles = []
    for seed in range(4):
        values = measure_tile(tile(seed=seed), ["structure"], tools)
        tiles.append(TileMeasurements(f"t{seed}", f"p{seed}", "", values))
    unmeasured = TileMeasurements("x", "p9", "", {})
    sides = Sides(Sample((unmeasured,)), Sample((*tiles, unmeasured)))
    settings = Settings(classes=("round",), detector_classes={"counted": ("round",)})
    section = METRICS["structure"].conclude(sides, settings)
    (f1,) = [each for each in section.findings if each.name == "F1_counted"]
    assert f1.value.n == 4 * 12
    assert f1.real is None
