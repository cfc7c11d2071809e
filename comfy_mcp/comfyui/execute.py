"""Running one prompt to its end: upload, submit, watch, fetch.

Owns the order of things and what each silence means. The socket moves progress; the history decides. Whatever happens
to the socket, the prompt is not lost for it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup

from comfy_mcp.comfyui.capture import captured
from comfy_mcp.comfyui.client import ComfyUI, FileRef, HistoryEntry
from comfy_mcp.comfyui.failure import failure_in
from comfy_mcp.comfyui.outputs import files_in, kind_of, texts_in
from comfy_mcp.comfyui.patience import Patience
from comfy_mcp.comfyui.progress import Meter
from comfy_mcp.comfyui.socket import Event, Frame, Socket
from comfy_mcp.comfyui.translate import FOREIGN
from comfy_mcp.errors import (
    BackendLost,
    BackendUnavailable,
    Interrupted,
    OutputUnreadable,
    TimedOut,
    WorkbenchError,
)
from comfy_mcp.jobs import File, Graph, Progress, Result, Run
from comfy_mcp.tasks import background

__all__ = ["execute", "resume"]

_SETTLE_SECONDS = 0.05
_CANCEL_SECONDS = 5.0
_SUBMIT_TRIES = 3
_ARRIVAL_SECONDS = 0.3
_NEWS_SECONDS = 0.3
_UNHEARD_SECONDS = 0.5
"""Between two looks at the history when no socket tells that it is time for one."""


@dataclass(slots=True)
class _Early:
    """A file on its way before the history names it; no data when that did not work."""

    done: anyio.Event = field(default_factory=anyio.Event)
    data: bytes | None = None


OnProgress = Callable[[Progress], None]


async def execute(comfy: ComfyUI, run: Run, *, on_progress: OnProgress) -> Result:
    """Submit a prompt and see it through. Cancelling this call leaves the prompt alone: cancel it by its id.

    Raises:
        WorkflowRejected, MissingNode, MissingModel, InvalidParameter: ComfyUI refuses the graph.
        ExecutionFailed, OutOfMemory: a node failed.
        Interrupted: somebody cancelled it.
        BackendUnavailable: ComfyUI stopped answering; the detail ``reached`` says whether it may have the prompt.
        BackendLost: ComfyUI restarted and forgot it.
        TimedOut: it took longer than ``run.timeout``; it is cancelled.
        OutputUnreadable: it finished, but a file cannot be fetched.
    """
    graph = captured(run.bound)
    for upload in run.bound.uploads:
        picture = run.images[upload.asset]
        name = await comfy.upload_image(picture.name, picture.data)
        for node, input_name in upload.inputs:
            graph[node]["inputs"][input_name] = name
    return await _Execution(comfy, run, graph, on_progress).to_the_end(submit=True)


async def resume(comfy: ComfyUI, run: Run, *, on_progress: OnProgress) -> Result:
    """See a prompt through that an earlier process submitted, or was about to; raises as `execute` does."""
    if not await _arrived(comfy, run.prompt_id):
        raise BackendLost("ComfyUI does not know this job any more.", hint="It is run again.")
    return await _Execution(comfy, run, captured(run.bound), on_progress).to_the_end(submit=False)


class _Execution:
    def __init__(self, comfy: ComfyUI, run: Run, graph: Graph, on_progress: OnProgress) -> None:
        self._comfy, self._run, self._graph, self._on_progress = comfy, run, graph, on_progress
        self._meter = Meter(graph)
        self._frames: list[tuple[str, bytes]] = []
        self._look = anyio.Event()
        self._broken = False
        self._sent = False
        self._early: dict[FileRef, _Early] = {}
        self._tasks: TaskGroup
        self._finals = {node for node, told in graph.items() if told["class_type"] == "SaveImageWebsocket"}

    async def to_the_end(self, *, submit: bool) -> Result:
        try:
            with anyio.fail_after(self._run.timeout):
                return await self._watched(submit)
        except TimeoutError:
            await self._cancel()
            raise TimedOut(
                f"The job took longer than {self._run.timeout:g} s.",
                hint="Use fewer steps, or raise WORKBENCH_JOB_TIMEOUT.",
            ) from None
        except BackendUnavailable as failure:
            if self._sent:
                failure.details["reached"] = True
            raise
        except WorkbenchError:
            raise
        except Exception:
            # A defect of ours: nobody would fetch what it goes on to make.
            if self._sent:
                await self._cancel()
            raise

    async def _cancel(self) -> None:
        with anyio.CancelScope(shield=True), anyio.move_on_after(_CANCEL_SECONDS), suppress(WorkbenchError):
            await self._comfy.cancel(self._run.prompt_id)

    async def _watched(self, submit: bool) -> Result:
        """Submit and wait for the end, with the socket read beside it."""
        ready, client = anyio.Event(), [""]
        async with background() as tasks:
            self._tasks = tasks
            tasks.start_soon(self._listen, ready, client)
            await ready.wait()
            if submit:
                await self._submit(client[0])
            self._sent = True
            entry = await self._ended()
            if (failure := failure_in(entry, self._run.bound)) is not None:
                raise failure
            return await self._fetched(entry)

    async def _submit(self, client_id: str) -> None:
        """Post the graph; when the answer is lost, look whether it arrived before it is sent again."""
        for attempt in range(1, _SUBMIT_TRIES + 1):
            try:
                await self._comfy.submit(self._run.bound, self._graph, self._run.prompt_id, client_id)
                return
            except BackendUnavailable as failure:
                self._sent = self._sent or bool(failure.details.get("reached"))
                if not failure.details.get("reached"):
                    raise
                if await _arrived(self._comfy, self._run.prompt_id):
                    return
                if attempt == _SUBMIT_TRIES:
                    raise

    async def _listen(self, ready: anyio.Event, client: list[str]) -> None:
        """Read the socket until it breaks; then the history alone tells, since events go to the id that is gone."""
        try:
            async with self._comfy.sockets.connected() as socket:
                client[0] = socket.client_id
                ready.set()
                await self._read(socket)
        except FOREIGN:
            pass
        finally:
            self._broken = True
            ready.set()
            self._look.set()

    async def _read(self, socket: Socket) -> None:
        async for arrived in socket:
            if isinstance(arrived, Frame):
                if arrived.prompt_id == self._run.prompt_id:
                    self._framed(arrived)
            elif arrived.data.get("prompt_id") == self._run.prompt_id:
                # Events move progress only: one of an odd shape, from a custom node, ends nothing.
                with suppress(AttributeError, KeyError, TypeError, ValueError):
                    self._heard(arrived)

    def _framed(self, frame: Frame) -> None:
        if frame.node in self._finals:
            self._frames.append((frame.node, frame.picture))
        else:
            self._on_progress(self._meter.previewed(frame.picture))

    def _heard(self, event: Event) -> None:
        data = event.data
        match event.kind:
            case "execution_cached":
                self._on_progress(self._meter.cached(map(str, data.get("nodes", ()))))
            case "executing" if data.get("node") is None:
                # Sent after the history is written, unlike execution_success.
                self._look.set()
            case "executing":
                self._on_progress(self._meter.executing(str(data["node"])))
            case "executed":
                # Begun while the history is still being written; what it says then decides what counts.
                for found in files_in({"": data.get("output") or {}}):
                    early = self._early.setdefault(found.ref, _Early())
                    self._tasks.start_soon(self._fetch_early, found.ref, early)
            case "progress":
                step = int(data.get("value", 0)), int(data.get("max", 0))
                self._on_progress(self._meter.stepped(str(data.get("node", "")), *step))
            case _:
                pass

    def _turned(self) -> None:
        """It fell silent or is back: how far the job is, told again, has who shows it look at that too."""
        self._on_progress(self._meter.progress)

    async def _ended(self) -> HistoryEntry:
        """Wait until the history knows the prompt. Lost is: in neither place twice in a row, after a restart."""
        patience = Patience(self._comfy, self._turned)
        poll = self._comfy.timeouts.poll
        absent, restarted = 0, False
        while True:
            with anyio.move_on_after(_SETTLE_SECONDS if absent else poll):
                await self._look.wait()
            told, self._look = self._look.is_set(), anyio.Event()
            if self._broken:
                restarted, poll = True, min(poll, _UNHEARD_SECONDS)
            try:
                if (entry := await self._comfy.history(self._run.prompt_id)) is not None:
                    patience.answered()
                    if not (told or self._broken):
                        # The look came before the news: what the socket still has to tell of the steps is on its way.
                        with anyio.move_on_after(_NEWS_SECONDS):
                            await self._look.wait()
                    return entry
                absent = 0 if self._run.prompt_id in await self._comfy.queue() else absent + 1
                patience.answered()
            except BackendUnavailable as failure:
                restarted = True
                await patience.bear(failure)
            if absent >= 2:
                raise _lost(restarted)

    async def _fetch_early(self, ref: FileRef, early: _Early) -> None:
        try:
            early.data = await self._comfy.view(ref)
        except WorkbenchError:
            early.data = None
        finally:
            early.done.set()

    async def _fetched(self, entry: HistoryEntry) -> Result:
        """Every file at once: ComfyUI forgets its temporary ones when it restarts."""
        files: list[File] = []
        for found in files_in(entry.outputs):
            kind, mime = kind_of(found.ref.filename)
            early = self._early.get(found.ref)
            if early is not None:
                await early.done.wait()
            data = early.data if early is not None and early.data is not None else await self._view(found.ref)
            files.append(File(found.node, kind, found.ref.filename, mime, data))
        for index, (node, picture) in enumerate(self._frames):
            files.append(File(node, "image", f"frame_{index:05}.png", "image/png", picture))
        return Result(tuple(files), tuple(texts_in(entry.outputs)))

    async def _view(self, ref: FileRef) -> bytes:
        """A file of a prompt that ended: it was paid for, so a ComfyUI that is away for a moment is waited for."""
        patience = Patience(self._comfy)
        while True:
            try:
                return await self._comfy.view(ref)
            except BackendUnavailable as failure:
                await patience.bear(failure)
            except OutputUnreadable:
                if await self._comfy.history(self._run.prompt_id) is None:
                    raise _lost(restarted=True) from None
                raise


async def _arrived(comfy: ComfyUI, prompt_id: str) -> bool:
    """Whether ComfyUI has this prompt, asked for as long as a job waits for a ComfyUI that does not answer.

    Absent is believed the second time: what was sent last may still be on its way.
    """
    absent, patience = 0, Patience(comfy)
    while absent < 2:
        try:
            if prompt_id in await comfy.queue() or await comfy.history(prompt_id) is not None:
                return True
            absent += 1
            patience.answered()
            await anyio.sleep(_ARRIVAL_SECONDS)
        except BackendUnavailable as failure:
            await patience.bear(failure)
    return False


def _lost(restarted: bool) -> Exception:
    if restarted:
        return BackendLost("ComfyUI was restarted and forgot the job.", hint="It is run again.")
    return Interrupted("The job was taken out of ComfyUI's queue.", hint="Start it again if that was a mistake.")
