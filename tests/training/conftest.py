"""Fake tissue, and an autoencoder and a base trained on it for a few steps."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small import write_recipe

from histosynth.annotation.nuclei_files import write_csv
from histosynth.pipeline.train import train
from histosynth.tissue.layout import draw_layout


@pytest.fixture(scope="session")
def tissue(tmp_path_factory) -> Path:
    """Six fake tiles of six patients with centroids, split four to two."""
    root = tmp_path_factory.mktemp("tissue")
    random = np.random.default_rng(0)
    for index in range(6):
        nuclei = draw_layout((264, 264), mpp=0.5, seed=index)
        canvas = np.full((264, 264, 3), (225, 170, 205), np.float64) + random.normal(
            0, 8, (264, 264, 1)
        )
        for x, y in nuclei.xy.astype(int):
            canvas[max(y - 4, 0) : y + 5, max(x - 4, 0) : x + 5] = (95, 65, 140)
        (root / "images").mkdir(exist_ok=True)
        Image.fromarray(canvas.clip(0, 255).astype(np.uint8)).save(
            root / "images" / f"P{index}_tile.png"
        )
        write_csv(root / "points" / f"P{index}_tile.csv", nuclei)
    (root / "train.txt").write_text("\n".join(f"P{i}_tile.png" for i in range(4)))
    (root / "val.txt").write_text("\n".join(f"P{i}_tile.png" for i in (4, 5)))
    (root / "leak.txt").write_text("P3_tile.png\nP5_tile.png")
    return root


@pytest.fixture(scope="session")
def autoencoder(tissue, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("autoencoder")
    train(write_recipe(folder, tissue, "autoencoder"), folder / "run", device="cpu")
    return folder / "run" / "weights"


@pytest.fixture(scope="session")
def base(tissue, autoencoder, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    train(
        write_recipe(folder, tissue, "base", start=autoencoder),
        folder / "run",
        device="cpu",
    )
    return folder / "run" / "weights"
