"""Items that need what others write: which may begin, and in which order engines do them."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from histosynth.engine import open_engine
from histosynth.engine.ready_items import ReadyItems

CHAIN = [[], [0], [1], [2], [3], [4]]
"""Each item waits for the one before."""
DIAMOND = [[], [0], [0], [1, 2], [3], [3], [4, 5], []]


def drained(ready):
    """All items, each finished before the next is taken."""
    order = []
    while (index := ready.take()) is not None:
        order.append(index)
        ready.finish(index)
    return order


def test_without_needs_items_are_handed_out_in_order():
    assert drained(ReadyItems([3, 0, 2, 1], None)) == [0, 1, 2, 3]
    assert ReadyItems([], None).take() is None


def test_an_item_waits_until_all_that_it_needs_are_finished():
    ready = ReadyItems(range(8), DIAMOND)
    assert [ready.take(), ready.take(), ready.take()] == [0, 7, None]
    ready.finish(0)
    assert [ready.take(), ready.take(), ready.take()] == [1, 2, None]
    ready.finish(2)
    assert ready.take() is None
    ready.finish(1)
    assert [ready.take(), ready.take()] == [3, None]


def test_the_first_that_may_begin_comes_first():
    after = [[], [], [0], []]
    ready = ReadyItems(range(4), after)
    ready.finish(ready.take())
    assert [ready.take(), ready.take(), ready.take()] == [1, 2, 3]


def test_finished_items_are_waited_for_no_longer():
    assert drained(ReadyItems([3, 5], DIAMOND)) == [3, 5]
    ready = ReadyItems([2, 3], DIAMOND)
    assert [ready.take(), ready.take()] == [2, None]


def test_a_need_that_is_stated_twice_counts_once():
    assert drained(ReadyItems(range(2), [[], [0, 0]])) == [0, 1]


@pytest.mark.parametrize("after", [[[], [1]], [[1], []], [[1], [0]]])
def test_items_cannot_wait_for_themselves_or_later_ones(after):
    with pytest.raises(ValueError, match=r"item \d waits for item 1, which is no earlier"):
        ReadyItems(range(2), after)


def test_any_needs_are_kept():
    random = np.random.default_rng(0)
    after = [
        sorted(random.choice(index, min(index, 3), replace=False).tolist()) for index in range(60)
    ]
    ready = ReadyItems(range(60), after)
    begun, finished = [], set()
    while len(finished) < 60:
        while (index := ready.take()) is not None:
            assert set(after[index]) <= finished
            begun.append(index)
        index = begun.pop(int(random.integers(len(begun))))
        ready.finish(index)
        finished.add(index)
    assert not begun


def add_needed(item: tuple[str, int, list[int]]) -> int:
    """Writes 1 more than the sum of what the needed items wrote: it fails if one has not."""
    folder, number, needs = item
    total = 1 + sum(int((Path(folder) / str(need)).read_text()) for need in needs)
    path = Path(folder) / str(number)
    path.with_suffix(".part").write_text(str(total))
    path.with_suffix(".part").replace(path)
    return total


def die_once_and_add(item: tuple[str, int, list[int]]) -> int:
    """The same; item 3 kills its process the first time."""
    mark = Path(item[0]) / "mark"
    if item[1] == 3 and not mark.exists():
        mark.write_text("died")
        os.kill(os.getpid(), signal.SIGKILL)
    return add_needed(item)


def items_of(folder, after):
    return [(str(folder), number, needs) for number, needs in enumerate(after)]


def wanted_of(after):
    totals = []
    for needs in after:
        totals.append(1 + sum(totals[need] for need in needs))
    return totals


@pytest.mark.parametrize("name", ["local", "pool"])
@pytest.mark.parametrize("after", [CHAIN, DIAMOND], ids=["chain", "diamond"])
def test_items_read_what_earlier_ones_wrote(name, after, tmp_path):
    engine = open_engine(name, workers=2)
    results = list(engine.map(add_needed, items_of(tmp_path, after), after=after))
    place = {index: number for number, (index, _) in enumerate(results)}
    for index, needs in enumerate(after):
        assert all(place[need] < place[index] for need in needs)
    assert [total for _, total in sorted(results)] == wanted_of(after)


@pytest.mark.parametrize("after", [CHAIN, DIAMOND], ids=["chain", "diamond"])
def test_a_killed_process_loses_nothing_and_order_still_holds(after, tmp_path):
    engine = open_engine("pool", workers=2)
    results = list(engine.map(die_once_and_add, items_of(tmp_path, after), after=after))
    assert (tmp_path / "mark").exists()
    assert [total for _, total in sorted(results)] == wanted_of(after)
    place = {index: number for number, (index, _) in enumerate(results)}
    for index, needs in enumerate(after):
        assert all(place[need] < place[index] for need in needs)
