"""What the tests of the guard share."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import httpx
import pytest


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """Of the module, so that what only answers can be served once for all tests of one."""
    return "asyncio"


@pytest.fixture
async def http() -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        yield client
