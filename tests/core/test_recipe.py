"""All problems of a recipe at once: a wrong type in one table hides nothing in another."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Literal

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
    ("values", "expected"),
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
def test_each_table_whose_own_values_are_right_is_checked_all_the_same(values, expected):
    problems = problems_of(values)
    assert len(problems) == len(expected)
    for words in expected:
        assert any(words in problem for problem in problems), (words, problems)


def test_a_check_that_needs_a_broken_table_is_left_out():
    assert problems_of({"name": "a", "first": {"size": "x"}}) == (
        "first.size must be int, not 'x'",
    )
    assert problems_of({"name": "a", "first": 3}) == ("first must be a table",)


def test_what_is_right_is_built():
    whole = recipes.build({"name": "a", "parts": [{"size": 2}]}, Whole)
    assert whole == Whole("a", parts=(Part(2),))


@pytest.mark.parametrize(("old", "new"), sorted(recipes.OLD_KEYS.items()))
def test_keys_of_earlier_versions_are_read_under_their_present_names(old, new):
    present = make_dataclass("Present", [(new, int), ("other", int, 0)], frozen=True)
    assert getattr(recipes.build({old: 3}, present), new) == 3


def test_an_old_key_is_unknown_where_its_new_name_is_given_too():
    present = make_dataclass("Present", [("classes", int)], frozen=True)
    with pytest.raises(BadRecipe, match="unknown key kinds"):
        recipes.build({"kinds": 3, "classes": 4}, present)


def test_an_old_key_keeps_its_meaning_where_a_field_has_that_name():
    both = make_dataclass("Both", [("floor", int), ("min_learning_rate_share", int)], frozen=True)
    built = recipes.build({"floor": 1, "min_learning_rate_share": 2}, both)
    assert (built.floor, built.min_learning_rate_share) == (1, 2)
    old = make_dataclass("Old", [("floor", int), ("min_learning_rate_share", int, 0)], frozen=True)
    assert recipes.build({"floor": 1}, old).floor == 1
    neither = make_dataclass("Neither", [("name", int)], frozen=True)
    with pytest.raises(BadRecipe, match="unknown key floor"):
        recipes.build({"floor": 1, "name": 1}, neither)


def test_old_keys_are_read_in_nested_tables():
    inner = make_dataclass("Inner", [("classes", tuple[str, ...])], frozen=True)
    outer = make_dataclass("Outer", [("data", inner)], frozen=True)
    assert recipes.build({"data": {"kinds": ["a"]}}, outer).data.classes == ("a",)


@dataclass(frozen=True)
class Everything:
    count: int = 1
    share: float = 0.5
    is_on: bool = False
    name: str = ""
    folder: Path = Path(".")
    method: Literal["a", "b"] = "a"
    limit: float | None = None
    sizes: tuple[int, ...] = ()
    corner: tuple[int, float] = (0, 0.0)
    names: dict[str, str] = field(default_factory=dict)


def everything(**values):
    return recipes.build(values, Everything)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"count": 3}, Everything(count=3)),
        ({"share": 1}, Everything(share=1.0)),
        ({"is_on": True}, Everything(is_on=True)),
        ({"folder": "a/b"}, Everything(folder=Path("a/b"))),
        ({"method": "b"}, Everything(method="b")),
        ({"limit": 2}, Everything(limit=2.0)),
        ({"limit": None}, Everything()),
        ({"sizes": [1, 2, 3]}, Everything(sizes=(1, 2, 3))),
        ({"corner": [1, 2]}, Everything(corner=(1, 2.0))),
        ({"names": {"a": "b"}}, Everything(names={"a": "b"})),
    ],
)
def test_values_are_converted_to_the_types_of_the_fields(values, expected):
    built = everything(**values)
    assert built == expected
    for name in values:
        assert type(getattr(built, name)) is type(getattr(expected, name))


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"count": 1.0}, "count must be int, not 1.0"),
        ({"count": True}, "count must be int, not True"),
        ({"share": "1"}, "share must be float, not '1'"),
        ({"share": True}, "share must be float, not True"),
        ({"share": float("nan")}, "share must be a finite number, not nan"),
        ({"share": 2**63}, "share must be a finite number, not inf"),
        ({"share": -(2**63)}, "share must be a finite number, not inf"),
        ({"is_on": 1}, "is_on must be bool, not 1"),
        ({"folder": 3}, "folder must be Path, not 3"),
        ({"method": "c"}, "method is 'c', not one of 'a', 'b'"),
        ({"limit": "x"}, "limit must be float, not 'x'"),
        ({"sizes": 3}, "sizes must be a list"),
        ({"sizes": [1, "x"]}, "sizes[1] must be int, not 'x'"),
        ({"corner": [1]}, "corner must hold 2 values, not 1"),
        ({"corner": [1, 2, 3]}, "corner must hold 2 values, not 3"),
        ({"names": 3}, "names must be a table, not 3"),
        ({"names": {"a": 3}}, "names.a must be str, not 3"),
        ({"other": 3}, "unknown key other (known: count, share, is_on, name, folder, "),
    ],
)
def test_wrong_values_are_reported_with_their_key(values, problem):
    with pytest.raises(BadRecipe) as caught:
        everything(**values)
    (found,) = caught.value.problems
    assert found.startswith(problem)


def test_the_largest_whole_numbers_are_floats():
    assert everything(share=2**63 - 1).share == float(2**63 - 1)


def test_what_is_no_table_is_refused():
    with pytest.raises(BadRecipe, match="the file must be a table"):
        recipes.build([1], Everything)


def test_a_recipe_is_saved_as_plain_values_that_build_it_again():
    recipe = Everything(folder=Path("a/b"), sizes=(1, 2), names={"a": "b"})
    plain = recipes.as_dict(recipe)
    assert plain["folder"] == "a/b" and plain["sizes"] == [1, 2]
    assert recipes.build(json.loads(json.dumps(plain)), Everything) == recipe
    whole = recipes.as_dict(Whole("a", parts=(Part(2),)))
    assert whole["parts"] == [{"size": 2}] and whole["first"] == {"size": 1}


def test_files_of_up_to_1_mib_are_read(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text("a = 1\n" + "#" * ((1 << 20) - 6))
    assert recipes.read_toml(path) == {"a": 1}
    path.write_text("a = 1\n" + "#" * ((1 << 20) - 5))
    with pytest.raises(BadRecipe, match="larger than 1048576 bytes"):
        recipes.read_toml(path)


def refusal_of(values, target, **options):
    with pytest.raises(BadRecipe) as caught:
        recipes.build(values, target, **options)
    return caught.value


@pytest.mark.parametrize(
    ("values", "problems"),
    [
        (
            {"name": 1, "first": {"size": 0}},
            (
                'name must be str, not 1 (did you mean "1"?)',
                "first: size must be at least 1, not 0",
            ),
        ),
        ({}, ("missing key name",)),
        ({"name": "a", "first": {"size": 3}}, ("the file: first must not be larger than second",)),
        (
            {"name": "a", "first": {"sizes": 3}},
            ("unknown key first.sizes (did you mean first.size?)",),
        ),
        (
            {"name": "a", "sede": 1, "share": 7},
            (
                "unknown key sede (known: name, share, first, second, parts)",
                "the file: share must lie in [0, 1], not 7.0",
            ),
        ),
        (
            {"name": "a", "parts": [3, {"size": 0}, {"other": 1}]},
            (
                "parts[0] must be a table",
                "parts[1]: size must be at least 1, not 0",
                "unknown key parts[2].other (known: size)",
            ),
        ),
        ({"name": "a", "parts": {"size": 1}}, ("parts must be a list (did you mean [[parts]]?)",)),
        ({"name": "a", "second": [1]}, ("second must be a table",)),
        (
            {"name": "a", "first": {"size": "x"}, "second": {"size": None}},
            ("first.size must be int, not 'x'", "second.size must be int, not None"),
        ),
    ],
)
def test_problems_have_these_words_and_come_in_the_order_of_the_fields(values, problems):
    assert problems_of(values) == problems


def test_a_refusal_counts_the_problems_and_names_the_recipe():
    error = refusal_of({"sede": 1}, Part)
    remedy = "Correct them and run again; `histosynth recipe schema` lists every key."
    assert str(error) == f"recipe has 1 problem: unknown key sede (known: size). {remedy}"
    error = refusal_of({"size": 0, "sede": 1}, Part, name="r.toml")
    assert str(error) == (
        "r.toml has 2 problems: unknown key sede (known: size); "
        f"the file: size must be at least 1, not 0. {remedy}"
    )
    assert error.name == "r.toml"


@dataclass(frozen=True)
class Nested:
    parts: tuple[Part, ...] = ()
    pair: tuple[Part, Part] = (Part(), Part())
    by_name: dict[str, Part] = field(default_factory=dict)
    either: int | str = 0
    maybe: Part | None = None
    late: int | None = 3
    single: tuple[float] = (0.0,)
    method: Literal["a", 2] = "a"
    numbers: Mapping[str, float] = field(default_factory=dict)
    derived: int = field(default=7, init=False)


def nested(**values):
    return recipes.build(values, Nested)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"parts": [{"size": 2}, {}]}, Nested(parts=(Part(2), Part()))),
        ({"parts": ()}, Nested()),
        ({"pair": ({"size": 2}, {"size": 3})}, Nested(pair=(Part(2), Part(3)))),
        ({"by_name": {"a": {"size": 2}}}, Nested(by_name={"a": Part(2)})),
        ({"maybe": {"size": 2}}, Nested(maybe=Part(2))),
        ({"maybe": None, "late": None}, Nested(late=None)),
        ({"late": 4}, Nested(late=4)),
        ({"single": [4]}, Nested(single=(4.0,))),
        ({"method": 2}, Nested(method=2)),
        ({"numbers": {"a": 1, 2: 3}}, Nested(numbers={"a": 1.0, "2": 3.0})),
    ],
)
def test_tables_in_lists_maps_and_options_are_built(values, expected):
    built = nested(**values)
    assert built == expected
    assert all(type(number) is float for number in built.numbers.values())


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"pair": [{}, {"size": "x"}]}, "pair[1].size must be int, not 'x'"),
        ({"pair": [{}]}, "pair must hold 2 values, not 1"),
        ({"single": [1, 2]}, "single must hold 1 values, not 2"),
        ({"by_name": {"a": {"size": 0}}}, "by_name.a: size must be at least 1, not 0"),
        ({"by_name": [1]}, "by_name must be a table, not [1]"),
        ({"either": "a"}, "either must be int, not 'a'"),
        ({"either": None}, "either must be int, not None"),
        ({"maybe": 3}, "maybe must be a table"),
        ({"late": "x"}, "late must be int, not 'x'"),
        ({"method": "b"}, "method is 'b', not one of 'a', 2"),
        ({"numbers": {"a": "x"}}, "numbers.a must be float, not 'x'"),
        ({"numbers": {"a": float("-inf")}}, "numbers.a must be a finite number, not -inf"),
        (
            {"derived": 3},
            "unknown key derived (known: parts, pair, by_name, either, maybe, late, single, "
            "method, numbers)",
        ),
    ],
)
def test_problems_of_nested_values_name_the_way_to_them(values, problem):
    assert refusal_of(values, Nested).problems == (problem,)


@dataclass(frozen=True)
class Checked:
    """Each table is checked against another."""

    parts: tuple[Part, ...] = ()
    part: Part = field(default_factory=Part)
    limit: int = 1

    def __post_init__(self) -> None:
        if self.limit > 5:
            raise ValueError("limit is over 5")
        if self.parts and self.parts[0].size > self.part.size:
            raise ValueError("the first part is over the part")


@dataclass(frozen=True)
class Outer:
    inner: Checked
    count: int = 1

    def __post_init__(self) -> None:
        if self.count > 9:
            raise ValueError("count is over 9")
        if self.count < self.inner.limit:
            raise ValueError("count is below the limit")


@pytest.mark.parametrize(
    ("values", "problems"),
    [
        ({"inner": {"limit": 3}}, ("the file: count is below the limit",)),
        ({"inner": {"limit": 6}}, ("inner: limit is over 5",)),
        ({"inner": {"limit": "x"}}, ("inner.limit must be int, not 'x'",)),
        (
            {"inner": {"limit": 6, "parts": [{"size": 0}]}},
            ("inner.parts[0]: size must be at least 1, not 0", "inner: limit is over 5"),
        ),
        (
            {"inner": {"parts": [{"size": 0}], "part": {"size": 0}}},
            (
                "inner.parts[0]: size must be at least 1, not 0",
                "inner.part: size must be at least 1, not 0",
            ),
        ),
        (
            {"inner": {"limit": 3, "part": {"size": 0}}},
            ("inner.part: size must be at least 1, not 0",),
        ),
        (
            {"inner": {"parts": [{"size": 3}], "part": {"size": 2}}, "count": "x"},
            ("inner: the first part is over the part", "count must be int, not 'x'"),
        ),
        (
            {"inner": {"part": {"size": 0}}, "count": 10},
            ("inner.part: size must be at least 1, not 0", "the file: count is over 9"),
        ),
        ({"count": 2}, ("missing key inner",)),
    ],
)
def test_a_table_with_a_problem_inside_hides_only_the_checks_that_read_it(values, problems):
    assert refusal_of(values, Outer).problems == problems


def test_other_keys_keep_their_values_where_one_has_an_old_name():
    present = make_dataclass(
        "Present", [("classes", tuple[str, ...]), ("name", str), ("rare_labels", int)], frozen=True
    )
    built = recipes.build({"name": "a", "kinds": ["b"], "few": 2}, present)
    assert (built.classes, built.name, built.rare_labels) == (("b",), "a", 2)
    with pytest.raises(BadRecipe) as caught:
        recipes.build({"name": "a", "kinds": [3], "few": 2}, present)
    assert caught.value.problems == ('classes[0] must be str, not 3 (did you mean "3"?)',)


def test_plain_values_hold_no_path_tuple_or_dataclass_at_any_depth():
    @dataclass(frozen=True)
    class Mixed:
        folders: tuple[Path, ...]
        parts: Mapping[object, object]
        target: type
        share: float

    mixed = Mixed((Path("a"), Path("b/c")), {1: [Part(2), (Path("d"),)], "e": None}, Part, 0.5)
    assert recipes.as_dict(mixed) == {
        "folders": ["a", "b/c"],
        "parts": {"1": [{"size": 2}, ["d"]], "e": None},
        "target": Part,
        "share": 0.5,
    }


def test_a_file_is_read_as_utf_8_and_its_problems_name_it(tmp_path):
    path = tmp_path / "r.toml"
    path.write_bytes('name = "Müller"\n[first]\nsize = 1\n'.encode())
    assert recipes.load(path, Whole) == Whole("Müller")
    remedy = "Correct them and run again; `histosynth recipe schema` lists every key."
    for text, problem in (
        ("name = 3\n", 'name must be str, not 3 (did you mean "3"?)'),
        ("#" * (1 << 20) + "\n", "the file is larger than 1048576 bytes"),
    ):
        path.write_text(text)
        with pytest.raises(BadRecipe) as caught:
            recipes.load(path, Whole)
        assert str(caught.value) == f"{path} has 1 problem: {problem}. {remedy}"
    path.write_text("name =")
    with pytest.raises(BadRecipe) as caught:
        recipes.read_toml(path)
    assert caught.value.name == str(path)
    (problem,) = caught.value.problems
    assert "Invalid value" in problem
    with pytest.raises(BadRecipe) as caught:
        recipes.read_toml(tmp_path / "none.toml")
    assert caught.value.name == str(tmp_path / "none.toml")
    assert "No such file" in caught.value.problems[0]


def test_a_file_nested_too_deep_is_refused(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text("a = " + "[" * 50_000)
    with pytest.raises(BadRecipe):
        recipes.read_toml(path)
