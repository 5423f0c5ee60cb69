"""Errors: all can be pickled, and the tree in the docstring shows them all."""

import multiprocessing
import pickle
import re
from pathlib import Path

import pytest

from histosynth.core import errors
from histosynth.core.errors import HistosynthError, MissingScale, NotWritable, SplitLeak, first_line

EXAMPLES = [
    NotWritable(Path("out"), "the disk is full"),
    MissingScale("slide.svs"),
    SplitLeak(["P1", "P2"]),
    HistosynthError("It is so.", "Do this.").of("a.png"),
]


@pytest.mark.parametrize(
    "error",
    EXAMPLES,
    ids=lambda error: type(error).__name__,
)
def test_an_error_comes_back_from_another_process_as_it_was(error):
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error) and str(again) == str(error) and vars(again) == vars(error)


def refuse(number: int) -> int:
    raise NotWritable(Path("out"), f"number {number}")


def test_a_worker_s_error_reaches_the_caller():
    with (
        multiprocessing.get_context("spawn").Pool(1) as pool,
        pytest.raises(NotWritable, match="number 3"),
    ):
        pool.map(refuse, [3])


def parents_in_tree(text: str) -> dict[str, str]:
    """Class name to the name of its parent, as the drawing shows them by depth."""
    parents: dict[str, str] = {}
    ancestors = ["Exception"]
    for line in text.splitlines():
        match = re.match(r"^([│ ├└─]*)([A-Z]\w+)(?: {2,}|$)", line)
        if match is None:
            continue
        depth = len(match.group(1)) // 4
        name = match.group(2)
        ancestors = [*ancestors[: depth + 1], name]
        parents[name] = ancestors[depth]
    return parents


def test_the_tree_at_the_top_shows_every_error_below_its_base_class():
    classes = {name: getattr(errors, name) for name in errors.__all__ if name[0].isupper()}
    bases = {name: each.__base__.__name__ for name, each in classes.items()}
    assert parents_in_tree(errors.__doc__) == bases


def test_a_split_leak_counts_and_names_the_patients_and_states_the_remedy():
    error = SplitLeak(["P1", "P2"])
    assert str(error) == (
        "2 patient(s) stand in more than one split: P1, P2. "
        "Split by patient, so that each stands on one side only."
    )
    assert error.patients == ("P1", "P2")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("First.\nSecond."), "First"),
        (ValueError("\n  first:  \nsecond"), "first"),
        (ValueError("a.b is no key"), "a.b is no key"),
        (KeyError(), "KeyError"),
        (ValueError("..."), "ValueError"),
        (ValueError("XML is no YAMLX"), "XML is no YAMLX"),
        (ValueError("..."), "ValueError"),
        (ValueError("XML is no YAMLX"), "XML is no YAMLX"),
    ],
)
def test_the_first_line_of_an_exception_ends_without_a_stop_and_is_never_empty(error, line):
    assert first_line(error) == line
