"""`prepare run`: from slides to a set, the same on every engine, stopped or not."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from glass import write_pixels, write_slide
from locking import another_run
from PIL import Image

from histosynth.annotation.regions import Region, read_regions, write_regions
from histosynth.core.errors import (
    BadRecipe,
    BadTable,
    FolderInUse,
    InputError,
    NoFiles,
    ResumeMismatch,
)
from histosynth.core.geometry import Box
from histosynth.core.images import decode_rgb
from histosynth.core.matching import match_points
from histosynth.core.own_files import OWN_RECORD
from histosynth.core.recipe import build
from histosynth.core.tileset import TileSet
from histosynth.detectors.blobs import BlobDetector
from histosynth.detectors.centroids import load_detector
from histosynth.detectors.finding import find_nuclei
from histosynth.engine import open_engine
from histosynth.preparation import chunks, jobs
from histosynth.preparation.jobs import opened
from histosynth.preparation.quality import QUALITY_GATES
from histosynth.preparation.recipe import PrepareRecipe
from histosynth.preparation.rows import Facts, RowTools, make_rows
from histosynth.preparation.run import prepare
from histosynth.preparation.survey import Survey, survey_slide

SMALL = {"tiles": {"size": 256}, "nuclei": {"source": "blobs"}}


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    folder = tmp_path_factory.mktemp("glass")
    places = {}
    for number, dyes in enumerate([(1.0, 1.0), (0.8, 1.2), (1.1, 0.9)]):
        name = f"TCGA-AA-000{number}-01Z-00-DX1"
        places[name] = write_slide(folder / f"{name}.tiff", seed=number, dyes=dyes)
    return folder, places


def run(folder, out, engine="local", **more):
    recipe = build({"slides": ["*.tiff"], **SMALL, **more}, PrepareRecipe)
    return prepare(
        recipe,
        out,
        base_folder=folder,
        engine=open_engine(engine, workers=2),
    )


def test_slides_become_a_set_with_a_reason_for_each_refusal(slides, tmp_path):
    done = run(slides[0], tmp_path)
    rows = list(TileSet(tmp_path).rows(refused=True))
    assert len(rows) == 3 * 5 * 4 == done.summary["tiles"]
    kept = [row for row in rows if not row.refused]
    assert len(kept) == done.summary["kept"] >= 3 * 8
    assert all(row.image and row.nuclei is not None and row.split for row in kept)
    assert all(":" in row.refused for row in rows if row.refused)
    assert {row.ref.patient for row in rows} == {"TCGA-AA-0000", "TCGA-AA-0001", "TCGA-AA-0002"}
    for name in (*slides[1], "contact"):
        with Image.open(tmp_path / "look" / f"{name}.png") as picture:
            assert min(picture.size) > 200
    frames = read_regions(tmp_path / "look" / f"{next(iter(slides[1]))}.geojson")
    assert len(frames) == 20 and {frame.name for frame in frames} >= {"kept", "refused, tissue"}


def test_nuclei_on_tile_borders_are_found_once(slides, tmp_path):
    run(
        slides[0],
        tmp_path,
        stain={"method": "none"},
        tiles={"size": 250, "tissue": 0.99},
    )
    for name, places in slides[1].items():
        rows = [row for row in TileSet(tmp_path).rows() if row.ref.slide == name]
        found = np.concatenate(
            [row.nuclei.xy + np.array([row.ref.box.x, row.ref.box.y]) for row in rows]
        )
        inside = np.zeros(len(places), bool)
        for row in rows:
            low = np.array([row.ref.box.x, row.ref.box.y])
            inside |= ((places >= low + 1) & (places < low + 249)).all(axis=1)
        pairs, _ = match_points(places[inside], found, 4.0)
        assert len(pairs) >= 0.97 * inside.sum()
        gaps = np.linalg.norm(found[:, None] - found[None], axis=2) + 1e9 * np.eye(len(found))
        assert gaps.min() > 3, "one nucleus stands in two tiles"


def test_tiles_of_different_stain_come_out_alike(slides, tmp_path):
    def spread(out):
        means = {}
        for tile, row in TileSet(out).tiles():
            means.setdefault(row.ref.slide, []).append(tile.pixels.mean(axis=(0, 1)))
        return np.std([np.mean(each, axis=0) for each in means.values()], axis=0).max()

    run(
        slides[0],
        tmp_path / "raw",
        stain={"method": "none"},
        tiles={"size": 256, "tissue": 0.9},
    )
    run(slides[0], tmp_path / "alike", tiles={"size": 256, "tissue": 0.9})
    assert spread(tmp_path / "alike") < 0.5 * spread(tmp_path / "raw")


def test_the_pool_gives_the_same_files_and_running_again_does_nothing(slides, tmp_path):
    one = run(slides[0], tmp_path / "a")
    two = run(slides[0], tmp_path / "b", engine="pool")
    assert one.summary["sha256"] == two.summary["sha256"] and one.written == 3
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "a").glob("*.parquet")}
    again = run(slides[0], tmp_path / "a")
    assert (again.written, again.finished) == (0, 3) and again.summary == one.summary
    assert times == {path: path.stat().st_mtime_ns for path in times}


def test_a_run_killed_half_way_goes_on_to_the_same_bytes(slides, tmp_path):
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        f'slides = ["{slides[0]}/*.tiff"]\ntiles.size = 128\nnuclei.source = "blobs"\n'
    )
    command = [
        sys.executable,
        "-m",
        "histosynth",
        "prepare",
        "run",
        str(recipe),
        "--engine",
        "local",
        "-q",
    ]
    subprocess.run([*command, "--out", str(tmp_path / "whole")], check=True)
    victim = subprocess.Popen([*command, "--out", str(tmp_path / "killed")], start_new_session=True)
    until = time.monotonic() + 60
    while not list((tmp_path / "killed").glob("*.parquet")) and time.monotonic() < until:
        time.sleep(0.02)
    assert list((tmp_path / "killed").glob("*.parquet")), "it was to be killed half-way"
    os.killpg(victim.pid, signal.SIGKILL)
    victim.wait()
    assert not (tmp_path / "killed" / "prepare.json").exists()
    subprocess.run([*command, "--out", str(tmp_path / "killed")], check=True)
    read = {
        name: json.loads((tmp_path / name / "prepare.json").read_text())
        for name in ("whole", "killed")
    }
    assert read["whole"] == read["killed"]


def test_what_a_killed_writer_left_is_no_part_of_the_set_and_goes_away(slides, tmp_path):
    run(slides[0], tmp_path)
    whole = next(tmp_path.glob("*.parquet"))
    leftover = whole.with_name(f".{whole.stem}-ab12cd.parquet")
    leftover.write_bytes(whole.read_bytes()[:1000])
    assert len(TileSet(tmp_path).files) == 3
    assert run(slides[0], tmp_path).written == 0 and not leftover.exists()


def test_another_recipe_in_the_same_folder_is_refused(slides, tmp_path):
    run(slides[0], tmp_path)
    with pytest.raises(ResumeMismatch, match="tiles"):
        run(slides[0], tmp_path, tiles={"size": 128})


def test_a_folder_that_an_earlier_version_began_is_continued(slides, tmp_path):
    run(slides[0], tmp_path)
    path = tmp_path / "recipe.json"
    recipe = json.loads(path.read_text())
    recipe["nuclei"]["kinds"] = recipe["nuclei"].pop("classes")
    path.write_text(json.dumps(recipe))
    (tmp_path / OWN_RECORD).unlink()  # earlier versions kept none
    run(slides[0], tmp_path)
    assert "classes" in json.loads(path.read_text())["nuclei"]
    recipe["nuclei"]["kinds"] = {"a": "b"}
    path.write_text(json.dumps(recipe))
    (tmp_path / OWN_RECORD).unlink()
    with pytest.raises(ResumeMismatch, match="nuclei"):
        run(slides[0], tmp_path)


def test_a_slide_that_cannot_be_used_is_named_and_the_others_go_on(slides, tmp_path):
    folder = tmp_path / "slides"
    folder.mkdir()
    good = next(slides[0].glob("*.tiff"))
    (folder / "good.tiff").write_bytes(good.read_bytes())
    (folder / "cut.tiff").write_bytes(good.read_bytes()[:20_000])
    Image.fromarray(np.full((300, 300, 3), 200, np.uint8)).save(folder / "scaleless.png")
    recipe = build({"slides": ["*"], **SMALL}, PrepareRecipe)
    done = prepare(
        recipe,
        tmp_path / "out",
        base_folder=folder,
        engine=open_engine("local"),
    )
    refused = {each["slide"]: each.get("refused") for each in done.summary["slides"]}
    assert (
        refused["good"] is None and "cut.tiff" in refused["cut"] and "--mpp" in refused["scaleless"]
    )


def test_a_run_in_which_no_slide_can_be_used_is_refused_and_leaves_nothing(slides, tmp_path):
    (tmp_path / "slides").mkdir()
    Image.fromarray(np.full((300, 300, 3), 200, np.uint8)).save(tmp_path / "slides" / "a.png")
    with pytest.raises(InputError, match=r"a\.png does not state its scale"):
        run(tmp_path / "slides", tmp_path / "out", slides=["*"])
    assert not (tmp_path / "out").exists()
    (tmp_path / "slides" / "b.tiff").write_bytes(next(slides[0].glob("*.tiff")).read_bytes()[:999])
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match=r"None of the 2 slides can be used. The first is a: "):
        run(tmp_path / "slides", tmp_path / "out", slides=["*"])
    assert list((tmp_path / "out").iterdir()) == []


def test_glass_without_tissue_gives_rows_and_no_tile(tmp_path):
    write_pixels(tmp_path / "empty.tiff", np.full((600, 600, 3), 243, np.uint8))
    done = run(tmp_path, tmp_path / "out")
    assert (done.summary["kept"], done.summary["refused"]) == (0, {"tissue": 4})


def test_a_table_gives_patients_and_labels_and_must_name_every_slide(slides, tmp_path):
    names = sorted(slides[1])
    table = slides[0] / "table.csv"
    table.write_text(
        "slide,patient,label\n"
        + "".join(f"{name}.tiff,P{n // 2},UPS\n" for n, name in enumerate(names))
    )
    done = run(slides[0], tmp_path / "a", table="table.csv")
    assert [each["patient"] for each in done.summary["slides"]] == ["P0", "P0", "P1"]
    assert {each["label"] for each in done.summary["slides"]} == {"UPS"}
    table.write_text(f"slide\n{names[0]}\n")
    with pytest.raises(BadTable, match="lacks 2 of 3 slides"):
        run(slides[0], tmp_path / "b", table="table.csv")
    with pytest.raises(BadRecipe, match="finds no patient"):
        run(slides[0], tmp_path / "c", patient="^(nobody)")
    with pytest.raises(NoFiles):
        run(slides[0], tmp_path / "d", slides=["*.svs"])


def test_regions_say_where_tiles_may_lie(slides, tmp_path):
    ring = [[0, 0], [700, 0], [700, 1100], [0, 1100], [0, 0]]
    region = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"classification": {"name": "Tumour"}},
    }
    for name in slides[1]:
        (tmp_path / f"{name}.geojson").write_text(json.dumps({"features": [region]}))
    regions = {"folder": str(tmp_path), "include": ["Tumour"]}
    run(slides[0], tmp_path / "out", regions=regions)
    assert all(row.ref.box.x < 700 for row in TileSet(tmp_path / "out").rows())
    assert any(
        row.ref.box.x > 700 and row.refused for row in TileSet(tmp_path / "out").rows(refused=True)
    )


@pytest.mark.parametrize("names", [{"include": ["Tumour"]}, {"exclude": ["Fold", "Necrosis"]}])
def test_tiles_lie_inside_included_and_outside_excluded_regions(slides, tmp_path, names):
    """The left half is tumour; the right half is divided between folds and necrosis."""

    def region(name, left, top, right, bottom):
        ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
        return {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": {"classification": {"name": name}},
        }

    drawn = [
        region("Tumour", 0, 0, 700, 1100),
        region("Fold", 700, 0, 1400, 550),
        region("Necrosis", 700, 550, 1400, 1100),
    ]
    for name in slides[1]:
        (tmp_path / f"{name}.geojson").write_text(json.dumps({"features": drawn}))
    regions = {"folder": str(tmp_path)} | names
    run(slides[0], tmp_path / "out", regions=regions, tiles={"size": 140, "tissue": 0.9})
    rows = list(TileSet(tmp_path / "out").rows(refused=True))
    kept = {row.ref.box.x for row in rows if not row.refused.startswith("tissue")}
    assert kept and max(kept) + 140 <= 700 and min(kept) < 350


def test_a_survey_with_regions_is_the_same_after_it_was_written(slides, tmp_path):
    name = next(iter(slides[1]))
    ring = ((300.0, 200.0), (900.0, 200.0), (900.0, 900.0), (300.0, 900.0))
    write_regions(tmp_path / "r.geojson", [Region("Tumour", ring), Region("Fold", ring[:3])])
    wanted = {"include": ["Tumour"], "exclude": ["Fold"]}
    recipe = build({"slides": ["*"], **SMALL, "regions": wanted}, PrepareRecipe)
    with opened(slides[0] / f"{name}.tiff", None) as slide:
        survey = survey_slide(slide, recipe, tmp_path / "r.geojson")
        whole = survey_slide(slide, build({"slides": ["*"], **SMALL}, PrepareRecipe), None)
    assert Survey.from_dict(json.loads(json.dumps(survey.as_dict()))).as_dict() == survey.as_dict()
    # Tumour without the half of it that is a fold
    drawn_px = sum(survey.shares) * 256**2
    assert 0.45 < drawn_px / (600 * 700) < 0.55 and sum(whole.shares) > 2 * sum(survey.shares)


@pytest.mark.parametrize("chance, is_kept", [(0.5, True), (0.501, False)])
def test_a_tile_is_refused_where_an_artefact_is_likelier_than_not(slides, chance, is_kept):
    name = next(iter(slides[1]))
    recipe = build({"slides": ["*"], **SMALL, "stain": {"method": "none"}}, PrepareRecipe)
    with opened(slides[0] / f"{name}.tiff", None) as slide:
        survey = survey_slide(slide, recipe, None)
        (row,) = make_rows(
            slide,
            survey,
            [survey.kept(0.9)[0]],
            Facts(name, "P", "", ""),
            recipe=recipe,
            tools=RowTools(artefact=lambda pixels, mpp: chance),
        )
    assert row.quality["artefact"] == chance and (not row.refused) == is_kept
    assert is_kept or row.refused.startswith("artefact: chance of an artefact 50.1%")


def test_a_tile_that_is_refused_goes_through_no_further_step(slides):
    """What is refused keeps its pixels, is not sent to the classifier and gets no nuclei."""
    name = next(iter(slides[1]))
    recipe = build({"slides": ["*"], **SMALL, "quality": {"blur": 99.0}}, PrepareRecipe)
    with opened(slides[0] / f"{name}.tiff", None) as slide:
        survey = survey_slide(slide, recipe, None)
        index = survey.kept(0.9)[0]
        (row,) = make_rows(
            slide,
            survey,
            [index],
            Facts(name, "P", "", ""),
            recipe=recipe,
            tools=RowTools(detector=BlobDetector(), artefact=lambda pixels, mpp: 1 / 0),
        )
        box = survey.grid.box(index)
        pixels = slide.read(0, box)
    assert row.refused.startswith("blur: ") and row.nuclei is None
    assert set(row.quality) == {"tissue", *QUALITY_GATES}
    assert (decode_rgb(row.image, "tile") == pixels).all()


def test_nuclei_of_another_tool_come_in_by_file(slides, tmp_path):
    for name, places in slides[1].items():
        lines = "".join(f"{x},{y},Tumor\n" for x, y in places)
        (tmp_path / f"{name}.csv").write_text("x,y,class\n" + lines)
    nuclei = {
        "source": "files",
        "folder": str(tmp_path),
        "classes": {"Tumor": "epithelial"},
        "least_per_mm2": 100,
    }
    run(slides[0], tmp_path / "out", nuclei=nuclei)
    kept = list(TileSet(tmp_path / "out").rows())
    assert kept and {name for row in kept for name in row.nuclei.names()} == {"epithelial"}
    for row in kept:
        corner = np.array([row.ref.box.x, row.ref.box.y])
        places = slides[1][row.ref.slide] - corner
        inside = ((places >= -0.5) & (places < 255.5)).all(axis=1)
        assert len(row.nuclei) == inside.sum()
        assert np.abs(row.nuclei.xy - places[inside]).max() < 0.02


def test_nuclei_at_another_magnification_are_scaled_and_those_outside_are_counted(slides, tmp_path):
    """HoVer-Net writes pixels of 40x; the slide has 0.5 um/px, which is 20x."""
    name, places = next(iter(slides[1].items()))
    at_40x = [*((np.asarray(places) + 0.5) * 2 - 0.5).tolist(), [99_999, 5]]
    nuc = {str(number): {"centroid": xy, "type": None} for number, xy in enumerate(at_40x)}
    (tmp_path / f"{name}.json").write_text(json.dumps({"mag": 40, "nuc": nuc}))
    nuclei = {"source": "files", "folder": str(tmp_path)}
    run(slides[0], tmp_path / "out", slides=[f"{name}.tiff"], nuclei=nuclei)
    for row in TileSet(tmp_path / "out").rows():
        corner = np.array([row.ref.box.x, row.ref.box.y])
        there = places - corner
        inside = ((there >= -0.5) & (there < 255.5)).all(axis=1)
        assert {*row.nuclei.names()} == {"any"}
        assert np.abs(row.nuclei.xy - there[inside]).max() < 0.02
    (entry,) = json.loads((tmp_path / "out" / "prepare.json").read_text())["slides"]
    path = tmp_path / f"{name}.json"
    assert entry["left_out"] == {"nuclei outside the slide": 1}
    assert entry["notes"] == [
        f"{path}: its coordinates are at mag 40; times 0.5 they are px of the picture.",
        f"{path}: left out 1 of {len(at_40x):,} nuclei outside the slide.",
    ]


def test_a_file_of_nuclei_is_read_once_for_all_chunks_of_its_slide(slides, tmp_path, monkeypatch):
    name, places = next(iter(slides[1].items()))
    rows = "".join(f"{x},{y},a\n" for x, y in np.asarray(places).tolist())
    (tmp_path / f"{name}.csv").write_text("x,y,class\n" + rows)
    nuclei = {"source": "files", "folder": str(tmp_path)}
    run(slides[0], tmp_path / "whole", slides=[f"{name}.tiff"], nuclei=nuclei)
    reads = []
    read = jobs.read_slide_nuclei

    def counted(*arguments, **options):
        reads.append(arguments)
        return read(*arguments, **options)

    monkeypatch.setattr(jobs, "read_slide_nuclei", counted)
    monkeypatch.setattr(chunks, "CHUNK_PX", 1)
    jobs._nuclei_of_slide.cache_clear()
    run(slides[0], tmp_path / "cut", slides=[f"{name}.tiff"], nuclei=nuclei)
    files = list((tmp_path / "cut").glob("*.parquet"))
    assert len(files) > 1 and len(reads) == 2  # by the survey, and for the chunks
    found = [
        [row.nuclei.xy.tolist() for row in TileSet(tmp_path / out).rows()]
        for out in ("whole", "cut")
    ]
    assert found[0] == found[1]


def test_nuclei_of_a_file_stand_right_at_a_scale_between_levels(slides, tmp_path):
    name, places = next(iter(slides[1].items()))
    (tmp_path / f"{name}.csv").write_text(
        "x,y,class\n" + "".join(f"{x},{y},a\n" for x, y in places)
    )
    nuclei = {"source": "files", "folder": str(tmp_path)}
    run(
        slides[0],
        tmp_path / "out",
        slides=[f"{name}.tiff"],
        nuclei=nuclei,
        stain={"method": "none"},
        tiles={
            "size": 100,
            "mpp": 0.73,
            "tissue": 0.01,
            "edge": "pad",
        },
    )
    rows = list(TileSet(tmp_path / "out").rows(refused=True))
    step = 0.73 / 0.5
    seen = 0
    for row in (each for each in rows if each.nuclei is not None):
        corner = np.round(np.array([row.ref.box.x, row.ref.box.y]) / step / 100) * 100
        there = (places + 0.5) / step - 0.5 - corner
        inside = ((there >= -0.5) & (there < 99.5)).all(axis=1)
        assert np.abs(row.nuclei.xy - there[inside]).max(initial=0) < 0.02
        seen += inside.sum()
    assert seen > 500


def test_a_set_whose_stain_cannot_be_found_is_refused_tile_by_tile(tmp_path):
    pink = np.full((600, 600, 3), 244, np.uint8)
    amount = np.random.default_rng(0).uniform(0.2, 0.9, (500, 500, 1))
    pink[50:550, 50:550] = (245 * np.exp(-amount * np.array([0.2, 1.0, 0.25]))).round()
    write_pixels(tmp_path / "pink.tiff", pink)
    for fit in ("slide", "tile"):
        done = run(
            tmp_path,
            tmp_path / fit,
            stain={"method": "macenko", "fit": fit},
            quality={"blur": 0.0},
        )
        assert done.summary["kept"] == 0 and done.summary["refused"]["stain"] > 0, fit


def test_folders_that_are_not_there_are_refused_before_any_work(slides, tmp_path):
    with pytest.raises(BadRecipe, match=r"regions.folder: there is no folder"):
        run(slides[0], tmp_path / "out", regions={"folder": "typo", "exclude": ["Bad"]})
    assert not (tmp_path / "out").exists()


def test_two_runs_in_one_folder_are_refused(slides, tmp_path):
    with another_run(tmp_path), pytest.raises(FolderInUse, match="works in it"):
        run(slides[0], tmp_path)
    assert run(slides[0], tmp_path).written == 3


def test_pictures_that_were_not_drawn_to_the_end_are_drawn_again(slides, tmp_path):
    run(slides[0], tmp_path)
    (tmp_path / "look" / ".drawn").unlink()
    name = next(iter(slides[1]))
    (tmp_path / "look" / f"{name}.png").unlink()
    run(slides[0], tmp_path)
    assert (tmp_path / "look" / f"{name}.png").exists()


@pytest.mark.parametrize("size", [200, 250])
def test_the_network_too_finds_a_nucleus_on_a_border_once(slides, tmp_path, size):
    """Tiles together give what one look at the whole gives, whether or not they lie on its
    lattice."""
    name = sorted(slides[1])[0]
    plan = {"size": size, "tissue": 0.01, "edge": "pad"}
    run(
        slides[0],
        tmp_path,
        slides=[f"{name}.tiff"],
        tiles=plan,
        nuclei={"source": "centroids"},
        stain={"method": "none"},
    )
    rows = [row for row in TileSet(tmp_path).rows(refused=True) if row.nuclei is not None]
    found = np.concatenate(
        [row.nuclei.xy + np.array([row.ref.box.x, row.ref.box.y]) for row in rows]
    )
    with opened(slides[0] / f"{name}.tiff", None) as slide:
        full = slide.levels[0]
        whole = find_nuclei(
            slide.read(0, Box(0, 0, full.width, full.height)),
            0.5,
            load_detector(),
        )
    inside = np.zeros(len(whole), bool)
    for row in rows:
        low = np.array([row.ref.box.x, row.ref.box.y]) - 0.5
        inside |= ((whole.xy >= low) & (whole.xy < low + size)).all(axis=1)
    wanted = whole.xy[inside]
    assert len(wanted) > 500
    pairs, gaps = match_points(wanted, found, 1.0)
    assert len(found) == len(wanted) == len(pairs) and np.median(gaps) < 0.05
