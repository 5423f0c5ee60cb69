"""Engines: the same results from each, and a killed worker loses nothing."""

import os
import signal
from pathlib import Path

import pytest

from histosynth.core.errors import BadOption, WorkerLost
from histosynth.engine import EngineOptions, open_engine

ITEMS = list(range(20))


def square(number: int) -> int:
    return number * number


def fail_at_three(number: int) -> int:
    if number == 3:
        raise ValueError("three")
    return number


def die_once(item: tuple[str, int]) -> int:
    """Kills its own process the first time that it meets item 2."""
    mark = Path(item[0])
    number = item[1]
    if number == 2 and not mark.exists():
        mark.write_text("died")
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def die_always(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.fixture(params=["local", "pool"])
def engine(request):
    return open_engine(request.param, workers=2)


def test_every_item_gets_its_result(engine):
    assert dict(engine.map(square, ITEMS)) == {number: number * number for number in ITEMS}
    assert list(engine.map(square, [])) == []


def test_what_the_work_raises_reaches_the_caller(engine):
    with pytest.raises(ValueError, match="three"):
        list(engine.map(fail_at_three, ITEMS))


def test_a_killed_process_loses_nothing(tmp_path):
    items = [(str(tmp_path / "mark"), number) for number in range(8)]
    assert sorted(dict(open_engine("pool", workers=2).map(die_once, items)).values()) == list(
        range(8)
    )
    assert (tmp_path / "mark").exists()


def test_work_that_always_kills_is_given_up_with_numbers():
    with pytest.raises(WorkerLost, match="3 times without finishing anything; 1 piece of"):
        list(open_engine("pool", workers=1).map(die_always, [1]))


def test_names_and_numbers_are_checked():
    with pytest.raises(BadOption, match="local, pool or ray"):
        open_engine("cloud")
    with pytest.raises(BadOption, match="--workers"):
        open_engine("pool", workers=0)


def test_options_open_the_engine_that_they_name():
    assert EngineOptions().open().name == "local"
    assert EngineOptions("pool", workers=3).open().name == "pool of 3"
    with pytest.raises(BadOption, match="--engine"):
        EngineOptions("cloud").open()
