#!/bin/sh
# scikit-image's rgb2hed and hed2rgb do not give the picture back: red blood cells get darker.
#
# Packages: scikit-image 0.26.0, numpy 2.4.6. Run on 2026-11-29.
# Expected: separate the three dyes, change nothing, put them together: the same picture. The matrix is
#   square and invertible.
# Seen: rgb2hed sets negative amounts to 0. Colours outside the three dyes, above all blood and brown
#   pigment, have a negative amount of one and come back darker: a red blood cell of (200, 60, 80) as
#   (161, 47, 73). Plain hematoxylin and eosin come back exact.
# Why it matters: stain augmentation in this space (Tellez et al.) changes blood even at strength 0, and a
#   detector of stain differences finds some where there are none.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3.11 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check scikit-image==0.26.0 numpy==2.4.6 || exit 2
venv/bin/python - <<'PY'
import numpy as np
import skimage
from skimage.color import hed2rgb, hed_from_rgb, rgb2hed, rgb_from_hed

print("scikit-image", skimage.__version__, "numpy", np.__version__)
colours = {
    "nucleus": (90, 60, 140),
    "cytoplasm": (225, 160, 200),
    "red blood cell": (200, 60, 80),
    "bright blood": (220, 70, 60),
    "brown pigment": (150, 100, 60),
}
change = {}
for name, colour in colours.items():
    pixel = np.array(colour, np.uint8).reshape(1, 1, 3)
    dyes = rgb2hed(pixel)
    back = (255 * hed2rgb(dyes)).round().astype(int)
    change[name] = int((back - pixel).min())
    print(f"{name} {colour}: dyes {dyes.ravel().round(3).tolist()}, comes back as {back.ravel().tolist()}")
    assert dyes.min() >= 0
assert np.abs(hed_from_rgb @ rgb_from_hed - np.eye(3)).max() < 1e-6
assert change["nucleus"] == change["cytoplasm"] == 0
assert change["red blood cell"] < -30 and change["bright blood"] < -30
PY
