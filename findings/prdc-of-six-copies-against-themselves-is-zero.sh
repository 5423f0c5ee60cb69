#!/bin/sh
# prdc gives a set against itself precision, recall, density and coverage 0 if each tile is in it k + 1 times.
#
# Packages: prdc 0.2, scikit-learn 1.9.1, numpy 2.4.6. Run on 2026-11-29.
# Expected: precision and recall of a set against itself are 1: every sample lies on a real one.
# Seen: the radius of a sample is the distance to its k-th neighbour. With six copies of each tile and
#   nearest_k=5 it is 0, and a sample counts as inside only if it is nearer than the radius: 0 < 0 is
#   false. All four numbers are 0, as for two sets that have nothing in common. Five copies give 1.
# Why it matters: tiles drawn with replacement, blank tiles, or a generator that repeats itself make
#   copies. The numbers fall for that reason, and it reads as bad pictures.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3.11 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check prdc==0.2 scikit-learn==1.9.1 numpy==2.4.6 || exit 2
venv/bin/python - <<'PY'
from importlib.metadata import version

import numpy as np
from prdc import compute_prdc

print("prdc", version("prdc"), "numpy", np.__version__)
# Whole numbers, so that distances of 0 are exact on every machine.
features = np.random.default_rng(0).integers(-50, 50, (30, 16)).astype(float)


def against_itself(copies):
    repeated = np.repeat(features, copies, axis=0)
    numbers = compute_prdc(repeated, repeated.copy(), nearest_k=5)
    return {name: round(float(value), 3) for name, value in numbers.items()}


seen = {copies: against_itself(copies) for copies in (1, 5, 6)}
for copies, numbers in seen.items():
    print(f"{copies} copies of each tile, against itself:", numbers)
assert seen[1]["precision"] == seen[1]["recall"] == seen[1]["coverage"] == 1
assert seen[5]["precision"] == seen[5]["recall"] == seen[5]["coverage"] == 1
assert set(seen[6].values()) == {0.0}

apart = compute_prdc(features, features + 1000, nearest_k=5)
print("two sets far apart:", {name: float(value) for name, value in apart.items()})
assert set(apart.values()) == {0.0}
PY
