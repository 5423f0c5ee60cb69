"""TOML of strangers is bounded before it is parsed. The parser itself is never called here."""

import pytest

from histosynth.core import toml_text
from histosynth.core.errors import BadRecipe
from histosynth.core.recipe import PathText, build, read_toml
from histosynth.core.toml_text import MAX_KEY_PARTS, MAX_NESTED, parse_toml


@pytest.fixture
def no_parser(monkeypatch):
    def loads(text):
        raise AssertionError("the parser was called")

    monkeypatch.setattr(toml_text.tomllib, "loads", loads)


LONG_KEY = ".".join(["a"] * (MAX_KEY_PARTS + 1))
QUOTED_KEY = " . ".join(['"a"', "'b'"] * MAX_KEY_PARTS)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (f"{LONG_KEY} = 1", "a key has 17 parts, over the limit of 16"),
        (f"[{LONG_KEY}]", "a key has 17 parts, over the limit of 16"),
        (f"{QUOTED_KEY} = 1", "a key has 32 parts, over the limit of 16"),
        (f'x = {{y = """z"""", {LONG_KEY} = 1}}', "a key has 17 parts, over the limit of 16"),
        ("x = " + "[" * (MAX_NESTED + 1), "its values lie more than 32 deep in each other"),
    ],
)
def test_what_would_keep_the_parser_busy_is_refused_before_it(no_parser, text, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        parse_toml(text)


def test_limits_of_the_whole_text(no_parser, monkeypatch):
    monkeypatch.setattr(toml_text, "MAX_ALL_PARTS", 3)
    with pytest.raises(ValueError, match=r"^its dotted keys have 4 parts, over 3$"):
        parse_toml("a.b = 1\nc.d = 2")
    monkeypatch.setattr(toml_text, "MAX_SIGNS", 3)
    with pytest.raises(ValueError, match=r"^it holds 4 lists, tables and their values, over 3$"):
        parse_toml("a = [1, 2, 3, 4]")


def test_dots_and_brackets_in_texts_and_comments_are_none():
    dots = "a." * 99
    brackets = "[{" * 99
    text = f"# {dots} {brackets}\na = \"{dots}\"\nb = '{brackets}'\nc = '''{dots}'''\n"
    text += f'd = """x\\"""{brackets}"""\n"e.f.g" = 1.5\n'
    found = parse_toml(text)
    assert found["a"] == dots and found["b"] == brackets and found["e.f.g"] == 1.5


def test_paths_of_a_recipe_that_no_disk_can_have_are_refused(tmp_path):
    import dataclasses

    @dataclasses.dataclass(frozen=True)
    class Named:
        file: PathText = ""
        files: tuple[PathText, ...] = ()
        count: int = 0

    for values, problem in (
        ({"file": "a\0b"}, "file holds a NUL character"),
        ({"files": ["x" * 5000]}, "files[0] holds 5,000 characters, over the limit of 4,096"),
        ({"file": "a/" + "é" * 150}, "file names a file of 300 bytes; 255 are the most"),
        ({"count": 2**64}, "count is a whole number of more than 63 bits"),
        ({"count": "y" * 9999}, f"count must be int, not '{'y' * 79}..."),
    ):
        with pytest.raises(BadRecipe) as refusal:
            build(values, Named)
        assert refusal.value.problems == (problem,)
    with pytest.raises(BadRecipe, match="it is no plain file"):
        read_toml(tmp_path)
