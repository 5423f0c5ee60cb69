"""`histosynth mend`."""

import json

import pytest
from json_contract import check_json
from spoilt_slides import tissue, with_pen, write_jpeg_slide
from typer.testing import CliRunner

from histosynth.cli.main import app
from histosynth.core.errors import BadOption


def run(*words):
    done = CliRunner().invoke(app, ["mend", *map(str, words)])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout


def test_pen_is_found_first_and_then_painted(tmp_path, bundle_folder):
    pixels, _ = with_pen(tissue(500, 360))
    slide = write_jpeg_slide(tmp_path / "a.tif", pixels)
    found = tmp_path / "found.geojson"
    facts = check_json(run(slide, "--find-only", "--only", "pen", "--out", found, "--json"))
    assert facts["regions"] == {"pen": 1}
    assert json.loads(found.read_text())["features"]
    assert "1 pen" in run(slide, "--find-only", "--only", "pen", "--out", found)
    out = tmp_path / "b.ome.tiff"
    words = (slide, "--artifacts", found, "--out", out, "--bundle", bundle_folder, "--steps", 2)
    facts = check_json(run(*words, "--dtype", "fp32", "--json"))
    assert facts["regions"] == {"pen": 1}
    assert [level["differing_px"] for level in facts["levels"]] == [0, 0]
    assert facts["recipe"]["verb"] == "mend"
    text = run(*words, "--dtype", "fp32")
    assert "was there already" in text
    assert "b.synthetic.geojson" in text


def test_places_are_looked_for_or_given(tmp_path):
    slide = write_jpeg_slide(tmp_path / "a.tif", tissue(256, 256))
    out = tmp_path / "found.geojson"
    with pytest.raises(BadOption, match="--artifacts"):
        run(slide, "--find-only", "--artifacts", "mine.geojson", "--out", out)
