#!/bin/sh
# wsidicom's read_region takes its place in pixels of the LEVEL, and its level is a power of two.
#
# Packages: wsidicom 0.36.1, pydicom 3.0.2, openslide-python 1.4.7 with openslide-bin 4.0.1.2,
#   numpy 2.4.6. Run on 2026-11-29.
# Expected: wsidicom.read_region(location, level, size) has the arguments of OpenSlide's read_region of
#   the same name: location in pixels of the full size, level the number in the list of levels.
# Seen: location is in pixels of the level, so the same call shows tissue from elsewhere. level is the
#   power of two of the reduction: level 1 of a slide with the levels 1 and 1/4 is half size, which the
#   file does not hold (it is made from the full size), where OpenSlide's level 1 is the quarter.
# Why it matters: both calls succeed with the size asked for. Code moved from OpenSlide to wsidicom takes
#   tiles from the wrong place at the wrong scale.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3.11 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
  wsidicom==0.36.1 pydicom==3.0.2 openslide-python==1.4.7 openslide-bin==4.0.1.2 numpy==2.4.6 || exit \
  2
venv/bin/python - <<'PY'
from pathlib import Path

import numpy as np
import openslide
import pydicom
import wsidicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, VLWholeSlideMicroscopyImageStorage, generate_uid

STUDY, SERIES, FRAME = generate_uid(), generate_uid(), generate_uid()
HEIGHT, WIDTH, TILE, SPACING = 512, 1024, 256, 0.0005


def item(**values):
    dataset = Dataset()
    for name, value in values.items():
        setattr(dataset, name, value)
    return dataset


def code(value, scheme, meaning):
    return [item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)]


def write_level(path, pixels, factor):
    original = factor == 1
    kind = ["ORIGINAL" if original else "DERIVED", "PRIMARY", "VOLUME", "NONE" if original else "RESAMPLED"]
    rows, columns = pixels.shape[:2]
    down, across = -(-rows // TILE), -(-columns // TILE)
    padded = np.zeros((down * TILE, across * TILE, 3), np.uint8)
    padded[:rows, :columns] = pixels
    frames = padded.reshape(down, TILE, across, TILE, 3).swapaxes(1, 2)
    uid = generate_uid()
    light = item(
        OpticalPathIdentifier="1", ICCProfile=b"",
        IlluminationTypeCodeSequence=code("111744", "DCM", "Brightfield illumination"),
        IlluminationColorCodeSequence=code("414298005", "SCT", "Full Spectrum"),
    )
    shared = item(
        PixelMeasuresSequence=[item(PixelSpacing=[SPACING * factor, SPACING * factor], SliceThickness=0.001)],
        WholeSlideMicroscopyImageFrameTypeSequence=[item(FrameType=kind)],
        OpticalPathIdentificationSequence=[item(OpticalPathIdentifier="1")],
    )
    specimen = item(
        SpecimenIdentifier="1", SpecimenUID=generate_uid(),
        IssuerOfTheSpecimenIdentifierSequence=[], SpecimenPreparationSequence=[],
    )
    slide = item(
        file_meta=item_of_file(uid), SOPClassUID=VLWholeSlideMicroscopyImageStorage, SOPInstanceUID=uid,
        StudyInstanceUID=STUDY, SeriesInstanceUID=SERIES, FrameOfReferenceUID=FRAME, Modality="SM",
        SeriesNumber=1, InstanceNumber=factor, PatientName="A", PatientID="A", PatientBirthDate="",
        PatientSex="", StudyDate="20260101", StudyTime="000000", StudyID="1", AccessionNumber="",
        ReferringPhysicianName="", PositionReferenceIndicator="SLIDE_CORNER", Manufacturer="none",
        ManufacturerModelName="none", DeviceSerialNumber="1", SoftwareVersions="1", ContentDate="20260101",
        ContentTime="000000", AcquisitionDateTime="20260101000000", AcquisitionContextSequence=[],
        ImageType=kind, SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0,
        BitsAllocated=8, BitsStored=8, HighBit=7, PixelRepresentation=0, Rows=TILE, Columns=TILE,
        TotalPixelMatrixRows=rows, TotalPixelMatrixColumns=columns, TotalPixelMatrixFocalPlanes=1,
        ImagedVolumeWidth=WIDTH * SPACING, ImagedVolumeHeight=HEIGHT * SPACING, ImagedVolumeDepth=0.001,
        DimensionOrganizationType="TILED_FULL", SpecimenLabelInImage="NO", BurnedInAnnotation="NO",
        FocusMethod="AUTO", ExtendedDepthOfField="NO", VolumetricProperties="VOLUME",
        LossyImageCompression="00", ImageOrientationSlide=[0, -1, 0, -1, 0, 0],
        TotalPixelMatrixOriginSequence=[
            item(XOffsetInSlideCoordinateSystem=0, YOffsetInSlideCoordinateSystem=0)
        ],
        DimensionOrganizationSequence=[item(DimensionOrganizationUID=generate_uid())],
        SharedFunctionalGroupsSequence=[shared], OpticalPathSequence=[light], NumberOfOpticalPaths=1,
        ContainerIdentifier="1", IssuerOfTheContainerIdentifierSequence=[], SpecimenDescriptionSequence=[specimen],
        ContainerTypeCodeSequence=code("433466003", "SCT", "Microscope slide"), NumberOfFrames=down * across,
    )
    slide.PixelData = frames.tobytes()
    slide["PixelData"].VR = "OB"
    slide.save_as(path, enforce_file_format=True)


def item_of_file(uid):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = VLWholeSlideMicroscopyImageStorage
    meta.MediaStorageSOPInstanceUID = uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return meta


full = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
quarter = full[::4, ::4].copy()
Path("slide").mkdir()
write_level("slide/1.dcm", full, 1)
write_level("slide/4.dcm", quarter, 4)

theirs = openslide.OpenSlide("slide/1.dcm")
slide = wsidicom.WsiDicom.open("slide")
print("wsidicom", wsidicom.__version__, "openslide", openslide.__library_version__)
print("OpenSlide's levels 0 and 1:", theirs.level_dimensions)
numbers = [level.level for level in slide.pyramids[0]]
print("wsidicom's numbers of the same levels:", numbers)
assert theirs.level_dimensions == ((1024, 512), (256, 128)) and numbers == [0, 2]

by_openslide = np.asarray(theirs.read_region((64, 32), 1, (64, 64)))[..., :3]
assert (by_openslide == quarter[8:72, 16:80]).all()
print("openslide.read_region((64, 32), 1, (64, 64)): rows 8 to 71, columns 16 to 79 of the quarter")

by_number = np.asarray(slide.read_region((64, 32), 2, (64, 64)))
assert (by_number == quarter[32:96, 64:128]).all()
print("wsidicom.read_region((64, 32), 2, (64, 64)): rows 32 to 95, columns 64 to 127 of the quarter")

half = full.reshape(HEIGHT // 2, 2, WIDTH // 2, 2, 3).mean((1, 3))
same_call = np.asarray(slide.read_region((64, 32), 1, (64, 64))).astype(float)
gap = np.abs(same_call - half[32:96, 64:128]).mean()
other = np.abs(same_call - by_openslide).mean()
print(f"wsidicom.read_region((64, 32), 1, (64, 64)): distance to half of the full size: {gap:.1f}")
print(f"                                             distance to OpenSlide's answer: {other:.1f}")
assert other > 40 and gap < other / 2
PY
