"""`histosynth prepare …` from the outside: exit codes, JSON, one sentence for bad input."""

import json
import os
import stat
import struct

import numpy as np
import pytest
from glass import tissue, write_pixels, write_slide
from json_contract import check_json
from PIL import Image
from served import serving
from typer.testing import CliRunner

from histosynth.cli.main import app
from histosynth.core.errors import HistosynthError
from histosynth.core.images import read_rgb
from histosynth.core.tileset import TileSet


def call(*words):
    """(exit code, stdout, sentence of the refusal)."""
    done = CliRunner().invoke(app, ["prepare", *map(str, words)])
    refusal = str(done.exception) if isinstance(done.exception, HistosynthError) else ""
    if "--json" in words and not refusal:
        check_json(done.stdout)
    return 1 if refusal else done.exit_code, done.stdout, refusal or done.stderr


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    path = tmp_path_factory.mktemp("glass") / "s.tiff"
    write_slide(path)
    return path


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(3):
        Image.fromarray(tissue(200, 180, seed=number)[0]).save(folder / f"t{number}.png")
    Image.fromarray(np.full((180, 200, 3), 244, np.uint8)).save(folder / "glass.png")
    return folder


def test_one_line_is_a_recipe(slide, tmp_path):
    recipe = tmp_path / "r.toml"
    recipe.write_text(f'slides = ["{slide}"]\nnuclei.source = "blobs"\n')
    code, out, _ = call(
        "run",
        recipe,
        "--out",
        tmp_path / "set",
        "--engine",
        "local",
        "--json",
    )
    assert code == 0
    facts = json.loads(out)
    assert facts["tiles"] == 1 and facts["kept"] == 1 and facts["written_files"] == 1
    code, out, _ = call(
        "run",
        recipe,
        "--out",
        tmp_path / "set",
        "--engine",
        "local",
    )
    assert code == 0 and out.startswith("Nothing to do, all of it is there")
    code, out, _ = call(
        "run",
        recipe,
        "--out",
        tmp_path / "dry",
        "--dry-run",
        "--json",
    )
    assert (
        code == 0
        and json.loads(out)["tiles_before_tissue"] == 1
        and not (tmp_path / "dry").exists()
    )


def test_tiles_cuts_and_judges_nothing(slide, tmp_path):
    code, _, _ = call(
        "tiles",
        slide,
        "--size",
        128,
        "--out",
        tmp_path,
        "--engine",
        "local",
    )
    rows = list(TileSet(tmp_path).rows())
    assert code == 0 and len(rows) > 30 and all(row.nuclei is None for row in rows)
    whole = read_pixels(slide)
    for tile, row in TileSet(tmp_path).tiles():
        assert (tile.pixels == whole[row.ref.box.slices]).all()


def read_pixels(path):
    import tifffile

    return tifffile.imread(path, key=0)


def test_stain_makes_pictures_alike_and_names_what_has_none(pictures, tmp_path):
    code, _, said = call("stain", pictures, "--out", tmp_path / "out")
    assert code == 3 and "glass.png" in said and "stained" in said
    assert {path.name for path in (tmp_path / "out").glob("*.png")} == {
        "t0.png",
        "t1.png",
        "t2.png",
    }
    assert (tmp_path / "out" / "look" / "contact.png").exists()


def test_quality_judges_each(pictures, tmp_path):
    drawn = read_rgb(pictures / "t0.png")
    drawn[:, :60] = (30, 90, 60)
    Image.fromarray(drawn).save(pictures / "pen.png")
    code, out, _ = call(
        "quality",
        "check",
        pictures,
        "--mpp",
        0.5,
        "--out",
        tmp_path / "out",
        "--json",
    )
    assert code == 0 and json.loads(out)["gates"]["pen"] == 1
    lines = (tmp_path / "out" / "quality.csv").read_text().splitlines()
    assert len(lines) == 6 and any(
        line.startswith('pen.png,False,"pen: ink covers') for line in lines
    )


@pytest.mark.parametrize("form", ["csv", "geojson"])
def test_nuclei_are_found_and_written(pictures, tmp_path, form):
    out = tmp_path / "out"
    code, said, _ = call(
        "nuclei",
        pictures,
        "--mpp",
        0.5,
        "--detector",
        "blobs",
        "--format",
        form,
        "--out",
        out,
        "--json",
    )
    assert code == 0 and json.loads(said)["nuclei"]["nucleus"] > 100
    assert len(list(out.glob(f"*.{form}"))) == 4 and (out / "look" / "contact.png").exists()


def test_the_fast_detector_is_chosen_by_its_name(pictures, tmp_path):
    out = tmp_path / "out"
    code, said, _ = call(
        "nuclei",
        pictures,
        "--mpp",
        0.5,
        "--detector",
        "centroids-fast",
        "--out",
        out,
        "--json",
    )
    found = json.loads(said)["nuclei"]
    assert code == 0 and set(found) <= {"epithelial", "lymphocyte", "stromal"}
    assert len(list(out.glob("*.csv"))) == 4


def test_split_deals_patients(tmp_path):
    table = tmp_path / "t.csv"
    rows = [
        f"TCGA-AA-{n:04d}-01Z-00-DX{k}.svs,,{'UPS' if n % 2 else 'LMS'}"
        for n in range(40)
        for k in (1, 2)
    ]
    table.write_text("slide,patient,label\n" + "\n".join(rows))
    code, out, _ = call("split", table, "--out", tmp_path / "s.csv", "--json")
    assert code == 0 and json.loads(out)["by_label"]["UPS"] == {
        "train": 14,
        "validation": 2,
        "test": 4,
    }
    seen = {}
    for line in (tmp_path / "s.csv").read_text().splitlines()[1:]:
        _, patient, _, split = line.split(",")
        assert seen.setdefault(patient, split) == split
    code, _, said = call(
        "split",
        table,
        "--out",
        tmp_path / "s.csv",
        "--train",
        0.9,
    )
    assert code == 1 and "sum to 1" in said


def test_results_never_take_the_place_of_what_they_were_made_from(pictures, tmp_path):
    before = {path.name: path.read_bytes() for path in pictures.iterdir()}
    for words in (["stain", pictures], ["nuclei", pictures, "--mpp", 0.5, "--detector", "blobs"]):
        code, _, said = call(*words, "--out", pictures)
        assert code == 1 and "--out is" in said
    assert before == {path.name: path.read_bytes() for path in pictures.iterdir()}
    table = tmp_path / "t.csv"
    table.write_text("slide\na.svs\n")
    code, _, said = call("split", table, "--out", table)
    assert code == 1 and table.read_text() == "slide\na.svs\n"


def picture(path, mode, fill=120):
    Image.new(mode, (300, 300), fill).save(path)


def bomb(path):
    """A TIFF header that promises 800,000 x 800,000 px in a few bytes."""
    entries = [
        (256, 4, 800_000),
        (257, 4, 800_000),
        (258, 3, 8),
        (259, 3, 8),
        (262, 3, 2),
        (277, 3, 3),
        (322, 4, 512),
        (323, 4, 512),
        (324, 4, 8),
        (325, 4, 8),
    ]
    body = struct.pack("<2sHI", b"II", 42, 8) + struct.pack("<H", len(entries))
    body += b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    path.write_bytes(body + b"\0" * 64)


BAD = {
    "cut.svs": (lambda p, s: p.write_bytes(s.read_bytes()[:30_000]), "cannot be read as an image"),
    "renamed.svs": (
        lambda p, s: Image.new("RGB", (300, 300)).save(p, "PNG"),
        "a PNG picture under the name",
    ),
    "text.svs": (lambda p, s: p.write_text("hello"), "cannot be read as an image"),
    "empty.svs": (lambda p, s: p.write_bytes(b""), "cannot be read as an image"),
    "scaleless.png": (lambda p, s: picture(p, "RGB", (200, 150, 180)), "Give it with --mpp"),
    "sixteen.png": (lambda p, s: picture(p, "I;16"), "more than 8 bits"),
    "grey.png": (lambda p, s: picture(p, "L"), "grayscale"),
    "alpha.png": (lambda p, s: picture(p, "RGBA", (1, 2, 3, 4)), "alpha"),
    "ink.jpg": (lambda p, s: picture(p, "CMYK", (1, 2, 3, 4)), "CMYK"),
    "bomb.tif": (lambda p, s: bomb(p), "over the limit"),
}


@pytest.mark.parametrize("name", list(BAD))
def test_slides_that_cannot_be_used_get_one_sentence_and_exit_1(name, slide, tmp_path):
    make, said = BAD[name]
    make(tmp_path / name, slide)
    recipe = tmp_path / "r.toml"
    scale = "" if name == "scaleless.png" else "mpp = 0.5\n"
    recipe.write_text(f'slides = ["{name}"]\nnuclei.source = "blobs"\n{scale}')
    code, out, sentence = call(
        "run",
        recipe,
        "--out",
        tmp_path / "set",
        "--engine",
        "local",
    )
    assert code == 1 and said in sentence, sentence
    assert not list((tmp_path / "set").glob("*.parquet")) and "Traceback" not in sentence + out


def test_a_picture_without_a_scale_is_prepared_once_it_is_told(slide, tmp_path):
    Image.fromarray(read_pixels(slide)).save(tmp_path / "s.png")
    (tmp_path / "r.toml").write_text(
        'slides = ["s.png"]\nnuclei.source = "blobs"\ntiles.size = 256\n'
    )
    words = ["run", tmp_path / "r.toml", "--out", tmp_path / "set", "--engine", "local"]
    code, _, sentence = call(*words)
    assert code == 1 and "--mpp" in sentence
    code, out, _ = call(*words, "--mpp", 0.5, "--json")
    assert code == 0 and json.loads(out)["kept"] > 5
    code, _, sentence = call(
        *words[:3],
        tmp_path / "third",
        *words[4:],
        "--mpp",
        90,
    )
    assert code == 1 and "--mpp is 90" in sentence


def test_a_slide_without_tissue_is_no_error_and_says_so(tmp_path):
    write_pixels(tmp_path / "empty.tiff", np.full((1100, 1100, 3), 243, np.uint8))
    (tmp_path / "r.toml").write_text('slides = ["empty.tiff"]\nnuclei.source = "blobs"\n')
    code, out, _ = call(
        "run",
        tmp_path / "r.toml",
        "--out",
        tmp_path / "set",
        "--engine",
        "local",
    )
    assert code == 0 and out.startswith("0 of 1 tile kept") and "refused, tissue: 1" in out


def test_recipes_tell_all_their_problems_at_once(tmp_path):
    (tmp_path / "r.toml").write_text('slides = ["a"]\nmagic = 1\n[tiles]\nsize = "big"\n')
    code, _, sentence = call("run", tmp_path / "r.toml", "--out", tmp_path / "set")
    assert (
        code == 1 and "2 problems" in sentence and "magic" in sentence and "tiles.size" in sentence
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_refused_first(slide, tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    code, _, sentence = call("tiles", slide, "--out", tmp_path / "set")
    assert code == 1 and "cannot be written" in sentence


def test_a_file_where_the_folder_should_be_is_refused(slide, tmp_path):
    (tmp_path / "set").write_text("")
    code, _, sentence = call(
        "tiles",
        slide,
        "--out",
        tmp_path / "set",
        "--engine",
        "local",
    )
    assert code == 1 and "cannot be written" in sentence


def test_a_disk_that_fills_half_way_keeps_what_is_whole(slide, tmp_path, monkeypatch):
    import pyarrow.parquet as pq

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    code, _, sentence = call(
        "tiles",
        slide,
        "--size",
        256,
        "--out",
        tmp_path / "set",
        "--engine",
        "local",
    )
    assert code == 1 and "No space left on device" in sentence
    assert not [path for path in (tmp_path / "set").iterdir() if path.suffix == ".parquet"]
    monkeypatch.undo()
    assert (
        call(
            "tiles",
            slide,
            "--size",
            256,
            "--out",
            tmp_path / "set",
            "--engine",
            "local",
        )[0]
        == 0
    )


def test_fetch_brings_slides_with_labels_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as commons:
        words = [
            "fetch",
            "--project",
            "TCGA-SARC",
            "--endpoint",
            commons.endpoint,
            "--out",
            tmp_path,
            "--json",
        ]
        code, out, _ = call(*words, "--list-only")
        assert code == 0 and json.loads(out)["fetched"] == 0 and not list(tmp_path.glob("*.svs"))
        code, out, _ = call(*words)
        facts = json.loads(out)
        assert code == 0 and (facts["slides"], facts["fetched"], facts["patients"]) == (5, 5, 5)
        assert facts["labels"] == {"Leiomyosarcoma": 5} and len(list(tmp_path.glob("*.svs"))) == 5
        assert json.loads(call(*words)[1])["already"] == 5
        code, _, sentence = call(
            "fetch",
            "--project",
            "NOBODY",
            "--endpoint",
            commons.endpoint,
            "--out",
            tmp_path,
        )
        assert code == 1 and "--project is NOBODY" in sentence


def test_quality_train_measures_itself_on_patients_it_never_saw(tmp_path):
    for patient in range(8):
        good = tissue(96, 96, seed=patient)[0]
        spoilt = good.copy()
        spoilt[30:60] //= 3
        for name, pixels in (("good", good), ("fold", spoilt)):
            folder = tmp_path / "labelled" / name
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / f"P{patient}_{name}.png")
    words = [
        "quality",
        "train",
        tmp_path / "labelled",
        "--mpp",
        0.5,
        "--out",
        tmp_path / "run",
        "--steps",
        1,
    ]
    code, out, _ = call(*words, "--patient", "^(P.)", "--json")
    card = json.loads(out)["card"]
    assert (
        code == 0 and card["auc"]["n"] >= 2 and 0 <= card["auc"]["low"] <= card["auc"]["high"] <= 1
    )
    code, _, sentence = call(*words, "--patient", "^(nobody)")
    assert code == 1 and "nobody" in sentence


def test_agreement_of_two_annotators(tmp_path):
    random = np.random.default_rng(0)
    for name, wrong in (("anna", 0.0), ("ben", 0.2)):
        (tmp_path / name).mkdir()
        for tile in range(3):
            rows = [
                (
                    20 * (n % 9) + 20,
                    20 * (n // 9) + 20,
                    "ab"[(n % 2) ^ int(random.random() < wrong)],
                )
                for n in range(72)
            ]
            text = "".join(f"{x},{y},{kind}\n" for x, y, kind in rows)
            (tmp_path / name / f"t{tile}.csv").write_text("x,y,class\n" + text)
    words = [
        "agreement",
        tmp_path / "anna",
        tmp_path / "ben",
        "--mpp",
        0.5,
        "--out",
        tmp_path / "out",
    ]
    code, out, _ = call(*words, "--json")
    kappa = json.loads(out)["nuclei"]["kappa"]
    assert code == 0 and 0.3 < kappa["low"] <= kappa["value"] <= kappa["high"] < 0.9
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        ".histosynth.jsonl",
        "agreement.json",
        "t0.png",
        "t1.png",
        "t2.png",
    }
    code, out, _ = call(*words)
    assert "kappa of classes" in out and "3 files" in out
