"""Reads pages as a browser does, and checks of them what accessibility needs without one."""

import re
from html.parser import HTMLParser
from itertools import pairwise

VOID = {"meta", "img", "br", "link", "input", "hr", "col"}
FROM_INSIDE = ("#", "data:image/png;base64,")


class Page(HTMLParser):
    """Elements in order; complains of any that is not closed."""

    def __init__(self, text):
        super().__init__()
        self.open = []
        self.elements = []
        self.parents = []
        self.text = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.parents.append(tuple(self.open))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.parents.append(tuple(self.open))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"{tag} closes something else at {self.getpos()}"

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


def assert_closed_to_the_outside(text):
    """Nothing is fetched, and nothing runs."""
    page = Page(text)
    for _, attrs in page.elements:
        for key in ("src", "href", "data", "action", "srcset"):
            assert attrs.get(key, "#").startswith(FROM_INSIDE)
        assert not re.search(r"url\((?!#)|@import", attrs.get("style", "") or "")
        assert not any(key.startswith("on") for key in attrs)
    assert not page.all("script") and "@import" not in text
    policy = next(
        meta["content"]
        for meta in page.all("meta")
        if meta.get("http-equiv") == "Content-Security-Policy"
    )
    assert "default-src 'none'" in policy and "script" not in policy


def assert_accessible(text):
    """Of axe's rules those that need no browser.

    Language, title, one h1 and no level left out, alt texts, landmarks once and everything inside
    one, names of tables' regions and lists, links that lead somewhere, ids once.
    """
    page = Page(text)
    assert page.all("html")[0]["lang"] == "en" and page.all("title") == [{}]
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(image["alt"].strip() for image in page.all("img"))
    assert all(
        attrs["aria-label"].strip() for _, attrs in page.elements if attrs.get("role") == "img"
    )
    _assert_landmarks(page)
    _assert_targets(page)
    assert all(head.get("scope") in ("col", "row", "rowgroup") for head in page.all("th"))
    scrolled = [attrs for _, attrs in page.elements if "tabindex" in attrs]
    assert all(attrs["aria-label"].strip() and attrs["role"] == "group" for attrs in scrolled)
    for tag, parents in zip([tag for tag, _ in page.elements], page.parents, strict=True):
        assert tag != "li" or parents[-1] in ("ul", "ol")
        assert tag != "summary" or parents[-1] == "details"
    assert len(page.all("summary")) == len(page.all("details"))


def _assert_landmarks(page):
    for tag in ("main", "header", "footer", "nav"):
        assert len(page.all(tag)) == 1, tag
    assert page.all("nav")[0]["aria-label"]
    inside = {"main", "header", "footer", "nav"}
    for (tag, attrs), parents in zip(page.elements, page.parents, strict=True):
        if "body" in parents and tag not in inside and attrs.get("class") != "skip":
            assert inside & {*parents}, f"{tag} is in no landmark"
    labels = [attrs["aria-labelledby"] for attrs in page.all("section")]
    assert len(labels) == len(set(labels))


def _assert_targets(page):
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    for _, attrs in page.elements:
        named = " ".join(attrs.get(key) or "" for key in ("href", "clip-path"))
        targets = re.findall(r"#([\w-]+)", named) + (attrs.get("aria-labelledby") or "").split()
        assert {*targets} <= {*ids}


def colours(style):
    """The variables of a style: (those of light pages, those of dark ones)."""
    light, dark = re.findall(r":root \{(.*?)\}", style, re.DOTALL)[:2]
    found = [dict(re.findall(r"--([\w-]+): (#\w+)", block)) for block in (light, dark)]
    return found[0], found[0] | found[1]


def contrast(one, other):
    """WCAG 2.1: from 1 to 21."""
    bright, dim = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def _luminance(colour):
    digits = colour[1:]
    if len(digits) == 3:
        digits = "".join(2 * digit for digit in digits)
    channels = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [
        each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
