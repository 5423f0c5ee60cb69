"""Refusals of many files: counted and grouped, and nothing lost of a single one."""

from pathlib import Path

from histosynth.core.errors import BadNuclei, UnknownClasses
from histosynth.core.refusals import MAX_REFUSAL_LINES, grouped_refusals


def unknown(name):
    return UnknownClasses(["Tumor"], ["stromal"]).of(name)


def outside(name, count):
    return BadNuclei(f"{count} of 20 centroids lie outside.", "Give a larger --size.").of(name)


def test_a_single_refusal_is_its_own_sentence():
    error = unknown("cells/a.csv")
    assert grouped_refusals({"cells/a.csv": error}) == [str(error)]


def test_two_of_one_sort_have_a_line_each():
    refused = {name: outside(name, 3) for name in ("a.csv", "b.csv")}
    assert grouped_refusals(refused) == [str(error) for error in refused.values()]


def test_many_of_one_text_are_one_line():
    refused = {name: unknown(name) for name in (f"{letter}.csv" for letter in "abcdefghijkl")}
    assert grouped_refusals(refused) == [
        "12 files, first a.csv, b.csv, c.csv: Unknown nucleus class: Tumor; known are stromal. "
        'Map yours with --classes map.toml, one line a class such as "Tumor" = "epithelial"; in a '
        "recipe with the source's map."
    ]


def test_those_that_differ_in_numbers_are_one_line_with_the_numbers_of_the_first():
    refused = {f"{number}.csv": outside(f"{number}.csv", number) for number in range(1, 6)}
    assert grouped_refusals(refused) == [
        "5 files, first 1.csv, 2.csv, 3.csv. Of the first: 1 of 20 centroids lie outside. Give a "
        "larger --size."
    ]


def test_names_inside_of_sentences_do_not_part_a_group():
    refused = {name: f"{name} is empty. Begin it." for name in ("a.svs", "b.svs", "c.svs")}
    assert grouped_refusals(refused, "slides") == [
        "3 slides, first a.svs, b.svs, c.svs. Of the first: a.svs is empty. Begin it."
    ]


def test_sorts_stay_apart_and_in_order():
    refused = {f"{letter}.csv": unknown(f"{letter}.csv") for letter in "ab"}
    refused |= {f"{number}.csv": outside(f"{number}.csv", 1) for number in range(3)}
    lines = grouped_refusals(refused)
    assert [line[:8] for line in lines] == ["a.csv: U", "b.csv: U", "3 files,"]


def test_lines_have_an_end():
    words = [f"{first}{second}" for first in "abcdefg" for second in "abcdefg"]
    refused = {word: f"It is {word}{word}." for word in words}
    lines = grouped_refusals({f"x/{word}": text for word, text in refused.items()})
    assert len(lines) == MAX_REFUSAL_LINES + 1
    assert lines[-1] == "29 more files were refused; --json lists all with their reasons."
    assert lines[0] == "x/aa: It is aaaa."


def test_hidden_signs_of_names_are_shown():
    name = str(Path("a\x1b[2J.csv"))
    assert grouped_refusals({name: unknown(name)}) == [str(unknown(name))]
