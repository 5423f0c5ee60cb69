"""The steps of `prepare` on pictures and tables: stain, quality, nuclei, split. One function each.

Like everywhere, a picture that is refused is named with its reason, and the others go on.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from ..annotation.nuclei_files import write_csv, write_geojson
from ..core.errors import BadOption, BadTable, HistosynthError
from ..core.outcome import Outcome
from ..core.pairing import list_files
from ..core.progress import ProgressCallback
from ..core.sheet import contact_sheet, draw_nuclei
from ..core.store import atomic_write, ensure_folder, write_text
from ..core.tile import IMAGE_SUFFIXES, Pixels, read_rgb
from ..core.units import check_mpp_option
from ..detectors.finding import find_nuclei
from ..detectors.opening import open_detector
from ..engine.threads import one_thread
from .patients import patient_of_slide, read_table
from .quality.gates import GATES, GateLimits, check_tile
from .recipe import SplitPlan
from .split import split_patients
from .stain import METHODS, fit_stain, medoid, restain_between

SHEET = 8
"""Pictures on a contact sheet's row."""


def stain_files(
    images: Path,
    out: Path,
    *,
    method: str,
    target: Path | None,
    on_progress: ProgressCallback | None = None,
) -> Outcome:
    """Give pictures one stain: `out/<stem>.png`, each fitted alone, and `out/look.png`.

    Args:
        images: picture or folder of them.
        out: folder.
        method: macenko, vahadane or reinhard.
        target: picture whose stain all get; None: that of the most usual one.
        on_progress: told of progress.

    Raises:
        StainNotFound: the target has none.
    """
    files = list_files(images, IMAGE_SUFFIXES)
    _check_method(method)
    _keep_inputs(images, out)
    wanted = fit_stain(method, read_rgb(target), target.name) if target else None
    ensure_folder(out)
    outcome = Outcome()
    stains = {}
    for done, path in enumerate(files):
        try:
            stains[path] = fit_stain(method, read_rgb(path), path.name)
        except HistosynthError as error:
            outcome.refused[path.name] = error.of(path.name)
        _tell(on_progress, done, 2 * len(files))
    if not stains:
        return outcome
    goal = wanted or medoid(list(stains.values()))
    pairs: list[tuple[Pixels, Pixels]] = []
    for done, (path, stain) in enumerate(stains.items()):
        pixels = read_rgb(path)
        alike = restain_between(stain, goal)(pixels)
        outcome.written.append(_write(out / f"{path.stem}.png", alike))
        if len(pairs) < SHEET:
            pairs.append((pixels, alike))
        _tell(on_progress, len(files) + done, 2 * len(files))
    sheet = contact_sheet(
        [
            ("as they are", [one for one, _ in pairs]),
            (f"after {method}", [two for _, two in pairs]),
        ],
        cell=192,
    )
    _write(out / "look" / "contact.png", sheet)
    return outcome


def check_files(
    images: Path,
    out: Path,
    *,
    mpp: float,
    limits: GateLimits | None = None,
    on_progress: ProgressCallback | None = None,
) -> tuple[Outcome, dict[str, int]]:
    """Judge pictures: `out/quality.csv`, one line each, and `out/look.png` with the refused ones.

    Returns:
        The outcome, where a picture that fails a gate is no refusal but a line; and how many failed
        each.
    """
    check_mpp_option(mpp)
    files = list_files(images, IMAGE_SUFFIXES)
    ensure_folder(out)
    outcome = Outcome()
    failed = Counter[str]()
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["image", "ok", "reason", *GATES])
    shown: dict[str, list[Pixels]] = {}
    for done, path in enumerate(files):
        try:
            pixels = read_rgb(path)
            verdicts = check_tile(pixels, mpp, limits or GateLimits())
            bad = {name: verdict for name, verdict in verdicts.items() if not verdict.ok}
            reason = "; ".join(f"{name}: {verdict.reason}" for name, verdict in bad.items())
            values = [f"{verdict.value:.4f}" for verdict in verdicts.values()]
            table.writerow([path.name, not bad, reason, *values])
            failed.update(list(bad) or ["passed"])
            row = shown.setdefault(next(iter(bad), "passed"), [])
            if len(row) < SHEET:
                row.append(pixels)
        except HistosynthError as error:
            outcome.refused[path.name] = error.of(path.name)
        _tell(on_progress, done, len(files))
    write_text(out / "quality.csv", text.getvalue())
    outcome.written.append(out / "quality.csv")
    rows = [(f"{name} ({failed[name]})", pictures) for name, pictures in sorted(shown.items())]
    if rows:
        outcome.written.append(_write(out / "look" / "contact.png", contact_sheet(rows, cell=192)))
    return outcome, dict(failed)


def find_nuclei_files(
    images: Path,
    out: Path,
    *,
    mpp: float,
    detector: str = "centroids",
    form: Literal["csv", "geojson"] = "csv",
    on_progress: ProgressCallback | None = None,
) -> tuple[Outcome, dict[str, int]]:
    """Find nuclei in pictures: `out/<stem>.csv` or `.geojson`, and `out/look.png`.

    Returns:
        The outcome, and how many nuclei of each class were found.
    """
    check_mpp_option(mpp)
    _keep_inputs(images, out)
    finder = open_detector(detector)
    if finder is None:
        raise BadOption("--detector", detector, "centroids, blobs or instanseg")
    files = list_files(images, IMAGE_SUFFIXES)
    ensure_folder(out)
    outcome = Outcome()
    counts = Counter[str]()
    shown: list[tuple[Pixels, Pixels]] = []
    for done, path in enumerate(files):
        try:
            pixels = read_rgb(path)
            with one_thread():
                nuclei = find_nuclei(pixels, mpp, finder)
            write = write_geojson if form == "geojson" else write_csv
            write(out / f"{path.stem}.{form}", nuclei)
            outcome.written.append(out / f"{path.stem}.{form}")
            counts.update(nuclei.counts())
            if len(shown) < SHEET:
                radius = max(pixels.shape[0] / 128, 2.0)
                shown.append((pixels, draw_nuclei(nuclei, over=pixels, radius_px=radius)))
        except HistosynthError as error:
            outcome.refused[path.name] = error.of(path.name)
        _tell(on_progress, done, len(files))
    if shown:
        rows = [("as they are", [one for one, _ in shown]), ("nuclei", [two for _, two in shown])]
        outcome.written.append(_write(out / "look" / "contact.png", contact_sheet(rows, cell=256)))
    return outcome, dict(counts)


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
        seed: another seed, another deal.
        pattern: finds the patient in a slide's name where the table has none.

    Raises:
        BadTable: it cannot be read, or a patient has two labels.
    """
    if out.exists() and out.samefile(path):
        raise BadOption("--out", out, "another file than the table, which stays as it is")
    table = read_table(path)
    if not table:
        raise BadTable(f"{path} has no rows.", "Name at least one slide.")
    patients = {
        name: row["patient"] or patient_of_slide(name, pattern) for name, row in table.items()
    }
    labels: dict[str, str] = {}
    for name, row in table.items():
        before = labels.setdefault(patients[name], row["label"])
        if before != row["label"]:
            both = f"{before!r} and {row['label']!r}"
            raise BadTable(
                f"{path} gives patient {patients[name]} the labels {both}.",
                "Give each patient one.",
            )
    dealt = split_patients(labels, shares.as_dict(), seed=seed)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["slide", "patient", "label", "split"])
    for name in table:
        writer.writerow([name, patients[name], labels[patients[name]], dealt[patients[name]]])
    write_text(out, text.getvalue())
    counts = Counter((labels[patient] or "no label", split) for patient, split in dealt.items())
    by_label = {
        label: {split: counts[label, split] for split in shares.as_dict()}
        for label in sorted({label for label, _ in counts})
    }
    return {
        "patients": len(labels),
        "slides": len(table),
        "by_label": by_label,
        "out": str(out),
    }


def _keep_inputs(images: Path, out: Path) -> None:
    """Results must not take the place of what they were made from."""
    folder = images if images.is_dir() else images.parent
    if out.exists() and out.samefile(folder):
        raise BadOption(
            "--out",
            out,
            "another folder than that of the pictures, which stay as they are",
        )


def _check_method(method: str) -> None:
    if method not in METHODS:
        raise BadOption("--method", method, f"one of {', '.join(METHODS)}")


def _tell(on_progress: Callable[[int, int], None] | None, done: int, total: int) -> None:
    if on_progress:
        on_progress(done + 1, total)


def _write(path: Path, picture: Pixels) -> Path:
    with atomic_write(path) as temporary:
        Image.fromarray(np.ascontiguousarray(picture)).save(temporary)
    return path
