"""What stays as it was where nobody says otherwise: the size of a picture, and how the last one was painted."""

from __future__ import annotations

from pathlib import Path

import anyio
import httpx

from comfy_mcp.proxy import listening
from comfy_mcp.workbench import Workbench
from tests.proxy.openai.chatting import PATH, chunks, stream_of
from tests.proxy.openai.pictures import jobs_in, only, plain, shown
from tests.proxy.openai.test_agent import SMALL, answered, turn
from tests.proxy.openai.test_images_stream import events_in
from tests.workbenches import settings_for

EDITS, GENERATIONS = "/v1/images/edits", "/v1/images/generations"


async def test_an_edit_does_not_enlarge_a_small_picture(api: httpx.AsyncClient) -> None:
    files = {"image": ("a.png", plain(256, 192), "image/png")}
    answer = await api.post(EDITS, data={"prompt": "a cat", "size": "auto", "steps": "2"}, files=files)
    picture = shown(only(answer)["b64_json"])
    assert abs(picture.width - 256) <= 8 and abs(picture.height - 192) <= 8
    large = {"image": ("a.png", plain(1400, 1400), "image/png")}
    await api.post(EDITS, data={"prompt": "a cat", "steps": "1"}, files=large)
    assert [job["values"]["megapixels"] for job in await jobs_in(api)] == [0.0469, 1.0]


async def test_a_follow_up_keeps_how_the_last_picture_was_painted(api: httpx.AsyncClient) -> None:
    first = f"a red house {SMALL} --style watercolor --cfg 3.5 --sampler dpmpp_2m --negative fog"
    told = await answered(api, turn(first))
    await answered(api, turn(first, told, "make it blue --cfg 4"))
    _, edit = await jobs_in(api)
    assert (edit["template"], edit["style"]) == ("img2img", "watercolor")
    values = edit["values"]
    assert (values["cfg"], values["sampler"], values["steps"], values["negative"]) == (4.0, "dpmpp_2m", 2, "fog")
    assert values["megapixels"] < 0.1
    assert values["prompt"] == "a red house, make it blue"


async def test_previews_say_how_large_they_are_and_are_no_larger_than_the_picture(slow_api: httpx.AsyncClient) -> None:
    asked = {"prompt": "a red house", "size": "64x64", "steps": 12, "stream": True, "partial_images": 1}
    answer = await slow_api.post(GENERATIONS, json=asked)
    (_, partial), _ = events_in(answer.text)
    picture = shown(partial["b64_json"])
    assert partial["size"] == f"{picture.width}x{picture.height}"
    assert max(picture.size) <= 64


async def test_a_workflow_tells_of_no_tokens_where_clients_read_numbers(api: httpx.AsyncClient) -> None:
    asked = turn(f"a red house {SMALL}", stream_options={"include_usage": True})
    last = chunks(await stream_of(api, asked))[-1]
    assert last["usage"]["total_tokens"] == 0
    assert (await api.post(PATH, json=turn("--help"))).json()["usage"]["prompt_tokens"] == 0


async def test_who_waits_for_a_picture_is_told_that_the_workbench_ends(tmp_path: Path, slow_url: str) -> None:
    async with Workbench.open(settings_for(tmp_path, slow_url)) as workbench:
        answers: list[httpx.Response] = []

        async def paint(address: str) -> None:
            asked = {"prompt": "a house", "size": "64x64", "steps": 100}
            async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
                answers.append(await http.post(address + GENERATIONS, json=asked))

        async with anyio.create_task_group() as tasks, listening(workbench) as address:
            tasks.start_soon(paint, address)
            with anyio.fail_after(10):
                while not await workbench.active():
                    await anyio.sleep(0.05)
        (answer,) = answers
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "backend_unavailable")
        assert int(answer.headers["retry-after"]) > 0
        (job,) = await workbench.jobs()
        assert not job.state.terminal
