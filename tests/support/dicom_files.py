"""DICOM slides that tests write with pydicom."""

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit
from tiff_files import picture

WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
SERIES = "1.2.826.0.1.3680043.8.498.1"


def write_dicom(path, *, uid=WHOLE_SLIDE, spacing=(0.0005, 0.0005), frame=None, **tags):
    """A DICOM slide of one 64 x 64 px frame."""
    pixels = picture(64, 64)
    data = Dataset()
    data.SOPClassUID = uid
    data.SOPInstanceUID = f"{SERIES}.1"
    data.SeriesInstanceUID = SERIES
    data.StudyInstanceUID = f"{SERIES}.2"
    data.FrameOfReferenceUID = f"{SERIES}.3"
    data.Modality = "SM"
    data.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    data.Rows = data.Columns = data.TotalPixelMatrixRows = data.TotalPixelMatrixColumns = 64
    data.NumberOfFrames = 1
    data.SamplesPerPixel = 3
    data.PhotometricInterpretation = "RGB"
    data.PlanarConfiguration = 0
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit = 7
    data.PixelRepresentation = 0
    data.DimensionOrganizationType = "TILED_FULL"
    data.TotalPixelMatrixFocalPlanes = data.NumberOfOpticalPaths = 1
    measures = Dataset()
    if spacing:
        measures.PixelSpacing = list(spacing)
    groups = Dataset()
    groups.PixelMeasuresSequence = [measures]
    data.SharedFunctionalGroupsSequence = [groups]
    data.PixelData = pixels.tobytes()
    data["PixelData"].VR = "OB"
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = uid
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    if frame is not None:
        data.PixelData = encapsulate([frame])
        data["PixelData"].is_undefined_length = True
        data.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    for name, value in tags.items():
        setattr(data, name, value)
    pydicom.dcmwrite(path, data, enforce_file_format=True)
    return path
