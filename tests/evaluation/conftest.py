"""The small world that judges are tried on."""

import pytest
from evaluated import CLASSES, SIDE, barcode, save, tissue

from histosynth.annotation.nuclei_files import write_csv
from histosynth.core.nuclei import Nuclei


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """Folders real, made (two variants each), train and nuclei; made tiles are other tissue of
    like kind."""
    root = tmp_path_factory.mktemp("world")
    for number in range(9):
        for part in range(2):
            name = f"{barcode(number)}-{part}"
            pixels, xy = tissue(SIDE, SIDE, seed=100 + 2 * number + part)
            save(root / "real", name, pixels)
            nuclei = Nuclei.of(
                xy,
                ["nucleus"] * len(xy),
                size=(SIDE, SIDE),
                mpp=0.5,
                classes=CLASSES,
            )
            (root / "nuclei").mkdir(exist_ok=True)
            write_csv(root / "nuclei" / f"{name}.csv", nuclei)
            for variant in range(2):
                synthetic, _ = tissue(SIDE, SIDE, seed=1000 + 10 * number + 2 * part + variant)
                save(root / "made", f"{name}_{variant}", synthetic)
    for number in range(20, 32):
        save(root / "train", f"{barcode(number)}-0", tissue(200, 180, seed=number)[0])
    return root
