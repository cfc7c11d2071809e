"""What the tests of the page do again and again: a form is opened, filled and sent."""

from __future__ import annotations

from typing import Any

import httpx
from playwright.async_api import FrameLocator, Locator, expect

__all__ = ["FORM", "QUICK", "VALUES", "box", "generate", "jobs"]

VALUES: dict[str, Any] = {"prompt": "hills at dawn", "width": 256, "height": 192}
FORM: dict[str, Any] = {"template": "txt2img", "values": VALUES}
QUICK: dict[str, Any] = {"template": "txt2img", "values": {**VALUES, "steps": 1}}


def box(view: FrameLocator, name: str) -> Locator:
    return view.locator(f"#field-{name}")


async def generate(view: FrameLocator, pictures: int) -> None:
    await view.get_by_role("button", name="Generate").click()
    await expect(view.locator("#pictures img")).to_have_count(pictures, timeout=15_000)


async def jobs(api: httpx.AsyncClient) -> list[dict[str, Any]]:
    """The oldest first."""
    told: list[dict[str, Any]] = (await api.get("/api/v1/jobs")).json()["jobs"]
    return told[::-1]
