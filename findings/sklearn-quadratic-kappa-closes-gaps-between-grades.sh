#!/bin/sh
# scikit-learn's quadratic kappa moves grades together when nobody gave the grade between them.
#
# Packages: scikit-learn 1.9.1, statsmodels 0.15.0, numpy 2.4.6. Run on 2026-11-29.
# Expected: cohen_kappa_score(a, b, weights="quadratic") of grades 0 to 5 weighs a disagreement by the
#   squared difference of the two numbers.
# Seen: it weighs by the difference of their PLACES in the sorted list of the grades that occur. With the
#   grades 0, 1 and 5 in use, 1 against 5 counts like 0 against 1. labels=range(6) gives the value that
#   statsmodels gives for the whole table. Grades as text are sorted as text: "10" before "2" and "9".
# Why it matters: quadratic kappa is the usual measure for grades (ISUP, realism scores). Two centres, or
#   two bootstrap samples, are measured with different weights as soon as one lacks a grade.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3.11 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
  scikit-learn==1.9.1 statsmodels==0.15.0 numpy==2.4.6 || exit 2
venv/bin/python - <<'PY'
import numpy as np
import sklearn
import statsmodels
from sklearn.metrics import cohen_kappa_score, confusion_matrix
from statsmodels.stats.inter_rater import cohens_kappa

print("scikit-learn", sklearn.__version__, "statsmodels", statsmodels.__version__)
first = [0] * 10 + [1] * 10 + [5] * 10
mild = [1] * 4 + [0] * 6 + [1] * 10 + [5] * 10
grave = [0] * 10 + [1] * 6 + [5] * 4 + [5] * 10


def by_table(a, b):
    table = confusion_matrix(a, b, labels=range(6))
    return cohens_kappa(table, weights=np.arange(6), wt="quadratic").kappa


seen = {}
for name, second in (("4 x 0 against 1", mild), ("4 x 1 against 5", grave)):
    plain = cohen_kappa_score(first, second, weights="quadratic")
    labelled = cohen_kappa_score(first, second, weights="quadratic", labels=range(6))
    table = by_table(first, second)
    seen[name] = plain
    print(f"{name}: plain {plain:.4f}, labels=range(6) {labelled:.4f}, statsmodels {table:.4f}")
    assert abs(labelled - table) < 1e-9
    assert abs(plain - table) > 0.02

a, b = ["2", "9", "10", "10", "9", "2"], ["2", "10", "10", "9", "9", "2"]
as_text = cohen_kappa_score(a, b, weights="quadratic")
as_numbers = cohen_kappa_score([int(v) for v in a], [int(v) for v in b], weights="quadratic", labels=range(11))
print(f"grades 2, 9, 10: as text {as_text:.4f}, as numbers {as_numbers:.4f}")
assert as_numbers - as_text > 0.1
PY
