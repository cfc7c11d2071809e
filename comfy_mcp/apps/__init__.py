"""The page of the app."""

from __future__ import annotations

__all__ = ["MIME", "PAGE_URI", "page"]

PAGE_URI = "ui://workbench/app"
MIME = "text/html;profile=mcp-app"


def page() -> str:
    """The page."""
    return ""
