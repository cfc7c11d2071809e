"""The official Python client of OpenAI's API against a served workbench."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import httpx
import openai
import pytest
from openai import AsyncOpenAI

from tests.proxy.openai.pictures import jobs_in, mask, plain, shown
from tests.workbenches import served

TOKEN = "a token of enough characters"
SMALL = {"steps": 2, "seed": 3}


@pytest.fixture
async def client(tmp_path: Path, slow_url: str) -> AsyncGenerator[AsyncOpenAI]:
    async with (
        served(tmp_path, slow_url, token=TOKEN) as http,
        AsyncOpenAI(base_url=f"{http.base_url}/v1", api_key=TOKEN) as client,
    ):
        yield client


def workbench_of(client: AsyncOpenAI) -> httpx.AsyncClient:
    address = str(client.base_url).removesuffix("v1/")
    return httpx.AsyncClient(base_url=address, headers={"authorization": f"Bearer {TOKEN}"}, trust_env=False)


@pytest.mark.requirement("R22")
async def test_it_generates(client: AsyncOpenAI) -> None:
    answer = await client.images.generate(
        model="gpt-image-1",
        prompt="a red house",
        size="256x256",
        n=2,
        output_format="webp",
        output_compression=80,
        quality="high",
        background="opaque",
        moderation="low",
        user="someone",
        extra_body=SMALL,
    )

    assert answer.data is not None and answer.usage is not None
    pictures = [shown(each.b64_json or "") for each in answer.data]
    assert [(picture.format, picture.size) for picture in pictures] == [("WEBP", (256, 256))] * 2
    assert (answer.output_format, answer.quality, answer.size) == ("webp", "high", "256x256")


@pytest.mark.requirement("R22")
async def test_it_fetches_the_link(client: AsyncOpenAI) -> None:
    answer = await client.images.generate(model="dall-e-3", prompt="a cat", size="256x256", extra_body=SMALL)

    assert answer.data is not None
    async with httpx.AsyncClient(trust_env=False) as anybody:
        fetched = await anybody.get(answer.data[0].url or "")
    assert shown(fetched.content).size == (256, 256)


@pytest.mark.requirement("R22")
async def test_it_edits_with_a_mask(client: AsyncOpenAI) -> None:
    answer = await client.images.edit(
        image=[("a.png", plain()), ("b.png", plain(color="blue"))],
        mask=("m.png", mask()),
        prompt="the sea",
        size="auto",
        extra_body=SMALL,
    )
    assert answer.data is not None
    assert shown(answer.data[0].b64_json or "").size == (96, 64)


@pytest.mark.requirement("R22")
async def test_it_streams_previews(client: AsyncOpenAI) -> None:
    seen: list[str] = []
    more = {**SMALL, "steps": 12}
    async for event in await client.images.generate(
        prompt="a red house", size="256x256", stream=True, partial_images=2, extra_body=more
    ):
        seen.append(event.type)
        assert shown(event.b64_json).format == "PNG"
    assert seen == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]


@pytest.mark.requirement("R22")
async def test_it_streams_an_edit(client: AsyncOpenAI) -> None:
    stream = await client.images.edit(image=plain(), prompt="the sea", stream=True, extra_body=SMALL)
    assert [event.type async for event in stream] == ["image_edit.completed"]


@pytest.mark.requirement("R22")
async def test_its_errors_name_the_field(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await client.images.generate(prompt="a cat", size="1023x1023")
    assert (refused.value.param, refused.value.code) == ("size", "invalid_parameter")

    with pytest.raises(openai.BadRequestError) as refused:
        await client.images.edit(image=b"no picture", prompt="a cat")
    assert (refused.value.param, refused.value.code) == ("image", "invalid_image")

    with pytest.raises(openai.AuthenticationError):
        await client.with_options(api_key="another token of the same sort").images.generate(prompt="a cat")


async def test_what_a_person_cancels_is_not_asked_for_again(client: AsyncOpenAI) -> None:
    """It retries by itself what fails with 500 or more, unless it is told not to."""

    async def cancel() -> None:
        with anyio.fail_after(20):
            while not (jobs := await jobs_in(http)):
                await anyio.sleep(0.05)
        await http.delete(f"/api/v1/jobs/{jobs[0]['id']}")

    async with workbench_of(client) as http, anyio.create_task_group() as tasks:
        tasks.start_soon(cancel)
        with pytest.raises(openai.InternalServerError):
            await client.images.generate(prompt="a cat", size="256x256", extra_body={"steps": 150})
        assert len(await jobs_in(http)) == 1


async def test_a_retry_of_it_gets_the_picture_that_was_begun(client: AsyncOpenAI) -> None:
    """It hangs up after its timeout, and asks again."""
    impatient = client.with_options(timeout=0.7, max_retries=5)
    answer = await impatient.images.generate(prompt="a cat", size="256x256", extra_body={"steps": 20})

    assert answer.data is not None and answer.data[0].b64_json
    async with workbench_of(client) as http:
        assert len(await jobs_in(http)) == 1
