"""Agreement: how far two annotators of the same pictures agree, on nuclei and on regions.

`agreement_of_files` compares two files or folders; `difference_picture` shows where they differ.
"""

from ...core.estimate import Estimate
from .files import Agreement, Pair, agreement_of_files, agreement_of_pairs, extent, read_pairs
from .kappa import kappa, kappa_error
from .nuclei import Marks, NucleiAgreement, nuclei_agreement
from .picture import difference_picture
from .reading import Annotation, read_two
from .regions import RegionAgreement, region_agreement

__all__ = [
    "Agreement",
    "Annotation",
    "Estimate",
    "Marks",
    "NucleiAgreement",
    "Pair",
    "RegionAgreement",
    "agreement_of_files",
    "agreement_of_pairs",
    "difference_picture",
    "extent",
    "kappa",
    "kappa_error",
    "nuclei_agreement",
    "read_pairs",
    "read_two",
    "region_agreement",
]
