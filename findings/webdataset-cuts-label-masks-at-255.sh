#!/bin/sh
# webdataset's image decoders cut 16-bit label masks at 255: all nuclei from number 255 on become one.
#
# Packages: webdataset 1.0.2, pillow 13.0.0, numpy 2.4.6. Run on 2026-11-29.
# Expected: decode("pil") hands out the PNG's pixels as Pillow opens them (mode I;16 for a label mask), or
#   a decoder of 8 bits refuses or scales a picture of 16.
# Seen: "pil" means RGB, and every image decoder ("pil", "pill", "l8", "rgb8", ...) converts through Pillow,
#   which clips: labels 255, 256, 300 and 65535 all become 255, with no warning.
# Why it matters: a tile of 1000 x 1000 can hold more than 255 nuclei. Instance masks of shards lose all
#   later nuclei to one that spreads over the tile; counts stop at 255.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3.11 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
  webdataset==1.0.2 pillow==13.0.0 numpy==2.4.6 || exit 2
venv/bin/python - <<'PY'
import io

import numpy as np
import PIL
import webdataset
from PIL import Image

print("webdataset", webdataset.__version__, "pillow", PIL.__version__, "numpy", np.__version__)
labels = np.arange(1024, dtype=np.uint16).reshape(32, 32)
data = io.BytesIO()
Image.fromarray(labels).save(data, "PNG")
with webdataset.TarWriter("shard.tar") as shard:
    shard.write({"__key__": "tile", "png": data.getvalue()})


def first(decoder):
    dataset = webdataset.WebDataset("shard.tar", shardshuffle=False)
    return next(iter(dataset.decode(decoder) if decoder else dataset))["png"]


for decoder in ("pil", "pill", "l8", "rgb8", "l"):
    picture = np.asarray(first(decoder))
    kinds = len(np.unique(picture))
    print(f"{decoder}: {picture.dtype} {picture.shape}, {kinds} of 1024 labels, largest {picture.max()}")
    assert kinds == 256
opened = np.asarray(Image.open(io.BytesIO(first(None))))
print(f"Pillow itself: {opened.dtype} {opened.shape}, {len(np.unique(opened))} of 1024 labels")
assert np.array_equal(opened, labels)
PY
