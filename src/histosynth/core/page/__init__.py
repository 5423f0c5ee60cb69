"""Pages for people: one look, one file each, nothing fetched, nothing executed.

`page.html.j2` is the frame (title, notice, contents, landmarks) that every page of the package
extends, `parts.html.j2` holds what they share, `style.css` the look.
"""

from .templates import page_environment, page_template, page_text

__all__ = ["page_environment", "page_template", "page_text"]
