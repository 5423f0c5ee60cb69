"""The steps of `prepare` on pictures and tables: stain, quality, nuclei, split. One function each.

A picture that is refused is named with its reason, and the others continue.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from PIL import Image

from ..annotation.nuclei_files import nuclei_csv, nuclei_geojson
from ..core.cells import CellValue, csv_text
from ..core.errors import BadOption, BadTable, HistosynthError, NotWritable
from ..core.folder_lock import in_own_folder
from ..core.images import IMAGE_SUFFIXES, read_rgb
from ..core.nuclei import Nuclei
from ..core.outcome import Outcome
from ..core.own_files import OwnFiles
from ..core.pairing import list_files
from ..core.place import CPU_PLACE, ComputePlace
from ..core.progress import ProgressCallback
from ..core.sheet import contact_sheet, draw_nuclei
from ..core.store import ensure_folder
from ..core.tile import Pixels
from ..core.units import check_mpp_option
from ..detectors.detector import Detector
from ..detectors.finding import find_nuclei
from ..detectors.opening import DETECTORS, open_detector
from ..engine.threads import one_thread
from .patients import (
    notes_on_patients,
    patient_of_slide,
    read_table,
    refuse_divided_barcodes,
)
from .quality import QUALITY_GATES, Verdict, check_tile, default_limits
from .recipe import SplitPlan
from .split import split_patients
from .stain import STAIN_METHODS, Stain, fit_stain, medoid, restain_between

PICTURES_A_ROW = 8
"""Of a contact sheet."""
Result = TypeVar("Result")
NucleiFormat = Literal["csv", "geojson"]
_TEXTS = {"csv": nuclei_csv, "geojson": nuclei_geojson}
CONTACT_SHEET = "look/contact.png"


@dataclass
class ShownPairs:
    """Pictures before and after a step, as many as a contact sheet shows."""

    before: list[Pixels] = field(default_factory=list)
    after: list[Pixels] = field(default_factory=list)

    @property
    def is_full(self) -> bool:
        """Whether a row is."""
        return len(self.before) >= PICTURES_A_ROW

    def add(
        self,
        before: Pixels,
        after: Pixels,
    ) -> None:
        """Show one more."""
        self.before.append(before)
        self.after.append(after)


@in_own_folder
def stain_files(
    images: Path,
    out: Path,
    *,
    method: str,
    target: Path | None,
    on_progress: ProgressCallback | None = None,
) -> Outcome:
    """Give pictures one stain: `out/<stem>.png`, each fitted alone, and `out/look/contact.png`.

    Args:
        images: picture or folder of them.
        out: folder.
        method: a key of `STAIN_METHODS`.
        target: picture whose stain all get; None: that of the most usual one.
        on_progress: called after each picture, once for its fit and once for its change.

    Raises:
        StainNotFound: the target has none.
        NotWritable: a result would replace a file that histosynth did not write.
    """
    files = list_files(images, IMAGE_SUFFIXES)
    if method not in STAIN_METHODS:
        raise BadOption("--method", method, f"one of {', '.join(STAIN_METHODS)}")
    refuse_input_folder(images, out)
    target_stain = fit_stain(method, read_rgb(target), target.name) if target else None
    return write_results(
        out,
        [*(f"{path.stem}.png" for path in files), CONTACT_SHEET],
        lambda own, report: _stain_all(files, own, method, target_stain, report),
        on_progress,
    )


def _stain_all(
    files: list[Path],
    own: OwnFiles,
    method: str,
    target_stain: Stain | None,
    on_progress: ProgressCallback | None = None,
) -> Outcome:
    outcome = Outcome()
    stains = _fit_all(files, method, outcome, on_progress)
    if not stains:
        return outcome
    if target_stain is None:
        target_stain = medoid(list(stains.values()))
    pairs = ShownPairs()
    for done, (path, stain) in enumerate(stains.items(), start=1):
        pixels = read_rgb(path)
        restained = restain_between(stain, target_stain)(pixels)
        outcome.written.append(write_own_picture(own, f"{path.stem}.png", restained))
        if not pairs.is_full:
            pairs.add(pixels, restained)
        report_done(on_progress, len(files) + done, 2 * len(files))
    sheet = contact_sheet(
        [("as they are", pairs.before), (f"after {method}", pairs.after)],
        cell=192,
    )
    write_own_picture(own, CONTACT_SHEET, sheet)
    return outcome


def _fit_all(
    files: list[Path],
    method: str,
    outcome: Outcome,
    on_progress: ProgressCallback | None,
) -> dict[Path, Stain]:
    """The stain of each picture; those without one are refused in `outcome`."""
    stains: dict[Path, Stain] = {}
    for done, path in enumerate(files, start=1):
        try:
            stains[path] = fit_stain(method, read_rgb(path), path.name)
        except HistosynthError as error:
            outcome.refused[path.name] = error.of(path.name)
        report_done(on_progress, done, 2 * len(files))
    return stains


@in_own_folder
def check_files(
    images: Path,
    out: Path,
    *,
    mpp: float,
    limits: Mapping[str, float] | None = None,
    on_progress: ProgressCallback | None = None,
) -> tuple[Outcome, dict[str, int]]:
    """Apply the gates to pictures: `out/quality.csv`, one line each, and `out/look/contact.png`.

    Args:
        images: picture or folder of them.
        out: folder.
        mpp: micrometres per pixel of the pictures.
        limits: of the gates, by name; None: the defaults.
        on_progress: called after each picture.

    Returns:
        The outcome, where a picture that fails a gate is no refusal but a line; and how many failed
        each gate, or `passed` all.
    """
    check_mpp_option(mpp)
    limits = limits or default_limits()
    files = list_files(images, IMAGE_SUFFIXES)
    return write_results(
        out,
        ["quality.csv", CONTACT_SHEET],
        lambda own, report: _check_all(files, own, mpp, limits, report),
        on_progress,
    )


def _check_all(
    files: list[Path],
    own: OwnFiles,
    mpp: float,
    limits: Mapping[str, float],
    on_progress: ProgressCallback | None = None,
) -> tuple[Outcome, dict[str, int]]:
    outcome = Outcome()
    counts: Counter[str] = Counter()
    shown: dict[str, list[Pixels]] = {}
    lines: list[list[CellValue]] = [["image", "ok", "reason", *QUALITY_GATES]]
    for done, path in enumerate(files, start=1):
        try:
            pixels = read_rgb(path)
            verdicts = check_tile(pixels, mpp, limits)
        except HistosynthError as error:
            outcome.refused[path.name] = error.of(path.name)
        else:
            lines.append(_quality_line(path, verdicts))
            failed = _failed_gates(verdicts) or ["passed"]
            counts.update(failed)
            row = shown.setdefault(failed[0], [])
            if len(row) < PICTURES_A_ROW:
                row.append(pixels)
        report_done(on_progress, done, len(files))
    outcome.written += own.write_texts({"quality.csv": csv_text(lines)})
    if shown:
        rows = [(f"{name} ({counts[name]})", pictures) for name, pictures in sorted(shown.items())]
        sheet = contact_sheet(rows, cell=192)
        outcome.written.append(write_own_picture(own, CONTACT_SHEET, sheet))
    return outcome, dict(counts)


def _failed_gates(verdicts: Mapping[str, Verdict]) -> list[str]:
    return [name for name, verdict in verdicts.items() if not verdict.ok]


def _quality_line(path: Path, verdicts: Mapping[str, Verdict]) -> list[CellValue]:
    failed = _failed_gates(verdicts)
    reasons = [f"{name}: {verdicts[name].reason}" for name in failed]
    values = [f"{verdict.value:.4f}" for verdict in verdicts.values()]
    return [path.name, str(not failed), "; ".join(reasons), *values]


@in_own_folder
def find_nuclei_files(
    images: Path,
    out: Path,
    *,
    mpp: float,
    detector: str = "centroids",
    form: NucleiFormat = "csv",
    place: ComputePlace = CPU_PLACE,
    on_progress: ProgressCallback | None = None,
) -> tuple[Outcome, dict[str, int]]:
    """Find nuclei in pictures: `out/<stem>.csv` or `.geojson`, and `out/look/contact.png`.

    Args:
        images: picture or folder of them.
        out: folder.
        mpp: micrometres per pixel of the pictures.
        detector: its name.
        form: of the files.
        place: where the detector's network runs.
        on_progress: called after each picture.

    Returns:
        The outcome, and how many nuclei of each class were found.
    """
    check_mpp_option(mpp)
    refuse_input_folder(images, out)
    opened = open_detector(detector, place, large_windows=True)
    if opened is None:
        *names, last = DETECTORS
        raise BadOption("--detector", detector, f"{', '.join(names)} or {last}")
    files = list_files(images, IMAGE_SUFFIXES)
    return write_results(
        out,
        [*(f"{path.stem}.{form}" for path in files), CONTACT_SHEET],
        lambda own, report: _find_all(
            files,
            own,
            mpp,
            opened,
            form,
            on_progress=report,
        ),
        on_progress,
    )


def _find_all(
    files: list[Path],
    own: OwnFiles,
    mpp: float,
    opened: Detector,
    form: NucleiFormat,
    *,
    on_progress: ProgressCallback | None = None,
) -> tuple[Outcome, dict[str, int]]:
    outcome = Outcome()
    counts: Counter[str] = Counter()
    pairs = ShownPairs()
    for done, path in enumerate(files, start=1):
        try:
            pixels = read_rgb(path)
            nuclei = _find_nuclei(pixels, mpp, opened)
            text = _TEXTS[form](nuclei)
            written = own.write_texts({f"{path.stem}.{form}": text})
        except NotWritable:
            raise
        except HistosynthError as error:
            outcome.refused[path.name] = error.of(path.name)
        else:
            outcome.written += written
            counts.update(nuclei.counts())
            if not pairs.is_full:
                radius = max(pixels.shape[0] / 128, 2.0)
                pairs.add(pixels, draw_nuclei(nuclei, over=pixels, radius_px=radius))
        report_done(on_progress, done, len(files))
    if pairs.before:
        sheet = contact_sheet(
            [("as they are", pairs.before), ("nuclei", pairs.after)],
            cell=256,
        )
        outcome.written.append(write_own_picture(own, CONTACT_SHEET, sheet))
    return outcome, dict(counts)


def _find_nuclei(
    pixels: Pixels,
    mpp: float,
    detector: Detector,
) -> Nuclei:
    with one_thread():
        return find_nuclei(pixels, mpp, detector)


def split_table(
    path: Path,
    out: Path,
    *,
    shares: SplitPlan,
    seed: int,
    pattern: str,
) -> dict[str, Any]:
    """Add a column `split` to a table of slides; every patient stands in one split.

    Args:
        path: CSV with the column slide; patient and label are used where they are.
        out: the same table with its split.
        shares: of patients.
        seed: another seed, another assignment.
        pattern: finds the patient in a slide's name where the table has none.

    Raises:
        BadTable: it cannot be read, or a patient has two labels.
        BadTable: slides of one barcode are stated to be of two patients.
        NotWritable: `out` is a file that histosynth did not write, or that was changed since.
    """
    if out.exists() and out.samefile(path):
        raise BadOption(
            "--out",
            out,
            "another file than the table, which stays as it is",
        )
    table = read_table(path)
    if not table:
        raise BadTable(f"{path} has no rows.", "Name at least one slide.")
    patients: dict[str, str] = {}
    for name, row in table.items():
        patients[name] = row["patient"] or patient_of_slide(name, pattern)
    refuse_divided_barcodes(patients)
    labels = _labels_of_patients(path, table, patients)
    splits = split_patients(labels, shares.as_dict(), seed=seed)
    lines: list[list[CellValue]] = [["slide", "patient", "label", "split"]]
    for name in table:
        patient = patients[name]
        lines.append([name, patient, labels[patient], splits[patient]])
    OwnFiles(out.parent).write_texts({out.name: csv_text(lines)})
    return {
        "patients": len(labels),
        "slides": len(table),
        "by_label": _count_by_label(labels, splits, shares),
        "notes": notes_on_patients(patients, stated=bool(pattern)),
        "out": str(out),
    }


def _labels_of_patients(
    path: Path,
    table: Mapping[str, Mapping[str, str]],
    patients: Mapping[str, str],
) -> dict[str, str]:
    """Label by patient, the same in every row of the table.

    Raises:
        BadTable: a patient has two.
    """
    labels: dict[str, str] = {}
    for name, row in table.items():
        patient = patients[name]
        known = labels.setdefault(patient, row["label"])
        if known != row["label"]:
            raise BadTable(
                f"{path} gives patient {patient} the labels {known!r} and {row['label']!r}.",
                "Give each patient one.",
            )
    return labels


def _count_by_label(
    labels: Mapping[str, str],
    splits: Mapping[str, str],
    shares: SplitPlan,
) -> dict[str, dict[str, int]]:
    """Patients of each label in each split."""
    counts: Counter[tuple[str, str]] = Counter()
    for patient, split in splits.items():
        counts[labels[patient] or "no label", split] += 1
    by_label: dict[str, dict[str, int]] = {}
    for label in sorted({label for label, _ in counts}):
        by_label[label] = {split: counts[label, split] for split in shares.as_dict()}
    return by_label


def refuse_input_folder(images: Path, out: Path) -> None:
    """Results must not replace the pictures that they are made from."""
    folder = images if images.is_dir() else images.parent
    if out.exists() and out.samefile(folder):
        raise BadOption(
            "--out",
            out,
            "another folder than that of the pictures, which stay as they are",
        )


def write_results(
    out: Path,
    names: Sequence[str],
    work: Callable[[OwnFiles, ProgressCallback | None], Result],
    on_progress: ProgressCallback | None,
) -> Result:
    """Do work whose results go to a folder; where one may not be replaced, nothing is written.

    Args:
        out: the folder; it is created where it is absent.
        names: of the results. Where a file of a user may be among them, the work is tried first.
        work: called with where to write and a callback for progress.
        on_progress: of the work itself, not of the trial.

    Raises:
        NotWritable: a result would replace a file that histosynth did not write.
    """
    own = OwnFiles(out)
    undecided = own.undecided(list(names))
    ensure_folder(out)
    if undecided:
        work(own.trial(), None)
    return work(own, on_progress)


def report_done(
    on_progress: ProgressCallback | None,
    done: int,
    total: int,
) -> None:
    """Tell a callback, if there is one."""
    if on_progress:
        on_progress(done, total)


def write_own_picture(
    own: OwnFiles,
    name: str,
    picture: Pixels,
) -> Path:
    """Write a PNG into a folder of results; returns its path."""
    with own.writing(name) as temporary:
        Image.fromarray(np.ascontiguousarray(picture)).save(temporary)
    return own.folder / name
