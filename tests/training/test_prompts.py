"""Prompts: clean text, names by the list, and nothing of a template is ever run."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from histosynth.core import recipe as recipes
from histosynth.core.errors import BadRecipe, HistosynthError
from histosynth.preparation.subtypes import Subtype, Subtypes
from histosynth.training.recipes.prompts import (
    MAX_PROMPT,
    MAX_TEMPLATE,
    MAX_VALUE,
    Prompts,
    UnnamedLabel,
    nearest_names,
)


def test_a_label_is_called_by_its_who_name_however_it_is_written():
    prompts = Prompts("H&E, {subtype}, {site}", {"site": "thigh"})
    wanted = "H&E, Leiomyosarcoma, thigh"
    for label in ("Leiomyosarcoma", "LMS", "8890/3", "Leiomyosarcoma, NOS", " leiomyosarcoma "):
        assert prompts.prompt_of(label) == wanted


@pytest.mark.parametrize(
    ("template", "facts", "label", "wanted"),
    [
        ("H&E, {subtype}, {site}", {}, "LMS", "H&E, Leiomyosarcoma"),
        ("H&E, {subtype}, {site}", {"site": "arm"}, "", "H&E, arm"),
        ("H&E, {subtype}, {site}", {}, "", "H&E"),
        ("{subtype}, {site}", {}, "", ""),
        ("{site},{subtype}", {"site": "  "}, "LMS", "Leiomyosarcoma"),
        ("H&E of {subtype}, from the {site}", {}, "LMS", "H&E of Leiomyosarcoma"),
        ("H&E of {subtype}, from the {site}", {"site": "arm"}, "", "from the arm"),
        (
            "{stain} of  {tissue} ,, {subtype}",
            {"stain": "H&E", "tissue": "muscle"},
            "",
            "H&E of muscle",
        ),
        ("{stain} of {tissue}, {subtype}", {"stain": "H&E"}, "LMS", "Leiomyosarcoma"),
        ("{subtype}, grade {grade}", {"grade": "3"}, "LMS", "Leiomyosarcoma, grade 3"),
        ("H&E", {}, "LMS", "H&E"),
    ],
)
def test_what_is_not_known_drops_out_with_its_comma(
    template,
    facts,
    label,
    wanted,
):
    assert Prompts(template, facts).prompt_of(label) == wanted


def test_label_takes_any_text_and_subtype_only_what_is_known():
    assert Prompts("H&E, {label}").prompt_of("colon") == "H&E, colon"
    assert Prompts("H&E, {label}").prompt_of("LMS") == "H&E, Leiomyosarcoma"
    with pytest.raises(UnnamedLabel, match="Leiomyosarcoma") as refused:
        Prompts("H&E, {subtype}").prompt_of("leiomyosarcma")
    assert refused.value.nearest[0] == "Leiomyosarcoma" and refused.value.label == "leiomyosarcma"
    with pytest.raises(UnnamedLabel, match="nor for one like it"):
        Prompts("H&E, {subtype}").prompt_of("xqzw")


def test_a_comma_inside_a_label_is_no_comma_of_the_template():
    assert Prompts("H&E, {label}, {site}").prompt_of("a, b") == "H&E, a, b"


def test_names_that_hold_the_label_come_nearest():
    near = nearest_names(
        "liposarcoma", Subtypes((Subtype("Myxoid liposarcoma"), Subtype("Angiosarcoma")))
    )
    assert near[0] == "Myxoid liposarcoma"


def test_a_list_of_one_s_own_is_taken():
    own = Subtypes((Subtype("Desmoid fibromatosis", "DF"),))
    assert Prompts("{subtype}").prompt_of("df", names=own) == "Desmoid fibromatosis"
    with pytest.raises(BadRecipe, match="braces"):
        Prompts("{subtype}").prompt_of("bad x", names=Subtypes((Subtype("bad {x}"),)))


def test_a_name_must_be_about_half_like_the_label_to_be_suggested():
    names = Subtypes((Subtype("abcdefghij"),))
    assert nearest_names("abcdefxxxx", names) == ["abcdefghij"]  # a similarity of 0.6
    assert nearest_names("abcdexxxxx", names) == []  # of 0.5


def test_three_letters_are_searched_for_in_no_name():
    names = Subtypes((Subtype("Fibrosarcoma"),))
    assert nearest_names("sarc", names) == ["Fibrosarcoma"]
    assert nearest_names("sar", names) == []


def test_whether_a_template_uses_the_label_is_known():
    assert Prompts("H&E, {subtype}").uses_label
    assert Prompts("H&E, {label}").uses_label
    assert not Prompts("H&E, {site}").uses_label


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{x.__class__}", "has the field 'x.__class__'"),
        ("{label.__class__.__mro__}", "has the field"),
        ("{label[0]}", "has the field"),
        ("{0}", "has the field '0'"),
        ("{}", "has the field ''"),
        ("{grade}", "not one of subtype, label, site, stain, tissue"),
        ("{label!r}", "'!r' in a field"),
        ("{label:>999999999}", "':>999999999' in a field"),
        ("{label:{site}}", "in a field"),
        ("{{label}}", "doubled braces"),
        ("{la{bel}}", "is no template"),
        ("{label", "is no template"),
        ("label}", "is no template"),
        ("", "1..300 characters"),
        (" , ,", "is empty"),
        ("a" * (MAX_TEMPLATE + 1), "1..300 characters, not 301"),
        ("H&E\n{label}", "control character U\\+000A"),
        ("H&E \u202e{label}", "control character U\\+202E"),
    ],
)
def test_a_template_that_is_none_is_refused_in_one_sentence(template, message):
    with pytest.raises(ValueError, match=message) as refused:
        Prompts(template)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"site": "a{b}"}, "facts.site holds braces"),
        ({"site": "a\x00"}, "control character U\\+0000"),
        ({"site": "a" * (MAX_VALUE + 1)}, "121 characters, more than 120"),
        ({"label": "x"}, "the tile's label gives it"),
        ({"__class__": "x"}, "is no name for a fact"),
        ({"grade": "3"}, "the template has no {grade}"),
    ],
)
def test_facts_that_cannot_be_used_are_refused(facts, message):
    with pytest.raises(ValueError, match=message):
        Prompts("{site}", facts)


@pytest.mark.parametrize(
    "label", ["{label}", "a}b", "a\tb", "a\x1b[0m", "a\u2028b", "a" * (MAX_VALUE + 1)]
)
def test_labels_that_cannot_be_used_are_refused(label):
    with pytest.raises(BadRecipe, match="the label"):
        Prompts("{label}").prompt_of(label)


def test_a_prompt_too_long_for_the_reader_is_refused():
    prompts = Prompts("{label} {label} {label}")
    assert len(prompts.prompt_of("a" * 99)) <= MAX_PROMPT
    with pytest.raises(BadRecipe, match="332 characters, more than 300"):
        prompts.prompt_of("a" * 110)


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_template_and_label_give_a_clean_prompt_or_are_refused(template, label):
    try:
        prompt = Prompts(template).prompt_of(label)
    except (HistosynthError, ValueError):
        return
    assert not set("{}\n\r\t") & set(prompt)
    assert prompt == prompt.strip() and len(prompt) <= MAX_PROMPT
    assert ", ," not in prompt or "," in label


def test_it_is_a_section_of_a_recipe(tmp_path: Path):
    path = tmp_path / "prompts.toml"
    path.write_text('template = "H&E, {subtype}, {site}"\n[facts]\nsite = "thigh"\n')
    prompts = recipes.load(path, Prompts)
    assert prompts == Prompts(**recipes.as_dict(prompts)) and prompts.prompt_of("AS").endswith(
        "thigh"
    )
    path.write_text('template = "{x.__class__}"\n')
    with pytest.raises(BadRecipe, match="__class__"):
        recipes.load(path, Prompts)
