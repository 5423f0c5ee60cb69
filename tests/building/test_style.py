"""Density, branching and names of the source: see tests/building/style.py and docs/glossary.md."""

import ast

import pytest
from style import (
    MAX_BRANCHES,
    SOURCE,
    branches,
    density,
    functions,
    python_files,
    repeated_names,
    total,
    unwanted_words,
)

FILES = python_files(SOURCE)
MAX_TOKENS_PER_LINE = 8.0
MAX_MEAN_TOKENS_PER_LINE = 7.5
SHORT_FILE = 20
"""Files of fewer code lines are not measured."""
BRANCHED: dict[str, str] = {}
"""Functions with more branch points, each with its reason."""
A_VERB = "a verb of pipeline, and the function of the package that does it"
IN_SEVERAL_MODULES: dict[str, str] = {
    "complete": A_VERB,
    "dry_run": A_VERB,
    "evaluate": A_VERB,
    "mend": A_VERB,
    "paint": A_VERB,
    "prepare": A_VERB,
    "synthesize": A_VERB,
}
"""Public names that are in several modules, each with its reason."""


def test_lines_are_open():
    assert total(FILES).per_line <= MAX_MEAN_TOKENS_PER_LINE
    dense = {
        str(path.relative_to(SOURCE)): round(density(path).per_line, 2)
        for path in FILES
        if density(path).lines > SHORT_FILE and density(path).per_line > MAX_TOKENS_PER_LINE
    }
    assert not dense


def test_no_function_branches_too_often():
    branched = {
        f"{path.stem}.{function.name}"
        for path in FILES
        for function in functions(ast.parse(path.read_text()))
        if branches(function) > MAX_BRANCHES
    }
    assert branched == set(BRANCHED)


def test_public_names_are_in_one_module():
    assert set(repeated_names(FILES)) <= set(IN_SEVERAL_MODULES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_identifiers_use_the_words_of_the_glossary(path):
    assert not unwanted_words(path)
