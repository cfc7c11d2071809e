"""The page that chats with MCP Apps show beside an answer: a form for a template, and a gallery of what it made.

Owns the page: one HTML document without dependencies that asks nothing of the network and speaks with the chat's host
over postMessage. Its look and the controls of its form are those of `comfy_mcp.ui`. Knows nothing of jobs or tools; the
server hands the page out as a resource, and the form beside the answer of a tool.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from comfy_mcp.apps.forms import FORM, form_for_page
from comfy_mcp.ui import read_static

__all__ = ["FORM", "MIME", "PAGE_URI", "form_for_page", "page"]

MIME = "text/html;profile=mcp-app"
PAGE_URI = "ui://workbench/app"

_STYLES = ("design.css", "fields.css", "view.css")
# In this order they are one script: each may use what stands in those before it.
_SCRIPTS = (
    "words.js",
    "host.js",
    "elements.js",
    "fields.js",
    "picker.js",
    "shapes.js",
    "form.js",
    "gallery.js",
    "run.js",
    "main.js",
)


@cache
def page() -> str:
    """The whole page: markup, style and script in one text."""
    style, script = ("\n".join(map(_read, names)) for names in (_STYLES, _SCRIPTS))
    return _read("view.html").replace("/* styles */", style).replace("/* scripts */", script)


def _read(name: str) -> str:
    """A file of this package, or one that all pages share, without what only its readers need: indentation and lines
    that are comments."""
    own = files(__name__).joinpath(name)
    text = own.read_text(encoding="utf-8") if own.is_file() else read_static(name).decode()
    stripped = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in stripped if line and not line.startswith(("//", "/**", "<!--")))
