"""Patients by TCGA barcodes in names, whatever else a name holds.

A barcode begins with project, site (2 characters) and participant (4 characters): the patient
(Genomic Data Commons, "TCGA Barcode").
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

_BARCODE = re.compile(r"TCGA[-_.]([A-Z0-9]{2})[-_.]([A-Z0-9]{4})", re.IGNORECASE)
_PROJECT = re.compile("TCGA", re.IGNORECASE)


def barcodes_in(name: str) -> list[str]:
    """The patients whose barcodes stand in a name, each once, as `TCGA-2F-A001`.

    The participant ends after its four characters, and `-`, `_` and `.` separate fields alike.
    """
    found = dict.fromkeys(
        f"TCGA-{site}-{participant}".upper() for site, participant in _BARCODE.findall(name)
    )
    return list(found)


def lacks_barcode(name: str) -> bool:
    """Whether a name mentions TCGA, and no barcode can be read from it."""
    return bool(_PROJECT.search(name)) and not barcodes_in(name)


def patients_of_barcodes(patients: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """For each barcode, the patients that its slides are stated to be of, with one slide each.

    Args:
        patients: patient by name of the slide.
    """
    stated: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for name, patient in patients.items():
        for barcode in barcodes_in(name):
            stated[barcode].setdefault(patient, name)
    return dict(stated)


def shared_patients(sides: Mapping[str, Iterable[tuple[str, str]]]) -> list[str]:
    """Patients who are on more than one side, by their stated patient or by a barcode.

    Args:
        sides: (name of the slide or file, stated patient) of everything on each side.

    Returns:
        Sorted; a barcode that is no stated patient is marked as one that was read from names.
    """
    sides_of: defaultdict[str, set[str]] = defaultdict(set)
    stated: set[str] = set()
    for side, members in sides.items():
        for name, patient in set(members):
            stated.add(patient)
            for identity in (patient, *barcodes_in(name), *barcodes_in(patient)):
                sides_of[identity].add(side)
    shared = sorted(patient for patient, found in sides_of.items() if len(found) > 1)
    return [
        patient if patient in stated else f"{patient} (barcode in the names)" for patient in shared
    ]
