"""Pictures of every size reach every chat: small enough for its limits, and the call never fails."""

from __future__ import annotations

import io
import random
from collections.abc import AsyncGenerator

import httpx
import pytest
from PIL import Image

from tests.clients.process import Chat

BUDGET = 700_000
SIDES = {"1 KB": 16, "690 KB": 479, "4 MB": 1180, "20 MB": 2640}
"""Of square pictures of noise, whose PNG takes three bytes a pixel and cannot be made smaller."""


def noise(side: int) -> bytes:
    encoded = io.BytesIO()
    Image.frombytes("RGB", (side, side), random.Random(side).randbytes(3 * side * side)).save(
        encoded, "PNG", compress_level=1
    )
    return encoded.getvalue()


@pytest.fixture(scope="session")
async def uploaded(quick: httpx.AsyncClient) -> dict[str, str]:
    """The id of each picture."""
    ids: dict[str, str] = {}
    for name, side in SIDES.items():
        answer = await quick.post("/api/v1/assets", content=noise(side), headers={"content-type": "image/png"})
        ids[name] = answer.raise_for_status().json()["id"]
    return ids


@pytest.fixture
async def connected(chat: Chat, quick: httpx.AsyncClient) -> AsyncGenerator[Chat]:
    await chat.connect(f"{quick.base_url}/mcp")
    yield chat
    await chat.leave()


@pytest.fixture(params=SIDES, scope="session")
def size(request: pytest.FixtureRequest) -> str:
    """One after the other for all chats, so that the engine makes each once and remembers it for the others."""
    return request.param


@pytest.mark.requirement("R12")
async def test_a_picture_of_any_size_reaches_the_chat(connected: Chat, uploaded: dict[str, str], size: str) -> None:
    """Through a stream, where one line is all of the answer."""
    answer = await connected.call("copy", {"image": uploaded[size]}, progress=True)

    assert not answer.error, answer.text
    assert f"{SIDES[size]}×{SIDES[size]}" in answer.text
    assert answer.progress
    (picture,) = answer.pictures
    assert len(answer.raw[0]) <= BUDGET
    assert len(answer.raw[0]) >= BUDGET / 3 or size == "1 KB"
    assert (picture.format == "PNG") == (SIDES[size] <= 479)


async def test_a_large_picture_reaches_the_chat_in_one_body_too(connected: Chat, uploaded: dict[str, str]) -> None:
    answer = await connected.call("copy", {"image": uploaded["690 KB"]})

    assert len(answer.raw[0]) > 600_000
    assert not answer.progress
