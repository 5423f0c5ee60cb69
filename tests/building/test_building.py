"""The shape of the building, checked by a machine."""

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

import histosynth

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "histosynth"
LONGER: dict[str, str] = {}
"""Files over 500 lines, each with its reason."""
PINNED = (
    'weight_files.py: found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)'
)
"""The only line that reads another format than safetensors, json and parquet."""
NAME_ONLY = 'files.py: YOLO_FILE = "data.yaml"'
"""A file that is written, and read only to compare its text."""


def modules():
    return sorted(SOURCE.rglob("*.py"))


def test_importing_the_package_and_the_command_line_loads_no_torch():
    heavy = ("torch", "diffusers", "scipy", "PIL")
    code = (
        f"import sys, histosynth, histosynth.cli.main; print([m for m in {heavy} if m in "
        "sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_all_public_names_exist_and_dir_shows_them():
    assert sorted(histosynth.__all__) == dir(histosynth)
    for name in histosynth.__all__:
        assert getattr(histosynth, name) is not None
    with pytest.raises(AttributeError):
        _ = histosynth.magic


def test_type_checkers_see_the_same_names():
    tree = ast.parse((SOURCE / "__init__.py").read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.name
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == set(histosynth._MODULE_OF)


def test_no_file_is_over_500_lines_without_a_reason():
    long = {
        str(path.relative_to(ROOT)): n
        for path in modules()
        if (n := len(path.read_text().splitlines())) > 500
    }
    assert set(long) == set(LONGER), long


def test_no_function_takes_more_than_five_positional_parameters():
    wrong = []
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and path.parent.name != "cli":
                positional = [a.arg for a in node.args.args if a.arg not in ("self", "cls")]
                if len(positional) > 5:
                    wrong.append(f"{path.name}:{node.name}")
    assert not wrong


def test_nothing_can_execute_a_file():
    """No pickle, no torch.load, no eval, no yaml: untrusted files hold numbers and text.

    One line reads torch's own format: tensors only, and only of bytes whose sha256 is pinned in the
    source.
    """
    wrong = re.compile(
        r"\b(pickle|torch\.load|torch\.save|eval\(|exec\(|yaml|marshal|shelve|allow_pickle)"
    )
    hits = [
        f"{path.name}: {line.strip()}"
        for path in modules()
        for line in path.read_text().splitlines()
        if wrong.search(line)
    ]
    harmless = (".eval()", "cuda", "allow_pickle=False")
    hits = [hit for hit in hits if not any(word in hit for word in harmless)]
    assert hits == [NAME_ONLY, PINNED]


def test_paths_are_resolved_through_one_function():
    """`Path.resolve` raises a `RuntimeError` for a link that leads to itself, before 3.13."""
    found = [path.name for path in modules() if ".resolve()" in path.read_text()]
    assert found == []


def test_readme_tree_is_the_real_tree():
    text = (ROOT / "README.md").read_text()
    tree = re.search(r"```text\nsrc/histosynth/\n(.*?)```", text, re.S)
    assert tree, "README.md shows the tree"
    listed = {line.split()[0].rstrip("/") for line in tree.group(1).splitlines() if line.strip()}
    real = {
        path.name
        for path in SOURCE.iterdir()
        if path.name not in ("__pycache__", "__main__.py", "py.typed", "__init__.py")
    }
    assert listed == real


def test_help_is_as_documented():
    """Written anew by `make docs`."""
    where = importlib.util.spec_from_file_location("write_help", ROOT / "docs" / "write_help.py")
    docs = importlib.util.module_from_spec(where)
    where.loader.exec_module(docs)
    texts = {
        f"{verb.replace(' ', '-') or 'histosynth'}.txt": docs.help_of(verb) for verb in docs.verbs()
    }
    written = {path.name: path.read_text() for path in (ROOT / "docs" / "cli").glob("*.txt")}
    assert written == texts, "run `make docs`"


def test_the_log_and_changelog_exist():
    for name in (
        "docs/log.md",
        "docs/architecture.md",
        "docs/glossary.md",
        "CHANGELOG.md",
        "LICENSE",
    ):
        assert len((ROOT / name).read_text()) > 400, name
