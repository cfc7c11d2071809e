"""Somebody at a page in a real browser, as in the tests of the page."""

from __future__ import annotations

from tests.page.conftest import anyio_backend, browser, person

__all__ = ["anyio_backend", "browser", "person"]
