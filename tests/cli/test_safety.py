"""Files of others stay as they are, and every refusal is heard, in words or as JSON."""

import io
import json
import os
import shutil
import sys
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin
from typer.testing import CliRunner

from histosynth.annotation.nuclei_files import write_csv
from histosynth.cli.main import app, run
from histosynth.cli.output import Output
from histosynth.core.errors import BadMask, BadOption, NotWritable
from histosynth.core.images import read_rgb, write_mask
from histosynth.core.own_files import OwnFiles
from histosynth.model.opening import open_bundle
from histosynth.pipeline.complete_files import complete_files
from histosynth.pipeline.demo import run_demo
from histosynth.pipeline.synthesize_files import synthesize_files
from histosynth.sampling.options import SamplingOptions
from histosynth.tissue.layout import draw_layout


@pytest.fixture
def place(tmp_path, tile, monkeypatch):
    """A folder, entered, with nuclei, two tiles and two holes."""
    write_csv(tmp_path / "a.csv", draw_layout((128, 128), mpp=0.5, seed=0))
    mask = np.zeros(tile.shape[:2], bool)
    mask[40:90, 30:100] = True
    (tmp_path / "images").mkdir()
    for name in ("t.png", "u.png"):
        Image.fromarray(tile).save(tmp_path / "images" / name)
        write_mask(tmp_path / "holes" / name, mask)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(bundle_folder, *arguments):
    """(exit code, stdout, stderr) of the entry point, in this process."""
    out = io.StringIO()
    err = io.StringIO()
    code = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            sys,
            "argv",
            ["histosynth", arguments[0], "--bundle", *map(str, (bundle_folder, *arguments[1:]))],
        )
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        try:
            run()
        except SystemExit as end:
            code = end.code or 0
    return code, out.getvalue(), err.getvalue()


def synthesize(bundle_folder, *more):
    return call(
        bundle_folder,
        "synthesize",
        "--nuclei",
        "a.csv",
        "--size",
        "128",
        "--out",
        "out",
        *more,
    )


def complete(bundle_folder, *more):
    return call(
        bundle_folder,
        "complete",
        "--image",
        "images",
        "--mask",
        "holes",
        "--out",
        "out",
        *more,
    )


def test_a_tiff_described_in_json_is_not_replaced(place, bundle_folder, tile):
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[270] = '{"shape": [136, 128, 3]}'
    Image.fromarray(tile).save("mine.tif", tiffinfo=tags)
    before = (place / "mine.tif").read_bytes()
    arguments = (
        "complete",
        "--image",
        "images/t.png",
        "--mask",
        "holes/t.png",
        "--out",
        "mine.tif",
    )
    code, _, err = call(bundle_folder, *arguments)
    assert code == 1 and "histosynth did not write what is there" in err
    assert (place / "mine.tif").read_bytes() == before


@pytest.mark.parametrize("text", ['{"my": "own"}', "notes", "[]", "{}", '{"a.png": {"my": 1}}'])
def test_a_recipe_file_of_others_is_not_replaced(place, bundle_folder, text):
    (place / "out").mkdir()
    (place / "out" / "recipe.json").write_text(text)
    code, _, err = synthesize(bundle_folder)
    assert (
        code == 1 and "recipe.json cannot be written: histosynth did not write what is there" in err
    )
    assert [path.name for path in (place / "out").iterdir()] == ["recipe.json"]
    assert (place / "out" / "recipe.json").read_text() == text


def test_recipes_of_pictures_that_are_gone_do_not_stay(place, bundle_folder):
    assert synthesize(bundle_folder, "-n", 2)[0] == 0
    (place / "out" / "a_1.png").unlink()
    assert synthesize(bundle_folder)[0] == 0
    assert set(json.loads((place / "out" / "recipe.json").read_text())) == {"a_0.png"}


def test_a_demo_replaces_what_a_demo_wrote_and_nothing_else(place, bundle_folder, tile):
    bundle = open_bundle(bundle_folder)
    run_demo(place / "demo", bundle=bundle, seed=0)
    first = {path: path.read_bytes() for path in (place / "demo").rglob("*") if path.is_file()}
    run_demo(place / "demo", bundle=bundle, seed=1)
    assert (place / "demo" / "nuclei.csv").read_bytes() != first[place / "demo" / "nuclei.csv"]
    run_demo(place / "demo", bundle=bundle, seed=0)
    pictures = ("contact.png", "images/mask_0.png", "images/mended_3.png", "images/synthetic_0.png")
    for name in (*pictures, "nuclei.csv", "nuclei.geojson", "report.html", "demo.json"):
        for other in (
            place / "demo",
            place / "new",
        ):  # changed since a demo wrote it, or there before any
            path = other / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if name in pictures:
                Image.fromarray(tile).save(path)
            else:
                path.write_text("mine")
            before = path.read_bytes()
            with pytest.raises(NotWritable, match=r"histosynth did not (make|write)"):
                run_demo(other, bundle=bundle, seed=0)
            assert path.read_bytes() == before
            if other == place / "demo":
                path.write_bytes(first[path])
            else:
                assert sorted(path for path in other.rglob("*") if path.is_file()) == [path]
                shutil.rmtree(other)


@pytest.mark.parametrize("last", ["images/mask_0.png", "nuclei.csv", "report.html"])
def test_a_demo_that_was_killed_after_any_file_is_made_again(
    place, bundle_folder, monkeypatch, last
):
    """A file is recorded before it appears, so that no moment leaves one that looks foreign."""

    class Killed(BaseException):
        pass

    writing = OwnFiles.writing

    @contextmanager
    def end(self, name):
        with writing(self, name) as temporary:
            yield temporary
        if name == last:
            raise Killed

    bundle = open_bundle(bundle_folder)
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(OwnFiles, "writing", end)
        run_demo(place / "demo", bundle=bundle, seed=0)
    assert (place / "demo" / last).is_file()
    run_demo(place / "demo", bundle=bundle, seed=0)
    run_demo(place / "whole", bundle=bundle, seed=0)
    for path in sorted((place / "whole").rglob("*")):
        if path.is_file():
            twin = place / "demo" / path.relative_to(place / "whole")
            assert twin.read_bytes() == path.read_bytes(), path.name


def test_holes_and_images_are_never_replaced(place, bundle_folder):
    for out in ("holes/t.png", "images/t.png"):
        before = (place / out).read_bytes()
        arguments = ("complete", "--image", "images/t.png", "--mask", "holes/t.png", "--out", out)
        code, _, err = call(bundle_folder, *arguments)
        assert (
            code == 1
            and "would replace its original" in err
            and (place / out).read_bytes() == before
        )


@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
def test_what_was_passed_over_is_told_on_stderr_even_when_quiet(
    place,
    bundle_folder,
    tile,
    quiet,
):
    write_mask("holes/u.png", np.zeros(tile.shape[:2], bool))
    code, out, err = complete(bundle_folder, *quiet)
    sentences = [line for line in err.splitlines() if line.startswith("histosynth: ")]
    assert code == 3 and len(sentences) == 1
    assert sentences[0].startswith("histosynth: images/u.png: The mask is empty")
    assert err.count("\n") == 1 or not quiet
    assert out == ("" if quiet else "out/t.png\n")


def test_quiet_prints_nothing_where_all_is_well(place, bundle_folder):
    assert complete(bundle_folder, "--quiet") == (0, "", "")
    assert synthesize(bundle_folder, "-q") == (0, "", "")


def test_quiet_notes_are_not_shown(capsys):
    Output(quiet=True).note("going on")
    Output(quiet=True).done({}, ["done"])
    assert capsys.readouterr() == ("", "")


def test_where_all_are_refused_all_are_told(place, bundle_folder, tile):
    for name in ("t", "u"):
        write_mask(f"holes/{name}.png", np.zeros(tile.shape[:2], bool))
    code, out, err = complete(bundle_folder, "--json")
    told = json.loads(out)
    assert (
        code == 1
        and told["written"] == []
        and set(told["refused"]) == {"images/t.png", "images/u.png"}
    )
    assert err.count("\n") == 2 and not (place / "out").exists()


def test_a_refusal_of_the_whole_is_json_with_its_two_sentences(place, bundle_folder):
    code, out, err = synthesize(bundle_folder, "--label", "liver", "--json")
    assert code == 1 and err.startswith("histosynth: Unknown label 'liver'")
    assert json.loads(out) == {
        "schema": "urn:histosynth:error:1",
        "error": "UnknownLabel",
        "problem": "Unknown label 'liver'; this bundle knows breast.",
        "remedy": "Choose one of those, or leave the label out.",
    }


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("coding", ["utf-8", "ascii"])
def test_names_that_a_stream_cannot_show_are_escaped(monkeypatch, as_json, coding):
    name = os.fsdecode(b"c\xff.png") + "文"
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(
            sys,
            stream,
            io.TextIOWrapper(io.BytesIO(), coding, "strict"),
        )
    output = Output(as_json)
    output.done({"written": [name]}, [name])
    output.note(name)
    output.refused([BadMask(name, "Go on.")])
    output.refuse(BadMask(name, "Go on."))
    shown = []
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        shown.append(stream.buffer.getvalue().decode(coding))
    assert "c\\udcff.png" in shown[0] and shown[1].count("c\\udcff.png") == 3
    if as_json:
        assert json.loads(shown[0].splitlines()[0])["written"] == [name]


@pytest.mark.parametrize("option", ["--nuclei", "--appearance", "--out", "--bundle", "--classes"])
def test_paths_that_are_too_long_are_refused_in_words(place, bundle_folder, option):
    code, _, err = synthesize(bundle_folder, option, "n" * 300)
    assert (
        code == 1 and err.startswith("histosynth: ") and "n" * 300 in err and err.count("\n") == 1
    )


def test_a_result_whose_name_would_be_too_long_is_passed_over_before_painting(place, bundle_folder):
    (place / "cells").mkdir()
    for name in ("a.csv", "n" * 250 + ".csv"):
        shutil.copy("a.csv", place / "cells" / name)
    outcome = synthesize_files(
        place / "cells",
        place / "out",
        size=(128, 128),
        appearance=None,
        variants=1,
        options=SamplingOptions(),
        bundle=bundle_folder,
    )
    assert [path.name for path in outcome.written] == ["a_0.png"]
    (error,) = outcome.refused.values()
    assert "its name has 256 bytes, and 240 are the most" in str(error)


def test_a_folder_of_images_needs_a_folder_for_its_results(place, bundle_folder):
    for out in ("x.png", "x.tif"):
        code, _, err = call(
            bundle_folder,
            "complete",
            "--image",
            "images",
            "--mask",
            "holes",
            "--out",
            out,
        )
        assert code == 1 and f"--out is {out}, but must be a folder, for images is one" in err
        assert not (place / out).exists()


def test_an_empty_appearance_is_not_the_current_folder(place, bundle_folder, tile):
    Image.fromarray(tile).save("a.png")
    code, _, err = synthesize(bundle_folder, "--appearance", "")
    assert code == 1 and "the appearance is empty" in err


def test_seeds_beyond_the_last_are_refused_by_every_verb(place, bundle_folder):
    ask = SamplingOptions(seed=2**63)
    with pytest.raises(BadOption, match="seed"):
        synthesize_files(
            place / "a.csv",
            place / "o",
            size=(128, 128),
            appearance=None,
            variants=1,
            options=ask,
            bundle=bundle_folder,
        )
    with pytest.raises(BadOption, match="seed"):
        complete_files(
            place / "images",
            place / "holes",
            place / "o",
            nuclei=None,
            options=ask,
            bundle=bundle_folder,
        )
    with pytest.raises(BadOption, match="seed"):
        run_demo(place / "o", bundle=bundle_folder, seed=2**63)
    assert not (place / "o").exists()


def test_turned_pictures_are_completed_as_they_are_seen(place, bundle_folder, tile):
    exif = Image.Exif()
    exif[0x112] = 6
    Image.fromarray(np.rot90(tile)).save(
        "photo.png", exif=exif
    )  # the camera was turned; viewers show `tile`
    arguments = (
        "complete",
        "--image",
        "photo.png",
        "--mask",
        "holes/t.png",
        "--out",
        "m.png",
        "--json",
    )
    result = CliRunner().invoke(app, [*arguments, "--bundle", str(bundle_folder)])
    assert result.exit_code == 0, result.exception
    assert (read_rgb("m.png")[:40] == tile[:40]).all()
