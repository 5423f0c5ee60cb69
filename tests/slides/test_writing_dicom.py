"""Slides written as DICOM: every reader sees every level, and what they state is true."""

import sys

import numpy as np
import openslide
import pytest
from slides_to_write import levels_of, noisy, parts_of, smooth

from histosynth.core.errors import BadOption, NeedsExtra, NotWritable
from histosynth.core.geometry import Box
from histosynth.slides import open_slide
from histosynth.slides.dicom import DicomSlide
from histosynth.slides.writing import (
    Encoding,
    SlideDescription,
    check_slide_format,
    dicom_files,
    finish_slide,
    read_slide_recipe,
)
from histosynth.slides.writing.parts import PartPlace, read_pieces

pydicom = pytest.importorskip("pydicom", reason="needs the extra histosynth[dicom]")
wsidicom = pytest.importorskip("wsidicom", reason="needs the extra histosynth[dicom]")

RECIPE = {"verb": "paint", "seed": 3, "note": 'a < b & "c" \u00b5 \\ 1'}
DESCRIPTION = SlideDescription(0.2527, RECIPE)
SIZES = [(1100, 700), (257, 256), (100, 30), (3, 700), (513, 129)]


def written(folder, pixels, codec="jpeg2000", description=DESCRIPTION):
    parts = parts_of(folder / "parts", pixels, codec)
    out = folder / "slide.dicom"
    finish_slide(out, parts, description)
    return out, parts


def headers(out):
    return [pydicom.dcmread(path) for path in sorted(out.iterdir())]


def by_openslide(out):
    with openslide.OpenSlide(out / "slide-00.dcm") as slide:
        sizes = enumerate(slide.level_dimensions)
        regions = [slide.read_region((0, 0), level, size) for level, size in sizes]
        return [np.asarray(region.convert("RGB")) for region in regions]


def by_wsidicom(out):
    with wsidicom.WsiDicom.open(out) as slide:
        levels = list(slide.pyramids[0])
        assert [level.level for level in levels] == list(range(len(levels)))
        regions = [
            slide.read_region((0, 0), level.level, level.size.to_tuple()) for level in levels
        ]
    return [np.asarray(region.convert("RGB")) for region in regions]


def by_this_package(out, reader):
    slide = reader(out / "slide-00.dcm")
    found = [
        slide.read(number, Box(0, 0, level.width, level.height))
        for number, level in enumerate(slide.levels)
    ]
    assert slide.mpp == pytest.approx(0.2527, rel=1e-9)
    slide.close()
    return found


@pytest.mark.parametrize("size", SIZES)
def test_every_reader_sees_every_level_without_loss(tmp_path, size):
    pixels = noisy(*size)
    out, parts = written(tmp_path, pixels)
    wanted = levels_of(pixels, len(parts.pyramid.levels))
    readers = [
        by_openslide(out),
        by_wsidicom(out),
        by_this_package(out, open_slide),
        by_this_package(out, DicomSlide),
    ]
    for found in readers:
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(one, other)


def test_jpeg_frames_are_the_tiles_of_the_tiff(tmp_path):
    pixels = smooth(700, 500)
    out, parts = written(tmp_path, pixels, "jpeg")
    tiff = tmp_path / "slide.ome.tiff"
    finish_slide(tiff, parts, DESCRIPTION)
    with openslide.OpenSlide(tiff) as slide:
        sizes = enumerate(slide.level_dimensions)
        regions = [slide.read_region((0, 0), level, size) for level, size in sizes]
        wanted = [np.asarray(region.convert("RGB")) for region in regions]
    assert len(wanted) == 4
    for found in (by_openslide(out), by_wsidicom(out), by_this_package(out, open_slide)):
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(one, other)
    data = headers(out)[0]
    frames = pydicom.encaps.generate_frames(data.PixelData, number_of_frames=24)
    first_row = read_pieces(PartPlace(parts, 0, 0), [0, 1])
    assert [next(frames).rstrip(b"\0"), next(frames).rstrip(b"\0")] == first_row


def test_it_is_stated_as_synthetic_and_with_its_scale(tmp_path):
    out, parts = written(tmp_path, smooth(300, 200), "jpeg")
    found = headers(out)
    assert [str(path.name) for path in sorted(out.iterdir())] == [
        "slide-00.dcm",
        "slide-01.dcm",
        "slide-02.dcm",
    ]
    for number, data in enumerate(found):
        assert data.SyntheticData == "YES"
        assert data.ImageType == [
            "DERIVED",
            "PRIMARY",
            "VOLUME",
            "RESAMPLED" if number else "NONE",
        ]
        assert data.DerivationDescription.startswith("Synthetic tissue by histosynth ")
        assert "not for diagnosis" in data.ContributingEquipmentSequence[0].ContributionDescription
        assert data.PatientID.startswith("synthetic-")
        assert "no specimen" in data.SpecimenDescriptionSequence[0].SpecimenShortDescription
        spacing = data.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing
        assert [float(value) for value in spacing] == [0.0002527 * 2**number] * 2
        assert data.DimensionOrganizationType == "TILED_FULL"
        assert data.PhotometricInterpretation == "YBR_FULL_422"
        across, down = parts.pyramid.tiles(number)
        assert data.NumberOfFrames == across * down
        size = sum(map(len, pydicom.encaps.generate_frames(data.PixelData, number_of_frames=1)))
        ratio = 3 * 128 * 128 * across * down / size
        assert data.LossyImageCompressionRatio == pytest.approx(ratio, rel=0.01)
        assert len(data.OpticalPathSequence[0].ICCProfile) > 500
    for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "PyramidUID"):
        assert len({data[name].value for data in found}) == 1
    assert len({data.SOPInstanceUID for data in found}) == 3
    assert read_slide_recipe(out) == {**RECIPE, "extent": "slide", "mpp": 0.2527}


def test_the_same_slide_has_the_same_bytes_and_another_other_uids(tmp_path):
    (tmp_path / "two").mkdir()
    (tmp_path / "three").mkdir()
    one, _ = written(tmp_path, smooth(300, 200))
    two, _ = written(tmp_path / "two", smooth(300, 200))
    other, _ = written(tmp_path / "three", smooth(300, 200), description=SlideDescription(0.25))
    for path in one.iterdir():
        assert path.read_bytes() == (two / path.name).read_bytes()
    first, second = headers(one)[0], headers(other)[0]
    assert first.SeriesInstanceUID != second.SeriesInstanceUID


def test_the_extended_table_of_places_is_read_as_the_basic_one(tmp_path, monkeypatch):
    monkeypatch.setattr(dicom_files, "_BASIC_LIMIT", 1)
    pixels = noisy(300, 200)
    out, parts = written(tmp_path, pixels)
    wanted = levels_of(pixels, len(parts.pyramid.levels))
    data = headers(out)[0]
    assert len(data.ExtendedOffsetTable) == len(data.ExtendedOffsetTableLengths) == 8 * 6
    for found in (by_openslide(out), by_wsidicom(out)):
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(one, other)


def test_what_is_there_is_refused_and_kept(tmp_path):
    out = tmp_path / "slide.dicom"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    parts = parts_of(tmp_path / "parts", noisy(100, 60), "jpeg")
    with pytest.raises(NotWritable, match="something is there"):
        finish_slide(out, parts, DESCRIPTION)
    assert [path.name for path in out.iterdir()] == ["notes.txt"]
    assert read_slide_recipe(out) is None


def cut(out):
    path = out / "slide-01.dcm"
    path.write_bytes(path.read_bytes()[:-1])


def remove(out):
    (out / "slide-01.dcm").unlink()


def exchange(out):
    path = out / "slide-01.dcm"
    data = path.read_bytes()
    uid = pydicom.dcmread(path, stop_before_pixels=True).SeriesInstanceUID.encode()
    path.write_bytes(data.replace(uid, uid[:-1] + bytes([uid[-1] ^ 1])))


@pytest.mark.parametrize("damage", [cut, remove, exchange])
def test_a_folder_that_is_not_whole_is_no_finished_slide(tmp_path, damage):
    out, _ = written(tmp_path, smooth(300, 200), "jpeg")
    assert read_slide_recipe(out)["seed"] == 3
    damage(out)
    assert read_slide_recipe(out) is None


@pytest.mark.parametrize("stop_after", [0, 3, 9, 14, 18])
def test_a_stopped_run_leaves_nothing_and_goes_on_to_the_same_bytes(tmp_path, stop_after):
    pixels = noisy(700, 500)
    (tmp_path / "whole").mkdir()
    whole, _ = written(tmp_path / "whole", pixels, "jpeg")
    parts = parts_of(tmp_path / "parts", pixels, "jpeg")
    out = tmp_path / "again.dicom"

    def stop(done, total):
        if done > stop_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finish_slide(out, parts, DESCRIPTION, on_progress=stop)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["parts", "whole"]
    finish_slide(out, parts, DESCRIPTION)
    pairs = zip(sorted(whole.iterdir()), sorted(out.iterdir()), strict=True)
    assert all(one.read_bytes() == other.read_bytes() for one, other in pairs)


def test_names_and_codecs_that_a_format_does_not_have_are_refused(tmp_path):
    for name, codec in (
        ("slide.dcm", "jpeg"),
        ("slide.png", "jpeg"),
        ("slide.dicom", "deflate"),
        ("slide.dicom", "zstd"),
        ("slide.ome.tiff", "jpeg2000"),
    ):
        with pytest.raises(BadOption):
            check_slide_format(tmp_path / name, Encoding(codec))
    parts = parts_of(tmp_path / "parts", noisy(100, 60), "jpeg2000")
    with pytest.raises(BadOption, match="jpeg, zstd, deflate"):
        finish_slide(tmp_path / "slide.ome.tiff", parts, DESCRIPTION)
    check_slide_format(tmp_path / "slide.dicom", Encoding("jpeg2000"))


def test_without_the_extra_it_is_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(NeedsExtra, match=r"histosynth\[dicom\]"):
        check_slide_format(tmp_path / "slide.dicom", Encoding())
