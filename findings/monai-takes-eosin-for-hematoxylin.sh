#!/bin/sh
# MONAI 1.6.1 takes eosin for hematoxylin: stain normalisation paints nuclei pink.
#
# Packages: monai 1.6.1 with torch 2.13.0 (a CPU build suffices), torchstain 1.4.1 for comparison,
#   numpy 2.4.6. Run on 2026-11-29.
# Expected: ExtractHEStains returns the two dyes as absorbances, "first column is H, second column is E",
#   and NormalizeHEStains paints nuclei with the hematoxylin of its reference.
# Seen: the columns are sorted by red / blue, as if they were colours. They are absorbances, of which
#   hematoxylin has much red (it looks blue): eosin comes first on every ordinary tile, even on one
#   painted with MONAI's own reference dyes. NormalizeHEStains then gives the nuclei eosin and the
#   cytoplasm hematoxylin. torchstain, the same method, keeps the order.
# Why it matters: the picture looks like H&E, but its dyes are exchanged; no warning.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3.11 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
  monai==1.6.1 torch==2.13.0 torchstain==1.4.1 numpy==2.4.6 || exit 2
venv/bin/python - <<'PY'
import monai
import numpy as np
from monai.apps.pathology.transforms.stain.array import ExtractHEStains, NormalizeHEStains
from torchstain.numpy.normalizers import NumpyMacenkoNormalizer

print("monai", monai.__version__, "numpy", np.__version__)
reference = np.array(((0.5626, 0.2159), (0.7201, 0.8012), (0.4062, 0.5581)))  # MONAI's own, H then E
dyes = reference / np.linalg.norm(reference, axis=0)

rng = np.random.default_rng(0)
rows, columns = np.mgrid[:200, :200]
nuclei = (rows % 20 - 10) ** 2 + (columns % 20 - 10) ** 2 < 30
hematoxylin = np.where(nuclei, rng.uniform(1.2, 1.8, nuclei.shape), rng.uniform(0, 0.2, nuclei.shape))
eosin = np.where(nuclei, rng.uniform(0.1, 0.3, nuclei.shape), rng.uniform(0.4, 1.0, nuclei.shape))
absorbance = np.stack([hematoxylin, eosin], -1) @ dyes.T
tile = np.clip(240 * np.exp(-absorbance) - 1, 0, 255).round().astype(np.uint8)


def red_minus_blue(picture):
    colour = picture.astype(float).reshape(-1, 3)
    inside = nuclei.ravel()
    return [float((colour[part, 0] - colour[part, 2]).mean().round(1)) for part in (inside, ~inside)]


def likeness(found, dye):
    return float((found @ dye / np.linalg.norm(found) / np.linalg.norm(dye)).round(4))


found = ExtractHEStains()(tile)
to_h, to_e = likeness(found[:, 0], dyes[:, 0]), likeness(found[:, 0], dyes[:, 1])
print("MONAI's first column is like H", to_h, "like E", to_e)
assert to_e > 0.99 > to_h
assert likeness(found[:, 1], dyes[:, 0]) > 0.99

peer = NumpyMacenkoNormalizer()
peer.fit(tile)
print("torchstain's first column is like H", likeness(peer.HERef[:, 0], dyes[:, 0]))
assert likeness(peer.HERef[:, 0], dyes[:, 0]) > 0.99

before, after = red_minus_blue(tile), red_minus_blue(NormalizeHEStains()(tile))
print("red minus blue in nuclei and around them, before:", before, "after MONAI:", after)
assert before[0] < before[1]
assert after[0] > after[1]
PY
