"""The steps of `prepare` that can be used alone, on pictures and tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..core.errors import BadOption
from ..core.folder_lock import share_folder
from ..core.outcome import Outcome
from ..core.progress import ProgressCallback
from ..preparation.empty_files import find_empty_files
from ..preparation.fetch.project import fetch_project
from ..preparation.files import check_files, find_nuclei_files, split_table, stain_files
from ..preparation.orientation_files import find_orientation_files
from ..preparation.recipe import SplitPlan

__all__ = [
    "check_files",
    "detect_nuclei",
    "fetch_project",
    "find_empty_files",
    "find_orientation_files",
    "split_patients_of_table",
    "stain_files",
]


def detect_nuclei(
    images: Path,
    out: Path,
    *,
    mpp: float,
    detector: str,
    form: str,
    device: str | None = None,
    dtype: str | None = None,
    on_progress: ProgressCallback | None = None,
) -> tuple[Outcome, dict[str, int]]:
    """Find nuclei in pictures; see `prepare.files.find_nuclei_files`.

    Raises:
        BadOption: `form` is neither csv nor geojson, or device or number type cannot be used.
    """
    from ..tensors.placing import measuring_place

    if form not in ("csv", "geojson"):
        raise BadOption("--format", form, "csv or geojson")
    return find_nuclei_files(
        images,
        out,
        mpp=mpp,
        detector=detector,
        form=form,  # type: ignore[arg-type]
        place=measuring_place(device, dtype),
        on_progress=on_progress,
    )


def split_patients_of_table(
    table: Path,
    out: Path,
    *,
    shares: tuple[float, float, float],
    pattern: str,
    seed: int,
) -> dict[str, Any]:
    """Add each patient's split to a table of slides; see `prepare.files.split_table`.

    Args:
        table: CSV with the column slide.
        out: the same table with its splits.
        shares: of patients in training, validation and test.
        pattern: finds the patient in a slide's name.
        seed: another seed, another assignment.

    Raises:
        BadOption: the shares do not sum to 1.
    """
    try:
        plan = SplitPlan(*shares)
    except ValueError as error:
        raise BadOption(
            "--train, --validation, --test",
            shares,
            "shares that sum to 1",
        ) from error
    with share_folder(out.parent, [out.name]):
        return split_table(
            table,
            out,
            shares=plan,
            seed=seed,
            pattern=pattern,
        )
