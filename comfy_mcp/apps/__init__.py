"""The page that chats with MCP Apps show beside an answer: a form for a template, and a gallery of what it made.

Owns the page: one HTML document without dependencies that asks nothing of the network and speaks with the chat's host
over postMessage. Knows nothing of jobs or tools; the server hands the page out as a resource.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

__all__ = ["MIME", "PAGE_URI", "page"]

MIME = "text/html;profile=mcp-app"
PAGE_URI = "ui://workbench/app"

# In this order they are one script: each may use what stands in those before it.
_SCRIPTS = ("words.js", "host.js", "elements.js", "controls.js", "form.js", "gallery.js", "run.js", "main.js")


@cache
def page() -> str:
    """The whole page: markup, style and script in one text."""
    script = "\n".join(_read(name) for name in _SCRIPTS)
    return _read("view.html").replace("/* view.css */", _read("view.css")).replace("/* scripts */", script)


def _read(name: str) -> str:
    """A file without what only its readers need: indentation and lines that are comments."""
    lines = files(__name__).joinpath(name).read_text(encoding="utf-8").splitlines()
    stripped = (line.strip() for line in lines)
    return "\n".join(line for line in stripped if line and not line.startswith(("//", "/**", "<!--")))
