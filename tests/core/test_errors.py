"""Refusals: every one can travel between processes, and the picture of the tree shows them all."""

import multiprocessing
import pickle
from pathlib import Path

import pytest

from histosynth.core import errors
from histosynth.core.errors import HistosynthError, MissingScale, NotWritable, SplitLeak

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


def test_a_worker_s_refusal_reaches_the_caller():
    with (
        multiprocessing.get_context("spawn").Pool(1) as pool,
        pytest.raises(NotWritable, match="number 3"),
    ):
        pool.map(refuse, [3])


def test_the_tree_at_the_top_shows_every_error():
    shown = errors.__doc__
    for name in errors.__all__:
        assert name in shown, name
