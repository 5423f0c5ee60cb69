#!/bin/sh
# safetensors 0.8 puts a new file in place of the one that save_file is told to write.
#
# Packages: safetensors 0.8.0 and 0.5.3, numpy 2.2.6. Run on 2026-11-29.
# Expected: a file that exists is written into, as open(path, "wb"), numpy.save, Pillow and pyarrow do, or
#   the documentation says that it is replaced.
# Seen: after save_file on an existing file 0.8.0 leaves a file with another inode and mode 0600: a hard
#   link to it keeps the old weights, and a lock that a process holds on it is a lock on nothing. 0.5.3
#   writes into the file.
# Why it matters: weights that are shared by hard link between runs part silently, other users of a shared
#   folder can no longer read a checkpoint, and a lock on a temporary file no longer guards it.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3.11 -m venv venv
for version in 0.8.0 0.5.3; do
  venv/bin/pip install --quiet --disable-pip-version-check \
    "safetensors==$version" numpy==2.2.6 || exit 2
  venv/bin/python - "$version" <<'PY'
import os
import sys

import numpy as np
import safetensors
from safetensors.numpy import load_file, save_file

version = sys.argv[1]
assert safetensors.__version__ == version
for name in ("weights.safetensors", "shared.safetensors"):
    if os.path.exists(name):
        os.unlink(name)
save_file({"w": np.zeros(3)}, "weights.safetensors")
os.chmod("weights.safetensors", 0o644)
os.link("weights.safetensors", "shared.safetensors")
before = os.stat("weights.safetensors")
save_file({"w": np.ones(3)}, "weights.safetensors")
after = os.stat("weights.safetensors")
seen = {
    "same inode": before.st_ino == after.st_ino,
    "mode": oct(after.st_mode & 0o777),
    "hard link": float(load_file("shared.safetensors")["w"][0]),
}
print("safetensors", version, seen)
expected = {
    "0.8.0": {"same inode": False, "mode": "0o600", "hard link": 0.0},
    "0.5.3": {"same inode": True, "mode": "0o644", "hard link": 1.0},
}[version]
if seen != expected:
    sys.exit(f"changed: expected {expected}")
PY
done
