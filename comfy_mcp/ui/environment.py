"""Where templates and static files of the pages are found, and how templates are rendered.

Owns the settings of Jinja: everything is escaped, and a name that nobody gave is an error, not an empty place.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, cast

from comfy_mcp.ui.words import words_in

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["environment", "read_static"]


@cache
def environment(language: str, package: str | None = None) -> Environment:
    """The templates of this package, and before them those of another ``package``, with the words of a language."""
    # It takes a while, and a server that a chat has started must answer at once.
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    own = PackageLoader("comfy_mcp.ui", "markup")
    made = Environment(
        loader=own if package is None else ChoiceLoader([PackageLoader(package, "markup"), own]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n", "jinja2.ext.loopcontrols"],
    )
    words = words_in(language)
    made.add_extension("jinja2.ext.i18n")
    made.install_gettext_callables(words, words.plural, newstyle=True)  # type: ignore[attr-defined]
    # For texts that others wrote, such as labels: what `_` gives counts as markup.
    made.filters["said"] = words
    # Its type names only what Jinja itself puts there.
    cast("dict[str, Any]", made.globals)["language"] = words.language
    return made


def read_static(name: str) -> bytes:
    """A static file of this package."""
    return files("comfy_mcp.ui").joinpath("static", name).read_bytes()
