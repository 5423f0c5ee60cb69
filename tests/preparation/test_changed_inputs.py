"""Tiles are kept while no byte of their inputs changed, and those of the user always."""

import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from glass import tissue
from PIL import Image

from histosynth.core.errors import BadNuclei, BadTable, NotWritable
from histosynth.core.own_files import OWN_RECORD
from histosynth.core.recipe import build
from histosynth.core.tileset import TileSet
from histosynth.engine import open_engine
from histosynth.preparation import chunks, input_contents, jobs
from histosynth.preparation.recipe import PrepareRecipe
from histosynth.preparation.run import prepare
from histosynth.preparation.tile_files import TILES_RECORD
from histosynth.slides.series import files_of_slide

SIDE = 256


@pytest.fixture
def inputs(tmp_path):
    """A picture of two tiles, with regions and nuclei in the middle of files of 200 kB."""
    pixels, _ = tissue(2 * SIDE, SIDE)
    Image.fromarray(pixels).save(tmp_path / "s.bmp")
    ring = [[0, 0], [2 * SIDE, 0], [2 * SIDE, SIDE], [0, SIDE], [0, 0]]
    region = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"classification": {"name": "aaa"}},
    }
    (tmp_path / "regions").mkdir()
    padding = " " * 100_000
    text = json.dumps({"features": [region]})
    (tmp_path / "regions" / "s.geojson").write_text(padding + text + padding)
    (tmp_path / "nuclei").mkdir()
    blank = "\r\n" * 50_000
    rows = f"x,y,class\r\n20,20,aaa\r\n{blank}60,60,aaa\r\n{blank}300,20,bbb\r\n"
    (tmp_path / "nuclei" / "s.csv").write_text(rows, newline="")
    return tmp_path


def run(folder, **more):
    recipe = build(
        {
            "slides": ["s.bmp"],
            "mpp": 0.5,
            "tiles": {"size": SIDE, "tissue": 0.0},
            "stain": {"method": "none"},
            "regions": {"folder": "regions", "include": ["aaa"]},
            "nuclei": {"source": "files", "folder": "nuclei"},
            **more,
        },
        PrepareRecipe,
    )
    return prepare(recipe, folder / "out", base_folder=folder, engine=open_engine("local"))


def replace_middle(path, old, new):
    """Replace the one text in the middle of a file; size, ends and time of change stay."""
    found = path.stat()
    data = path.read_bytes()
    at = data.index(old, 70_000)
    assert 70_000 < at < len(data) - 70_000 and len(old) == len(new)
    path.write_bytes(data[:at] + new + data[at + len(old) :])
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def age(folder):
    """All inputs as they are a day after they were written."""
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, ns=(0, 10**18))


def classes_of(folder):
    return [name for row in TileSet(folder / "out").rows() for name in row.nuclei.names()]


def test_classes_that_are_swapped_in_the_middle_of_a_file_are_read_anew(inputs):
    assert run(inputs).written == 1 and classes_of(inputs) == ["aaa", "aaa", "bbb"]
    replace_middle(inputs / "nuclei" / "s.csv", b"aaa", b"bbb")
    assert run(inputs).written == 1 and classes_of(inputs) == ["aaa", "bbb", "bbb"]
    assert run(inputs).written == 0


def test_a_region_that_changes_in_the_middle_of_its_file_is_read_anew(inputs):
    assert len(list(TileSet(run(inputs).out).rows())) == 2
    replace_middle(
        inputs / "regions" / "s.geojson", b"[512, 0], [512, 256]", b"[250, 0], [250, 256]"
    )
    rows = list(TileSet(run(inputs).out).rows())
    assert [row.ref.box.x for row in rows] == [0]


def test_a_slide_that_changes_in_its_middle_is_read_anew(inputs):
    run(inputs)
    before = [tile.pixels.copy() for tile, _ in TileSet(inputs / "out").tiles()]
    data = (inputs / "s.bmp").read_bytes()
    middle = len(data) // 2
    replace_middle(inputs / "s.bmp", data[middle : middle + 300], bytes(300))
    assert run(inputs).written == 1
    after = [tile.pixels for tile, _ in TileSet(inputs / "out").tiles()]
    assert (
        sum(int((one != two).any(axis=2).sum()) for one, two in zip(before, after, strict=True))
        >= 99
    )


def test_files_that_are_copied_or_touched_lose_no_work_and_others_are_not_read_again(
    inputs, monkeypatch
):
    run(inputs)
    age(inputs)
    monkeypatch.setattr("histosynth.core.contents._SETTLED_NS", -(10**18))  # as if days went by
    reads = []
    read = input_contents.lasting_digest

    def counted(path):
        reads.append(path.name)
        return read(path)

    monkeypatch.setattr(input_contents, "lasting_digest", counted)
    assert run(inputs).written == 0
    assert sorted(reads) == ["s.bmp", "s.csv", "s.geojson"]
    reads.clear()
    assert run(inputs).written == 0 and reads == []
    data = (inputs / "s.bmp").read_bytes()
    (inputs / "s.bmp").unlink()
    (inputs / "s.bmp").write_bytes(data)
    assert run(inputs).written == 0 and reads == ["s.bmp"]


def test_a_record_of_digests_that_was_changed_is_not_used(inputs):
    run(inputs)
    kept = inputs / "out" / ".survey" / ".contents.json"
    for text in ('{"files": {}}', "[1]", "[" * 2000, kept.read_text().replace("s.csv", "t.csv")):
        kept.write_text(text)
        assert run(inputs).written == 0


def test_files_next_to_a_slide_that_hold_its_pixels_belong_to_it(tmp_path):
    for name in (
        "a.mrxs",
        "a/Data0000.dat",
        "a/Slidedat.ini",
        "b.vms",
        "b.jpg",
        "b(1,0).jpg",
        "c.jpg",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "b.vms").write_text(
        "[Virtual Microscope Specimen]\nImageFile=b.jpg\nImageFile(1,0)=b(1,0).jpg\n"
    )

    def names(slide):
        return [path.relative_to(tmp_path).as_posix() for path in files_of_slide(tmp_path / slide)]

    assert names("a.mrxs") == ["a.mrxs", "a/Data0000.dat", "a/Slidedat.ini"]
    assert names("b.vms") == ["b.vms", "b(1,0).jpg", "b.jpg"]
    assert names("c.jpg") == ["c.jpg"]


@pytest.mark.parametrize("is_earlier", [False, True])
def test_a_slide_that_gives_fewer_pieces_now_leaves_none_behind(inputs, monkeypatch, is_earlier):
    with monkeypatch.context() as patch:
        patch.setattr(chunks, "CHUNK_PX", 1)
        run(inputs)
    assert len(TileSet(inputs / "out").files) == 2
    if is_earlier:  # without records; the summary states all bytes of the set
        (inputs / "out" / OWN_RECORD).unlink()
        (inputs / "out" / TILES_RECORD).unlink()
    run(inputs)
    assert len(TileSet(inputs / "out").files) == 1


@pytest.mark.parametrize("is_earlier", [False, True])
@pytest.mark.parametrize("end", ["0001", "backup"])
def test_a_copy_of_tiles_that_the_user_keeps_is_not_removed(inputs, end, is_earlier):
    run(inputs)
    first = next((inputs / "out").glob("*-0000.parquet"))
    copy = first.with_name(first.name.replace("0000.parquet", f"{end}.parquet"))
    copy.write_bytes(first.read_bytes())
    if is_earlier:
        (inputs / "out" / TILES_RECORD).unlink()
    with pytest.raises(NotWritable) as refusal:
        run(inputs)
    assert str(refusal.value) == (
        f"{copy} cannot be written: histosynth did not write what is there, or it was changed "
        "since. Move it elsewhere, or choose another --out."
    )
    copy.rename(inputs / "out" / "kept.copy")
    assert run(inputs).written == 0


def test_tiles_that_the_user_changed_are_not_made_again(inputs, monkeypatch):
    run(inputs)
    path = next((inputs / "out").glob("*-0000.parquet"))
    table = pq.read_table(path)
    labels = pa.array(["mine"] * len(table))
    table = table.set_column(table.schema.get_field_index("label"), "label", labels)
    pq.write_table(table, path)
    assert run(inputs).written == 0
    changed = path.read_bytes()
    monkeypatch.setattr(jobs, "__version__", "other")
    with pytest.raises(NotWritable, match="changed since"):
        run(inputs)
    assert path.read_bytes() == changed


def test_a_run_that_was_killed_goes_on_with_changed_inputs(inputs, monkeypatch):
    """Also where it had recorded a file that did not appear, or was of an earlier release."""
    run(inputs)
    (inputs / "out" / "prepare.json").unlink()
    monkeypatch.setattr(jobs, "__version__", "other")
    assert run(inputs).written == 1
    (inputs / "out" / "prepare.json").unlink()
    (inputs / "out" / TILES_RECORD).unlink()
    monkeypatch.setattr(jobs, "__version__", "third")
    assert run(inputs).written == 1
    assert run(inputs).written == 0


def test_names_that_no_set_could_be_read_with_are_refused_before_any_work(inputs):
    table = inputs / "table.csv"
    for column, name in (("patient", "A\tB"), ("patient", "A\x85B"), ("label", "A\x1bB")):
        row = {"slide": "s", "patient": "P", "label": "L", column: name}
        table.write_text("slide,patient,label\n" + ",".join(row.values()) + "\n", "utf-8")
        with pytest.raises(BadTable) as refusal:
            run(inputs, table="table.csv")
        character = {"\t": "\\t", "\x85": "\\u0085", "\x1b": "\\u001b"}[name[1]]
        shown = repr(name)
        assert str(refusal.value) == (
            f"{table}, line 2, has the character {character} in the {column} {shown}. Correct that "
            "name."
        )
        with pytest.raises(BadTable, match="has the character"):
            run(inputs, label="a\x1b")
    assert not (inputs / "out").exists()


def test_slides_with_names_that_no_set_could_be_read_with_are_refused(inputs):
    (inputs / "s.bmp").rename(inputs / "s\x1b.bmp")
    with pytest.raises(BadTable) as refusal:
        run(inputs, slides=["*.bmp"])
    assert str(refusal.value) == (
        "The slide s\\u001b.bmp has the character \\u001b in the slide 's\\x1b'. Correct that name."
    )
    assert not (inputs / "out").exists()


def test_nuclei_that_are_too_dense_are_refused_before_any_tile(inputs):
    path = inputs / "nuclei" / "s.csv"
    rows = "".join(f"{number % 200},{number // 200},a\n" for number in range(1000))
    path.write_text("x,y,class\n" + rows)
    with pytest.raises(BadNuclei) as refusal:
        run(inputs)
    assert str(refusal.value) == (
        f"{path}: 1,000 nuclei on the tile at x=0, y=0 of 256 x 256 px at 0.5 um/px are 61,035 per "
        "mm2; tissue holds at most 60,000. Check the scale (--mpp) and that coordinates are in "
        "pixels of level 0."
    )
    assert not list((inputs / "out").glob("*.parquet"))
