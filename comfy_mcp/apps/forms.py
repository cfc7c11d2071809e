"""The form of a template as the page in a chat gets it: its markup in every language, beside the answer of a tool.

Owns where in an answer it lies, and that it is small: chats take answers of about a megabyte. The server cannot know
what language the chat speaks; the page does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from comfy_mcp.ui import LANGUAGES, environment, words_in
from comfy_mcp.ui.forms import form_of

__all__ = ["FORM", "form_for_page"]

FORM = "comfyui-workbench/form"
"""The key in the `_meta` of an answer, which chats hand to the page and not to the model."""

_MOST_CHOICES = 200


def form_for_page(
    described: Mapping[str, Any],
    *,
    styles: Sequence[Mapping[str, Any]],
    values: Mapping[str, Any],
    locked: Mapping[str, Any] = {},
) -> dict[str, Any]:
    """The `_meta` of an answer that shows this form: title, description and markup by language."""
    form = form_of(described, styles=styles, values=values, locked=locked, most=_MOST_CHOICES)
    told: dict[str, dict[str, str]] = {}
    for language in LANGUAGES:
        words = words_in(language)
        macros: Any = environment(language).get_template("ui/form.html").module
        told[language] = {
            "title": words(str(described["title"])),
            "description": words(str(described["description"])),
            "fields": str(macros.form_fields(form)),
        }
    return {FORM: told}
