"""All problems of a recipe at once: a wrong type in one table hides nothing in another."""

from dataclasses import dataclass, field

import pytest

from histosynth.core import recipe as recipes
from histosynth.core.errors import BadRecipe


@dataclass(frozen=True)
class Part:
    size: int = 1

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"size must be at least 1, not {self.size}")


@dataclass(frozen=True)
class Whole:
    name: str
    share: float = 0.5
    first: Part = field(default_factory=Part)
    second: Part = field(default_factory=Part)
    parts: tuple[Part, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"share must lie in [0, 1], not {self.share}")
        if self.first and self.first.size > self.second.size:
            raise ValueError("first must not be larger than second")


def problems_of(values) -> tuple[str, ...]:
    with pytest.raises(BadRecipe) as caught:
        recipes.build(values, Whole)
    return caught.value.problems


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"name": 1, "first": {"size": 0}}, ("name must be str", "first: size must be")),
        (
            {"first": {"size": 0}, "second": {"size": -1}},
            ("first: size", "second: size", "missing key name"),
        ),
        ({"name": "a", "sede": 1, "share": 7.0}, ("unknown key sede", "share must lie in")),
        (
            {
                "name": "a",
                "share": 7.0,
                "first": {"size": "x"},
            },
            ("first.size must be int", "share must lie in"),
        ),
        (
            {
                "name": "a",
                "share": 7.0,
                "parts": [{"size": 0}, {"size": "x"}, {}],
            },
            ("parts[0]: size", "parts[1].size must be int", "share must lie in"),
        ),
    ],
)
def test_each_table_whose_own_values_are_right_is_checked_all_the_same(values, told):
    problems = problems_of(values)
    assert len(problems) == len(told)
    for words in told:
        assert any(words in problem for problem in problems), (words, problems)


def test_a_check_that_needs_a_broken_table_is_left_out():
    assert problems_of({"name": "a", "first": {"size": "x"}}) == (
        "first.size must be int, not 'x'",
    )
    assert problems_of({"name": "a", "first": 3}) == ("first must be a table",)


def test_what_is_right_is_built():
    whole = recipes.build({"name": "a", "parts": [{"size": 2}]}, Whole)
    assert whole == Whole("a", parts=(Part(2),))
