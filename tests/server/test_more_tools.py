"""Finding models and styles, keeping pictures and presets, and sweeping, through the official client."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from comfy_mcp.fetching import Fetcher
from tests.security.canary import listening_canary, ok
from tests.server.chats import FRESH, JOB, SMALL, TRANSPORTS, in_memory, over_http, pictures_of, text_of
from tests.test_fetching import loopback

CELL = {"prompt": "a red house", "width": 64, "height": 64}


@pytest.fixture(params=TRANSPORTS)
async def chat(request: pytest.FixtureRequest, tmp_path: Path, embedded_url: str) -> AsyncGenerator[Client]:
    async with TRANSPORTS[request.param](tmp_path, embedded_url) as client:
        yield client


@pytest.fixture
async def memory(tmp_path: Path, embedded_url: str) -> AsyncGenerator[Client]:
    async with in_memory(tmp_path, embedded_url) as client:
        yield client


async def told(chat: Client, tool: str, **arguments: Any) -> str:
    result = await chat.call_tool(tool, arguments)
    assert not result.is_error, text_of(result)
    return text_of(result)


async def test_models_are_listed_by_kind_and_searched(memory: Client) -> None:
    everything = await told(memory, "list_models")
    assert {"checkpoints", "samplers", "schedulers"} <= {line.partition(":")[0] for line in everything.splitlines()}
    assert "dpmpp_2m" in await told(memory, "list_models", kind="samplers")
    found = await told(memory, "list_models", kind="samplers", search="DPMPP")
    assert all("dpmpp" in name for name in found.partition(": ")[2].split(", "))
    assert (await told(memory, "list_models", kind="loras", search="no such")).startswith("loras: none of")
    refused = await memory.call_tool("list_models", {"kind": "sampler"})
    assert refused.is_error and "samplers" in text_of(refused)


async def test_styles_are_listed_with_what_they_are(memory: Client) -> None:
    lines = (await told(memory, "list_styles")).splitlines()
    assert len(lines) > 20
    assert all(re.fullmatch(r"[a-z0-9_]+: .{5,}", line) for line in lines)


async def test_a_picture_is_kept_and_used(chat: Client, picture: bytes) -> None:
    kept = await told(chat, "upload_image", image=base64.b64encode(picture).decode())
    found = re.match(r"picture ([A-Za-z0-9_-]+): \d+×\d+", kept)
    assert found
    assert found[1] in await told(chat, "upload_image", image=found[1])
    result = await chat.call_tool("img2img", {"prompt": "snow", "image": found[1], "steps": 2})
    assert pictures_of(result)
    for bad in ("!" * 100, "nobody", "http://127.0.0.1/a.png", "", 5):
        refused = await chat.call_tool("upload_image", {"image": bad})
        assert refused.is_error and text_of(refused).startswith("Error: ")


async def test_a_picture_is_fetched_when_the_settings_say_so(
    tmp_path: Path, embedded_url: str, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listening_canary() as canary, in_memory(tmp_path, embedded_url, fetch_urls=True) as chat:
        address = f"http://127.0.0.1:{canary.port}/a.png"
        refused = await chat.call_tool("upload_image", {"image": address})
        assert refused.is_error and "usual ports" in text_of(refused) and canary.asked == []
        monkeypatch.setattr("comfy_mcp.fetching._PORTS", frozenset({canary.port}))
        monkeypatch.setattr("comfy_mcp.workbench.workbench.Fetcher", partial(Fetcher, allowed=loopback))
        canary.answers = [ok(picture), ok(picture), ok(b"<html>")]
        assert "picture " in await told(chat, "upload_image", image=address)
        assert pictures_of(await chat.call_tool("img2img", {"prompt": "snow", "image": address, "steps": 2}))
        assert (await chat.call_tool("upload_image", {"image": address})).is_error


async def test_a_sweep_is_a_sheet_of_jobs(chat: Client) -> None:
    over = {"steps": [1, 2, 3], "sampler": ["euler", "dpmpp_2m"]}
    result = await chat.call_tool("sweep", {"template": "txt2img", "values": CELL, "over": over})

    assert not result.is_error, text_of(result)
    lines = text_of(result).splitlines()
    assert lines[0] == "sweep of txt2img: 6 pictures"
    cells = [line for line in lines if line.startswith("steps ")]
    assert cells[1].startswith("steps 2, sampler euler: seed ")
    assert len({line.partition("seed ")[2].split(",")[0] for line in cells}) == 1
    assert sum("procedural preview, not a diffusion model" in line for line in lines) == 1
    (sheet,) = pictures_of(result)
    assert sheet.width > 3 * 64 and sheet.height > 2 * 64
    jobs = JOB.findall(text_of(result))
    assert len(jobs) == 7
    again = await chat.call_tool("get_result", {"job_id": jobs[0]})
    # The signature of a link holds the time.
    assert text_of(again).partition("?signature=")[0] == text_of(result).partition("?signature=")[0]
    one = await chat.call_tool("get_result", {"job_id": jobs[3]})
    assert "steps 3" in text_of(one) and "sampler euler" in text_of(one)


async def test_a_style_can_be_swept_and_a_cell_may_fail(memory: Client) -> None:
    swept = await told(memory, "sweep", values={**CELL, "steps": 1}, over={"style": ["anime", "cinematic"]})
    assert "style anime" in swept and "style cinematic" in swept


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"over": {}}, "over"),
        ({"over": {"steps": [1], "cfg": [1], "seed": [1]}}, "over"),
        ({"over": {"steps": 5}}, "over"),
        ({"over": {"steps": []}}, "steps"),
        ({"over": {"stepz": [1]}}, "stepz"),
        ({"over": {"steps": list(range(1, 40))}}, "36"),
        ({"over": {"steps": [1, 0]}}, "steps"),
        ({"over": {"style": ["nowhere"]}}, "style"),
        ({"over": {"steps": [1]}, "values": {"prompt": ""}, "template": "nowhere"}, "nowhere"),
    ],
)
async def test_a_sweep_that_cannot_be_made_queues_nothing(
    memory: Client, arguments: dict[str, Any], named: str
) -> None:
    refused = await memory.call_tool("sweep", {"values": CELL, **arguments})
    assert refused.is_error and named in text_of(refused), text_of(refused)
    assert await told(memory, "list_jobs") == "There are no jobs."


async def test_a_sweep_that_takes_longer_is_waited_for_or_stopped(tmp_path: Path, slow_url: str) -> None:
    heard: list[float] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(progress)

    async with over_http(tmp_path, slow_url, wait=1.0) as chat:
        arguments = {"values": CELL, "over": {"steps": [5, 60]}}
        first = await chat.call_tool("sweep", arguments, progress_callback=hear)
        (sweep,) = JOB.findall(text_of(first))
        assert "2 of 2 pictures are left" in text_of(first) or "1 of 2 pictures are left" in text_of(first)
        assert heard == sorted(set(heard)) and heard[-1] < 1.0
        assert "stopped" in await told(chat, "cancel_job", job_id=sweep)
        with anyio.fail_after(20):
            while "are left" in (text := text_of(await chat.call_tool("get_result", {"job_id": sweep}))):
                pass
        assert "2 pictures" in text


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_preset_holds_from_then_on(tmp_path: Path, embedded_url: str, transport: str) -> None:
    async with TRANSPORTS[transport](tmp_path, embedded_url) as chat:
        values = {"steps": 2, "style": "anime", "suffix": ", at night"}
        saved = await told(chat, "save_preset", template="txt2img", name="night", values=values, default=True)
        assert "from now on" in saved
        made = await told(chat, "txt2img", **FRESH)
        assert "steps 2" in made and "style anime" in made
        assert "steps is 2 by the preset night, not 3." in made
        assert "night (used unless another is named)" in await told(chat, "describe_template", template="txt2img")
        await told(chat, "save_preset", template="txt2img", name="fine", values={"steps": 4})
        named = await told(chat, "run_template", template="txt2img", values={**FRESH, "preset": "fine"})
        assert "steps 4" in named
        refused = await chat.call_tool("run_template", {"template": "txt2img", "values": {**FRESH, "preset": "fin"}})
        assert refused.is_error and "fine" in text_of(refused)


@pytest.mark.parametrize(
    "arguments",
    [
        {"template": "txt2img", "name": "a", "values": {"steps": "many"}},
        {"template": "txt2img", "name": "a", "values": {"prompt": "x"}},
        {"template": "txt2img", "name": "a", "values": {"suffix": 5}},
        {"template": "txt2img", "name": "a", "values": {"style": "nowhere"}},
        {"template": "txt2img", "name": "", "values": {}},
        {"template": "nowhere", "name": "a", "values": {}},
        {"name": "a"},
    ],
)
async def test_a_preset_that_fits_nothing_is_refused(memory: Client, arguments: dict[str, Any]) -> None:
    refused = await memory.call_tool("save_preset", arguments)
    assert refused.is_error and text_of(refused).startswith("Error: ")


@pytest.mark.requirement("R19")
@pytest.mark.requirement("R20")
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_what_a_person_set_for_good_wins_over_the_call(tmp_path: Path, embedded_url: str, transport: str) -> None:
    headers = {
        "X-Comfy-Steps": "2",
        "X-Comfy-Style": "anime",
        "X-Comfy-Sampler": "{{COMFY_SAMPLER}}",
        "X-Comfy-Scheduler": "",
        "X-Comfy-Cfg": "b64:" + base64.b64encode(b"4.5").decode(),
        "X-Comfy-Negative": "no such sampler",
        "X-Comfy-Width": "wide",
    }
    async with TRANSPORTS[transport](tmp_path, embedded_url, headers=headers) as chat:
        made = await told(chat, "txt2img", **FRESH)
        assert "steps 2" in made and "style anime" in made and "cfg 4.5" in made and "sampler dpmpp_2m" in made
        assert "steps is 2 by your settings, not 3." in made
        assert "width by your settings was left out" in made
        assert "64×64" in made


@pytest.mark.requirement("R19")
async def test_users_of_a_trusted_front_end_have_jobs_of_their_own(tmp_path: Path, embedded_url: str) -> None:
    for believed in (True, False):
        more: dict[str, Any] = {"forwarded_users": believed}
        async with over_http(tmp_path / str(believed), embedded_url, headers={"X-User-Id": "ann"}, **more) as ann:
            (job,) = JOB.findall(await told(ann, "txt2img", **SMALL))
            assert job in await told(ann, "list_jobs")
        async with over_http(
            tmp_path / str(believed), embedded_url, headers={"X-OpenWebUI-User-Id": "bob"}, **more
        ) as bob:
            assert (job in await told(bob, "list_jobs")) is not believed
            assert (await bob.call_tool("get_result", {"job_id": job})).is_error is believed
