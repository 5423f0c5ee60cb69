"""The command line as its users meet it: real processes, exit codes, JSON, sentences."""

import base64
import json
import subprocess
import sys

import numpy as np
import pytest
from json_contract import check_json
from pages import Page, assert_accessible, assert_closed_to_the_outside
from PIL import Image
from typer.testing import CliRunner

from histosynth.annotation.nuclei_files import write_csv, write_geojson
from histosynth.cli.main import app
from histosynth.cli.output import Output
from histosynth.core.errors import HistosynthError
from histosynth.core.images import read_mask, read_rgb, write_mask
from histosynth.core.own_files import OWN_RECORD
from histosynth.core.synthetic import is_synthetic, read_recipe
from histosynth.tissue.layout import draw_layout


@pytest.fixture
def place(tmp_path, tile):
    """A folder with nuclei, a tile and a hole."""
    write_csv(tmp_path / "cells" / "a.csv", draw_layout((128, 128), mpp=0.5, seed=0))
    write_geojson(tmp_path / "cells" / "b.geojson", draw_layout((128, 128), mpp=0.5, seed=1))
    mask = np.zeros(tile.shape[:2], bool)
    mask[40:90, 30:100] = True
    (tmp_path / "images").mkdir()
    for name in ("t.png", "u.png"):
        Image.fromarray(tile).save(tmp_path / "images" / name)
        write_mask(tmp_path / "holes" / name, mask)
    return tmp_path


def run(*arguments, code=0):
    """Run in this process; returns stdout's JSON, or the refusal."""
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    if isinstance(result.exception, HistosynthError):
        assert code == 1, result.exception
        return str(result.exception)
    assert result.exit_code == code, (result.output, result.exception)
    return check_json(result.stdout) if "--json" in arguments else result.output


@pytest.fixture
def tiny(bundle_folder):
    return ["--bundle", bundle_folder, "--json"]


def test_synthesize_writes_stem_and_variant(place, tiny):
    out = place / "out"
    told = run(
        "synthesize",
        "--nuclei",
        place / "cells",
        "--size",
        "128",
        "-n",
        2,
        "--out",
        out,
        *tiny,
    )
    names = sorted(path.name for path in out.iterdir())
    assert names == [OWN_RECORD, "a_0.png", "a_1.png", "b_0.png", "b_1.png", "recipe.json"]
    assert (
        sorted(told["written"]) == [str(out / name) for name in names[1:5]]
        and told["refused"] == {}
    )
    assert read_recipe(out / "a_0.png") == json.loads((out / "recipe.json").read_text())["a_0.png"]


def test_one_bad_file_of_a_folder_is_a_row_and_the_rest_goes_on(place, tiny):
    (place / "cells" / "bad.csv").write_text("x,y,class\n900,1,stromal\n")
    told = run(
        "synthesize",
        "--nuclei",
        place / "cells",
        "--size",
        "128",
        "--out",
        place / "out",
        *tiny,
        code=3,
    )
    assert len(told["written"]) == 2
    assert "outside the tile" in told["refused"][str(place / "cells" / "bad.csv")]


def test_appearances_pair_by_stem_or_serve_all(place, tiny, tile):
    Image.fromarray(tile).save(place / "a.png")
    arguments = [
        "synthesize",
        "--nuclei",
        place / "cells",
        "--size",
        "128",
        "--out",
        place / "out",
        *tiny,
    ]
    assert len(run(*arguments, "--appearance", place / "a.png")["written"]) == 2
    assert len(run(*arguments, "--appearance", "stain-2")["written"]) == 2
    sentence = run(*arguments, "--appearance", place / "images", code=1)
    assert "2 without a reference picture" in sentence


def test_class_names_are_mapped(place, tiny):
    (place / "c.csv").write_text("x,y,class\n9,9,Tumor\n")
    arguments = [
        "synthesize",
        "--nuclei",
        place / "c.csv",
        "--size",
        "128",
        "--out",
        place / "out",
        *tiny,
    ]
    told = run(*arguments, code=1)
    assert (
        told["written"] == []
        and "Unknown nucleus class: Tumor" in told["refused"][str(place / "c.csv")]
    )
    (place / "map.toml").write_text('Tumor = "epithelial"')
    assert len(run(*arguments, "--classes", place / "map.toml")["written"]) == 1


@pytest.mark.parametrize("target", ["mended.png", "mended.tif", "folder"])
def test_complete_one_file_keeps_known_pixels(
    place,
    tiny,
    tile,
    target,
):
    image = place / "images" / "t.png"
    mask = place / "holes" / "t.png"
    told = run(
        "complete",
        "--image",
        image,
        "--mask",
        mask,
        "--out",
        place / target,
        *tiny,
    )
    written = place / target / "t.png" if target == "folder" else place / target
    assert told["written"] == [str(written)]
    made = read_rgb(written)
    known = ~read_mask(mask)
    assert (made[known] == tile[known]).all() and (made[~known] != tile[~known]).any()


def test_a_completed_tile_never_replaces_its_original(place, tiny):
    images = place / "images"
    masks = place / "holes"
    before = (images / "t.png").read_bytes()
    for out in (images, images / "t.png"):
        image = images if out.is_dir() else images / "t.png"
        mask = masks if out.is_dir() else masks / "t.png"
        sentence = run(
            "complete",
            "--image",
            image,
            "--mask",
            mask,
            "--out",
            out,
            *tiny,
            code=1,
        )
        assert "would replace its original" in sentence
    assert (images / "t.png").read_bytes() == before


def test_nothing_is_replaced_that_histosynth_did_not_make(place, tiny, tile):
    arguments = [
        "synthesize",
        "--nuclei",
        place / "cells" / "a.csv",
        "--size",
        "128",
        "--out",
        place,
        *tiny,
    ]
    assert run(*arguments)["written"] == run(*arguments)["written"] == [str(place / "a_0.png")]
    Image.fromarray(tile).save(place / "a_0.png")
    refusal = run(*arguments, code=1)
    assert "histosynth did not write what is there, or it was changed since" in refusal
    assert (read_rgb(place / "a_0.png") == tile).all()
    masks = place / "holes" / "t.png"
    out = place / "a_0.png"
    sentence = run(
        "complete",
        "--image",
        place / "images" / "t.png",
        "--mask",
        masks,
        "--out",
        out,
        *tiny,
        code=1,
    )
    assert "histosynth did not write what is there, or it was changed since" in sentence


def test_recipes_of_earlier_calls_stay_beside_their_pictures(place, tiny):
    for name in ("a.csv", "b.geojson"):
        run(
            "synthesize",
            "--nuclei",
            place / "cells" / name,
            "--size",
            "128",
            "--out",
            place / "out",
            *tiny,
        )
    assert set(json.loads((place / "out" / "recipe.json").read_text())) == {"a_0.png", "b_0.png"}


def test_a_picture_of_a_folder_is_that_of_its_file_alone(place, tiny):
    arguments = ["synthesize", "--size", "128", *tiny]
    run(
        *arguments,
        "--nuclei",
        place / "cells",
        "--out",
        place / "all",
    )
    run(
        *arguments,
        "--nuclei",
        place / "cells" / "b.geojson",
        "--out",
        place / "one",
    )
    assert (place / "all" / "b_0.png").read_bytes() == (place / "one" / "b_0.png").read_bytes()


def test_complete_folders_pair_by_stem(place, tiny):
    arguments = [
        "complete",
        "--image",
        place / "images",
        "--mask",
        place / "holes",
        "--out",
        place / "out",
        *tiny,
    ]
    assert len(run(*arguments)["written"]) == 2
    (place / "holes" / "u.png").rename(place / "holes" / "v.png")
    sentence = run(*arguments, code=1)
    assert "1 without a mask (u)" in sentence and "(v)" in sentence


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (["--size", "130"], "A tile of 130 x 130 px cannot be painted"),
        (["--size", "big"], "W or WxH in whole pixels"),
        (["--size", "0"], "W or WxH in whole pixels"),
        (["--size", "²"], "W or WxH in whole pixels"),
        (["--mpp", "0.25"], "The scale is 0.25 um/px, but this bundle paints at 0.5"),
        (["--mpp", "0"], "--mpp is 0.0, but must be micrometres per pixel, above 0 and below 1000"),
        (["--label", "liver"], "Unknown label 'liver'"),
        (["--steps", "0"], "--steps is 0, but must be from 1 to 200"),
        (["--guidance", "99"], "--guidance is 99.0"),
        (["--appearance", "nowhere.png"], "the appearance is nowhere.png"),
        (["--bundle", "nowhere"], "the folder is no bundle"),
        (["--nuclei", "nowhere.csv"], "nowhere.csv is not there"),
        (["--classes", "nowhere.toml"], "nowhere.toml has 1 problem"),
    ],
)
def test_bad_input_is_one_sentence_exit_one_and_nothing_written(
    place,
    bundle_folder,
    change,
    sentence,
):
    arguments = {
        "--nuclei": place / "cells" / "a.csv",
        "--size": "128",
        "--out": place / "out",
        "--bundle": bundle_folder,
    }
    arguments |= {change[0]: change[1]}
    flat = [each for pair in arguments.items() for each in pair]
    assert sentence in run("synthesize", *flat, code=1)
    assert not (place / "out").exists()


def test_an_output_folder_that_cannot_be_written_is_refused(place, tiny):
    (place / "out").write_text("a file stands there")
    sentence = run(
        "synthesize",
        "--nuclei",
        place / "cells",
        "--size",
        "128",
        "--out",
        place / "out",
        *tiny,
        code=1,
    )
    assert "cannot be written" in sentence and "Choose another --out" in sentence


def test_demo_makes_its_sheet_report_and_pictures(tmp_path, tiny):
    told = run("demo", "--out", tmp_path / "demo", *tiny)
    assert told["pictures"] == 8
    page = (tmp_path / "demo" / "report.html").read_text()
    assert_closed_to_the_outside(page)
    assert_accessible(page)
    assert "not for diagnosis" in page
    inline = [image["src"].partition(",")[2] for image in Page(page).all("img")]
    assert len(inline) == 1 + 2 * 4 + 2 * 4
    pictures = [base64.b64decode(each) for each in inline]
    for name in ("synthetic_0", "mended_3"):
        assert (tmp_path / "demo" / "images" / f"{name}.png").read_bytes() in pictures
    for number, each in enumerate(pictures):
        (tmp_path / f"{number}.png").write_bytes(each)
        assert is_synthetic(tmp_path / f"{number}.png")
    assert read_rgb(tmp_path / "demo" / "contact.png").shape[1] > 800
    sheet = read_recipe(tmp_path / "demo" / "contact.png")
    assert sheet["synthetic"] and sheet["extent"] == "sheet" and len(sheet["pictures"]) == 8
    for index in range(4):
        made, start = (
            read_rgb(tmp_path / "demo" / "images" / f"{kind}_{index}.png")
            for kind in ("mended", "synthetic")
        )
        known = ~read_mask(tmp_path / "demo" / "images" / f"mask_{index}.png")
        assert (made[known] == start[known]).all()


def test_doctor_says_what_there_is(tiny):
    told = run("doctor", *tiny)
    assert (
        told["bundle"] == "tiny"
        and told["tile_256_px_s"] > 0
        and told["classes"][0] == "epithelial"
    )


def process(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "histosynth", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_refusal_is_one_line_on_stderr_and_exit_one(tmp_path):
    done = process(
        "complete",
        "--image",
        "x.png",
        "--mask",
        "y.png",
        "--out",
        tmp_path / "z.png",
        "--json",
    )
    assert done.returncode == 1
    assert done.stderr.startswith("histosynth: x.png is not there") and done.stderr.count("\n") == 1
    assert json.loads(done.stdout)["error"] == "NoFiles"


def test_wrong_usage_is_exit_two():
    assert process("synthesize").returncode == 2
    assert process("magic").returncode == 2


def test_bars_show_on_a_terminal_only(monkeypatch, capsys):
    with Output().bars("one", "two") as (first, second):
        first(1, 2)
        second(1, 2)
    assert capsys.readouterr().err == ""  # lines belong to a verb, see test_logs.py
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    with Output().bars("one", "two") as (first, second):
        first(2, 2)
        second(1, 3)
    shown = capsys.readouterr().err
    assert "one" in shown and "2/2" in shown and "1/3" in shown
    with Output(quiet=True).progress("one") as on_progress:
        on_progress(1, 1)
    assert capsys.readouterr().err == ""
