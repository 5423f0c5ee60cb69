"""Slides that are painted: the same on any engine, in any part, and after any stop."""

import functools
import hashlib
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from glass import tissue
from slides_to_paint import PlainLayout, halved, random_slide, write_full_bundle

from histosynth.core.errors import (
    BadOption,
    BadRun,
    NotWritable,
    ResumeMismatch,
    ScaleMismatch,
    UnknownClasses,
    UnknownLabel,
)
from histosynth.core.geometry import Box
from histosynth.engine import EngineOptions
from histosynth.model import opening
from histosynth.painting import latents, run
from histosynth.painting.pieces import Painting
from histosynth.pipeline.paint import PaintOptions, paint
from histosynth.sampling.options import SamplingOptions
from histosynth.slides.writing import read_slide_recipe, space

LAYOUT = PlainLayout(random_slide((1060, 1040)))
"""Of two windows, and two plots, a side."""
NARROW = PlainLayout(random_slide((1200, 150)))
"""Of two windows, and two plots."""
SAMPLING = SamplingOptions(seed=5, steps=3, device="cpu", dtype="fp32")
REFERENCE = tissue(128, 128, seed=1)[0]
LOCAL = EngineOptions("local")
REGION = Box(300, 200, 500, 400)
PIECES = 12
"""Of the whole slide: 4 windows in each of 2 phases, and 4 blocks."""
NARROW_PIECES = 6


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_full_bundle(tmp_path_factory.mktemp("full") / "bundle")


@pytest.fixture(scope="module", autouse=True)
def bundles_are_opened_once():
    """In this process: loading takes longer than painting with them."""
    cached = functools.cache(opening.open_bundle)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(opening, "open_bundle", cached)
        yield


@pytest.fixture(scope="module")
def painter(bundle):
    """Paints with few options; also returns the number of pieces of work."""

    def painted(out, layout=NARROW, *, sampling=None, appearance=None, **options):
        totals = [0]
        result = paint(
            layout,
            out,
            appearance=appearance,
            options=PaintOptions(
                replace(SAMPLING, **(sampling or {})),
                **{"codec": "deflate", "engine": LOCAL, **options},
            ),
            bundle=bundle,
            on_painted=lambda done, total: totals.append(total),
        )
        return result, totals[-1]

    return painted


@pytest.fixture(scope="module")
def whole(painter, tmp_path_factory):
    """The slide as it is painted in one go: do not change it."""
    out = tmp_path_factory.mktemp("whole") / "slide.ome.tiff"
    _, count = painter(out, LAYOUT, appearance=REFERENCE)
    assert count == PIECES
    return out


@pytest.fixture(scope="module")
def narrow(painter, tmp_path_factory):
    """The narrow slide in one go: do not change it."""
    out = tmp_path_factory.mktemp("narrow") / "slide.ome.tiff"
    _, count = painter(out)
    assert count == NARROW_PIECES
    return out


def sum_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def files_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def pixels_of(path):
    return tifffile.imread(path)


class Killed(Exception):
    """Stands for the end of the process."""


def kill_after(monkeypatch, count):
    """The next run ends after so many pieces."""
    do = Painting.do
    done = []

    def until_killed(painting, piece):
        if len(done) == count:
            raise Killed
        done.append(piece)
        do(painting, piece)

    monkeypatch.setattr(Painting, "do", until_killed)


def begin(painter, monkeypatch, out, count, **options):
    """A run that is killed after so many pieces."""
    with monkeypatch.context() as patched:
        kill_after(patched, count)
        with pytest.raises(Killed):
            painter(out, **options)
    assert not out.exists()
    return out.with_name(out.name + ".parts")


def test_a_slide_is_painted_and_says_what_it_is(whole):
    assert [path.name for path in whole.parent.glob("*.parts")] == []
    pixels = pixels_of(whole)
    assert pixels.shape == (1040, 1060, 3) and pixels.dtype == np.uint8
    assert pixels.std() > 5
    with tifffile.TiffFile(whole) as file:
        assert [level.shape[:2] for level in file.series[0].levels][1] == (520, 530)
    recipe = read_slide_recipe(whole)
    assert recipe["synthetic"] is True and recipe["verb"] == "paint"
    assert recipe["slide_size"] == [1060, 1040] and recipe["seed"] == 5
    assert recipe["layout"] == {"sha256": LAYOUT.digest}
    assert recipe["settings"]["grain"] is True and recipe["hue_shift"]["top"] > 0


def test_processes_give_the_same_file(painter, whole, tmp_path):
    out = tmp_path / "slide.ome.tiff"
    engine = EngineOptions("pool", workers=2)
    result, count = painter(out, LAYOUT, appearance=REFERENCE, engine=engine)
    assert sum_of(out) == sum_of(whole) and count == PIECES
    assert not result.was_there and result.size == (1060, 1040) and result.mpp == 0.5


def test_a_region_holds_the_pixels_of_the_whole(painter, whole, tmp_path):
    out = tmp_path / "part.ome.tiff"
    result, _ = painter(out, LAYOUT, appearance=REFERENCE, region=REGION)
    assert result.size == REGION.size
    assert result.recipe["region"] == [300, 200, 500, 400]
    np.testing.assert_array_equal(pixels_of(out), pixels_of(whole)[REGION.slices])


@pytest.mark.parametrize("region", [Box(900, 40, 200, 101), Box(1024, 0, 176, 150)])
def test_so_does_a_region_across_plots_and_one_that_is_a_plot(painter, narrow, region, tmp_path):
    result, _ = painter(tmp_path / "part.ome.tiff", region=region)
    np.testing.assert_array_equal(pixels_of(result.path), pixels_of(narrow)[region.slices])


def test_regions_without_tissue_are_the_same_in_a_part(painter, tmp_path):
    layout = halved(NARROW)
    region = Box(400, 10, 500, 130)
    result, _ = painter(tmp_path / "all.ome.tiff", layout)
    part, _ = painter(tmp_path / "part.ome.tiff", layout, region=region)
    np.testing.assert_array_equal(pixels_of(part.path), pixels_of(result.path)[region.slices])


def test_a_run_that_was_killed_goes_on_and_paints_damaged_latents_again(
    painter, whole, monkeypatch, tmp_path
):
    out = tmp_path / "slide.ome.tiff"
    options = {"layout": LAYOUT, "appearance": REFERENCE}
    parts = begin(painter, monkeypatch, out, 5, **options)
    first = sorted((parts / "latents" / "phase-1").rglob("*.f16"))
    assert len(first) == 4
    first[0].unlink()
    data = bytearray(first[1].read_bytes())
    data[len(data) // 2] ^= 4
    first[1].write_bytes(data)
    first[2].write_bytes(first[2].read_bytes()[:-1000])
    kept = sorted((parts / "features").rglob("*.safetensors"))
    assert len(kept) == 3
    kept[0].unlink()
    data = bytearray(kept[1].read_bytes())
    data[len(data) // 2] ^= 4
    kept[1].write_bytes(data)
    _, left = painter(out, **options)
    assert left == PIECES - 5 + 3
    assert sum_of(out) == sum_of(whole)
    assert not parts.exists()


@pytest.mark.parametrize("count", range(NARROW_PIECES))
def test_a_run_that_was_killed_after_any_piece_goes_on(
    painter, narrow, count, monkeypatch, tmp_path
):
    out = tmp_path / "slide.ome.tiff"
    parts = begin(painter, monkeypatch, out, count)
    assert parts.is_dir()
    _, left = painter(out)
    assert left == NARROW_PIECES - count
    assert sum_of(out) == sum_of(narrow)
    assert not parts.exists()


def test_a_run_that_ended_before_the_file_was_written_paints_nothing_again(
    painter, narrow, monkeypatch, tmp_path
):
    out = tmp_path / "slide.ome.tiff"
    with monkeypatch.context() as patched:
        patched.setattr(run, "finish_slide", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            painter(out)
    # latents are removed as soon as nobody reads them
    assert not list(tmp_path.rglob("*.f16"))
    _, left = painter(out)
    assert left == 0 and sum_of(out) == sum_of(narrow)


@pytest.fixture(scope="module")
def begun(painter, tmp_path_factory):
    """The file of a run that was killed after one piece: do not go on with it."""
    out = tmp_path_factory.mktemp("begun") / "slide.ome.tiff"
    with pytest.MonkeyPatch.context() as patched:
        begin(painter, patched, out, 1)
    return out


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"sampling": {"seed": 6}}, ("seed",)),
        ({"sampling": {"steps": 2}}, ("settings",)),
        ({"sampling": {"grain": False}}, ("settings",)),
        ({"region": Box(0, 0, 1000, 150)}, ("region",)),
        ({"layout": NARROW.without(np.arange(len(NARROW.nuclei)) == 0)}, ("layout",)),
        ({"codec": "jpeg"}, ("encoding",)),
        ({"appearance": "stain-2"}, ("appearance",)),
    ],
    ids=["seed", "steps", "grain", "region", "layout", "codec", "appearance"],
)
def test_parts_of_other_options_are_refused(painter, begun, changed, names):
    parts = begun.with_name(begun.name + ".parts")
    before = files_of(parts)
    with pytest.raises(ResumeMismatch) as refused:
        painter(begun, **changed)
    assert refused.value.run == parts and refused.value.changed == names
    assert files_of(parts) == before and not begun.exists()


def test_parts_that_do_not_say_what_they_are_are_refused(painter, monkeypatch, tmp_path):
    out = tmp_path / "slide.ome.tiff"
    parts = begin(painter, monkeypatch, out, 1)
    (parts / "painting.json").write_text("{")
    with pytest.raises(BadRun, match=r"painting\.json cannot be read"):
        painter(out)


def test_a_slide_that_is_there_is_not_painted_again(painter, narrow):
    before = narrow.stat().st_mtime_ns
    result, count = painter(narrow)
    assert result.was_there and count == 0
    assert narrow.stat().st_mtime_ns == before
    assert not narrow.with_name(narrow.name + ".parts").exists()
    facts = json.loads(json.dumps(result.as_dict()))
    assert facts["out"] == str(narrow) and facts["size"] == [1200, 150] and facts["was_there"]
    assert facts["recipe"] == read_slide_recipe(narrow)
    assert "1,200 x 150 px" in repr(result)


@pytest.mark.parametrize("other", ["a text", "a slide", "a folder"])
def test_something_else_at_that_place_stays(painter, narrow, other, tmp_path):
    out = tmp_path / "slide.ome.tiff"
    if other == "a folder":
        out.mkdir()
    else:
        out.write_bytes(b"notes" if other == "a text" else narrow.read_bytes())
    before = out.read_bytes() if out.is_file() else None
    with pytest.raises(NotWritable, match="it is there, and is not what these options give"):
        painter(out, sampling={"seed": 6})
    assert (out.read_bytes() if out.is_file() else None) == before
    assert not out.with_name(out.name + ".parts").exists()


def never(*_, **__):
    raise AssertionError("the network is not to be used")


def test_a_slide_without_tissue_needs_no_network_and_is_even(painter, monkeypatch, tmp_path):
    monkeypatch.setattr(latents, "guided_denoise", never)
    empty = replace(NARROW.without(NARROW.nuclei.xy[:, 0] > -1), tissue_from=10_000)
    result, _ = painter(tmp_path / "empty.ome.tiff", empty)
    pixels = pixels_of(result.path).reshape(-1, 3)
    assert (pixels == pixels[0]).all()


def test_windows_without_tissue_need_no_network(painter, monkeypatch, tmp_path):
    calls = []
    denoiser = latents.guided_denoise

    def counted(*arguments):
        calls.append(arguments)
        return denoiser(*arguments)

    monkeypatch.setattr(latents, "guided_denoise", counted)
    layout = replace(NARROW.without(NARROW.nuclei.xy[:, 0] < 1100), tissue_from=1100)
    painter(tmp_path / "edge.ome.tiff", layout)
    assert len(calls) == 2  # the right one, in two phases


def test_pixels_depend_on_near_nuclei_alone(painter, tmp_path):
    layout = PlainLayout(random_slide((4400, 160)))
    pictures = []
    for name, each in (
        ("all", layout),
        ("fewer", layout.without(layout.nuclei.xy[:, 0] > 3900)),
    ):
        result, _ = painter(tmp_path / f"{name}.ome.tiff", each)
        pictures.append(pixels_of(result.path).astype(int))
    changed = np.abs(pictures[0] - pictures[1]).max(axis=(0, 2)) > 0
    assert changed[3900:].mean() > 0.9
    assert not changed[:2400].any()


def test_another_seed_gives_another_slide(painter, narrow, tmp_path):
    result, _ = painter(tmp_path / "other.ome.tiff", sampling={"seed": 6})
    difference = pixels_of(result.path).astype(int) - pixels_of(narrow)
    assert np.abs(difference).mean() > 3


@pytest.mark.parametrize(
    "region",
    [Box(0, 0, 1201, 10), Box(-1, 0, 10, 10), Box(1200, 0, 5, 5), Box(0, 100, 10, 51)],
)
def test_a_region_beyond_the_slide_is_refused(painter, region, tmp_path):
    with pytest.raises(BadOption, match=r"--region.*inside the slide of 1200 x 150 px"):
        painter(tmp_path / "part.ome.tiff", region=region)
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_fit_the_bundle_is_refused_before_anything_is_written(painter, tmp_path):
    out = tmp_path / "slide.ome.tiff"
    nuclei = NARROW.nuclei
    renamed = replace(nuclei, classes=("epithelial", "lymphocyte", "fat"))
    with pytest.raises(UnknownClasses, match="fat"):
        painter(out, PlainLayout(renamed))
    with pytest.raises(ScaleMismatch):
        painter(out, PlainLayout(replace(nuclei, mpp=0.25)))
    with pytest.raises(UnknownLabel):
        painter(out, sampling={"label": "cheese"})
    with pytest.raises(BadOption, match=r"ends in \.ome\.tiff"):
        painter(tmp_path / "slide.tiff")
    with pytest.raises(BadOption, match="cloud"):
        painter(out, engine=EngineOptions("cloud"))
    assert list(tmp_path.iterdir()) == []


def test_classes_in_another_order_or_fewer_of_them_are_the_same_tissue(painter, tmp_path):
    two = NARROW.nuclei.class_ids < 2
    nuclei = NARROW.without(~two).nuclei
    swapped = replace(
        nuclei,
        classes=nuclei.classes[1::-1],
        class_ids=1 - nuclei.class_ids,
    )
    pixels = []
    for name, each in (("all", nuclei), ("two", swapped)):
        out = tmp_path / f"{name}.ome.tiff"
        painter(out, PlainLayout(each))
        pixels.append(tifffile.imread(out))
    assert np.array_equal(*pixels)


def test_glass_of_the_package_has_one_colour_across_plots(tmp_path):
    """The first plot holds no tissue and runs no decoder; the network tints wide glass."""
    layout = replace(PlainLayout(random_slide((1500, 160))), tissue_from=1350)
    layout = layout.without(layout.nuclei.xy[:, 0] < 1350)
    result = paint(
        layout,
        tmp_path / "compact.ome.tiff",
        options=PaintOptions(
            SamplingOptions(device="cpu", dtype="fp32"),
            codec="deflate",
            engine=LOCAL,
        ),
    )
    pixels = pixels_of(result.path).astype(float)
    apart = pixels[:, :1024].mean(axis=(0, 1)) - pixels[:, 1024:1280].mean(axis=(0, 1))
    assert np.abs(apart).max() < 3
    glass, painted = pixels[:, 1024:1280], pixels[:, 1370:]
    assert glass.mean() > 225 and glass.std(axis=(0, 1)).max() < 4
    assert painted.mean() < glass.mean() - 20
    assert painted.std(axis=(0, 1)).min() > 2 * glass.std(axis=(0, 1)).max()


def test_a_disk_without_room_is_refused_with_nothing_written(painter, monkeypatch, tmp_path):
    def little(_):
        return SimpleNamespace(free=1_000)

    monkeypatch.setattr(space.shutil, "disk_usage", little)
    with pytest.raises(NotWritable, match=r"needs about .* are free"):
        painter(tmp_path / "slide.ome.tiff")
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith(".")]
