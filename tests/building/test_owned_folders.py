"""Every verb with `--out` holds the folder that it writes, and nobody goes around the places where
files are locked, temporary, replaced, or processes started."""

import ast
import re
from pathlib import Path

import pytest
import typer

from histosynth.cli.main import app

SOURCE = Path(__file__).parents[2] / "src" / "histosynth"
OWNERS = {
    "bundle convert": ("pipeline/bundle.py", "convert"),
    "bundle export": ("model/diffusers_export.py", "export_diffusers"),
    "bundle pack": ("model/packing.py", "pack"),
    "bundle unpack": ("model/packing.py", "unpack"),
    "complete": ("pipeline/complete_files.py", "complete_files"),
    "demo": ("pipeline/demo.py", "run_demo"),
    "evaluate": ("evaluation/__init__.py", "evaluate"),
    "export onnx": ("pipeline/export_onnx.py", "export_onnx"),
    "layout compare": ("pipeline/layout_comparing.py", "compare_layout_files"),
    "layout edit": ("pipeline/layout_editing.py", "edit_layout"),
    "layout field": ("pipeline/layout_fields.py", "estimate_field_file"),
    "layout fit": ("pipeline/layout_fitting.py", "fit_layout_file"),
    "mend": ("patching/run.py", "write_mend"),
    "paint": ("painting/run.py", "paint_slide"),
    "layout sample": ("pipeline/slide_layouts.py", "sample_layout"),
    "prepare agreement": ("pipeline/agreement.py", "compare_annotators"),
    "prepare fetch": ("preparation/fetch/project.py", "fetch_project"),
    "prepare nuclei": ("preparation/files.py", "find_nuclei_files"),
    "prepare quality check": ("preparation/files.py", "check_files"),
    "prepare quality train": ("training/run.py", "_own_run"),
    "prepare regions": ("preparation/empty_files.py", "find_empty_files"),
    "prepare orientation": ("preparation/orientation_files.py", "find_orientation_files"),
    "prepare run": ("preparation/run.py", "prepare"),
    "prepare split": ("pipeline/prepare_steps.py", "split_patients_of_table"),
    "prepare stain": ("preparation/files.py", "stain_files"),
    "prepare tiles": ("preparation/run.py", "prepare"),
    "synthesize": ("pipeline/synthesize_files.py", "synthesize_files"),
    "train": ("training/run.py", "_own_run"),
}
"""The function that holds the folder of each verb: a new verb has a line here."""
LOCKS = {"own_folder", "share_folder", "in_own_folder"}


def verbs_with_out(command, name=""):
    if hasattr(command, "commands"):
        for key, each in command.commands.items():
            yield from verbs_with_out(each, f"{name} {key}".strip())
    elif any("--out" in getattr(option, "opts", ()) for option in command.params):
        yield name


def test_every_verb_with_an_output_names_who_holds_its_folder():
    assert set(verbs_with_out(typer.main.get_command(app))) == set(OWNERS)


@pytest.mark.parametrize("verb", OWNERS)
def test_the_folder_is_held(verb):
    file, function = OWNERS[verb]
    tree = ast.parse((SOURCE / file).read_text())
    (found,) = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name == function
    ]
    names = {node.id for node in ast.walk(found) if isinstance(node, ast.Name)}
    assert names & LOCKS


@pytest.mark.parametrize(
    ("pattern", "allowed"),
    [
        (r"\bfcntl\b|\bmsvcrt\b", {"core/file_locks.py"}),
        (r"mkstemp|mkdtemp|NamedTemporaryFile|TemporaryDirectory", {"core/temporary.py"}),
        (r"ProcessPoolExecutor\(|multiprocessing\.Process\(|os\.fork\(", {"engine/pool.py"}),
        (
            r"signal\.signal\(",
            {"cli/start.py", "core/stopping.py", "engine/pool.py", "engine/ray_process.py"},
        ),
    ],
)
def test_one_place_does_it(pattern, allowed):
    found = set()
    for path in SOURCE.rglob("*.py"):
        if re.search(pattern, path.read_text()):
            found.add(path.relative_to(SOURCE).as_posix())
    assert found == allowed
