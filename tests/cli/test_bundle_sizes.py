"""`bundle sizes`: what is drawn afterwards, and what stays as it was."""

from dataclasses import replace

import numpy as np
import pytest
from glass import tissue
from json_contract import check_json
from PIL import Image
from typer.testing import CliRunner

from histosynth.cli.main import app
from histosynth.model.adapters import ADAPTER_FILE, AdapterInfo, add_adapter, read_adapter
from histosynth.model.info import hashed, read_info, write_info
from histosynth.model.opening import open_bundle
from histosynth.model.parts import save_part
from histosynth.model.structure import with_shapes
from histosynth.pipeline import bundle_sizes
from histosynth.testing import tiny_bundle
from histosynth.tissue.nucleus_sizes import LEVELS, ClassSizes

SIZES = ClassSizes(
    tuple(np.linspace(20, 60, len(LEVELS))),
    tuple(np.linspace(1.1, 2, len(LEVELS))),
)


@pytest.fixture
def folder(tmp_path):
    """A bundle whose adapter `global` draws sizes."""
    bundle = tiny_bundle()
    bundle.info = replace(bundle.info, steps=1)
    folder = tmp_path / "bundle"
    bundle.save(folder)
    add_adapter(bundle.unet, "global", rank=2, alpha=2.0, targets=("to_q",))
    info = AdapterInfo(
        name="global",
        rank=2,
        alpha=2.0,
        targets=("to_q",),
        base_sha256=bundle.base_sha256 or open_bundle(folder).base_sha256,
        classes=bundle.info.classes,
        mpp=0.5,
        sizes=(SIZES,) * len(bundle.info.classes),
    )
    bundle.save_adapter(info, folder / "adapters" / "global")
    save_part(with_shapes(bundle.structure), folder / "adapters" / "global" / "structure")
    write_info(folder, replace(bundle.info, hashes=hashed(folder)))
    return folder


@pytest.fixture
def tiles(tmp_path):
    """Two tiles of 300 px, with the centres of their nuclei."""
    images = tmp_path / "images"
    points = tmp_path / "points"
    images.mkdir()
    points.mkdir()
    for number in range(2):
        pixels, xy = tissue(300, 300, seed=number)
        Image.fromarray(pixels).save(images / f"{number}.png")
        rows = [f"{x:.1f},{y:.1f},epithelial" for x, y in xy]
        (points / f"{number}.csv").write_text("\n".join(["x,y,class", *rows]))
    return images


def run(folder, images, *options):
    words = ["bundle", "sizes", str(folder), "--tiles", str(images), "--mpp", "0.5"]
    return CliRunner().invoke(app, [*words, *options])


def test_sizes_are_corrected_and_nothing_else(folder, tiles):
    file = folder / "adapters" / "global" / ADAPTER_FILE
    before, weights = read_adapter(file)
    done = run(folder, tiles, "--points", str(tiles.parent / "points"), "--json")
    assert done.exit_code == 0, done.output
    facts = check_json(done.stdout)
    assert facts["tiles"] == 2 and facts["classes"] == list(before.classes)
    after, same_weights = read_adapter(file)
    assert replace(after, sizes=before.sizes) == before
    assert all(np.array_equal(weights[name], same_weights[name]) for name in weights)
    corrected, *others = after.sizes
    assert others == [SIZES] * 2  # none of these is in the tiles
    assert corrected != SIZES
    # the tiles' nuclei are round and alike; random networks make anything but
    assert np.ptp(np.log(corrected.elongation)) < 0.8 * np.ptp(np.log(SIZES.elongation))
    assert list(facts["sizes"]["epithelial"]["area_um2"]) == list(corrected.area_um2)
    assert open_bundle(folder).adapters["global"].sizes == after.sizes
    assert read_info(folder).hashes == hashed(folder)


@pytest.mark.parametrize("stopped_at", ["write_adapter", "sha256_of"])
def test_a_bundle_whose_correction_was_stopped_still_opens(folder, tiles, monkeypatch, stopped_at):
    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(bundle_sizes, stopped_at, stop)
    points = tiles.parent / "points"
    with pytest.raises(KeyboardInterrupt):
        bundle_sizes.correct_sizes(folder, tiles, points=points, mpp=0.5)
    monkeypatch.undo()
    assert open_bundle(folder).adapters["global"].sizes
    bundle_sizes.correct_sizes(folder, tiles, points=points, mpp=0.5)
    assert read_info(folder).hashes == hashed(folder)


def test_one_class_alone_is_corrected(folder, tiles):
    done = run(folder, tiles, "--points", str(tiles.parent / "points"), "--class", "stromal")
    assert done.exit_code == 0, done.output
    info, _ = read_adapter(folder / "adapters" / "global" / ADAPTER_FILE)
    assert info.sizes == (SIZES,) * 3


def test_what_cannot_be_corrected_is_refused(folder, tiles, bundle_folder):
    file = folder / "adapters" / "global" / ADAPTER_FILE
    content = file.read_bytes()
    points = ("--points", str(tiles.parent / "points"))
    for done, sentence in (
        (run(folder, tiles), "tiles with nuclei"),
        (run(folder, tiles, *points, "--class", "x"), "epithelial, lymphocyte, stromal"),
        (run(bundle_folder, tiles, *points), "draws sizes of nuclei"),
    ):
        assert done.exit_code == 1 and sentence in str(done.exception)
    assert file.read_bytes() == content
