"""A few altered files of each format; `make hostile` tries thousands."""

import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from histosynth.annotation.reading_files import read_annotation
from histosynth.core.errors import (
    BadNuclei,
    BadRecipe,
    BadRun,
    BadTable,
    BadTileSet,
    UnknownClasses,
    UnreadableImage,
)
from histosynth.core.images import read_mask, read_rgb
from histosynth.core.plain_files import read_plain_text
from histosynth.core.recipe import read_toml
from histosynth.core.tileset import TileSet, read_metadata
from histosynth.pipeline.train import dry_run
from histosynth.preparation.patients import read_table
from histosynth.slides import open_slide
from histosynth.training.balance.patient_table import read_patient_traits
from histosynth.training.resume import remember_inputs
from hostile.formats import FORMATS
from hostile.own_files import prepare_again, write_prepared
from hostile.rows import Row, is_clean, text_of
from hostile.tile_sets import write_set
from hostile.trial import Trial

TRIALS = 16


@pytest.mark.parametrize("name", sorted(FORMATS))
@pytest.mark.filterwarnings("ignore")
def test_altered_files_are_read_or_refused(name, tmp_path):
    trial = Trial(FORMATS[name], tmp_path / "trial", seed=20)
    trial.check_seeds()
    outcomes = {index: trial.run(index) for index in range(TRIALS)}
    bad = {index: found for index, found in outcomes.items() if found.startswith("half-written")}
    assert not bad


def altered(folder, name, value):
    """A set one of whose rows has that value."""
    write_set(folder)
    path = folder / "s0-0.parquet"
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows[0][name] = value
    fields = [field.with_nullable(True) for field in table.schema]
    pq.write_table(pa.Table.from_pylist(rows, pa.schema(fields, table.schema.metadata)), path)
    return path


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("nuclei_x", [1.0], "its tile 's0_0_0' holds 1 x, 3 y and 3 classes of nuclei"),
        ("nuclei_y", None, "its tile 's0_0_0' holds 3 x, 0 y and 3 classes of nuclei"),
        (
            "nuclei_kind",
            ["any", None, "any"],
            "its tile 's0_0_0' holds a nucleus without a coordinate or class",
        ),
        (
            "nuclei_x",
            [float("nan"), 1, 2],
            "its tile 's0_0_0': 1 of 3 centroids are not numbers (first: row 1)",
        ),
        ("width", -5, "its tile 's0_0_0' states a size of -5 x 32 px"),
        ("mpp", float("inf"), "its tile 's0_0_0' states a scale of inf um/px"),
        (
            "slide",
            "\x1b[2J",
            "its tile 's0_0_0' has control characters, or more than 1000, in slide",
        ),
        (
            "image",
            {"bytes": b"GIF", "path": None},
            "its tile 's0_0_0': s0_0_0 cannot be read as an image: no known picture format",
        ),
    ],
)
def test_values_that_lie_are_refused_with_the_tile(tmp_path, name, value, reason):
    path = altered(tmp_path, name, value)
    with pytest.raises(BadTileSet) as refusal:
        list(TileSet(tmp_path).rows())
    assert (refusal.value.path, refusal.value.reason) == (path, reason)


def test_text_that_is_no_utf8_is_refused_with_the_tile(tmp_path):
    write_set(tmp_path)
    path = tmp_path / "s0-0.parquet"
    table = pq.read_table(path)
    raw = pa.array([b"a", b"\xff", b"b"], pa.binary())
    texts = pa.Array.from_buffers(pa.string(), 3, raw.buffers())
    at = table.column_names.index("label")
    pq.write_table(table.set_column(at, "label", texts), path)
    with pytest.raises(BadTileSet) as refusal:
        list(TileSet(tmp_path).rows(refused=True))
    assert refusal.value.reason == "its tile 's0_64_0' holds a text that is no UTF-8"


def test_columns_of_other_types_are_refused_and_harmless_ones_read(tmp_path):
    write_set(tmp_path)
    path = tmp_path / "s0-0.parquet"
    table = pq.read_table(path)
    at = table.column_names.index("mpp")
    pq.write_table(table.set_column(at, "mpp", pa.array(["x"] * len(table))), path)
    with pytest.raises(BadTileSet) as refusal:
        TileSet(tmp_path)
    assert refusal.value.reason == "its column mpp is of the type string"
    at = table.column_names.index("slide")
    pq.write_table(table.set_column(at, "slide", table["slide"].dictionary_encode()), path)
    assert len(TileSet(tmp_path)) == 4
    assert len(list(TileSet(tmp_path).rows())) == 4


def test_a_folder_under_the_name_of_a_file_is_refused(tmp_path):
    write_set(tmp_path)
    (tmp_path / "x.parquet").mkdir()
    with pytest.raises(BadTileSet, match="it is no plain file"):
        TileSet(tmp_path)
    with pytest.raises(BadTileSet, match="it is no plain file"):
        read_metadata(tmp_path / "x.parquet")


def test_the_table_adds_up():
    rows = [Row("a", 2, 1, 1, seconds=1.5).as_dict(), Row("b", 3, 3, worst_s=0.25).as_dict()]
    assert is_clean(rows) and not is_clean([Row("c", hangs=1).as_dict()])
    assert text_of(rows).splitlines()[-1].split() == [
        *("all", "5", "4", "1", "0", "0", "0", "1.5", "0.2", "0")
    ]
    assert json.loads(json.dumps(rows)) == rows


def test_a_survey_that_was_changed_is_made_anew(tmp_path):
    write_prepared(tmp_path)
    path = tmp_path / "set" / ".survey" / "s0.json"
    before = path.read_bytes()
    chunks = {each: each.read_bytes() for each in (tmp_path / "set").glob("*.parquet")}
    values = json.loads(before)
    values["corners"][0] = [7, 7]  # tiles would come from another place
    path.write_text(json.dumps(values))
    prepare_again(path, tmp_path)
    assert path.read_bytes() == before
    assert {each: each.read_bytes() for each in chunks} == chunks


def test_sizes_that_lie_are_refused_before_a_row_is_read(tmp_path):
    path = altered(tmp_path, "height", 0)
    with pytest.raises(BadTileSet) as refusal:
        TileSet(tmp_path).table(["x", "height"])
    assert refusal.value.path == path
    assert refusal.value.reason == "its tile 's0_0_0' states a size of 32 x 0 px"


def test_digests_of_inputs_that_are_no_names_are_refused(tmp_path):
    (tmp_path / "inputs.json").write_text("[]")
    with pytest.raises(BadRun, match="it holds no names"):
        remember_inputs(tmp_path, {"a": "b"})


def test_names_in_a_refusal_are_cut():
    assert "x" * 255 + "..." in str(UnknownClasses(["x" * 5000], ["a"]))
    assert len(str(UnknownClasses(["x" * 5000], ["a"]))) < 600


def test_pipes_are_refused_by_every_reader_and_not_waited_for(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    readers = {
        read_rgb: UnreadableImage,
        read_mask: UnreadableImage,
        open_slide: UnreadableImage,
        read_annotation: BadNuclei,
        read_toml: BadRecipe,
        read_table: BadTable,
        read_patient_traits: BadTable,
        read_metadata: BadTileSet,
    }
    for read, refusal in readers.items():
        with pytest.raises(refusal, match="it is no plain file"):
            read(pipe)
    with pytest.raises(OSError, match="it is no plain file"):
        read_plain_text(pipe)


def test_a_link_that_leads_to_itself_is_no_folder_of_tiles(tmp_path):
    FORMATS["recipes of training"].write_seeds(tmp_path)
    recipe = tmp_path / "autoencoder.toml"
    recipe.write_text(recipe.read_text().replace('root = "."', 'root = "loop"'))
    with pytest.raises(BadRecipe, match="there is no folder"):
        dry_run(recipe)
