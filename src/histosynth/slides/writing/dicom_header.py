"""What a level of a synthetic slide states in DICOM (VL Whole Slide Microscopy Image).

Nothing of it depends on time or host: UIDs are digests, and the dates that DICOM demands are the
same in every slide. See PS3.3 A.32.8.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import ImageCms

from ...core.errors import BadOption, NeedsExtra
from ...core.marking import recipe_text, synthetic_patient
from ...core.version import __version__
from ..dicom_objects import WHOLE_SLIDE
from .description import SOFTWARE, SlideDescription
from .encoding import Encoding
from .pyramid import Pyramid

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

PRIVATE_CREATOR = "histosynth"
PRIVATE_GROUP = 0x3017
RECIPE_ELEMENT = 0x01
LEVELS_ELEMENT = 0x02
MAX_RECIPE_CHARACTERS = 1 << 22
_IMPLEMENTATION = "2.25.281150290297862406297853617429276713273"
_DATE = "20000101"
_TIME = "000000"
"""Nothing was acquired; where DICOM demands a date, it is the same for the same pixels."""
_THICKNESS_MM = 0.004
_UM_PER_MM = 1000
_ICC_DATE = slice(24, 36)
_ICC_CLASS = slice(12, 16)
_ICC_DAY = bytes.fromhex("07d0 0001 0001 0000 0000 0000")
_OPTICAL_PATH = "1"
_Items = list["Dataset"]


@dataclass(frozen=True)
class DicomLevel:
    """One level of a slide: one DICOM instance.

    Attributes:
        pyramid: of the slide.
        encoding: of its frames.
        description: of the slide.
        key: hex digest of all that decides the pixels.
        level: number of the level.
        frame_bytes: of all its frames, for the ratio of a compression that loses something.
    """

    pyramid: Pyramid
    encoding: Encoding
    description: SlideDescription
    key: str
    level: int
    frame_bytes: int

    @property
    def spacing_mm(self) -> float:
        """Side of a pixel: each level has pixels of twice the side."""
        return self.description.mpp * float(2**self.level) / _UM_PER_MM

    @property
    def frames(self) -> int:
        """Number of its frames, which are whole tiles."""
        across, down = self.pyramid.tiles(self.level)
        return across * down

    @property
    def image_type(self) -> list[str]:
        """Made by a program, not acquired; lower levels from the one above."""
        return ["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED" if self.level else "NONE"]

    @property
    def ratio(self) -> float:
        """Bytes of its pixels, for each one that is stored."""
        pixels = self.frames * self.pyramid.tile_px**2
        return 3 * pixels / self.frame_bytes

    def uid(self, name: str) -> str:
        """A UID of the slide (or, with the level in its name, of an instance): a digest."""
        text = f"histosynth {self.key} {recipe_text(dict(self.description.recipe))} {name}"
        sha256 = hashlib.sha256(text.encode()).digest()
        return f"2.25.{uuid.UUID(bytes=sha256[:16], version=5).int}"

    @property
    def name(self) -> str:
        """Of the patient, specimen and container, of whom none exists."""
        return synthetic_patient(dict(self.description.recipe))


def check_dicom() -> None:
    """Refuse to begin without the packages that write DICOM.

    Raises:
        NeedsExtra: pydicom is not installed.
    """
    try:
        import pydicom  # noqa: F401
    except ImportError as error:
        raise NeedsExtra("pydicom, which writes DICOM,", "dicom") from error


def dicom_dataset(level: DicomLevel) -> Dataset:
    """All of an instance but its frames.

    Raises:
        BadOption: a recipe that is too long, or a compression that DICOM does not have.
    """
    data = _item(
        **_patient_and_study(level),
        **_series_and_equipment(level),
        **_synthetic(level),
        **_specimen(level),
        **_picture(level),
        **_place(level),
        **_light(),
    )
    recipe = recipe_text(dict(level.description.recipe))
    if len(recipe) > MAX_RECIPE_CHARACTERS:
        allowed = f"at most {MAX_RECIPE_CHARACTERS:,} characters"
        raise BadOption("the recipe of a slide", f"{len(recipe):,} characters long", allowed)
    block = data.private_block(
        PRIVATE_GROUP,
        PRIVATE_CREATOR,
        create=True,
    )
    block.add_new(RECIPE_ELEMENT, "UT", recipe)
    block.add_new(LEVELS_ELEMENT, "US", len(level.pyramid.levels))
    data.file_meta = _file_meta(level)
    return data


def _item(**values: Any) -> Dataset:
    from pydicom.dataset import Dataset

    data = Dataset()
    for name, value in values.items():
        setattr(data, name, value)
    return data


def _code(
    value: str,
    scheme: str,
    meaning: str,
) -> Dataset:
    return _item(
        CodeValue=value,
        CodingSchemeDesignator=scheme,
        CodeMeaning=meaning,
    )


def _file_meta(level: DicomLevel) -> Any:
    from pydicom.dataset import FileMetaDataset

    meta: Any = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = WHOLE_SLIDE
    meta.MediaStorageSOPInstanceUID = level.uid(f"level {level.level}")
    meta.TransferSyntaxUID = _syntax(level.encoding).transfer_syntax
    meta.ImplementationClassUID = _IMPLEMENTATION
    meta.ImplementationVersionName = "HISTOSYNTH"
    return meta


def _syntax(encoding: Encoding) -> Any:
    if encoding.dicom is None:
        raise BadOption("the codec of DICOM", encoding.codec, "jpeg, or jpeg2000 without loss")
    return encoding.dicom


def _patient_and_study(level: DicomLevel) -> dict[str, Any]:
    return {
        "PatientName": "Synthetic^Slide",
        "PatientID": level.name,
        "PatientBirthDate": "",
        "PatientSex": "",
        "StudyInstanceUID": level.uid("study"),
        "StudyDate": _DATE,
        "StudyTime": _TIME,
        "StudyID": "1",
        "StudyDescription": "Synthetic tissue",
        "AccessionNumber": "",
        "ReferringPhysicianName": "",
    }


def _series_and_equipment(level: DicomLevel) -> dict[str, Any]:
    return {
        "Modality": "SM",
        "SeriesInstanceUID": level.uid("series"),
        "SeriesNumber": 1,
        "SeriesDescription": "Synthetic slide",
        "InstanceNumber": level.level + 1,
        "FrameOfReferenceUID": level.uid("frame of reference"),
        "PositionReferenceIndicator": "SLIDE_CORNER",
        "Manufacturer": "histosynth",
        "ManufacturerModelName": "histosynth",
        "DeviceSerialNumber": "none",
        "SoftwareVersions": __version__,
        "PyramidUID": level.uid("pyramid"),
        "PyramidLabel": "synthetic",
    }


def _synthetic(level: DicomLevel) -> dict[str, Any]:
    text = level.description.text
    purpose = _code("109102", "DCM", "Processing Equipment")
    equipment = _item(
        PurposeOfReferenceCodeSequence=[purpose],
        Manufacturer="histosynth",
        ManufacturerModelName="histosynth",
        SoftwareVersions=__version__,
        ContributionDescription=text,
    )
    return {
        "SOPClassUID": WHOLE_SLIDE,
        "SOPInstanceUID": level.uid(f"level {level.level}"),
        "SyntheticData": "YES",
        "ContributingEquipmentSequence": [equipment],
        "DerivationDescription": text,
        "ImageComments": text,
    }


def _specimen(level: DicomLevel) -> dict[str, Any]:
    stains = [
        _code("12710003", "SCT", "hematoxylin stain"),
        _code("36879007", "SCT", "water soluble eosin stain"),
    ]
    identifier = _code("121041", "DCM", "Specimen Identifier")
    step = _code("111701", "DCM", "Processing type")
    staining = _code("127790008", "SCT", "Staining")
    steps = [
        _text(identifier, level.name),
        _coded(step, staining),
    ]
    for stain in stains:
        steps.append(_coded(_code("424361007", "SCT", "Using substance"), stain))
    specimen = _item(
        SpecimenIdentifier=level.name,
        SpecimenUID=level.uid("specimen"),
        IssuerOfTheSpecimenIdentifierSequence=[],
        SpecimenShortDescription="Synthetic: no specimen exists",
        SpecimenDetailedDescription=f"Looks as H&E. {level.description.text}",
        SpecimenPreparationSequence=[
            _item(SpecimenPreparationStepContentItemSequence=steps),
        ],
    )
    return {
        "ContainerIdentifier": level.name,
        "IssuerOfTheContainerIdentifierSequence": [],
        "ContainerTypeCodeSequence": [_code("433466003", "SCT", "Microscope slide")],
        "SpecimenDescriptionSequence": [specimen],
        "AcquisitionContextSequence": [],
    }


def _text(name: Dataset, value: str) -> Dataset:
    return _item(
        ValueType="TEXT",
        ConceptNameCodeSequence=[name],
        TextValue=value,
    )


def _coded(name: Dataset, value: Dataset) -> Dataset:
    return _item(
        ValueType="CODE",
        ConceptNameCodeSequence=[name],
        ConceptCodeSequence=[value],
    )


def _picture(level: DicomLevel) -> dict[str, Any]:
    width, height = level.pyramid.levels[level.level]
    syntax = _syntax(level.encoding)
    values = {
        "ImageType": level.image_type,
        "SamplesPerPixel": 3,
        "PhotometricInterpretation": syntax.photometric,
        "PlanarConfiguration": 0,
        "Rows": level.pyramid.tile_px,
        "Columns": level.pyramid.tile_px,
        "NumberOfFrames": level.frames,
        "TotalPixelMatrixColumns": width,
        "TotalPixelMatrixRows": height,
        "TotalPixelMatrixFocalPlanes": 1,
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
        "PixelRepresentation": 0,
        "BurnedInAnnotation": "NO",
        "SpecimenLabelInImage": "NO",
        "FocusMethod": "AUTO",
        "ExtendedDepthOfField": "NO",
        "VolumetricProperties": "VOLUME",
        "ContentDate": _DATE,
        "ContentTime": _TIME,
        "AcquisitionDateTime": _DATE + _TIME,
        "LossyImageCompression": "00",
    }
    if syntax.lossy_method:
        values |= {
            "LossyImageCompression": "01",
            "LossyImageCompressionRatio": f"{level.ratio:.4g}",
            "LossyImageCompressionMethod": syntax.lossy_method,
        }
    return values


def _place(level: DicomLevel) -> dict[str, Any]:
    width, height = level.pyramid.levels[level.level]
    whole_width, whole_height = level.pyramid.size
    whole_mm = level.description.mpp / _UM_PER_MM
    spacing = f"{level.spacing_mm:.10g}"
    corner = _item(
        XOffsetInSlideCoordinateSystem=f"{whole_height * whole_mm:.10g}",
        YOffsetInSlideCoordinateSystem=f"{whole_width * whole_mm:.10g}",
    )
    measures = _item(
        PixelSpacing=[spacing, spacing],
        SliceThickness=f"{_THICKNESS_MM:g}",
    )
    groups = _item(
        PixelMeasuresSequence=[measures],
        WholeSlideMicroscopyImageFrameTypeSequence=[_item(FrameType=level.image_type)],
        OpticalPathIdentificationSequence=[_item(OpticalPathIdentifier=_OPTICAL_PATH)],
    )
    return {
        "ImagedVolumeWidth": width * level.spacing_mm,
        "ImagedVolumeHeight": height * level.spacing_mm,
        "ImagedVolumeDepth": _THICKNESS_MM * _UM_PER_MM,
        "TotalPixelMatrixOriginSequence": [corner],
        "ImageOrientationSlide": ["0", "-1", "0", "-1", "0", "0"],
        "DimensionOrganizationType": "TILED_FULL",
        "DimensionOrganizationSequence": [
            _item(DimensionOrganizationUID=level.uid("dimensions")),
        ],
        "SharedFunctionalGroupsSequence": [groups],
    }


def _light() -> dict[str, Any]:
    path = _item(
        OpticalPathIdentifier=_OPTICAL_PATH,
        OpticalPathDescription=f"None: {SOFTWARE}",
        IlluminationTypeCodeSequence=[
            _code("111744", "DCM", "Brightfield illumination"),
        ],
        IlluminationColorCodeSequence=[
            _code("414298005", "SCT", "Full Spectrum"),
        ],
        ICCProfile=_srgb(),
        ColorSpace="SRGB",
    )
    return {"OpticalPathSequence": [path], "NumberOfOpticalPaths": 1}


def _srgb() -> bytes:
    """SRGB as an input profile, which DICOM demands, without the time of its making."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    data = bytearray(profile.tobytes())
    data[_ICC_DATE] = _ICC_DAY
    data[_ICC_CLASS] = b"scnr"
    return bytes(data) + b"\0" * (len(data) % 2)
