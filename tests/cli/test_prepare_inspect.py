"""`histosynth prepare inspect`: what a file is, and what would be refused, without a traceback."""

import json
import os

import pytest
from json_contract import check_json
from tiff_files import picture, write_aperio, write_generic, write_ome, write_pages
from typer.testing import CliRunner

from histosynth.cli.main import app
from histosynth.pipeline.inspecting import inspect_files


def call(*words):
    """(exit code, stdout)."""
    done = CliRunner().invoke(app, ["prepare", "inspect", *map(str, words)])
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.exit_code, done.stdout


def strict(text):
    def refuse(name):
        raise ValueError(name)

    check_json(text)
    return json.loads(text, parse_constant=refuse)


def test_an_aperio_slide_as_json(tmp_path):
    path = write_aperio(tmp_path / "a.svs", mpp="0,25", compression="jpeg")
    code, out = call(path, "--json")
    assert code == 0
    (facts,) = strict(out)["files"]
    assert facts == {
        "type": "slide",
        "path": str(path),
        "bytes": path.stat().st_size,
        "make": "aperio",
        "reader": "tifffile",
        "compression": "JPEG",
        "width": 320,
        "height": 256,
        "mpp": 0.25,
        "scale": [
            {
                "source": 'its description ("MPP = 0,25")',
                "mpp_x": 0.25,
                "mpp_y": 0.25,
                "problem": "",
            },
            {"source": "openslide.mpp-x and -y", "mpp_x": 0.25, "mpp_y": 0.25, "problem": ""},
        ],
        "levels": [{"width": 320, "height": 256, "downsample": 1.0, "mpp": 0.25}],
        "refused": [],
    }


def test_the_same_for_people(tmp_path):
    path = write_ome(tmp_path / "a.tif", picture(), picture()[::2, ::2].copy())
    code, out = call(path)
    assert code == 0
    assert out.splitlines() == [
        str(path),
        f"  bytes            {path.stat().st_size:,}",
        "  make             ome-tiff",
        "  reader           tifffile",
        "  compression      deflate (old code)",
        "  mpp              0.5 um/px",
        "  scale            0.5 x 0.5 um/px in its OME-XML",
        "  levels           320 x 256 px, 0.5 um/px",
        "                   160 x 128 px, 1 um/px",
        "  refused          no",
        "",
    ]


def test_a_scale_that_is_refused_leaves_the_other_facts(tmp_path):
    path = write_generic(tmp_path / "a.tif", resolution=(20_000, 40_000))
    code, out = call(path, "--json")
    (facts,) = strict(out)["files"]
    assert code == 1 and facts["mpp"] is None and facts["width"] == 320
    assert facts["levels"] == [{"width": 320, "height": 256, "downsample": 1.0, "mpp": None}]
    assert facts["scale"][0]["mpp_x"] == 0.5 and facts["scale"][0]["mpp_y"] == 0.25
    assert facts["refused"] == [
        f"{path} states two scales that differ by more than 1 %: 0.5 um/px across, and 0.25 um/px "
        "down, in its tags XResolution and YResolution. Give the right one with --mpp, in "
        "micrometres per pixel."
    ]


def test_bad_files_are_reported_and_the_others_go_on(tmp_path):
    good = write_aperio(tmp_path / "good.svs")
    (tmp_path / "text.svs").write_text("hello")
    (tmp_path / "empty.tif").write_bytes(b"")
    write_pages(tmp_path / "grey.tif", picture()[..., 0].copy())
    cut = tmp_path / "cut.tif"
    cut.write_bytes(write_generic(tmp_path / "whole.tif").read_bytes()[:4000])
    paths = [good, *(tmp_path / name for name in ("text.svs", "empty.tif", "grey.tif"))]
    code, out = call(*paths, cut, tmp_path / "absent.svs", tmp_path, "--json")
    files = strict(out)["files"]
    assert code == 3 and len(files) == 7
    assert [bool(facts["refused"]) for facts in files] == [False] + [True] * 6
    assert "is a grayscale picture, not 8-bit RGB" in files[3]["refused"][0]
    assert files[5]["refused"] == [
        f"{tmp_path / 'absent.svs'} cannot be read as an image: No such file or directory. Check "
        "the path."
    ]
    code, out = call(*paths, cut)
    assert code == 3 and out.count("\n  refused          ") == 5


def test_a_number_beyond_all_limits_is_no_infinity_in_json(tmp_path):
    path = write_ome(tmp_path / "a.tif")
    content = path.read_bytes().replace(b'PhysicalSizeX="0.5"', b'PhysicalSizeX="9E9"')
    path.write_bytes(content)
    assert strict(call(path, "--json")[1])["files"][0]["refused"]


@pytest.mark.skipif(os.name == "nt", reason="names of bytes")
def test_names_that_are_no_text_are_shown(tmp_path):
    code, out = call(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.svs"), "--json")
    assert code == 1 and strict(out)


def test_the_python_function_gives_the_same(tmp_path):
    path = write_aperio(tmp_path / "a.svs")
    assert inspect_files([path]) == strict(call(path, "--json")[1])["files"]
