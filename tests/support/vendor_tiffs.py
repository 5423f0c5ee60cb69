"""Descriptions of slides as Leica and Philips write them, and pages of JPEG tiles."""

import tifffile

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
