"""What is handed in as the nuclei of a tile."""

from __future__ import annotations

from ..core.errors import BadOption
from ..core.nuclei import Nuclei


def as_nuclei(nuclei: object) -> Nuclei:
    """Nuclei as they are.

    Raises:
        BadOption: they are something else, e.g. the path of a file.
    """
    if isinstance(nuclei, Nuclei):
        return nuclei
    found = f"of type {type(nuclei).__name__}"
    raise BadOption("nuclei", found, "Nuclei or a list of them, as read_nuclei returns")
