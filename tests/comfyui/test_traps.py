"""Each trap of ComfyUI's protocol, and that the client does not step into it."""

from __future__ import annotations

import json
import struct
import uuid
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import httpx
import pytest
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse
from websockets.exceptions import InvalidHandshake, WebSocketException

from comfy_mcp.comfyui import ComfyUI, Timeouts, execute
from comfy_mcp.comfyui.translate import translated
from comfy_mcp.errors import (
    BackendError,
    BackendLost,
    BackendUnavailable,
    ExecutionFailed,
    Interrupted,
    OutOfMemory,
    OutputUnreadable,
    TooLarge,
    WorkflowRejected,
)
from comfy_mcp.jobs import BoundWorkflow, Progress, Run
from tests.comfyui.scripted import PNG, Scripted, frame, scripted

QUICK = Timeouts(connect=1.0, read=1.0, poll=0.1, gone=1.0)
GRAPH: dict[str, dict[str, Any]] = {
    "1": {"class_type": "EmptyImage", "inputs": {}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}},
}


@pytest.fixture
async def server() -> AsyncGenerator[Scripted]:
    async with scripted() as running:
        yield running


async def run(server: Scripted, told: list[Progress] | None = None, **bound: Any) -> Any:
    told = [] if told is None else told
    async with ComfyUI(server.url, timeouts=QUICK) as comfy:
        with anyio.fail_after(20):
            job = Run(str(uuid.uuid4()), BoundWorkflow(GRAPH, {}, **bound))
            return await execute(comfy, job, on_progress=told.append)


async def test_the_usual_way(server: Scripted) -> None:
    result = await run(server)
    assert [file.data for file in result.files] == [PNG]
    assert json.loads(server.seen[0])["data"] == {"supports_preview_metadata": True}
    assert server.submitted[0]["prompt"]["2"] == {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}
    assert GRAPH["2"]["class_type"] == "SaveImage"


async def test_every_run_has_a_client_id_and_a_prompt_id_of_its_own(server: Scripted) -> None:
    await run(server)
    await run(server)
    assert len(set(server.clients)) == 2
    assert [body["client_id"] for body in server.submitted] == server.clients
    assert all(str(uuid.UUID(body["prompt_id"])) == body["prompt_id"] for body in server.submitted)


async def test_success_comes_before_the_history_is_written(server: Scripted) -> None:
    server.events = lambda own, prompt_id: own.usual(prompt_id)[:-1]
    server.history_delay = 0.5
    assert (await run(server)).files


async def test_a_silent_socket_does_not_hide_the_end(server: Scripted) -> None:
    server.events = lambda own, prompt_id: []
    assert (await run(server)).files


async def test_a_socket_that_breaks_does_not_lose_the_job(server: Scripted) -> None:
    server.events = lambda own, prompt_id: [*own.usual(prompt_id)[:2], "close"]
    server.history_delay = 0.5
    assert (await run(server)).files


async def test_no_socket_at_all_is_no_trouble(server: Scripted) -> None:
    server.refuse_socket = True
    assert (await run(server)).files


async def test_events_and_frames_of_strangers_are_dropped(server: Scripted) -> None:
    legacy = struct.pack(">II", 1, 2) + PNG

    def events(own: Scripted, prompt_id: str) -> list[Any]:
        foreign = {"prompt_id": "foreign", "node": "1", "value": 9, "max": 9}
        return [legacy, frame("1", "foreign", b"x"), {"type": "progress", "data": foreign}, *own.usual(prompt_id)]

    server.events = events
    told: list[Progress] = []
    await run(server, told)
    assert all(each.preview is None and each.value != 9 for each in told)


async def test_a_greeting_without_a_prompt_id_is_tolerated(server: Scripted) -> None:
    server.greeting = [{"type": "executing", "data": {"node": "7"}}, {"type": "odd"}, b"\x00", b"\x00" * 8]
    assert (await run(server)).files


async def test_a_preview_of_eight_megabytes_does_not_close_the_socket(server: Scripted) -> None:
    server.events = lambda own, prompt_id: [frame("1", prompt_id, b"x" * (8 << 20)), *own.usual(prompt_id)]
    told: list[Progress] = []
    await run(server, told)
    assert max(len(each.preview or b"") for each in told) == 8 << 20


async def test_the_final_picture_on_the_socket_is_told_by_its_node(server: Scripted) -> None:
    server.outputs = {}
    server.events = lambda own, prompt_id: [
        frame("1", prompt_id, b"preview"), frame("2", prompt_id, PNG), *own.usual(prompt_id)
    ]  # fmt: skip
    result = await run(server, capture="websocket")
    assert [(file.node, file.data) for file in result.files] == [("2", PNG)]


async def test_a_blocked_branch_is_no_failure(server: Scripted) -> None:
    blocked = {"node_id": "1", "exception_type": "ExecutionBlocked"}
    server.events = lambda own, prompt_id: [
        {"type": "execution_error", "data": {"prompt_id": prompt_id, **blocked}}, *own.usual(prompt_id)
    ]  # fmt: skip
    assert (await run(server)).files


def failing(exception: str, message: str) -> dict[str, Any]:
    told = {"node_id": "1", "node_type": "KSampler", "exception_type": exception, "exception_message": message}
    return {"status_str": "error", "messages": [["execution_error", {**told, "traceback": ["/secret/path.py"]}]]}


async def test_a_failed_node_is_named_with_what_can_be_changed(server: Scripted) -> None:
    server.status = failing("RuntimeError", "Given groups=1 in /home/ann/ComfyUI/nodes.py\nTips: …")
    with pytest.raises(ExecutionFailed, match=r"KSampler \(node 1\) failed: Given groups=1") as caught:
        await run(server, parameters={"1.width": "width"})
    assert "width" in caught.value.hint
    assert "/home" not in str(caught.value) and "Tips" not in str(caught.value)


async def test_running_out_of_memory_is_an_error_of_its_own(server: Scripted) -> None:
    server.status = failing("torch.OutOfMemoryError", "CUDA out of memory.")
    with pytest.raises(OutOfMemory, match="smaller"):
        await run(server)


async def test_an_interrupted_prompt_has_status_error_and_is_no_failure(server: Scripted) -> None:
    server.status = {"status_str": "error", "messages": [["execution_interrupted", {}]]}
    with pytest.raises(Interrupted):
        await run(server)


async def test_an_error_without_a_reason_is_still_one(server: Scripted) -> None:
    server.status = {"status_str": "error", "messages": []}
    with pytest.raises(ExecutionFailed):
        await run(server)


async def test_an_answer_that_is_lost_is_looked_for_before_anything_is_sent_again(server: Scripted) -> None:
    server.answer_late = 2.0
    assert (await run(server)).files
    assert len(server.submitted) == 1


async def test_a_prompt_that_vanishes_without_a_restart_was_cancelled(server: Scripted) -> None:
    server.events = lambda own, prompt_id: own.pending.clear() or [5.0]
    server.forgets = True
    with pytest.raises(Interrupted):
        await run(server)


async def test_a_prompt_that_vanishes_after_a_restart_is_lost(server: Scripted) -> None:
    server.events = lambda own, prompt_id: own.pending.clear() or ["close", 5.0]
    server.forgets = True
    with pytest.raises(BackendLost):
        await run(server)


async def test_a_comfyui_that_never_comes_back_is_given_up_after_a_while() -> None:
    async with scripted() as server:
        server.events = lambda own, prompt_id: ["close", 60.0]
        async with ComfyUI(server.url, timeouts=QUICK) as comfy, anyio.create_task_group() as tasks:

            async def watch() -> None:
                with pytest.raises(BackendUnavailable) as caught:
                    job = Run(str(uuid.uuid4()), BoundWorkflow(GRAPH, {}))
                    await execute(comfy, job, on_progress=lambda progress: None)
                assert caught.value.details["reached"] is True

            tasks.start_soon(watch)
            with anyio.fail_after(5):
                while not server.submitted:
                    await anyio.sleep(0.01)
            server.url = "http://127.0.0.1:9"
            comfy._http.base_url = httpx.URL(server.url)  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize("cuts", [1, 2])
async def test_a_picture_that_is_cut_short_is_fetched_again(server: Scripted, cuts: int) -> None:
    server.cut_views = cuts
    assert [file.data for file in (await run(server)).files] == [PNG]


async def test_a_picture_that_stays_cut_short_is_never_served(server: Scripted) -> None:
    server.cut_views = 99
    with pytest.raises(OutputUnreadable):
        await run(server)


async def test_outputs_of_every_kind_are_told_apart_by_their_file(server: Scripted) -> None:
    server.outputs = {
        "1": {"images": [{"filename": "a.mp4", "subfolder": "video", "type": "output"}], "animated": [True]},
        "2": {"audio": [{"filename": "a.flac"}], "result": ["model.glb", {"camera": 1}], "text": ["a cat", 5]},
        "3": {"gifs": [{"filename": "a.webm"}, {"filename": "a.webm"}], "notice": ["careful"]},
        "4": {"3d": [{"filename": "a.glb"}], "odd": [{"filename": "a.xyz"}], "none": None},
    }
    result = await run(server)
    assert [(file.node, file.kind) for file in result.files] == [
        ("1", "video"), ("2", "audio"), ("3", "video"), ("4", "model"), ("4", "other"),
    ]  # fmt: skip
    assert [(output.kind, output.value) for output in result.outputs] == [
        ("result", "model.glb"), ("text", "a cat"), ("text", 5), ("notice", "careful"),
    ]  # fmt: skip


async def test_errors_on_200_are_a_refusal_and_the_rest_does_not_run(server: Scripted) -> None:
    errors = {"2": {"class_type": "SaveImage", "errors": [{"type": "odd", "message": "Odd", "details": ""}]}}
    server.answer = JSONResponse({"prompt_id": "x", "number": 1, "node_errors": errors})
    server.events = lambda own, prompt_id: [5.0]
    with pytest.raises(WorkflowRejected, match="SaveImage"):
        await run(server)
    assert f"delete {server.submitted[0]['prompt_id']}" in server.seen


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (PlainTextResponse("Maximum request body size exceeded", 413), TooLarge),
        (PlainTextResponse("500 Internal Server Error", 500), BackendError),
        (HTMLResponse("<html>Log in</html>", 401), BackendUnavailable),
        (HTMLResponse("<html>Hello</html>", 400), BackendUnavailable),
        (JSONResponse({"error": {"message": "Prompt has no outputs"}, "node_errors": {}}, 400), WorkflowRejected),
    ],
)
async def test_other_answers_are_errors_with_something_to_do(
    server: Scripted, answer: Any, kind: type[BackendError]
) -> None:
    server.answer = answer
    with pytest.raises(kind) as caught:
        await run(server)
    assert caught.value.hint


@pytest.mark.parametrize("atomic", [True, False])
async def test_a_cancel_names_its_prompt_and_is_never_global(server: Scripted, atomic: bool) -> None:
    server.atomic_cancel = atomic
    async with ComfyUI(server.url, timeouts=QUICK) as comfy:
        server.running = ["mine"]
        await comfy.cancel("mine")
    stopped = ["delete mine", "interrupt mine", "delete mine"]
    assert server.seen == ["cancel mine", *([] if atomic else stopped)]


def every(kind: type[Exception]) -> list[type[Exception]]:
    return [kind, *(each for child in kind.__subclasses__() for each in every(child))]


@pytest.mark.parametrize("kind", [*every(httpx.HTTPError), *every(httpx.StreamError), httpx.InvalidURL])
def test_no_failure_of_httpx_leaves_the_client(kind: type[Exception]) -> None:
    failure = kind.__new__(kind)
    Exception.__init__(failure, "x")
    with pytest.raises(BackendUnavailable) as caught, translated("http://comfyui"):
        raise failure
    assert caught.value.hint


@pytest.mark.parametrize("kind", [*every(WebSocketException), ConnectionResetError, TimeoutError, InvalidHandshake])
def test_no_failure_of_the_socket_leaves_the_client(kind: type[Exception]) -> None:
    failure = kind.__new__(kind)
    with pytest.raises(BackendUnavailable), translated("http://comfyui"):
        raise failure
