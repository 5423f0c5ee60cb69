"""Texts of strangers in Markdown and YAML: a reader of either shows them as they are."""

import pytest
import yaml
from markdown_it import MarkdownIt

from histosynth.core.markdown import escaped_markdown, front_matter_text, markdown_code, one_line

TEXTS = (
    "<script>alert(1)</script>",
    "[press](https://example.org) ![x](y.png)",
    "a | b",
    "# heading",
    "- item",
    "1. item",
    "2) item",
    "+ x",
    "> quote",
    "=====",
    "---",
    "**bold** *it* _it_ __b__ ~~no~~ `code`",
    "https://example.org and www.example.org",
    "&lt;b&gt; &#60;",
    "a\\*b\\",
    "$x$",
    "<https://example.org> <!-- x -->",
    "[a]: https://example.org",
)
HARMLESS = (
    "brca-m2c/images: open-access TCGA; centroids BSD-3-Clause (brca-m2c)",
    "CC BY-NC-SA 4.0, H&E, n = 12 (+3)",
    "Ki67_positive",
    "Gewebe, Größe 5 µm",
)


def shown(text):
    """What a reader of GitHub's Markdown shows, and the names of its elements."""
    reader = MarkdownIt("gfm-like", {"linkify": False}).enable("table")
    tokens = reader.parse(text)
    inline = [child for token in tokens for child in token.children or ()]
    return "".join(child.content for child in inline), {each.type for each in (*tokens, *inline)}


@pytest.mark.parametrize("text", (*TEXTS, *HARMLESS))
def test_a_text_is_shown_as_it_is_and_is_no_markup(text):
    content, elements = shown(escaped_markdown(text))
    assert content == text
    assert elements <= {"paragraph_open", "paragraph_close", "inline", "text", "text_special"}
    content, elements = shown(f"- {escaped_markdown(text)}")
    assert content == text
    assert not elements & {"heading_open", "html_inline", "html_block", "hr", "link_open", "image"}


@pytest.mark.parametrize("text", HARMLESS)
def test_usual_texts_stay_as_they_are(text):
    assert escaped_markdown(text) == text


def test_texts_become_one_line_without_control_characters():
    assert one_line("a\n\n---\r\nb\tc\x1b[31m\x00\u202ed\u2028e") == "a --- b c[31md e"


@pytest.mark.parametrize("text", ["dpm", "a`b", "``", "", "<b>", "a|b"])
def test_code_ends_where_it_began(text):
    content, elements = shown(markdown_code(text))
    assert content.strip() == text.replace("`", "'").strip()
    assert elements <= {"paragraph_open", "paragraph_close", "inline", "code_inline"}


@pytest.mark.parametrize(
    "text",
    ["mit\n---\n# x", "a: b", "x # y", "[a]", "{a: b}", "no", "null", "1.0", "", "&a *b", "'q\"",
     "!!python/object:os.system x", "cc by 4.0", "apache-2.0", "that of the base; see its card"],
)  # fmt: skip
def test_yaml_holds_one_text(text):
    found = yaml.safe_load(f"license: {front_matter_text(text)}\nnext: 1\n")
    assert found == {"license": one_line(text), "next": 1}


def test_usual_licences_are_written_plain():
    plain = ("apache-2.0", "cc-by-4.0", "that of the base; see its card")
    assert [front_matter_text(each) for each in plain] == list(plain)
