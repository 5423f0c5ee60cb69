"""TIFF of vendors whose layout tifffile shows wrongly: the scan, its place and its scale."""

import numpy as np
import pytest
import tifffile
from PIL import Image
from tiff_files import picture

from histosynth.core.errors import UnreadableImage
from histosynth.core.geometry import Box
from histosynth.slides import open_slide

SCAN_XML = (
    '<image name="{name}" uuid="urn:uuid:{number}"><creationDate>2020-01-01T00:00:00Z'
    '</creationDate><device model="Leica SCN400" version="1"/><pixels sizeX="{side}" '
    'sizeY="{side}"><dimension sizeX="{side}" sizeY="{side}" r="0" ifd="{ifd}"/></pixels>'
    '<view sizeX="{nm}" sizeY="{nm}" offsetX="{offset}" offsetY="{offset}" spacingZ="0"/>'
    "<scanSettings><objectiveSettings><objective>{power}</objective></objectiveSettings>"
    "<illuminationSettings><numericalAperture>0.4</numericalAperture><illuminationSource>"
    "brightfield</illuminationSource></illuminationSettings></scanSettings></image>"
)
SCN = (
    '<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01" '
    'uuid="urn:uuid:0"><collection name="c" uuid="urn:uuid:1" sizeX="1024000" sizeY="1024000">'
    "<barcode>0</barcode>{images}</collection></scn>"
)
SPACING = (
    '<Attribute Name="DICOM_PIXEL_SPACING" Group="0x0028" Element="0x0030" PMSVR="IDoubleArray">'
    "&quot;{mm}&quot; &quot;{mm}&quot;</Attribute>"
)
LEVEL = (
    '<DataObject ObjectType="PixelDataRepresentation"><Attribute '
    'Name="PIIM_PIXEL_DATA_REPRESENTATION_NUMBER" Group="0x1001" Element="0x8B02" '
    'PMSVR="IUInt16">{number}</Attribute>{spacing}</DataObject>'
)
PHILIPS = (
    '<?xml version="1.0" encoding="UTF-8" ?><DataObject ObjectType="DPUfsImport"><Attribute '
    'Name="DICOM_MANUFACTURER" Group="0x0008" Element="0x0070" PMSVR="IString">PHILIPS'
    '</Attribute><Attribute Name="PIM_DP_SCANNED_IMAGES" Group="0x301D" Element="0x1003" '
    'PMSVR="IDataObjectArray"><Array><DataObject ObjectType="DPScannedImage"><Attribute '
    'Name="PIM_DP_IMAGE_TYPE" Group="0x301D" Element="0x1004" PMSVR="IString">WSI</Attribute>'
    '{spacing}<Attribute Name="PIIM_PIXEL_DATA_REPRESENTATION_SEQUENCE" Group="0x1001" '
    'Element="0x8B01" PMSVR="IDataObjectArray"><Array>{levels}</Array></Attribute></DataObject>'
    "</Array></Attribute></DataObject>"
)


def write_jpeg_pages(path, pages, description, **first):
    with tifffile.TiffWriter(path) as file:
        for index, pixels in enumerate(pages):
            file.write(
                pixels,
                tile=(128, 128),
                photometric="rgb",
                compression="jpeg",
                metadata=None,
                resolution=(20_000, 20_000),
                resolutionunit=3,
                description=description if index == 0 else None,
                **(first if index == 0 else {"subfiletype": 1}),
            )
    return path


def test_leica_scn_is_the_scan_and_not_the_macro_picture(tmp_path):
    macro = SCAN_XML.format(name="macro", number=2, side=128, ifd=0, nm=1024000, offset=0, power=1)
    scan = SCAN_XML.format(
        name="main", number=3, side=256, ifd=1, nm=128000, offset=400000, power=20
    )
    tissue = picture(256, 256)
    path = write_jpeg_pages(
        tmp_path / "a.scn",
        (np.full((128, 128, 3), 90, np.uint8), tissue),
        SCN.format(images=macro + scan),
    )
    slide = open_slide(path)
    assert slide.facts.make == "leica" and slide.mpp == 0.5
    assert (slide.levels[0].width, slide.levels[0].height) == (2048, 2048)
    shown = slide.read(0, Box(800, 800, 256, 256))
    assert np.abs(shown.astype(int) - tissue).mean() < 6
    assert (slide.read(0, Box(0, 0, 256, 256)) == 255).all()


def test_philips_states_its_scale_in_millimetres(tmp_path):
    levels = "".join(
        LEVEL.format(number=number, spacing=SPACING.format(mm=mm))
        for number, mm in enumerate(("0.00025", "0.0005"))
    )
    text = PHILIPS.format(spacing=SPACING.format(mm="0.00025"), levels=levels)
    full = picture(256, 256)
    half = np.asarray(Image.fromarray(full).resize((128, 128), Image.Resampling.BOX))
    path = write_jpeg_pages(tmp_path / "a.tiff", (full, half), text, software="Philips DP v1.0")
    slide = open_slide(path)
    assert slide.facts.make == "philips" and slide.mpp == 0.25
    assert [level.width for level in slide.levels] == [256, 128]


def test_fluorescence_in_leica_scn_is_refused(tmp_path):
    scan = SCAN_XML.format(name="main", number=3, side=256, ifd=0, nm=128000, offset=0, power=20)
    text = SCN.format(images=scan.replace("brightfield", "fluorescence"))
    path = write_jpeg_pages(tmp_path / "a.tif", (picture(256, 256),), text)
    with pytest.raises(UnreadableImage, match="Can't find main image"):
        open_slide(path, mpp=0.5)
