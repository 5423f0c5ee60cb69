#!/bin/sh
# torchstain's Macenko gives the same tissue other colours if more glass lies beside it.
#
# Packages: torchstain 1.4.1 (its NumPy part, without torch), numpy 2.4.6. Run on 2026-11-29.
# Expected: glass is left out (beta is the threshold for that), so tissue normalised in a tile of its own
#   and in a tile that is half glass looks the same.
# Seen: glass is left out where the dyes are found, but the strength of each dye is its 99th percentile over
#   ALL pixels, glass included (as in the method's first code). With half of the tile glass it is the 98th
#   of the tissue, with nine tenths the 90th, and the tissue is stretched until that reaches the
#   reference: it gets darker.
# Why it matters: a tissue edge gets another colour than its neighbour tile, in the direction that a
#   classifier takes for dense or tumour tissue.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3.11 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check torchstain==1.4.1 numpy==2.4.6 || exit 2
venv/bin/python - <<'PY'
from importlib.metadata import version

import numpy as np
from torchstain.numpy.normalizers import NumpyMacenkoNormalizer

print("torchstain", version("torchstain"), "numpy", np.__version__)
rng = np.random.default_rng(0)
dyes = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])
amounts = np.stack([rng.gamma(2, 0.3, (128, 128)), rng.gamma(2, 0.25, (128, 128))], -1)
tissue = np.clip(255 * np.exp(-amounts @ dyes), 0, 255).round().astype(np.uint8)

normalizer = NumpyMacenkoNormalizer()
normalizer.fit(tissue)
means = {}
for percent in (0, 50, 75, 90):
    rows = round(128 * percent / (100 - percent))
    tile = np.vstack([tissue, np.full((rows, 128, 3), 255, np.uint8)])
    same_tissue = normalizer.normalize(tile)[0][:128]
    means[percent] = float(same_tissue.mean())
    print(f"{percent} % glass: mean colour of the same tissue {same_tissue.mean((0, 1)).round(1).tolist()}")
assert means[0] - means[50] > 5
assert means[50] - means[75] > 5
assert means[0] - means[90] > 25
PY
