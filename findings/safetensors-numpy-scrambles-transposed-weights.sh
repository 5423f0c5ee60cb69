#!/bin/sh
# safetensors 0.8.0 saves a transposed NumPy array in the wrong order, and says nothing.
#
# Packages: safetensors 0.8.0 (0.7.0 for comparison), numpy 2.4.6. Run on 2026-11-29.
# Expected: save_file({"w": array}) and load_file give the array back, or a view that is not stored row
#   by row is refused, as safetensors.torch refuses it.
# Seen: the memory is written as it lies under the shape of the view. A transposed weight comes back with
#   the right shape and dtype and its values in other places; every second column comes back as the first
#   columns. 0.7.0 wrote what was meant.
# Why it matters: converting between JAX or Keras (input x output) and PyTorch (output x input) is a
#   transpose: an adapter or network converted with NumPy loads without a word and is noise.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3.11 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check safetensors==0.8.0 numpy==2.4.6 || exit 2
venv/bin/python - <<'PY'
import numpy as np
import safetensors
from safetensors.numpy import load, load_file, save, save_file

print("safetensors", safetensors.__version__, "numpy", np.__version__)
stored = np.arange(6, dtype=np.float32).reshape(2, 3)
views = {"transposed": stored.T, "columns": stored[:, ::2], "fortran": np.asfortranarray(stored)}
save_file(views, "views.safetensors")
from_file, from_bytes = load_file("views.safetensors"), load(save(views))
for name, meant in views.items():
    seen = from_file[name]
    print(name, "meant", meant.tolist(), "read", seen.tolist())
    assert seen.shape == meant.shape and seen.dtype == meant.dtype
    assert not np.array_equal(seen, meant) and not np.array_equal(from_bytes[name], meant)
assert from_file["transposed"].ravel().tolist() == stored.ravel().tolist()
save_file({name: np.ascontiguousarray(view) for name, view in views.items()}, "copies.safetensors")
assert all(np.array_equal(load_file("copies.safetensors")[name], view) for name, view in views.items())
print("np.ascontiguousarray before saving: as meant")
PY
venv/bin/pip install --quiet --disable-pip-version-check safetensors==0.7.0 || exit 2
venv/bin/python - <<'PY'
import numpy as np
import safetensors
from safetensors.numpy import load, save

stored = np.arange(6, dtype=np.float32).reshape(2, 3)
seen = load(save({"w": stored.T}))["w"]
print("safetensors", safetensors.__version__, "transposed: read", seen.tolist())
assert np.array_equal(seen, stored.T)
PY
