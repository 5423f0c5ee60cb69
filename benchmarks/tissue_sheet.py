"""Real tissue of each patient over what builds make of its nuclei, at 1:1.

    python benchmarks/tissue_sheet.py REAL before=FOLDER now=FOLDER [--out tissue.jpg]

REAL and the folders hold tiles of the same patients, named by `--patient`: `synthesize` names its
tiles after the files of nuclei. Of each patient the tile with the number `--tile` is shown. The
sheet holds real tissue: it stays outside the repository.
"""

import argparse
import re
from pathlib import Path

import numpy as np
from PIL import Image

from histosynth.core.marked_image import marked_image
from histosynth.core.sheet import contact_sheet


def arguments() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("real", type=Path)
    parser.add_argument("builds", nargs="+", help="caption=folder")
    parser.add_argument("--patient", default=r"^(.{12})")
    parser.add_argument("--tile", type=int, default=1, help="which tile of each patient, from 0")
    parser.add_argument("--out", type=Path, default=Path("tissue.jpg"))
    return parser.parse_args()


def pictures(folder: Path, stems: list[str]) -> list[np.ndarray]:
    """The first tile in a folder whose name begins with each stem."""
    found = []
    for stem in stems:
        first = sorted(folder.glob(f"{stem}*.png"))[0]
        with Image.open(first) as image:
            found.append(np.asarray(image.convert("RGB")))
    return found


def main() -> None:
    """Write the sheet."""
    args = arguments()
    of_patient: dict[str, list[str]] = {}
    for path in sorted(args.real.glob("*.png")):
        patient = re.search(args.patient, path.stem)
        of_patient.setdefault(patient[1] if patient else path.stem, []).append(path.stem)
    stems = [tiles[args.tile] for tiles in of_patient.values()]
    rows = [(f"real: {len(stems)} patients", pictures(args.real, stems))]
    for build in args.builds:
        caption, _, folder = build.partition("=")
        rows.append((f"{caption}: synthetic", pictures(Path(folder), stems)))
    recipe = {"verb": "sheet", "rows": [caption for caption, _ in rows]}
    marked_image(contact_sheet(rows), recipe).save(args.out, quality=92)


if __name__ == "__main__":
    main()
