"""The notebooks, run whole at small sizes: what they show is what is there."""

import json
import re
from dataclasses import asdict

import numpy as np
import pytest
from PIL import Image

import histosynth as hs
from histosynth.core.matching import match_points
from histosynth.core.store import digest
from histosynth.core.synthetic import is_synthetic, read_recipe
from histosynth.detectors.opening import open_detector
from histosynth.preparation.tissue_mask import pen_mask
from histosynth.tissue.density import optical_density

run_notebooks = pytest.importorskip("run_notebooks", reason="the dev extra brings nbclient")
FIRST_USE_OF_MATPLOTLIB = "Matplotlib is building the font cache; this may take a moment.\n"


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    """Kernels read no settings of the user, write none, and compute on one thread."""
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR"):
        folder = tmp_path / "home" / name
        folder.mkdir(parents=True)
        monkeypatch.setenv(name, str(folder))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("HISTOSYNTH_DEVICE", "cpu")
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    monkeypatch.delenv("REAL_TISSUE", raising=False)


@pytest.fixture
def execute(tmp_path):
    """A notebook's text on stdout, and its number of pictures; nothing may be on stderr."""

    def run(name, **values):
        path = run_notebooks.FOLDER / f"{name}.ipynb"
        outputs = []
        for cell in run_notebooks.execute(path, tmp_path, values).cells:
            outputs += cell.get("outputs", [])
        streams = [each for each in outputs if each.output_type == "stream"]
        warned = "".join(each.text for each in streams if each.name == "stderr")
        assert warned.replace(FIRST_USE_OF_MATPLOTLIB, "") == ""
        pictures = sum("image/png" in each.get("data", {}) for each in outputs)
        return "".join(each.text for each in streams if each.name == "stdout"), pictures

    return run


def write_real(folder, tile):
    """Pictures of three patients with marked nuclei, two of them listed; their names."""
    random = np.random.default_rng(4)
    (folder / "images").mkdir(parents=True)
    (folder / "points").mkdir()
    names = [f"TCGA-A1-A00{patient}-x" for patient in range(3)]
    for number, name in enumerate(names):
        Image.fromarray(np.roll(tile, 17 * number, axis=1)).save(folder / "images" / f"{name}.png")
        points = random.uniform(5, 120, (20, 2))
        rows = [f"{x},{y},stromal" for x, y in points]
        text = "\n".join(["x,y,class", *rows])
        (folder / "points" / f"{name}.csv").write_text(text)
    (folder / "val.txt").write_text("\n".join(f"{name}.png" for name in names[:2]))
    return names[:2]


def f1_of_blobs(folder, names):
    """Over all nuclei of these pictures, within 12 px."""
    detector = open_detector("blobs")
    matched = found = marked = 0
    for name in names:
        points = np.loadtxt(
            folder / "points" / f"{name}.csv", delimiter=",", skiprows=1, usecols=(0, 1)
        )
        xy = detector(hs.read_rgb(folder / "images" / f"{name}.png")).xy
        matched += len(match_points(xy, points, 12).pairs)
        found += len(xy)
        marked += len(points)
    return 2 * matched / (found + marked)


def test_a_detector_from_synthetic_tiles(execute, tmp_path, tile):
    real = tmp_path / "my-patients"
    names = write_real(real, tile)
    text, pictures = execute(
        "detector-from-synthetic-tiles", TILES=5, SIDE=128, STEPS=3, REAL=str(real)
    )
    rows = list(hs.TileSet(tmp_path / "detector-work" / "tiles").rows())
    nuclei = sum(len(row.nuclei) for row in rows)
    assert len(rows) == 5
    assert all(row.recipe for row in rows)
    assert nuclei > 20
    assert "5 tiles of 128 x 128 px, 0 refused\n" in text
    assert f"{nuclei:7,} nuclei, labelled by nobody" in text
    assert "2 real tiles of my-patients; n = 2 patients, 40 nuclei\n" in text
    assert len(re.findall(r"^F1 0\.\d{3} \(0\.\d{3} to 0\.\d{3}\)  ", text, re.M)) == 3
    assert re.search(rf"^F1 {f1_of_blobs(real, names):.3f} .*dark blobs", text, re.M)
    assert "95 % interval: bootstrap over 2 patients (few, so too narrow)" in text
    assert pictures == 4


def test_mending_tiles(execute, tmp_path):
    text, pictures = execute("mend-your-tiles", SIDE=128, GUESSES=2)
    folder = tmp_path / "mend-work" / "stand-ins"
    for name in ("fold", "pen", "tear"):
        before = hs.read_rgb(folder / "images" / f"{name}.png")
        path = tmp_path / "mend-work" / "completed" / f"{name}.png"
        after = hs.read_rgb(path)
        if name == "pen":
            assert not (folder / "masks" / "pen.png").exists()
            mask = pen_mask(optical_density(before))
        else:
            mask = hs.read_mask(folder / "masks" / f"{name}.png")
        differs = (before != after).any(axis=2)
        assert not differs[~mask].any()
        changed = differs[mask].sum()
        assert changed > 0.9 * mask.sum() > 90
        assert (
            f"{name}: 0 of {(~mask).sum():,} known pixels changed, "
            f"{changed:,} of {mask.sum():,} masked ones\n"
        ) in text
        assert is_synthetic(path)
        assert read_recipe(path)["verb"] == "complete"
    assert re.search(r"^pen: .*ink covers \d+\.\d%, more than 3\.0%", text, re.M)
    difference = re.search(r"two guesses inside the mask: ([\d.]+) grey levels", text)
    assert float(difference[1]) > 1
    assert pictures == 4


def test_a_first_adapter(execute, tmp_path):
    sizes = {"TILES": 3, "TESTS": 2, "SIDE": 136, "CROP": 128, "VIEWS": 2, "STEPS": 2}
    text, pictures = execute("first-adapter", **sizes)
    work = tmp_path / "adapter-work"
    assert len(list((work / "train" / "images").iterdir())) == 3
    assert "3 tiles to learn from, 2 to measure on: synthetic stand-ins" in text
    assert "patients in both: 0\n" in text
    assert "2 steps, task global\n" in text
    changed = re.search(r"^your adapter: ([\d.]+) of 255$", text, re.M)
    other = re.search(r"^adapter of the package: ([\d.]+) of 255$", text, re.M)
    assert 0 < float(changed[1]) < float(other[1])
    report = json.loads((work / "evaluated" / "report.json").read_text())
    assert sorted(report["sections"]) == ["copying", "structure"]
    assert (work / "evaluated" / "report.html").stat().st_size > 10_000
    own = digest(asdict(hs.open_bundle(work / "run" / "weights").info))
    shipped = digest(asdict(hs.open_bundle().info))
    assert own != shipped
    for path in [*(work / "mine").glob("*.png"), work / "tile.png"]:
        assert read_recipe(path)["bundle"]["sha256"] == own
    assert f"this tile: bundle {own[:12]}\n" in text
    assert f"adapter of the package: bundle {shipped[:12]}\n" in text
    assert pictures == 4
