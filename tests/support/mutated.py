"""Damaged and altered headers of small slides, and what may come of them.

    PYTHONPATH=src:tests/support python tests/support/mutated.py 2000

tries that many and prints the counts; a test tries fewer.
"""

import re
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from tiff_files import picture, planes, write_aperio, write_generic, write_ome

from histosynth.core.errors import HistosynthError
from histosynth.core.geometry import Box
from histosynth.slides import open_slide

TRUE_MPP = 0.5
_HEADER_BYTES = 2600
_NUMBER = re.compile(rb'(?<=MPP = )[0-9.]+|(?<=PhysicalSize[XY]=")[0-9.]+')
_UNIT = re.compile(rb'(?<=PhysicalSize[XY]Unit=")[a-z]+')
_VALUES = (b"0,5", b"0.5 ", b"5e-1", b"500", b"0,50", b"x.5", b"-.5", b"", b"nan", b".500", b"0x1")
_UNITS = (b"nm", b"mm", b"cm", b"px", b"u", b"Um", b"MM", b"\xb5m", b"")


def seeds(folder: Path) -> list[Path]:
    """Small slides of each make, at 0.5 um/px, their headers at the beginning of the file."""
    small = picture(96, 80)
    tile = {"tile": (48, 48)}
    ome = (
        '<Image Name="a"><Pixels DimensionOrder="XYCZT" Type="uint8" SizeX="96" SizeY="80" '
        'SizeC="3" PhysicalSizeX="0.5" PhysicalSizeXUnit="um" PhysicalSizeY="0.5" '
        'PhysicalSizeYUnit="um">{channels}</Pixels></Image>'
    )
    together = ome.format(channels='<Channel SamplesPerPixel="3"/><TiffData IFD="0"/>')
    split = ome.format(channels="<Channel/><Channel/><Channel/>")
    return [
        write_aperio(folder / "0.svs", small, compression="jpeg", **tile),
        write_generic(folder / "1.tif", small, **tile),
        write_ome(folder / "2.tif", small, images=together, **tile),
        write_ome(folder / "3.tif", *planes(small), images=split, **tile),
        _dicom(folder / "4.dcm"),
    ]


def _dicom(path: Path) -> Path:
    from dicom_files import write_dicom

    return write_dicom(path)


def change_bytes(content: bytes, random: np.random.Generator) -> bytes:
    """One to four bytes of the header set to others."""
    changed = bytearray(content)
    most = min(_HEADER_BYTES, len(changed))
    for _ in range(int(random.integers(1, 5))):
        changed[int(random.integers(most))] = int(random.integers(256))
    return bytes(changed)


def change_text(content: bytes, random: np.random.Generator) -> bytes:
    """The number or the unit of a stated scale set to another of the same length, at most."""
    pattern, values = (_NUMBER, _VALUES) if random.random() < 0.6 else (_UNIT, _UNITS)
    found = list(pattern.finditer(content))
    if not found:
        return change_bytes(content, random)
    place = found[int(random.integers(len(found)))]
    value = values[int(random.integers(len(values)))]
    length = place.end() - place.start()
    return content[: place.start()] + value[:length].ljust(length) + content[place.end() :]


def cut(content: bytes, random: np.random.Generator) -> bytes:
    """The beginning of a file."""
    return content[: int(random.integers(len(content)))]


CHANGES = (change_bytes, change_bytes, change_text, cut)


def is_stated(content: bytes, mpp: float) -> bool:
    """Whether a scale is the true one within a per cent, or an MPP that the change has written."""
    written = [TRUE_MPP]
    for text in re.findall(rb"MPP = ([0-9]*[.]?[0-9]+)", content):
        written.append(float(text))
    return any(abs(mpp / each - 1) <= 0.01 for each in written if each)


def try_one(path: Path) -> tuple[str, float | None]:
    """`read`, with the scale, or the name of the refusal; anything else is raised."""
    try:
        slide = open_slide(path)
        full = slide.levels[0]
        slide.read(0, Box(0, 0, min(full.width, 96), min(full.height, 80)))
        slide.close()
        return "read", slide.mpp
    except HistosynthError as error:
        return type(error).__name__, None


def run(count: int, seed: int = 0):
    """Counts by outcome, and the changed files that were read at a scale that they do not state.

    Returns:
        Counter of outcomes, and a list of (seed file, scale read, changed bytes).
    """
    random = np.random.default_rng(seed)
    outcomes: Counter[str] = Counter()
    other_scales = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        originals = [(path, path.read_bytes()) for path in seeds(folder)]
        for number in range(count):
            path, content = originals[number % len(originals)]
            change = CHANGES[int(random.integers(len(CHANGES)))]
            changed = change(content, random)
            (folder / "changed").mkdir(exist_ok=True)
            target = folder / "changed" / path.name
            target.write_bytes(changed)
            outcome, mpp = try_one(target)
            outcomes[outcome] += 1
            if mpp is not None and not is_stated(changed, mpp):
                other_scales.append((path.name, mpp, content, changed))
            target.unlink()
    return outcomes, other_scales


if __name__ == "__main__":
    found, others = run(int(sys.argv[1]), seed=int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    print(dict(found.most_common()))
    for name, mpp, before, after in others:
        at = [
            place for place in range(min(len(before), len(after))) if before[place] != after[place]
        ]
        texts = [after[max(place - 12, 0) : place + 12] for place in at[:3]]
        print(name, mpp, at[:6], texts)
