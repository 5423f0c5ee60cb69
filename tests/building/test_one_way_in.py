"""Files of tensors are read and written in one package, and no library loads a folder by itself."""

import ast
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "histosynth"
OWNER = "tensors"
TEST_DOUBLES = "testing_bases.py"
"""Writes small bases as other programs write theirs; no verb calls it."""
LIBRARY_NAMES = {
    "SafetensorError",
    "load_checkpoint_and_dispatch",
    "load_file",
    "load_lora_weights",
    "safe_open",
    "save_file",
    "save_model",
    "save_pretrained",
    "from_pretrained",
    "from_single_file",
}


def names_in(tree):
    """Names that a module imports from safetensors, and attributes that it calls."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("safetensors"):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name.startswith("safetensors"))
        elif isinstance(node, ast.Attribute):
            yield node.attr


def test_tensors_pass_through_one_package():
    around = {}
    for path in sorted(SOURCE.rglob("*.py")):
        place = path.relative_to(SOURCE)
        if place.parts[0] == OWNER or place.name == TEST_DOUBLES:
            continue
        used = {name for name in names_in(ast.parse(path.read_text())) if name in LIBRARY_NAMES}
        imported = {
            name for name in names_in(ast.parse(path.read_text())) if name.startswith("safetensors")
        }
        if used or imported:
            around[str(place)] = sorted(used | imported)
    assert around == {}


def test_networks_are_built_from_settings_of_files_in_bounds_only():
    """Whoever calls `from_config` of a file's settings has them from `network_settings`."""
    callers = {}
    for path in sorted(SOURCE.rglob("*.py")):
        text = path.read_text()
        if ".from_config(" in text and path.name != TEST_DOUBLES:
            callers[path.relative_to(SOURCE).as_posix()] = "network_settings" in text
    # these copy the settings of a network that was built before
    copies = {"model/adapters.py", "model/structure.py", "training/tasks/diffusion/cost.py"}
    assert {name for name, is_bounded in callers.items() if not is_bounded} == copies
