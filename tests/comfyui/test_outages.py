"""Something else answers in ComfyUI's place for a while, or ComfyUI says odd things: no job ends for it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response

from comfy_mcp.comfyui import ComfyUI, Timeouts, execute, resume
from comfy_mcp.errors import BackendError, BackendLost, BackendUnavailable, TimedOut
from comfy_mcp.jobs import BoundWorkflow, Progress, Result, Run
from tests.comfyui.scripted import PNG, Scripted, scripted
from tests.comfyui.test_traps import GRAPH, QUICK, run

INSTEAD = [
    pytest.param(PlainTextResponse("Bad Gateway", 502), id="gateway"),
    pytest.param(HTMLResponse("<html>Sign in</html>"), id="sign-in page"),
    pytest.param(RedirectResponse("/login"), id="redirect"),
    pytest.param(PlainTextResponse("Unauthorized", 401), id="unauthorized"),
    pytest.param(HTMLResponse("<html>Anmeldung nötig".encode("latin-1")), id="another encoding"),
    pytest.param(Response(b"[" * 200_000, media_type="application/json"), id="nested without end"),
    pytest.param(JSONResponse([1, 2]), id="another program"),
    pytest.param(JSONResponse({"queue_running": [7]}), id="another shape"),
]


@pytest.fixture
async def server() -> AsyncGenerator[Scripted]:
    async with scripted() as running:
        yield running


async def within(server: Scripted, seconds: float, timeouts: Timeouts) -> Result:
    async with ComfyUI(server.url, timeouts=timeouts) as comfy:
        job = Run(str(uuid.uuid4()), BoundWorkflow(GRAPH, {}), {}, seconds)
        return await execute(comfy, job, on_progress=lambda progress: None)


@pytest.mark.parametrize("instead", INSTEAD)
async def test_a_running_job_outlives_an_answer_of_somebody_else(server: Scripted, instead: Response) -> None:
    server.events = lambda own, prompt_id: []
    server.history_delay = 0.5
    server.failing = {"history": [None, instead], "queue": [instead]}
    assert [file.data for file in (await run(server)).files] == [PNG]


async def test_a_silence_is_told_when_it_begins_and_when_it_is_over(server: Scripted) -> None:
    server.events = lambda own, prompt_id: []
    server.history_delay = 0.5
    server.failing = {"history": [None, PlainTextResponse("Bad Gateway", 502)]}
    heard, turns = list[bool](), list[Progress]()
    async with ComfyUI(server.url, timeouts=QUICK) as comfy:
        comfy.on_silence = lambda failure: heard.append(failure is not None)
        job = Run(str(uuid.uuid4()), BoundWorkflow(GRAPH, {}), {}, 20)
        assert (await execute(comfy, job, on_progress=turns.append)).files
    assert heard == [True, False] and turns == [Progress(), Progress()]


@pytest.mark.parametrize("instead", INSTEAD)
async def test_what_is_not_comfyui_says_nothing_about_a_job(server: Scripted, instead: Response) -> None:
    server.failing = {"queue": [instead]}
    async with ComfyUI(server.url, timeouts=QUICK) as comfy:
        with pytest.raises(BackendUnavailable) as caught:
            await comfy.queue()
    assert caught.value.hint


async def test_a_job_that_a_gateway_swallowed_is_sent_again(server: Scripted) -> None:
    server.failing = {"prompt": [PlainTextResponse("Bad Gateway", 502)]}
    assert (await run(server)).files
    assert len(server.submitted) == 1


async def test_a_job_that_was_not_let_in_never_began(server: Scripted) -> None:
    server.failing = {"prompt": [PlainTextResponse("Unauthorized", 401)]}
    with pytest.raises(BackendUnavailable) as caught:
        await run(server)
    assert caught.value.details["reached"] is False


async def test_a_workflow_that_comfyui_fails_to_read_is_not_sent_again(server: Scripted) -> None:
    server.answer = PlainTextResponse("500 Internal Server Error", 500)
    with pytest.raises(BackendError) as caught:
        await run(server)
    assert not isinstance(caught.value, BackendUnavailable)
    assert len(server.submitted) == 1


@pytest.mark.parametrize("event", [True, False])
async def test_a_picture_is_waited_for_when_the_connection_breaks_over_it(server: Scripted, event: bool) -> None:
    server.outputs = {"2": {"images": [{"filename": "a.png", "type": "temp"}]}}
    if not event:
        server.events = lambda own, prompt_id: []
    server.failing = {"view": [PlainTextResponse("Bad Gateway", 502)]}
    assert [file.data for file in (await run(server)).files] == [PNG]
    assert len(server.submitted) == 1


async def test_a_picture_that_went_with_a_restart_is_made_again(server: Scripted) -> None:
    server.failing = {"view": [PlainTextResponse("Not Found", 404)], "history": [None, JSONResponse({})]}
    server.events = lambda own, prompt_id: []
    with pytest.raises(BackendLost):
        await run(server)


async def test_a_job_times_out_also_while_comfyui_is_away(server: Scripted) -> None:
    server.forgets = True
    away: list[Response | None] = [PlainTextResponse("Bad Gateway", 502)] * 100
    server.events = lambda own, prompt_id: own.failing.update(history=away, queue=away, api=away) or []
    with pytest.raises(TimedOut):
        await within(server, 1.0, Timeouts(connect=1, read=1, poll=0.1, gone=60))


async def test_an_outage_after_the_job_was_sent_counts_as_a_run(server: Scripted) -> None:
    away: list[Response | None] = [PlainTextResponse("Unauthorized", 401)] * 100
    server.events = lambda own, prompt_id: own.failing.update(history=away, queue=away) or []
    server.history_delay = 60.0
    with pytest.raises(BackendUnavailable) as caught:
        await within(server, 20.0, QUICK)
    assert caught.value.details["reached"] is True


@pytest.mark.parametrize(
    "event",
    [
        {"type": "progress", "data": {"value": None, "max": 3}},
        {"type": "progress", "data": {"value": "many", "max": [3]}},
        {"type": "executed", "data": {"output": {"a": 1}, "node": "1"}},
        {"type": "executed", "data": {"output": ["x"], "node": "1"}},
        {"type": "executed", "data": {"output": {"images": [{"filename": ["x"]}]}}},
        {"type": "execution_cached", "data": {"nodes": 5}},
        {"type": "executing", "data": {"node": {"odd": 1}}},
    ],
)
async def test_an_odd_event_ends_no_job(server: Scripted, event: dict[str, Any]) -> None:
    server.events = lambda own, prompt_id: [
        {"type": event["type"], "data": {**event["data"], "prompt_id": prompt_id}}, *own.usual(prompt_id)
    ]  # fmt: skip
    assert (await run(server)).files


async def test_an_odd_report_beside_a_picture_is_passed_over(server: Scripted) -> None:
    server.outputs = {"1": ["x"], "2": {"images": [{"filename": "a.png", "type": "temp"}]}, "3": None}
    assert [file.data for file in (await run(server)).files] == [PNG]


async def test_a_defect_of_ours_leaves_no_prompt_running(server: Scripted) -> None:
    server.history_delay = 60.0

    def defect(progress: object) -> None:
        raise ZeroDivisionError

    async with ComfyUI(server.url, timeouts=QUICK) as comfy:
        job = Run(str(uuid.uuid4()), BoundWorkflow(GRAPH, {}), {}, 10.0)
        with pytest.raises(ZeroDivisionError):
            await execute(comfy, job, on_progress=defect)
    assert f"delete {job.prompt_id}" in server.seen


async def test_without_a_socket_the_history_is_asked_now_and_then(server: Scripted) -> None:
    server.refuse_socket = True
    server.history_delay = 2.0
    await run_quietly(server)
    assert 4 <= server.asked.count("history") <= 10


async def run_quietly(server: Scripted) -> None:
    async with ComfyUI(server.url) as comfy:
        with anyio.fail_after(20):
            await execute(comfy, Run("quiet", BoundWorkflow(GRAPH, {})), on_progress=lambda progress: None)


async def test_nobody_else_is_interrupted_by_a_cancel(server: Scripted) -> None:
    """ComfyUI before 0.3.56 interrupts whatever runs, whichever id it is given."""
    server.running = ["neighbour"]
    server.pending = ["mine"]
    async with ComfyUI(server.url, timeouts=QUICK) as comfy:
        await comfy.cancel("mine")
        await comfy.cancel("unknown")
    assert [seen for seen in server.seen if seen.startswith("interrupt")] == []


async def test_a_job_is_taken_up_again_through_an_outage(server: Scripted) -> None:
    server.remember("earlier")
    server.failing = {"queue": [PlainTextResponse("Bad Gateway", 502)]}
    async with ComfyUI(server.url, timeouts=QUICK) as comfy:
        result = await resume(comfy, Run("earlier", BoundWorkflow(GRAPH, {})), on_progress=lambda progress: None)
    assert [file.data for file in result.files] == [PNG]
