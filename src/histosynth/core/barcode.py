"""Patients by TCGA barcodes in names, whatever else a name holds.

A barcode begins with project, site (2 characters) and participant (4 characters): the patient
(Genomic Data Commons, "TCGA Barcode").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_BARCODE = re.compile(r"TCGA[-_.]([A-Z0-9]{2})[-_.]([A-Z0-9]{4})", re.IGNORECASE)
_PROJECT = re.compile("TCGA", re.IGNORECASE)

Side = Iterable[tuple[str, str]]
"""(name of the slide or file, stated patient) of everything on one side."""
PatientsOfBarcode = dict[str, dict[str, str]]
"""By barcode: stated patients, each with one of its slides."""


def barcodes_in(name: str) -> list[str]:
    """The patients whose barcodes stand in a name, each once, as `TCGA-2F-A001`.

    The participant ends after its four characters, and `-`, `_` and `.` separate fields alike.
    """
    found: dict[str, None] = {}
    for site, participant in _BARCODE.findall(name):
        barcode = f"TCGA-{site}-{participant}"
        found[barcode.upper()] = None
    return list(found)


def lacks_barcode(name: str) -> bool:
    """Whether a name mentions TCGA, and no barcode can be read from it."""
    if barcodes_in(name):
        return False
    return _PROJECT.search(name) is not None


def patients_of_barcodes(
    patients: Mapping[str, str],
) -> PatientsOfBarcode:
    """For each barcode, the patients that its slides are stated to be of.

    Args:
        patients: patient by name of the slide.
    """
    found: PatientsOfBarcode = {}
    for name, patient in patients.items():
        for barcode in barcodes_in(name):
            stated = found.setdefault(barcode, {})
            stated.setdefault(patient, name)
    return found


def shared_patients(
    sides: Mapping[str, Side],
) -> list[str]:
    """Patients who are on more than one side, by their stated patient or by a barcode.

    Returns:
        Sorted; a barcode that is no stated patient is marked as one that was read from names.
    """
    sides_of: dict[str, set[str]] = {}
    stated = set()
    for side, members in sides.items():
        for name, patient in set(members):
            stated.add(patient)
            identities = barcodes_in(f"{name} {patient}")
            identities.append(patient)
            for identity in identities:
                found = sides_of.setdefault(identity, set())
                found.add(side)
    shared = []
    for patient in sorted(sides_of):
        is_shared = len(sides_of[patient]) > 1
        if is_shared and patient in stated:
            shared.append(patient)
        elif is_shared:
            shared.append(f"{patient} (barcode in the names)")
    return shared
