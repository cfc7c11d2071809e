"""Workflows to chat with, on the embedded engine: pictures as Markdown, follow-ups that edit, help, and hang-ups."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.proxy.openai.chatting import PATH, body, chunks, content, openai_client, said, stream_of
from tests.workbenches import served

SMALL = "--width 64 --height 64 --steps 2"
PICTURE = re.compile(r"!\[(.*)\]\((http://[^)]+/api/v1/assets/([\w-]+)\?signature=[^)]+)\)")


def turn(*messages: str, model: str = "workflow/txt2img", **more: Any) -> dict[str, Any]:
    """What a chat sends: the person and the model by turns."""
    roles = ("user", "assistant")
    told = [{"role": roles[number % 2], "content": text} for number, text in enumerate(messages)]
    return {"model": model, "messages": told, **more}


async def answered(http: httpx.AsyncClient, asked: dict[str, Any], **headers: str) -> str:
    answer = await http.post(PATH, json=asked, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0]["message"]["content"]


async def jobs(http: httpx.AsyncClient) -> list[dict[str, Any]]:
    """The newest first."""
    return (await http.get("/api/v1/jobs")).json()["jobs"]


async def test_a_message_becomes_a_picture_that_its_link_shows_to_anybody(api: httpx.AsyncClient) -> None:
    told = await answered(api, turn(f"a [red] house\nat *dusk* {SMALL} --seed 7"))
    found = PICTURE.search(told)
    assert found is not None, told
    assert found[1] == r"a \[red\] house at \*dusk\*"
    (job,) = await jobs(api)
    assert f"seed 7 · 64×64 · job {job['id']}" in told.splitlines()
    assert (job["values"]["prompt"], job["values"]["steps"]) == ("a [red] house\nat *dusk*", 2)
    async with httpx.AsyncClient(trust_env=False) as anybody:
        shown = await anybody.get(found[2])
    assert (shown.status_code, shown.headers["content-type"]) == (200, "image/png")


async def test_a_stream_tells_progress_as_thought_and_then_the_picture(slow_api: httpx.AsyncClient) -> None:
    told = await stream_of(slow_api, turn(f"a red house {SMALL} --steps 6"))
    assert PICTURE.search(content(told))
    lines = content(told, "reasoning_content").splitlines()
    assert lines and all(re.match(r"queued|\d+% done", line) for line in lines), lines
    assert chunks(told)[-1]["choices"][0]["finish_reason"] == "stop"
    assert told.endswith(b"data: [DONE]\n\n")
    whole = (await slow_api.post(PATH, json=turn(f"a blue house {SMALL}"))).json()
    assert "reasoning_content" not in whole["choices"][0]["message"]


async def test_a_follow_up_edits_the_last_picture_and_new_begins_afresh(api: httpx.AsyncClient) -> None:
    first = f"a red house {SMALL}"
    picture = await answered(api, turn(first))
    edited = await answered(api, turn(first, picture, "make it night --steps 2 --seed 3"))
    again = await answered(api, turn(first, picture, "make it night", edited, "add snow --steps 2"))
    fresh = await answered(api, turn(first, picture, f"a cat --new {SMALL}"))
    newest, snow, night, house = await jobs(api)
    assert [job["template"] for job in (newest, snow, night, house)] == ["txt2img", "img2img", "img2img", "txt2img"]
    assert night["values"]["image"] == house["assets"][0]["id"]
    assert night["values"]["prompt"] == "a red house, make it night"
    assert snow["values"]["image"] == night["assets"][0]["id"]
    assert snow["values"]["prompt"] == "a red house, make it night, add snow"
    assert newest["values"]["prompt"] == "a cat"
    assert PICTURE.search(again) and PICTURE.search(fresh)


async def test_a_link_alone_is_enough_to_follow_up_and_a_strangers_picture_is_not(api: httpx.AsyncClient) -> None:
    first = await answered(api, turn(f"a red house {SMALL}"))
    found = PICTURE.search(first)
    assert found is not None
    await answered(api, turn("a red house", f"![x]({found[2]})", "make it night --steps 2"))
    await answered(api, turn("a red house", f"job {'0' * 32}", f"a cat {SMALL}"))
    cat, night, _ = await jobs(api)
    assert (night["template"], night["values"]["prompt"]) == ("img2img", "make it night")
    assert cat["template"] == "txt2img"


async def test_a_picture_in_the_message_is_the_input(api: httpx.AsyncClient, picture: bytes) -> None:
    url = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "as an oil painting --steps 2"}]
    for model in ("workflow/img2img", "workflow/txt2img", "workflow/upscale"):
        parts[1]["text"] = "" if model == "workflow/upscale" else "as an oil painting --steps 2"
        asked = {"model": model, "messages": [{"role": "user", "content": parts}]}
        assert PICTURE.search(await answered(api, asked))
    assert [job["template"] for job in await jobs(api)] == ["upscale", "img2img", "img2img"]


async def test_help_is_a_table_and_makes_nothing(api: httpx.AsyncClient) -> None:
    told = await answered(api, turn("--help"))
    assert "| Option | What it is | Default | Takes |" in told
    assert re.search(r"^\| `--steps` \| .+ \| \d+ \| 1 to 150 \|$", told, re.MULTILINE)
    assert "| `--style` |" in told and "`--image`" in await answered(api, turn("--help", model="workflow/img2img"))
    assert await jobs(api) == []


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("a cat --stepz 3", "`txt2img` has no `--stepz`. Near it: `--steps`"),
        ("a cat --steps", "`--steps` has no value."),
        ("a cat --steps 100000", "steps 100000 is out of range."),
        ("a cat --style cinemattic", "cinematic"),
        ("a cat --preset nothing", "There is no preset 'nothing'"),
        ("", "prompt"),
    ],
)
async def test_what_cannot_be_made_is_told_in_the_chat(api: httpx.AsyncClient, message: str, told: str) -> None:
    said = await answered(api, turn(message))
    assert told in said and "--help" in said
    assert await jobs(api) == []


async def test_too_many_pictures_and_none_at_all_are_told_in_the_chat(api: httpx.AsyncClient, picture: bytes) -> None:
    part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(picture).decode()}"}}
    asked = {"model": "workflow/img2img", "messages": [{"role": "user", "content": [part, part]}]}
    assert "`img2img` takes one picture." in await answered(api, asked)
    assert "image" in await answered(api, turn("make it night", model="workflow/img2img"))


async def test_what_is_typed_counts_more_than_what_is_set_for_good(api: httpx.AsyncClient) -> None:
    await answered(api, turn("a cat --steps 3 --width 64 --height 64"), **{"X-Comfy-Steps": "4", "X-Comfy-Cfg": "5"})
    (job,) = await jobs(api)
    assert (job["values"]["steps"], job["values"]["cfg"]) == (3, 5)


async def test_pictures_are_in_the_text_for_who_asks_for_that(api: httpx.AsyncClient) -> None:
    told = await answered(api, turn(f"a cat {SMALL}"), **{"X-Inline-Images": "always"})
    found = re.search(r"!\[a cat\]\(data:image/webp;base64,([A-Za-z0-9+/=]+)\)", told)
    assert found is not None and base64.b64decode(found[1])[8:12] == b"WEBP"
    await answered(api, turn("a cat", told, "make it night --steps 2"))
    assert (await jobs(api))[0]["template"] == "img2img"


async def test_who_hangs_up_gives_the_job_up(slow_api: httpx.AsyncClient) -> None:
    asked = turn("a cat --steps 150 --width 64 --height 64", stream=True)
    async with slow_api.stream("POST", PATH, json=asked) as answer:
        async for _ in answer.aiter_bytes():
            break
    with anyio.fail_after(30):
        while (await jobs(slow_api))[0]["state"] != "cancelled":
            await anyio.sleep(0.1)


async def test_a_job_that_fails_in_a_stream_ends_it_with_an_error(slow_api: httpx.AsyncClient) -> None:
    asked = turn("a cat --steps 150 --width 64 --height 64", stream=True)
    async with slow_api.stream("POST", PATH, json=asked) as answer:
        told = b""
        async for data in answer.aiter_bytes():
            if not told:
                await slow_api.delete(f"/api/v1/jobs/{(await jobs(slow_api))[0]['id']}")
            told += data
    assert json.loads(told.split(b"\n\n")[-2].removeprefix(b"data: "))["error"]["code"] == "interrupted"
    assert b"[DONE]" not in told and b"![" not in told


async def test_all_pictures_of_a_batch_are_shown(api: httpx.AsyncClient) -> None:
    told = await answered(api, turn(f"a cat {SMALL} --batch 2 --seed 5"))
    assert len(PICTURE.findall(told)) == 2
    assert "2 files · seed 5 · 64×64" in told


async def test_without_comfyui_it_is_an_error_and_not_an_answer(tmp_path: Path) -> None:
    async with served(tmp_path, "http://127.0.0.1:9") as http:
        for stream in (False, True):
            refused = await http.post(PATH, json=body("a cat", "workflow/txt2img", stream=stream))
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "backend_unavailable")


async def test_the_official_client_reads_it(api: httpx.AsyncClient) -> None:
    messages: Any = said(f"a cat {SMALL}")
    async with openai_client(api) as client:
        stream = await client.chat.completions.create(model="workflow/txt2img", messages=messages, stream=True)
        text = "".join([piece.choices[0].delta.content or "" async for piece in stream])
    assert PICTURE.search(text)
