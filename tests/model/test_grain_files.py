"""The file of a bundle's grain: written, read, replaced and refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
from glass import tissue
from grain_of_tests import table_of, white_grain, white_patches
from PIL import Image

from histosynth.core.errors import BadWeights, BundleMismatch
from histosynth.model.grain_files import grain_file_name, read_grain, write_grain
from histosynth.model.info import read_info
from histosynth.model.loading import load_bundle
from histosynth.pipeline.bundle_grain import measure_grain
from histosynth.tensors.files import write_tensors
from histosynth.testing import tiny_bundle
from histosynth.tissue.grain_table import Grain


@pytest.fixture(scope="module")
def many_tiles(tmp_path_factory):
    """A folder of tiles of tissue."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(10):
        Image.fromarray(tissue(128, 128, seed=number)[0]).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def folder(tmp_path):
    tiny = tiny_bundle()
    tiny.grain = white_grain()
    tiny.save(tmp_path / "bundle")
    return tmp_path / "bundle"


def files_of(folder):
    return [path.name for path in sorted(folder.glob("grain-*"))]


def test_a_bundle_keeps_its_grain_under_a_hash(folder):
    grain = load_bundle(folder).grain
    expected = white_grain()
    np.testing.assert_array_equal(grain.patches.lost, expected.patches.lost)
    assert grain.table == expected.table
    name = grain_file_name(grain.table)
    assert files_of(folder) == [name] and name in read_info(folder).hashes


def test_a_bundle_without_grain_has_no_file(bundle_folder):
    assert load_bundle(bundle_folder).grain is None
    assert files_of(bundle_folder) == []


def test_grain_is_written_with_the_bundle_elsewhere(folder, tmp_path):
    load_bundle(folder).save(tmp_path / "copy")
    again = load_bundle(tmp_path / "copy")
    assert again.grain.table == white_grain().table


def test_a_table_of_noise_of_earlier_bundles_counts_as_none(folder):
    path = folder / "bundle.json"
    values = json.loads(path.read_text())
    values["grain"] = {"kernels": [], "strength": []}
    path.write_text(json.dumps(values))
    assert read_info(folder).grain is None and load_bundle(folder).grain is None
    values["grain"] = {"strength": []}
    path.write_text(json.dumps(values))
    with pytest.raises(BundleMismatch, match="grain"):
        read_info(folder)


def test_a_missing_or_changed_file_is_refused(folder):
    path = folder / files_of(folder)[0]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleMismatch, match="its sha256 is another"):
        load_bundle(folder)
    with pytest.raises(BadWeights, match=r"have sha256 [0-9a-f]{12}, and the table states"):
        load_bundle(folder, verify=False)
    path.unlink()
    with pytest.raises(BundleMismatch, match=r"grain-[0-9a-f]{12}\.safetensors.*missing"):
        load_bundle(folder)
    with pytest.raises(BundleMismatch, match="missing"):
        load_bundle(folder, verify=False)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"lost": np.zeros((1, 12, 12, 3), np.int8)}, "holds lost and looks"),
        (
            {"lost": np.zeros((1, 12, 12, 3), np.float32), "looks": np.zeros((1, 6, 6), np.int8)},
            "both of the type I8",
        ),
        (
            {"lost": np.zeros((2, 12, 12, 3), np.int8), "looks": np.zeros((2, 6, 5), np.int8)},
            "looks of patches of grain must be int8",
        ),
        (
            {"lost": np.zeros((20_000, 12, 12, 3), np.int8), "looks": np.zeros(1, np.int8)},
            "it holds 8,640,001 bytes",
        ),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, tensors, message):
    table = white_grain().table
    write_tensors(tmp_path / grain_file_name(table), tensors)
    with pytest.raises(BadWeights, match=message):
        read_grain(tmp_path, table)


def test_a_new_grain_replaces_the_file_of_the_old(folder, tmp_path, many_tiles):
    old = files_of(folder)
    measure_grain(folder, many_tiles, mpp=0.5)
    new = files_of(folder)
    assert len(new) == 1 and new != old
    info = read_info(folder)
    assert [name for name in info.hashes if name.startswith("grain-")] == new
    assert load_bundle(folder).grain.table == info.grain
    measure_grain(folder, many_tiles, mpp=0.5)
    assert files_of(folder) == new


def test_a_grain_written_twice_has_the_same_bytes(tmp_path):
    patches = white_patches()
    grain = Grain(replace(table_of(patches), noise=((1.0,) * 3,) * 2), patches)
    first = write_grain(tmp_path / "a", grain).read_bytes()
    assert write_grain(tmp_path / "b", grain).read_bytes() == first
