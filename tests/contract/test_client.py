"""The client against both engines: a graph in, files out, and nothing left behind."""

from __future__ import annotations

import io
import uuid
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import httpx
import pytest
from PIL import Image

from comfy_mcp.backends import ComfyUIBackend
from comfy_mcp.comfyui import ComfyUI, execute, resume
from comfy_mcp.errors import BackendLost, Interrupted, InvalidParameter, MissingModel, MissingNode, TimedOut
from comfy_mcp.jobs import BoundWorkflow, Picture, Progress, Run, Upload
from tests.contract.test_protocol import Graph, colour, painting
from tests.engines import running_engine


@pytest.fixture
async def comfy(comfyui_url: str) -> AsyncGenerator[ComfyUI]:
    async with ComfyUI(comfyui_url) as client:
        yield client


async def checkpoint(comfy: ComfyUI) -> str:
    told = await comfy.object_info()
    return told["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0][0]


def run(graph: Graph, **more: Any) -> Run:
    images, timeout = more.pop("images", {}), more.pop("timeout", 60.0)
    return Run(str(uuid.uuid4()), BoundWorkflow(graph, {}, **more), images, timeout)


def ignore(progress: Progress) -> None:
    return


def saving(graph: Graph, node: str = "2") -> Graph:
    graph[node] = {"class_type": "SaveImage", "inputs": {**graph[node]["inputs"], "filename_prefix": "contract"}}
    return graph


async def outputs_of(url: str) -> int:
    """How many pictures of ours a ComfyUI has in its output folder: the next number that it would give one."""
    async with ComfyUI(url) as comfy:
        result = await execute(comfy, run(saving(colour()), keep_in_comfyui=True), on_progress=ignore)
    return int(result.files[0].filename.split("_")[1])


async def test_a_picture_comes_back_and_the_output_folder_stays_as_it_was(comfy: ComfyUI, comfyui_url: str) -> None:
    before = await outputs_of(comfyui_url)
    result = await execute(comfy, run(saving(colour(0x2040FF))), on_progress=ignore)
    (file,) = result.files
    assert (file.node, file.kind, file.mime) == ("2", "image", "image/png")
    with Image.open(io.BytesIO(file.data)) as picture:
        assert picture.size == (64, 32)
        assert picture.getpixel((0, 0)) == (0x20, 0x40, 0xFF)
    assert await outputs_of(comfyui_url) == before + 1


async def test_pictures_can_come_over_the_socket(comfy: ComfyUI) -> None:
    result = await execute(comfy, run(saving(colour()), capture="websocket"), on_progress=ignore)
    (file,) = result.files
    assert Image.open(io.BytesIO(file.data)).size == (64, 32)


async def test_progress_never_goes_back_and_has_every_step(comfy: ComfyUI) -> None:
    told: list[Progress] = []
    await execute(comfy, run(painting(await checkpoint(comfy), steps=5)), on_progress=told.append)
    fractions = [each.fraction for each in told]
    assert fractions == sorted(fractions)
    # A preview repeats the step that it belongs to.
    assert list(dict.fromkeys(each.value for each in told if each.maximum == 5)) == [1, 2, 3, 4, 5]


async def test_an_upload_is_loaded(comfy: ComfyUI, picture: bytes) -> None:
    graph: Graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }
    uploads = (Upload("asset", (("1", "image"),)),)
    result = await execute(
        comfy, run(graph, uploads=uploads, images={"asset": Picture("x.png", picture)}), on_progress=ignore
    )
    assert Image.open(io.BytesIO(result.files[0].data)).size == (96, 64)


async def test_a_cached_rerun_gives_the_same_picture(comfy: ComfyUI) -> None:
    graph = colour()
    first = await execute(comfy, run(graph), on_progress=ignore)
    again = await execute(comfy, run(graph), on_progress=ignore)
    assert first.files[0].data == again.files[0].data


async def test_a_rejection_names_node_and_parameter(comfy: ComfyUI) -> None:
    graph = painting(await checkpoint(comfy), scheduler="karas")
    with pytest.raises(InvalidParameter, match="Nearest: karras") as caught:
        await execute(comfy, run(graph, parameters={"3.scheduler": "scheduler"}), on_progress=ignore)
    assert caught.value.details["parameter"] == "scheduler"
    assert (caught.value.details["node"], caught.value.details["node_class"]) == ("3", "KSampler")


async def test_a_missing_model_and_a_missing_node_are_named(comfy: ComfyUI) -> None:
    with pytest.raises(MissingModel, match=r"nope\.safetensors") as caught:
        graph = painting("nope.safetensors")
        await execute(comfy, run(graph, parameters={"4.ckpt_name": "checkpoint"}), on_progress=ignore)
    assert caught.value.details["parameter"] == "checkpoint"
    with pytest.raises(MissingNode, match="NoSuchNode"):
        await execute(comfy, run({"1": {"class_type": "NoSuchNode", "inputs": {}}}), on_progress=ignore)


async def test_a_half_accepted_prompt_is_refused_whole(comfy: ComfyUI) -> None:
    graph = colour()
    graph["3"] = {"class_type": "PreviewImage", "inputs": {"images": ["1", 7]}}
    submitted = run(graph)
    with pytest.raises(Exception, match="refused"):
        await execute(comfy, submitted, on_progress=ignore)
    assert submitted.prompt_id not in (await comfy.queue()).pending


async def test_a_cancel_stops_one_and_no_neighbour(comfy: ComfyUI) -> None:
    name = await checkpoint(comfy)
    long, neighbour = run(painting(name, steps=10_000)), run(colour())
    started = anyio.Event()

    def hear(progress: Progress) -> None:
        if progress.value >= 1:
            started.set()

    results: list[object] = []

    async def one(which: Run, on_progress: Any) -> None:
        try:
            results.append(await execute(comfy, which, on_progress=on_progress))
        except Interrupted as failure:
            results.append(failure)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one, long, hear)
            await started.wait()
            tasks.start_soon(one, neighbour, ignore)
            while neighbour.prompt_id not in (await comfy.queue()).pending:
                pass
            await comfy.cancel(long.prompt_id)
    assert isinstance(results[0], Interrupted)
    assert not isinstance(results[1], Interrupted)


async def test_a_queued_prompt_that_is_taken_out_was_cancelled(comfy: ComfyUI) -> None:
    name = await checkpoint(comfy)
    long, queued = run(painting(name, steps=10_000)), run(colour())
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:

            async def first() -> None:
                with pytest.raises(Interrupted):
                    await execute(comfy, long, on_progress=ignore)

            async def second() -> None:
                with pytest.raises(Interrupted):
                    await execute(comfy, queued, on_progress=ignore)

            tasks.start_soon(first)
            while long.prompt_id not in await comfy.queue():
                pass
            tasks.start_soon(second)
            while queued.prompt_id not in (await comfy.queue()).pending:
                pass
            await comfy.cancel(queued.prompt_id)
            await comfy.cancel(long.prompt_id)


async def test_a_job_that_takes_too_long_is_stopped(comfy: ComfyUI) -> None:
    graph = painting(await checkpoint(comfy), steps=10_000)
    with pytest.raises(TimedOut):
        await execute(comfy, run(graph, timeout=0.3), on_progress=ignore)
    with anyio.fail_after(30):
        while (await comfy.queue()).running:
            pass


async def test_a_finished_prompt_is_found_again_and_not_run_twice(comfy: ComfyUI) -> None:
    job = run(colour())
    first = await execute(comfy, job, on_progress=ignore)
    again = await resume(comfy, job, on_progress=ignore)
    assert [file.filename for file in again.files] == [file.filename for file in first.files]
    await comfy.delete_history(job.prompt_id)
    with pytest.raises(BackendLost):
        await resume(comfy, job, on_progress=ignore)


async def test_a_killed_engine_is_told_as_lost_once_it_is_back() -> None:
    with running_engine("--step-delay", "0.2") as engine:
        started = anyio.Event()

        def hear(progress: Progress) -> None:
            if progress.value >= 1:
                started.set()

        async with ComfyUI(engine.url) as comfy:
            graph = painting(await checkpoint(comfy), steps=1000)
            with anyio.fail_after(30):
                async with anyio.create_task_group() as tasks:

                    async def watch() -> None:
                        with pytest.raises(BackendLost):
                            await execute(comfy, run(graph), on_progress=hear)

                    tasks.start_soon(watch)
                    await started.wait()
                    engine.kill()
                    engine.start()


async def test_what_is_not_comfyui_is_said_to_be_none(embedded_url: str) -> None:
    async with httpx.AsyncClient() as http:
        assert (await http.get(f"{embedded_url}/nowhere")).status_code == 404
    async with ComfyUI(f"{embedded_url}/nowhere") as comfy:
        with pytest.raises(Exception, match="404"):
            await comfy.system_stats()


async def test_a_backend_tells_what_it_has_and_lets_go_of_its_memory(comfyui_url: str) -> None:
    async with ComfyUIBackend.open(comfyui_url) as backend:
        names = frozenset({"EmptyImage", "NoSuchNode", "CheckpointLoaderSimple.ckpt_name=nowhere.safetensors"})
        assert backend.offers(names) == frozenset()
        assert await backend.refresh()
        assert not await backend.refresh()
        assert backend.offers(names) == {"EmptyImage"}
        graph = colour()

        async def cached() -> list[str]:
            job = run(graph)
            await backend.run(job, ignore)
            entry = await backend.client.history(job.prompt_id)
            assert entry is not None
            await backend.forget([job.prompt_id])
            assert await backend.client.history(job.prompt_id) is None
            told = entry.last("execution_cached")
            return [] if told is None else told["nodes"]

        await cached()
        assert await cached()
        await backend.unload()
        # ComfyUI notes the wish and sees to it when its worker wakes, a moment later.
        await anyio.sleep(1)
        assert await cached() == []
