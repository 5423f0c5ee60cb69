"""Small recipes of the tests."""

from pathlib import Path

LOOP = """steps = {steps}
batch = 2
learning_rate = 1e-3
warmup = 2
ema = 0.9
validate_every = {every}
checkpoint_every = 2
log_every = 1
precision = "fp32"
"""
DATA = """[data]
root = "{root}"
mpp = 0.5
crop = 64
views = 2
kinds = ["epithelial", "lymphocyte", "stromal"]
"""
SMALL_AUTOENCODER = """[model]
latent_channels = 4
anchored = 2
widths = [16, 16, 32, 32]
encoder_layers = [0, 1, 1, 1]
decoder_layers = [0, 1, 1, 1]
"""
SMALL_BASE = """[conditions]
mask_share = 0.5
crops = [128]
crop_shares = [1.0]
[base]
widths = [32, 32, 64]
layers = 1
fine = 8
structure_widths = [16, 16, 16]
labels = ["breast"]
[adapter]
rank = 4
targets = ["conv1", "to_q"]
"""
SMALL_DETECTOR = """[model]
widths = [8, 16]
blocks = [1, 1]
aside = 0.25
"""
SMALL_ENCODER = """[model]
widths = [8, 16]
blocks = [1, 1]
project = 16
"""
MODELS = {
    "autoencoder": SMALL_AUTOENCODER,
    "detector": SMALL_DETECTOR,
    "encoder": SMALL_ENCODER,
}
SOURCE = (
    'images = "images"\nmembers = "{members}"\npatient = "^(..)"\nmpp = 0.5\nlabel = "breast"\n'
)


def write_recipe(
    folder: Path,
    tissue: Path,
    task: str,
    *,
    start="",
    steps=4,
    every=4,
    held_out="val.txt",
) -> Path:
    points = "" if task == "autoencoder" else 'points = "points"\n'
    text = f'task = "{task}"\nseed = 3\n' + ("" if task in MODELS else f'start = "{start}"\n')
    text += "[loop]\n" + LOOP.format(steps=steps, every=every) + DATA.format(root=tissue)
    for side, members in (("train", "train.txt"), ("validation", held_out)):
        text += f"[[data.{side}]]\n{SOURCE.format(members=members)}{points}"
    text += MODELS.get(task, SMALL_BASE)
    if task == "encoder":
        text = text.replace("batch = 2", "batch = 8")
    path = folder / f"{task}-{steps}.toml"
    path.write_text(text)
    return path


ADAPTER_TARGETS = 'targets = ["conv1", "to_q"]'
"""Line of the layers in the recipes of `write_recipe`."""


def write_adapter_recipe(
    folder: Path,
    tissue: Path,
    base: Path,
    options: str,
    *,
    task="global",
    rate="1e-3",
    **counts: int,
) -> Path:
    """A recipe of an adapter with options of its table; `counts` are those of `write_recipe`."""
    recipe = write_recipe(folder, tissue, task, start=base, **counts)
    text = recipe.read_text().replace("learning_rate = 1e-3", f"learning_rate = {rate}")
    recipe.write_text(text.replace(ADAPTER_TARGETS, f"{ADAPTER_TARGETS}\n{options}"))
    return recipe
