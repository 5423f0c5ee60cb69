"""DICOM: slides in colour are read, everything else is refused by what it is."""

import imagecodecs
import numpy as np
import pydicom
import pytest
from dicom_files import write_dicom
from tiff_files import picture

from histosynth.core.errors import ConflictingScales, MissingScale, NotRGB, UnreadableImage
from histosynth.core.geometry import Box
from histosynth.slides import open_slide
from histosynth.slides.dicom_objects import NOT_SLIDES, object_of


def test_a_slide_in_colour_is_read_by_openslide(tmp_path):
    slide = open_slide(write_dicom(tmp_path / "a.dcm"))
    assert slide.reader.startswith("openslide") and slide.mpp == 0.5
    assert (slide.read(0, Box(0, 0, 64, 64)) == picture(64, 64)).all()


@pytest.mark.parametrize("bits", [8, 16])
def test_grayscale_is_refused_as_pictures_are(tmp_path, bits):
    grey = np.zeros((64, 64), f"u{bits // 8}")
    path = write_dicom(
        tmp_path / "a.dcm",
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        BitsAllocated=bits,
        BitsStored=bits,
        HighBit=bits - 1,
        PixelData=grey.tobytes(),
    )
    with pytest.raises(NotRGB) as refusal:
        open_slide(path, mpp=0.5)
    assert str(refusal.value) == (
        f"{path} is a grayscale picture, not 8-bit RGB. H&E needs colour: export the brightfield "
        "slide as 8-bit RGB."
    )


def test_colour_of_16_bits_is_refused(tmp_path):
    path = write_dicom(
        tmp_path / "a.dcm",
        BitsAllocated=16,
        BitsStored=16,
        HighBit=15,
        PixelData=picture(64, 64).astype(np.uint16).tobytes(),
    )
    with pytest.raises(NotRGB, match="is a picture with more than 8 bits per channel"):
        open_slide(path, mpp=0.5)


@pytest.mark.parametrize(
    ("uid", "name"),
    [
        ("1.2.840.10008.5.1.4.1.1.66.4", "segmentation"),
        (
            "1.2.840.10008.5.1.4.1.1.91.1",
            "set of annotations (microscopy bulk simple annotations)",
        ),
        ("1.2.840.10008.5.1.4.1.1.11.8", "presentation state"),
        ("1.2.840.10008.5.1.4.1.1.88.34", "structured report"),
    ],
)
def test_what_is_no_slide_is_refused_by_what_it_is(tmp_path, uid, name):
    path = write_dicom(tmp_path / "a.dcm", uid=uid)
    with pytest.raises(UnreadableImage) as refusal:
        open_slide(path, mpp=0.5)
    assert str(refusal.value) == (
        f"{path} cannot be read as an image: it is a DICOM {name}, not a slide. Give a file of the "
        "slide's own series (VL Whole Slide Microscopy Image)."
    )


def test_another_class_is_refused_by_its_number(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", uid="1.2.840.10008.5.1.4.1.1.128")
    with pytest.raises(UnreadableImage, match=r"DICOM object of class 1\.2\.840\.10008\.5\.1\.4"):
        open_slide(path, mpp=0.5)


def test_pixels_that_are_not_square_are_refused(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", spacing=(0.0005, 0.00025))
    with pytest.raises(ConflictingScales, match=r"0\.25 um/px across, and 0\.5 um/px down"):
        open_slide(path)
    assert open_slide(path, mpp=0.5).mpp == 0.5


@pytest.mark.parametrize(
    ("options", "is_read"),
    [
        ({"subsampling": "422"}, False),
        ({"subsampling": "444"}, False),
        ({"outcolorspace": "rgb"}, True),
    ],
)
def test_jpeg_that_is_not_in_the_colours_of_its_header_is_refused(tmp_path, options, is_read):
    frame = imagecodecs.jpeg_encode(picture(64, 64), level=98, **options)
    path = write_dicom(tmp_path / "a.dcm", frame=frame)
    if is_read:
        shown = open_slide(path).read(0, Box(0, 0, 64, 64))
        assert np.abs(shown.astype(int) - picture(64, 64)).mean() < 3
        return
    with pytest.raises(UnreadableImage, match="its header states RGB, but its JPEG stream is YCb"):
        open_slide(path)


def test_a_slide_without_spacing_is_refused(tmp_path):
    with pytest.raises((MissingScale, UnreadableImage)):
        open_slide(write_dicom(tmp_path / "a.dcm", spacing=None))


def test_the_classes_are_those_of_dicom():
    names = {pydicom.uid.UID(uid).name for uid in NOT_SLIDES}
    assert {"CT Image Storage", "Segmentation Storage", "Comprehensive 3D SR Storage"} < names
    assert object_of(b"\0" * 200) == ""
