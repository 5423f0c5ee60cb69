"""Templates of pages, and their texts."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any

from ..visible import visible

if TYPE_CHECKING:
    from jinja2 import Environment, Template

_SHARED = ("page.html.j2", "parts.html.j2")
_STYLE = "style.css"


def page_environment() -> Environment:
    """Templates of the pages: everything is escaped, and a name that is not there is an error."""
    from jinja2 import DictLoader, Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=DictLoader({name: _text_of(__package__ or "", name) for name in _SHARED}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = _text_of(__package__ or "", _STYLE)
    environment.globals["style"] = Markup(style)  # noqa: S704 - a file of this package
    return environment


def page_template(
    package: str,
    name: str,
    environment: Environment,
) -> Template:
    """A template that lies in a package, and extends `page.html.j2`."""
    return environment.from_string(_text_of(package, name))


def page_text(template: Template, values: Mapping[str, Any]) -> str:
    """A page; characters that do not show, which names of files can hold, are escapes in it."""
    return visible(template.render(**values), keep="\t\n\r")


def _text_of(package: str, name: str) -> str:
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")
