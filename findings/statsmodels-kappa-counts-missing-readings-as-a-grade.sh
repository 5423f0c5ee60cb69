#!/bin/sh
# statsmodels counts a reading that is missing as a grade of its own, on which raters can agree.
#
# Packages: statsmodels 0.15.0, numpy 2.4.6. Run on 2026-11-29.
# Expected: aggregate_raters leaves a NaN (a slide that a reader skipped) out, or refuses it: fleiss_kappa
#   compares the readings that were made.
# Seen: NaN becomes a category beside the grades. Raters who skipped the same slides "agree" there: of
#   three raters at chance, kappa rises from 0 to 0.6 when as many slides are skipped by all of them.
#   Where only a third rater skips, he "disagrees" with two of one mind, and kappa falls from 1 to 0.
# Why it matters: in reader studies of real and synthetic tissue some answers are always missing. They
#   move kappa either way, and the result is a plain number.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3.11 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check statsmodels==0.15.0 numpy==2.4.6 || exit 2
venv/bin/python - <<'PY'
import numpy as np
import statsmodels
from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa

print("statsmodels", statsmodels.__version__)


def kappa(readings):
    table, categories = aggregate_raters(np.asarray(readings, float))
    return float(fleiss_kappa(table)), categories.tolist()


chance = [[a, b, c] for a in (1, 2) for b in (1, 2) for c in (1, 2)]
skipped = chance + [[np.nan] * 3] * len(chance)
agreed = [[grade, grade] for grade in (1, 2) for _ in range(4)]
one_absent = [[a, b, np.nan] for a, b in agreed]
for name, readings in (
    ("three raters at chance", chance),
    ("the same and as many slides that all skipped", skipped),
    ("two raters of one mind", agreed),
    ("the same and a third who skipped all", one_absent),
):
    value, categories = kappa(readings)
    print(f"{name}: kappa {value:.3f}, categories {categories}")

assert kappa(chance)[0] < 0.01
assert kappa(skipped)[0] > 0.4
assert kappa(agreed)[0] == 1
assert kappa(one_absent)[0] < 0.1
assert len(kappa(skipped)[1]) == 3
PY
