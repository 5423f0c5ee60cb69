"""Items found ahead by a thread: same order, errors in their place, no thread left."""

from __future__ import annotations

import threading

import pytest

from histosynth.core.ahead import ahead


def threads() -> int:
    return sum(each.name == "histosynth-ahead" for each in threading.enumerate())


def test_items_come_in_their_order():
    with ahead(iter(range(100)), depth=3) as items:
        assert list(items) == list(range(100))
    assert threads() == 0


def test_the_next_item_is_found_while_the_last_is_used():
    found = threading.Semaphore(0)

    def source():
        for item in range(3):
            found.release()
            yield item

    with ahead(source()) as items:
        next(items)
        # the second is found without being wanted yet
        assert found.acquire(timeout=10)
        assert found.acquire(timeout=10)


def test_an_error_comes_in_its_place():
    def source():
        yield 1
        raise ValueError("no second")

    with ahead(source()) as items:
        assert next(items) == 1
        with pytest.raises(ValueError, match="no second"):
            next(items)
    assert threads() == 0


def test_what_is_left_is_not_computed():
    closed = []

    def source():
        try:
            yield from range(1000)
        finally:
            closed.append(True)

    with ahead(source(), depth=2) as items:
        assert next(items) == 0
    assert threads() == 0
    assert closed == [True]
